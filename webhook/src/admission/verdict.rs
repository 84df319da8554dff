//! The host's answer for a whole review.

use std::sync::Arc;

use crate::model::{Action, Failure, Finding, Spared};
use crate::registry::{Exemption, Ground, Policy, Recourse, Selected};

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
    /// Why less is done than that.
    pub spared: Option<Spared>,
}

impl Judged {
    /// At most this is done about it, and why.
    pub(crate) fn lower(&mut self, most: Action, why: Spared) {
        if self.action > most {
            self.action = most;
            self.spared = Some(why);
        }
    }
}

/// What silenced a finding.
#[derive(Clone, Debug)]
pub enum Silence {
    /// An annotation of the object.
    Annotation {
        /// Its value.
        reason: String,
        /// Its last day, where it names one.
        until: Option<String>,
    },
    /// A PolicyExemption.
    Exemption(Arc<Exemption>),
}

/// An annotation or a label of Plimsoll's that does nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unused {
    /// The pointer to the annotations or labels that it stands among.
    pub at: String,
    /// Its name.
    pub name: String,
    /// Why it counts for nothing, and what to do.
    pub complaint: String,
    /// The same for the user who applies it, without its value. None where it is no mistake for sure.
    pub warning: Option<String>,
}

/// A policy that could not judge.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Which.
    pub policy: Arc<Policy>,
    /// Why.
    pub failure: Failure,
    /// What is done, everything considered.
    pub action: Action,
    /// The PolicySet's `onError`.
    pub uncapped: Action,
    /// Why less is done than that.
    pub spared: Option<Spared>,
}

impl Failed {
    /// What the PolicySets say of it.
    pub(crate) fn new(selected: &Selected, failure: Failure) -> Self {
        let action = selected.on_error;
        let mut failed = Self { policy: Arc::clone(&selected.policy), failure, action, uncapped: action, spared: None };
        selected.spared.iter().for_each(|why| failed.lower(Action::Warn, *why));
        failed
    }

    /// At most this is done about it, and why.
    pub(crate) fn lower(&mut self, most: Action, why: Spared) {
        if self.action > most {
            self.action = most;
            self.spared = Some(why);
        }
    }
}

/// Everything that is to be said of one review.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Most severe first, then in the order of the policies and of the object.
    pub judged: Vec<Judged>,
    /// Policies that lacked required context, and what they lacked.
    pub skipped: Vec<(Arc<Policy>, String)>,
    /// What policies took for granted.
    pub assumed: Vec<(Arc<Policy>, String)>,
    /// Findings that were counted and cut.
    pub more: Vec<(Arc<Policy>, u32)>,
    /// Policies that failed.
    pub failed: Vec<Failed>,
    /// Findings of which nothing is done, by permission.
    pub silenced: Vec<(Judged, Silence)>,
    /// Annotations and labels of Plimsoll's that do nothing, each with the reason.
    pub unused: Vec<Unused>,
    /// What denies, by call.
    pub grounds: Vec<Ground>,
    /// Ways past the denial.
    pub recourse: Recourse,
}

impl Verdict {
    /// The strictest action of all.
    pub fn action(&self) -> Action {
        let findings = self.judged.iter().map(|judged| judged.action);
        findings.chain(self.failed.iter().map(|failed| failed.action)).max().unwrap_or_default()
    }

    /// The findings that deny.
    pub fn denying(&self) -> impl Iterator<Item = &Judged> {
        self.judged.iter().filter(|judged| judged.action == Action::Deny)
    }

    /// The policies of what would be denied to anybody else, where the glass was broken.
    pub fn broken_glass(&self) -> Vec<&str> {
        let findings = self.judged.iter().map(|judged| (judged.spared, judged.uncapped, &judged.policy.id));
        let failures = self.failed.iter().map(|failed| (failed.spared, failed.uncapped, &failed.policy.id));
        let mut ids: Vec<&str> = findings
            .chain(failures)
            .filter(|(spared, uncapped, _)| *spared == Some(Spared::BreakGlass) && *uncapped == Action::Deny)
            .map(|(.., id)| id.as_str())
            .collect();
        ids.dedup();
        ids
    }

    /// Whether the request may pass.
    pub fn allowed(&self) -> bool {
        self.action() < Action::Deny
    }
}
