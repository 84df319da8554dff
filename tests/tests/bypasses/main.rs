//! Attempts to get an object past Plimsoll, each named after its exploit. None of them may succeed.
//!
//! A try states who must refuse it, and for which reason. To show that no try is refused for another reason, each theme
//! has controls: the same attempts without a problem in the object, which must be accepted. `docs/bypasses.md` is the
//! table of all tries. `PLIMSOLL_WRITE=1 cargo test --release --package plimsoll-tests --test bypasses` writes it.

mod amounts;
mod bodies;
mod direct;
mod down;
mod exempt;
mod files;
mod history;
mod leverage;
mod names;
mod order;
mod people;
mod pods;
mod stage;
mod standing;
mod table;
mod values;
mod ways;
mod wire;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use plimsoll_tests::{denied_policies, named_policies};

use stage::{Said, Theme};

/// The tries of one theme, and their controls.
struct Tries {
    theme: &'static str,
    tries: &'static [Try],
    controls: &'static [Control],
}

const ALL: &[Tries] = &[
    ways::TRIES,
    bodies::TRIES,
    pods::TRIES,
    values::TRIES,
    standing::TRIES,
    people::TRIES,
    leverage::TRIES,
    history::TRIES,
    direct::TRIES,
    amounts::TRIES,
    files::TRIES,
    order::TRIES,
    names::TRIES,
    exempt::TRIES,
];

struct Try {
    name: &'static str,
    /// The hope of an attacker, without a full stop.
    exploits: &'static str,
    by: By,
    run: Run,
}

struct Control {
    name: &'static str,
    run: Run,
}

type Run = fn(&Theme) -> Result<Said>;

/// The component that refuses.
enum By {
    /// `validate.plimsoll.dev`, for exactly these policies.
    Policy(&'static [&'static str]),
    /// `lenient.plimsoll.dev`, which reviews deletions and the requests of the control plane.
    Lenient(&'static str),
    /// `protected.plimsoll.dev`, which reviews deletions of protected objects.
    Protected(&'static str),
    /// Plimsoll cannot read the request, and answers with an error. So `failurePolicy: Fail` applies.
    FailurePolicy,
    /// `validate.plimsoll.dev`, because a later change of the object would be too large for a review.
    TooLarge,
    /// The API server itself, with this text. No webhook is called.
    ApiServer(&'static str),
    /// The API server accepts the request, and drops the smuggled value.
    Dropped,
    /// Plimsoll, on a direct request: one of these HTTP statuses instead of a verdict.
    Status(&'static [u16]),
    /// Plimsoll, on a direct request: the verdict `allowed: false` with this text.
    Answer(&'static str),
    /// `plimsoll check`, for this policy.
    Check(&'static str),
    /// `plimsoll` itself, with this text.
    Tool(&'static str),
}

#[test]
fn ways_to_write() -> Result<()> {
    ways::TRIES.run("ways")
}

#[test]
fn odd_bodies() -> Result<()> {
    bodies::TRIES.run("bodies")
}

#[test]
fn pods_in_disguise() -> Result<()> {
    pods::TRIES.run("pods")
}

#[test]
fn odd_values() -> Result<()> {
    values::TRIES.run("values")
}

#[test]
fn exempt_by_a_sign() -> Result<()> {
    exempt::TRIES.run("exempt")
}

#[test]
fn what_is_there_already() -> Result<()> {
    standing::TRIES.run("standing")
}

#[test]
fn who_and_where() -> Result<()> {
    people::TRIES.run("people")
}

#[test]
fn in_form_alone() -> Result<()> {
    amounts::TRIES.run("amounts")
}

#[test]
fn what_a_decision_rests_on() -> Result<()> {
    // Not in parallel, because both themes slow down the same link.
    let first = leverage::TRIES.run_in(&leverage::theme()?);
    history::TRIES.run_in(&leverage::theme()?)?;
    first
}

#[test]
fn what_comes_last() -> Result<()> {
    order::TRIES.run("order")
}

#[test]
fn names_of_plimsolls() -> Result<()> {
    names::TRIES.run("names")
}

#[test]
fn asked_directly() -> Result<()> {
    direct::TRIES.run("direct")
}

#[test]
fn files_names_and_registrations() -> Result<()> {
    files::TRIES.run("files")
}

impl Tries {
    /// Runs the tries in a new namespace. The error names all tries that succeeded.
    fn run(&self, prefix: &str) -> Result<()> {
        self.run_in(&Theme::new(prefix)?)
    }

    fn run_in(&self, theme: &Theme) -> Result<()> {
        let mut complaints = Vec::new();
        for attempt in self.tries {
            match (attempt.run)(theme) {
                Ok(said) => {
                    complaints.extend(attempt.by.complaint(&said).map(|what| format!("{}: {what}", attempt.name)));
                }
                Err(error) => complaints.push(format!("{}: it could not be tried: {error:#}", attempt.name)),
            }
        }
        for control in self.controls {
            match (control.run)(theme) {
                Ok(said) if said.admitted => {}
                Ok(said) => complaints.push(format!("control {}: refused: {}", control.name, said.text)),
                Err(error) => complaints.push(format!("control {}: {error:#}", control.name)),
            }
        }
        ensure!(!self.controls.is_empty(), "no controls");
        ensure!(complaints.is_empty(), "{} of {}\n\n{}", complaints.len(), self.tries.len(), complaints.join("\n\n"));
        Ok(())
    }
}

impl By {
    fn complaint(&self, said: &Said) -> Option<String> {
        let Said { admitted, code, text } = said;
        if *admitted && !matches!(self, By::Dropped) {
            return Some(format!("the try succeeded: {text}"));
        }
        let denied = denied_policies(text);
        let as_expected = match self {
            By::Policy(ids) => {
                let ids: BTreeSet<String> = ids.iter().map(|&id| id.to_owned()).collect();
                denied == Some(ids)
            }
            By::Lenient(id) => {
                text.contains("\"lenient.plimsoll.dev\" denied the request") && named_policies(text).contains(*id)
            }
            By::Protected(id) => {
                text.contains("\"protected.plimsoll.dev\" denied the request") && named_policies(text).contains(*id)
            }
            By::FailurePolicy => text.contains("failed calling webhook \"validate.plimsoll.dev\""),
            By::TooLarge => {
                denied.is_some_and(|ids| ids.is_empty()) && text.contains("; split it into several objects")
            }
            By::ApiServer(words) => !text.contains("plimsoll.dev\" denied") && text.contains(words),
            By::Dropped => text == stage::DROPPED,
            By::Status(statuses) => statuses.contains(code) && !text.contains("\"allowed\":true"),
            By::Answer(words) => *code == 200 && denied.is_none_or(|ids| ids.is_empty()) && text.contains(words),
            By::Check(id) => *code == 1 && text.contains(id),
            By::Tool(words) => text.contains(words),
        };
        (!as_expected).then(|| format!("refused for another reason than expected ({code}): {text}"))
    }
}
