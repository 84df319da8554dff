//! Which policies of which bundle apply to what, with settings and actions: PolicySets, loaded, checked and matched.

mod actions;
mod concessions;
mod exemption;
mod fields;
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
mod workloads;

use std::sync::Arc;
use std::time::Duration;

use plimsoll_sdk::metadata::{self, Judges, Severity, Stage};

pub use exemption::Exemption;
pub use nearest::nearest;
pub(crate) use parts::Parts;
pub use plan::{Ground, Recourse};
pub(crate) use plural::plural;
pub use policy_set::{API_VERSION, CheckConfiguration, Documents, PolicySet, read};
pub use problem::{ConfigError, Hint, Position, Problem};
pub use profile::{Profile, Reason};
pub use registry::{MAX_TEMPLATES, NEWEST_KUBERNETES, Options, Registry, Site};
#[cfg(feature = "check")]
pub(crate) use served::is_group_of_kubernetes;
pub use workloads::{REVISION, Template, Workloads, places};

use crate::model::{Action, Spared};

/// Whether objects of a `group/Kind` lie in no namespace, as far as is known without a cluster.
pub(crate) fn is_cluster_scoped(group_kind: &str) -> bool {
    group_kind.split_once('/').is_some_and(|(group, kind)| plural::is_cluster_scoped(group, kind))
}

/// One policy of a loaded bundle.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Kebab-case.
    pub id: String,
    /// Which bundle of the registry has it.
    pub bundle: usize,
    /// Its number in that bundle.
    pub index: u32,
    /// What it judges.
    pub judges: Judges,
    /// Where it runs.
    pub stage: Stage,
    /// All that the bundle says of it.
    pub metadata: metadata::Policy,
}

/// A cap on every action.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// Nothing is evaluated.
    Off,
    /// Nothing is worse than a warning, and nothing is changed.
    Observe,
    /// Actions count as they are.
    Enforce,
}

/// What is done by severity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Actions {
    /// About an error.
    pub error: Action,
    /// About a warning.
    pub warning: Action,
    /// About an info.
    pub info: Action,
}

impl Actions {
    /// The same for all.
    pub fn all(action: Action) -> Self {
        Self { error: action, warning: action, info: action }
    }

    /// What is done about a finding of this severity.
    pub fn of(self, severity: Severity) -> Action {
        match severity {
            Severity::Error => self.error,
            Severity::Warning => self.warning,
            Severity::Info => self.info,
        }
    }

    /// Whether the policy need not run at all.
    pub fn is_off(self) -> bool {
        self == Self::all(Action::Off)
    }
}

impl Default for Actions {
    /// Error denies, warning warns, info audits.
    fn default() -> Self {
        Self { error: Action::Deny, warning: Action::Warn, info: Action::Audit }
    }
}

/// A policy that applies to a review, and how.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Which.
    pub policy: Arc<Policy>,
    /// Its settings as a flat document; empty for the defaults.
    pub settings: Arc<[u8]>,
    /// What is done by severity.
    pub actions: Actions,
    /// What a failure of the policy counts as.
    pub on_error: Action,
    /// Why a Deny would only warn here: the mode is `observe`, or who asks is let through.
    pub spared: Option<Spared>,
    /// Whether its additions are made by the webhook.
    pub mutate: bool,
    /// Policies and meanings newer than this only audit.
    pub as_of: Option<Version>,
    /// From this age of the object on, a missing companion counts.
    pub enforce_after: Duration,
    /// Whether the object's own annotations may silence even a Deny.
    pub self_exempt: bool,
    /// The permission to break this policy, where there is one; it may have expired.
    pub exemption: Option<Arc<Exemption>>,
}

impl Selected {
    /// Whether the policy, or the meaning of a finding with its own `since`, is newer than `policiesAsOf`.
    pub fn is_new(&self, since: Option<&str>) -> bool {
        let since = since.unwrap_or(&self.policy.metadata.since);
        self.as_of.is_some_and(|as_of| Version::parse(since).is_some_and(|since| since > as_of))
    }
}

/// A version of Plimsoll or of a bundle: `0.1`, `0.1.0`. In `policiesAsOf` a missing last number means any.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// `0.1.2`; a missing patch is 0.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(str::parse);
        let version =
            Self { major: parts.next()?.ok()?, minor: parts.next()?.ok()?, patch: parts.next().unwrap_or(Ok(0)).ok()? };
        parts.next().is_none().then_some(version)
    }

    /// As a bound: `0.1` includes every `0.1.x`.
    pub fn parse_bound(text: &str) -> Option<Self> {
        let version = Self::parse(text)?;
        let open = text.split('.').count() == 2;
        Some(if open { Self { patch: u32::MAX, ..version } } else { version })
    }
}
