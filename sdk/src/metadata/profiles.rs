//! What the profiles make of a policy.

use serde::{Deserialize, Serialize};

/// What the profiles make of a policy, where that differs from the rule. By the rule a policy is on in every profile, acts by the
/// severity of its findings, and fills nothing in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profiles {
    /// The policy is not on in every profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// What it does in `default` and `mutate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<InDefault>,
    /// What it does in `production` and `strict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production: Option<InProduction>,
    /// Where the webhook fills in what it finds missing. The host heeds it of the built-in bundle alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fills_in: Option<FillsIn>,
}

impl Profiles {
    /// Whether the rule holds for everything.
    pub fn is_rule(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a policy is on that is not on in every profile.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// In `strict`, and where a PolicySet lists it.
    Strict,
    /// Only where a PolicySet lists it.
    OptIn,
}

/// What a policy does in `default` and `mutate`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InDefault {
    /// Errors deny, for this reason; warnings warn.
    Deny(Reason),
    /// Errors and warnings warn.
    Warn,
    /// Errors warn. Warnings, which tell what the manifest does not say, are recorded.
    Audit,
}

/// What a policy does in `production` and `strict`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InProduction {
    /// Errors and warnings deny.
    Deny,
}

/// Where the webhook fills in what a policy finds missing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FillsIn {
    /// In every profile: no container notices it, and the Pods are new anyway.
    Default,
    /// In `mutate`.
    Mutate,
}

/// Why a policy may deny in a cluster whose teams have not asked for it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The API server, a controller, the scheduler or the kubelet refuses it, or the Pod never starts.
    CannotWork,
    /// A drain, an upgrade or a rollout never ends.
    BlocksOthers,
    /// An update, a scale or a switch leaves none of two or more Pods.
    TakesDown,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 3] = [Reason::CannotWork, Reason::BlocksOthers, Reason::TakesDown];

    /// In a few words, which go on from "it".
    pub fn short(self) -> &'static str {
        match self {
            Reason::CannotWork => "can't work",
            Reason::BlocksOthers => "blocks others",
            Reason::TakesDown => "takes a service down",
        }
    }

    /// The words in full.
    pub fn detail(self) -> &'static str {
        match self {
            Reason::CannotWork => {
                "the API server, a controller, the scheduler or the kubelet refuses it, or the Pod never starts"
            }
            Reason::BlocksOthers => "a drain, an upgrade or a rollout never ends",
            Reason::TakesDown => "an update, a scale or a switch leaves none of two or more Pods",
        }
    }
}
