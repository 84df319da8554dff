//! The host's answer for a whole review.

use std::sync::Arc;

use crate::model::{Action, Failure, Finding, Spared};
use crate::registry::{Exemption, Ground, Policy, Recourse, Selected};

/// One finding and the action on it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The policy that reported it.
    pub policy: Arc<Policy>,
    /// The finding as reported.
    pub finding: Finding,
    /// The final action.
    pub action: Action,
    /// The action of the PolicySets, before the mode or anything else lowered it.
    pub uncapped: Action,
    /// Key of the finding: policy, related object and place. List items are named by their merge key.
    pub key: String,
    /// Why the action is lower than `uncapped`.
    pub spared: Option<Spared>,
}

impl Judged {
    /// Lowers the action to at most `most`, and records the reason.
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
        /// Value of the annotation.
        reason: String,
        /// The last day, if the annotation names one.
        until: Option<String>,
    },
    /// A PolicyExemption.
    Exemption(Arc<Exemption>),
}

/// An annotation or label of Plimsoll that has no effect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unused {
    /// The pointer to the annotations or labels that contain it.
    pub at: String,
    /// Its name.
    pub name: String,
    /// Why it has no effect, and what to do.
    pub complaint: String,
    /// The complaint for the user who applies the object, without the value. None if it may be no mistake.
    pub warning: Option<String>,
}

/// A policy that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The policy that failed.
    pub policy: Arc<Policy>,
    /// Cause of the failure.
    pub failure: Failure,
    /// The final action.
    pub action: Action,
    /// `onError` of the PolicySet.
    pub uncapped: Action,
    /// Why the action is lower than `uncapped`.
    pub spared: Option<Spared>,
}

impl Failed {
    /// A failure with the action of the PolicySets.
    pub(crate) fn new(selected: &Selected, failure: Failure) -> Self {
        let action = selected.on_error;
        let mut failed = Self { policy: Arc::clone(&selected.policy), failure, action, uncapped: action, spared: None };
        selected.spared.iter().for_each(|why| failed.lower(Action::Warn, *why));
        failed
    }

    /// Lowers the action to at most `most`, and records the reason.
    pub(crate) fn lower(&mut self, most: Action, why: Spared) {
        if self.action > most {
            self.action = most;
            self.spared = Some(why);
        }
    }
}

/// The complete result of one review.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Findings, most severe first, then in the order of the policies and of the object.
    pub judged: Vec<Judged>,
    /// Policies that lacked required context, with the context that was missing.
    pub skipped: Vec<(Arc<Policy>, String)>,
    /// Assumptions of policies.
    pub assumed: Vec<(Arc<Policy>, String)>,
    /// Number of findings beyond the limit, by policy.
    pub more: Vec<(Arc<Policy>, u32)>,
    /// Policies that failed.
    pub failed: Vec<Failed>,
    /// Findings that an exemption or an annotation silences.
    pub silenced: Vec<(Judged, Silence)>,
    /// Annotations and labels of Plimsoll that have no effect, each with the reason.
    pub unused: Vec<Unused>,
    /// Reasons of the denial, by call.
    pub grounds: Vec<Ground>,
    /// Ways to get past the denial.
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

    /// The policies that would deny the request of a user who may not break the glass.
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
