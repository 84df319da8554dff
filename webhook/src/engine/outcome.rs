//! What a policy returned, checked and in the host's own types.

use plimsoll_flat::Node;
use plimsoll_sdk::metadata::{self, Severity};

use super::imports::contract::plimsoll::policy::types;
use super::imports::{ANSWERS, MAX_QUESTIONS};
use crate::admission::edit::Edit;
use crate::pointer::is_pointer;
use crate::printed::is_hidden;

/// Findings of one policy beyond this are counted and cut.
const MAX_FINDINGS: usize = plimsoll_sdk::findings::MAX_FINDINGS;

/// Characters of a message, a help, a name. What people read is a sentence; the rest is cut.
const MAX_TEXT: usize = 1000;

/// Characters of a pointer that are shown. Keys of labels and annotations are at most 317 long, and a path has few.
const MAX_POINTER: usize = 4000;

/// What one policy made of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It judged.
    Evaluated(Report),
    /// It lacked required context; never a pass.
    Skipped(String),
}

/// Findings and assumptions of one policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
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
    /// What is wrong.
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
        "the policy asks for more about other objects than it may: {MAX_QUESTIONS} questions, or {} GiB of answers",
        ANSWERS >> 30
    )]
    Questions,
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
        let pointer = Outcome::words(pointer.to_owned());
        Failure::Contract(format!("an edit of {pointer}, which the policy did not declare"))
    }

    /// A word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Trap(_) => "trap",
            Failure::Deadline => "deadline",
            Failure::Fuel(_) => "fuel",
            Failure::Questions => "questions",
            Failure::Spent => "spent",
            Failure::Memory => "memory",
            Failure::Output => "output",
            Failure::Policy(_) => "policy",
            Failure::Contract(_) => "contract",
        }
    }
}

impl Outcome {
    /// Words of a guest that are part of a sentence of ours: cleaned, and no longer than that sentence can bear.
    pub(super) fn words(text: String) -> String {
        cut(text, 400)
    }

    /// Takes over what a guest returned. Nothing of it is trusted.
    pub(super) fn from_guest(outcome: types::Outcome) -> Result<Self, Failure> {
        match outcome {
            types::Outcome::Skipped(reason) => Ok(Outcome::Skipped(clean(reason))),
            types::Outcome::Evaluated(report) => {
                // The SDK cuts and counts; a guest of another kind is cut here.
                let more = report.findings.len().saturating_sub(MAX_FINDINGS);
                let findings = report.findings.into_iter().take(MAX_FINDINGS).map(Finding::from_guest);
                Ok(Outcome::Evaluated(Report {
                    findings: findings.collect::<Result<_, _>>()?,
                    assumptions: report.assumptions.into_iter().take(MAX_FINDINGS).map(clean).collect(),
                    more: report.more.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)),
                }))
            }
        }
    }
}

impl Finding {
    fn from_guest(finding: types::Finding) -> Result<Self, Failure> {
        pointer(&finding.at.pointer)?;
        for about in &finding.about {
            pointer(about)?;
        }
        Ok(Self {
            severity: match finding.severity {
                types::Severity::Info => Severity::Info,
                types::Severity::Warning => Severity::Warning,
                types::Severity::Error => Severity::Error,
            },
            at: Place { pointer: cut(finding.at.pointer, MAX_POINTER), missing: cut(finding.at.missing, MAX_POINTER) },
            message: clean(finding.message),
            help: clean(finding.help),
            fix: finding.fix.map(Fix::from_guest).transpose()?,
            about: finding.about,
            related: finding.related.map(clean),
            since: finding.since.map(clean),
            companion: finding.companion,
            unsettled: finding.unsettled,
        })
    }
}

impl Fix {
    fn from_guest(fix: types::Fix) -> Result<Self, Failure> {
        let edit = |edit| match edit {
            types::Edit::Add(add) => Ok(Edit::Add { value: value(&add.value)?, pointer: pointer(&add.pointer)? }),
            types::Edit::Replace(new) => {
                Ok(Edit::Replace { value: value(&new.value)?, pointer: pointer(&new.pointer)? })
            }
            types::Edit::Remove(at) => Ok(Edit::Remove { pointer: pointer(&at)? }),
            types::Edit::Append(new) => Ok(Edit::Append { value: value(&new.value)?, pointer: pointer(&new.pointer)? }),
        };
        let edits = fix.edits.into_iter().map(edit).collect::<Result<Vec<_>, Failure>>()?;
        let only_adds = fix.companion.is_none() && edits.iter().all(|edit| matches!(edit, Edit::Add { .. }));
        Ok(Self {
            title: clean(fix.title),
            class: match fix.class {
                types::FixClass::Safe if only_adds => FixClass::Safe,
                // What the author wrote, and another object, are no matter of `safe`, whatever the guest calls it.
                types::FixClass::Safe | types::FixClass::Unsafe => FixClass::Unsafe,
                types::FixClass::Hardening => FixClass::Hardening,
            },
            edits,
            companion: fix.companion.as_deref().map(value).transpose()?,
        })
    }
}

fn value(document: &[u8]) -> Result<serde_json::Value, Failure> {
    plimsoll_flat::validate(document).map_err(|error| Failure::Contract(format!("a broken document: {error}")))?;
    let node = Node::root(document).map_err(|error| Failure::Contract(format!("a broken document: {error}")))?;
    serde_json::to_value(node).map_err(|error| Failure::Contract(format!("a broken document: {error}")))
}

fn pointer(text: &str) -> Result<String, Failure> {
    if is_pointer(text) {
        Ok(text.to_owned())
    } else {
        Err(Failure::Contract(format!("{:?} is no JSON pointer", Outcome::words(text.to_owned()))))
    }
}

/// A sentence of a guest.
fn clean(text: String) -> String {
    cut(text, MAX_TEXT)
}

/// Control characters of guests never reach a terminal, nor do those that turn the direction of text; and what is longer
/// than `most` characters ends there.
fn cut(mut text: String, most: usize) -> String {
    // No character is shorter than a byte, so most texts need not be counted.
    if text.len() > most
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
        text.push('…');
    }
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) {
        return text;
    }
    text.chars().map(|character| if is_hidden(character) { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_sdk::value::Value;

    use super::*;

    #[test]
    fn a_fix_that_replaces_what_stands_is_not_safe() {
        let pointed = || types::PointedValue { pointer: "/spec/x".to_owned(), value: Value::Int(1).to_document() };
        let class = |class, edits, companion| {
            let fix = types::Fix { title: "do it".to_owned(), class, edits, companion };
            Fix::from_guest(fix).unwrap().class
        };
        let safe = types::FixClass::Safe;
        assert_eq!(class(safe, vec![types::Edit::Add(pointed())], None), FixClass::Safe);
        for edit in
            [types::Edit::Replace(pointed()), types::Edit::Append(pointed()), types::Edit::Remove("/spec/x".to_owned())]
        {
            assert_eq!(class(safe, vec![types::Edit::Add(pointed()), edit], None), FixClass::Unsafe);
        }
        assert_eq!(class(safe, Vec::new(), Some(Value::Int(1).to_document())), FixClass::Unsafe);
        let replaced = vec![types::Edit::Replace(pointed())];
        assert_eq!(class(types::FixClass::Hardening, replaced, None), FixClass::Hardening);
    }
}
