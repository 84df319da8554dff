//! What policies said of an object, in the host's own types.

use plimsoll_sdk::metadata::{self, Severity};

use crate::model::Edit;
use crate::printed::words;

/// What one policy made of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It judged.
    Evaluated(Evaluated),
    /// It lacked required context; never a pass.
    Skipped(String),
}

/// Findings and assumptions of one policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// In the policy's own order.
    pub findings: Vec<Finding>,
    /// What it took for granted.
    pub assumptions: Vec<String>,
    /// Findings beyond the limit, counted and cut.
    pub more: u32,
}

/// A message at a place in the object.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub at: Place,
    /// The fault, in words.
    pub message: String,
    /// What to write.
    pub help: String,
    /// The edits that mend it.
    pub fix: Option<Fix>,
    /// Pointers that were judged.
    pub about: Vec<String>,
    /// The other object it is about, `Kind/name`.
    pub related: Option<String>,
    /// The version from which this meaning holds.
    pub since: Option<String>,
    /// Rests on another object's absence.
    pub companion: bool,
    /// An object that follows in the same release may end it.
    pub unsettled: bool,
}

/// The nearest existing value, and the path that is missing below it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// RFC 6901.
    pub pointer: String,
    /// `a/b`, empty where the place exists.
    pub missing: String,
}

impl Place {
    /// The whole pointer, missing parts included.
    pub fn full(&self) -> String {
        if self.missing.is_empty() { self.pointer.clone() } else { format!("{}/{}", self.pointer, self.missing) }
    }
}

/// A title, a class, and edits or a companion object.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// What it does, for people.
    pub title: String,
    /// What it changes at run time.
    pub class: FixClass,
    /// Changes of the reviewed object.
    pub edits: Vec<Edit>,
    /// An object for a new file.
    pub companion: Option<serde_json::Value>,
}

/// What applying a fix changes at run time; each class includes those before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FixClass {
    /// Nothing, and nothing that the author wrote is replaced.
    Safe,
    /// Nothing that a well-behaved workload notices. Its Pods may be replaced once.
    Hardening,
    /// Behaviour.
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
    /// As reports and `--fix=CLASS` name it.
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
    /// The guest trapped; with the text of its panic, if it had one.
    #[error("the policy trapped: {0}")]
    Trap(String),
    /// It ran into its deadline.
    #[error("the policy did not end in time")]
    Deadline,
    /// It burnt more fuel than this, alone or in questions to the host.
    #[error(
        "the policy needs more than {} million instructions for this object; split what is large, or ask the author of the \
         policy whether it ends",
        .0 / 1_000_000
    )]
    Fuel(u64),
    /// It asked the host for more than one call may have.
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
    /// All policies together have burnt what one run may burn.
    #[error("the run has used up its instructions for all objects; check fewer files at once")]
    Spent,
    /// It asked for more memory than a policy may have.
    #[error("the policy used more memory than it may")]
    Memory,
    /// It handed back more than a policy may.
    #[error("the policy returned more than it may")]
    Output,
    /// It said itself that it could not judge.
    #[error("{0}")]
    Policy(String),
    /// It returned what the contract does not allow: a hostile pointer, an undeclared edit, a broken document.
    #[error("the policy returned what the contract does not allow: {0}")]
    Contract(String),
}

impl Failure {
    /// An edit of what the policy's metadata does not name.
    pub fn undeclared(pointer: &str) -> Self {
        let pointer = words(pointer.to_owned());
        Failure::Contract(format!("an edit of {pointer}, which the policy did not declare"))
    }

    /// A word for metrics and logs.
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
