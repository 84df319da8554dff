//! The host's answer for a whole review.

use std::sync::Arc;

use crate::engine::{Failure, Finding};
use crate::registry::Policy;

/// What is done about a finding, mildest first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// Nothing; the policy does not even run.
    #[default]
    Off,
    /// Recorded, not shown.
    Audit,
    /// Shown to whoever applies.
    Warn,
    /// Refused.
    Deny,
}

impl Action {
    /// As PolicySets and reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Off => "Off",
            Action::Audit => "Audit",
            Action::Warn => "Warn",
            Action::Deny => "Deny",
        }
    }
}

/// One finding and what follows from it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Whose finding it is.
    pub policy: Arc<Policy>,
    /// What the policy said.
    pub finding: Finding,
    /// What is done, everything considered.
    pub action: Action,
    /// What the PolicySets say, before the mode and anything else capped it.
    pub uncapped: Action,
    /// The finding by policy, related object and place, list items named by their merge key.
    pub key: String,
    /// What kept a Deny from being one.
    pub spared: Option<Spared>,
}

/// Why something that would have been denied is only warned of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spared {
    /// The mode is `observe`.
    Observed,
    /// The old object broke the policy in the same way.
    Ratchet,
    /// The policy, or this meaning of it, is newer than `policiesAsOf`.
    New,
}

/// A policy that could not judge.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which.
    pub policy: Arc<Policy>,
    /// Why.
    pub failure: Failure,
    /// The PolicySet's `onError`, capped by the mode.
    pub action: Action,
    /// `onError` before the cap.
    pub uncapped: Action,
}

/// Everything that is to be said of one review.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Most severe first, then in the order of the catalogue and of the object.
    pub judged: Vec<Judged>,
    /// Policies that lacked required context, and what they lacked.
    pub skipped: Vec<(Arc<Policy>, String)>,
    /// What policies took for granted.
    pub assumed: Vec<(Arc<Policy>, String)>,
    /// Findings that were counted and cut.
    pub more: Vec<(Arc<Policy>, u32)>,
    /// Policies that failed.
    pub failed: Vec<Failed>,
}

impl Verdict {
    /// The strictest action of all.
    pub fn action(&self) -> Action {
        let findings = self.judged.iter().map(|judged| judged.action);
        findings.chain(self.failed.iter().map(|failed| failed.action)).max().unwrap_or_default()
    }

    /// Whether the request may pass.
    pub fn allowed(&self) -> bool {
        self.action() < Action::Deny
    }
}
