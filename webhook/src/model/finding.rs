//! The results of policies, in the host's own types.

use plimsoll_sdk::metadata::{self, Severity};

use crate::model::Edit;
use crate::printed::words;

/// The result of one policy on one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The policy judged the object.
    Evaluated(Evaluated),
    /// The policy lacked required context. This never counts as a pass.
    Skipped(String),
}

/// Findings and assumptions of one policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// Findings in the policy's own order.
    pub findings: Vec<Finding>,
    /// Facts that the policy assumed.
    pub assumptions: Vec<String>,
    /// Number of findings beyond the limit. They are counted and cut.
    pub more: u32,
}

/// A message at a place in the object.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The place in the object.
    pub at: Place,
    /// The fault, in words.
    pub message: String,
    /// What to write.
    pub help: String,
    /// The edits that fix it.
    pub fix: Option<Fix>,
    /// Pointers to the values that were judged.
    pub about: Vec<String>,
    /// The other object that the finding is about, as `Kind/name`.
    pub related: Option<String>,
    /// The version since which the policy reports this.
    pub since: Option<String>,
    /// The finding depends on the absence of another object.
    pub companion: bool,
    /// A later object of the same release may resolve the finding.
    pub unsettled: bool,
}

/// The nearest existing value, and the missing path below it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// RFC 6901 pointer to the existing value.
    pub pointer: String,
    /// The missing path, `a/b`. Empty if the place exists.
    pub missing: String,
}

impl Place {
    /// The whole pointer, including the missing path.
    pub fn full(&self) -> String {
        if self.missing.is_empty() { self.pointer.clone() } else { format!("{}/{}", self.pointer, self.missing) }
    }
}

/// A title, a class, and edits or a companion object.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// What the fix does, in words.
    pub title: String,
    /// What it changes at run time.
    pub class: FixClass,
    /// Changes of the reviewed object.
    pub edits: Vec<Edit>,
    /// An object for a new file.
    pub companion: Option<serde_json::Value>,
}

/// The effect of a fix at run time. Each class includes the ones before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FixClass {
    /// Changes nothing at run time, and replaces nothing that the author wrote.
    Safe,
    /// Changes nothing that a well-behaved workload notices. Its Pods may be replaced once.
    Hardening,
    /// Changes behaviour.
    Unsafe,
}

impl From<metadata::FixClass> for FixClass {
    fn from(class: metadata::FixClass) -> Self {
        match class {
            metadata::FixClass::Safe => FixClass::Safe,
            metadata::FixClass::Hardening => FixClass::Hardening,
            metadata::FixClass::Unsafe => FixClass::Unsafe,
        }
    }
}

impl FixClass {
    /// Spelling in reports and in `--fix=CLASS`.
    pub fn as_str(self) -> &'static str {
        match self {
            FixClass::Safe => "safe",
            FixClass::Hardening => "hardening",
            FixClass::Unsafe => "unsafe",
        }
    }
}

/// Why a policy has no outcome. It counts as the PolicySet's `onError`, never as an allow.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The guest trapped. Contains the text of its panic, if there was one.
    #[error("the policy trapped: {0}")]
    Trap(String),
    /// The deadline passed.
    #[error("the policy did not end in time")]
    Deadline,
    /// The policy used more fuel than this, by itself or in questions to the host.
    #[error(
        "the policy needs more than {} million instructions for this object; split what is large, or ask the author of the \
         policy whether it ends",
        .0 / 1_000_000
    )]
    Fuel(u64),
    /// The policy asked the host for more than one call may get.
    #[error(
        "the policy asks for more about other objects than it may: {most} questions, or {} GiB of answers",
        bytes >> 30
    )]
    Questions {
        /// Maximum number of questions.
        most: u64,
        /// Maximum size of all answers.
        bytes: u64,
    },
    /// All policies together used the fuel of one run.
    #[error("the run has used up its instructions for all objects; check fewer files at once")]
    Spent,
    /// The policy asked for more memory than its limit.
    #[error("the policy used more memory than it may")]
    Memory,
    /// The policy returned more than its limit.
    #[error("the policy returned more than it may")]
    Output,
    /// The policy itself reported that it could not judge.
    #[error("{0}")]
    Policy(String),
    /// The result breaks the contract: a hostile pointer, an undeclared edit, a broken document.
    #[error("the policy returned what the contract does not allow: {0}")]
    Contract(String),
}

impl Failure {
    /// The failure for an edit that the policy's metadata does not declare.
    pub fn undeclared(pointer: &str) -> Self {
        let pointer = words(pointer);
        Failure::Contract(format!("an edit of {pointer}, which the policy did not declare"))
    }

    /// One word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Trap(_) => "trap",
            Failure::Deadline => "deadline",
            Failure::Fuel(_) => "fuel",
            Failure::Questions { .. } => "questions",
            Failure::Spent => "spent",
            Failure::Memory => "memory",
            Failure::Output => "output",
            Failure::Policy(_) => "policy",
            Failure::Contract(_) => "contract",
        }
    }
}
