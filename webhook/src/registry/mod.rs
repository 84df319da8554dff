//! Reads, checks and matches PolicySets. They say which policies of which bundle apply to which objects, with settings
//! and actions.

mod actions;
mod concessions;
mod documents;
mod exemption;
mod fields;
#[cfg(feature = "manifest")]
mod manifest;
mod matching;
mod namespaces;
mod nearest;
mod parts;
mod plan;
mod plural;
mod policy_set;
mod problem;
mod profile;
#[expect(clippy::module_inception, reason = "the folder is named after the thing that it ends in")]
mod registry;
pub mod served;
mod settings;
#[cfg(test)]
pub(crate) mod test_bundle;
mod version;
mod workloads;

use std::sync::Arc;
use std::time::Duration;

use plimsoll_sdk::metadata::{self, Judges, Severity, Stage};

pub use documents::{API_VERSION, CheckConfiguration, Documents, read};
pub use exemption::Exemption;
pub use nearest::nearest;
pub(crate) use parts::Parts;
pub use plan::{Ground, Recourse};
pub(crate) use plural::plural;
pub use policy_set::PolicySet;
pub use problem::{ConfigError, Hint, Position, Problem};
pub use profile::{Profile, Reason};
pub use registry::{Environments, NEWEST_KUBERNETES, Options, Registry, Site};
#[cfg(feature = "check")]
pub(crate) use served::is_group_of_kubernetes;
pub use version::Version;
pub use workloads::{REVISION, Workloads};

use crate::model::{Action, Spared};

/// Whether a `group/Kind` is cluster-scoped, as far as that is known without a cluster.
pub(crate) fn is_cluster_scoped(group_kind: &str) -> bool {
    group_kind.split_once('/').is_some_and(|(group, kind)| plural::is_cluster_scoped(group, kind))
}

/// The number that stands for the bundle of rules that the host itself checks. No bundle has it.
pub const HOST: usize = usize::MAX;

/// One policy of a loaded bundle, or a rule of the host.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Id in kebab-case.
    pub id: String,
    /// Number of its bundle in the registry, or [`HOST`].
    pub bundle: usize,
    /// Its number in that bundle.
    pub index: u32,
    /// What it judges.
    pub judges: Judges,
    /// Where it runs.
    pub stage: Stage,
    /// The complete metadata of the policy.
    pub metadata: metadata::Policy,
}

/// The order of policies in reports: by bundle, then by number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rank(Option<usize>, u32);

impl Policy {
    /// The place of the policy in reports: rules of the host first, then bundle by bundle.
    pub fn rank(&self) -> Rank {
        Rank((self.bundle != HOST).then_some(self.bundle), self.index)
    }
}

/// Mode of a PolicySet: a cap on every action.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// No policy is evaluated.
    Off,
    /// Findings warn at most, and nothing is changed.
    Observe,
    /// The actions apply unchanged.
    Enforce,
}

/// The action for each severity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Actions {
    /// Action on an error.
    pub error: Action,
    /// Action on a warning.
    pub warning: Action,
    /// Action on an info.
    pub info: Action,
}

impl Actions {
    /// The same action for all severities.
    pub fn all(action: Action) -> Self {
        Self { error: action, warning: action, info: action }
    }

    /// The action on a finding of this severity.
    pub fn of(self, severity: Severity) -> Action {
        match severity {
            Severity::Error => self.error,
            Severity::Warning => self.warning,
            Severity::Info => self.info,
        }
    }

    /// Whether the policy does not have to run.
    pub fn is_off(self) -> bool {
        self == Self::all(Action::Off)
    }
}

impl Default for Actions {
    /// An error denies, a warning warns, an info audits.
    fn default() -> Self {
        Self { error: Action::Deny, warning: Action::Warn, info: Action::Audit }
    }
}

/// A policy that applies to a review, with its settings and actions.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its settings as a flat document; empty for the defaults.
    pub settings: Arc<[u8]>,
    /// The action for each severity.
    pub actions: Actions,
    /// The action if the policy fails.
    pub on_error: Action,
    /// Why a Deny would only warn here: the mode is `observe`, or `breakGlass` or `trustedControllers` names the user.
    pub spared: Option<Spared>,
    /// Whether the webhook makes the policy's additions.
    pub mutate: bool,
    /// Policies and findings that are newer than this version only audit.
    pub as_of: Option<Version>,
    /// Age of the object from which a missing companion counts.
    pub enforce_after: Duration,
    /// Whether the object's own annotations may silence even a Deny.
    pub self_exempt: bool,
    /// The exemption from this policy, if there is one. It may have expired.
    pub exemption: Option<Arc<Exemption>>,
}

impl Selected {
    /// Whether the policy is newer than `policiesAsOf`. For a finding with its own `since`, that version counts.
    pub fn is_new(&self, since: Option<&str>) -> bool {
        let since = since.unwrap_or(&self.policy.metadata.since);
        self.as_of.as_ref().zip(Version::parse(since)).is_some_and(|(as_of, since)| since > *as_of)
    }
}
