//! Runs a policy natively in the same surroundings as the WebAssembly run, and writes both outcomes in one format.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use plimsoll::engine::{self, Surroundings};
use plimsoll::model::{self, Edit, Evaluated, Outcome};
use plimsoll_sdk::bundle::{Answer, Host, evaluate};
use plimsoll_sdk::flat::Node;
use plimsoll_sdk::guest::{Edit as GuestEdit, Judgement, Knowledge, Outcome as GuestOutcome, Setting, Subject};
use plimsoll_sdk::metadata::Policy;

use crate::suite;

struct Native<'a> {
    surroundings: &'a dyn Surroundings,
    /// Kinds that only other policies declare. If the policy reads one, its verdict in a cluster would depend on those
    /// policies.
    undeclared: BTreeSet<String>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Native<'a> {
    fn of(policies: &[Policy], policy: u32, surroundings: &'a dyn Surroundings) -> Self {
        let declared =
            |policy: &Policy| policy.requires.iter().chain(&policy.refines).cloned().collect::<BTreeSet<_>>();
        let own =
            usize::try_from(policy).ok().and_then(|policy| policies.get(policy)).map(declared).unwrap_or_default();
        let all: BTreeSet<String> = policies.iter().flat_map(declared).collect();
        Self { surroundings, undeclared: &all - &own, asked: RefCell::default() }
    }

    fn asks(&self, kind: &str) -> &'a dyn Surroundings {
        if self.undeclared.contains(kind) {
            self.asked.borrow_mut().insert(kind.to_owned());
        }
        self.surroundings
    }
}

/// The outcome of one policy of the suite, run natively, as text.
pub(crate) fn outcome(
    policy: u32,
    environment: &[u8],
    review: &[u8],
    settings: &[u8],
    surroundings: &dyn Surroundings,
    subject: Subject,
) -> Result<String> {
    let suite = suite()?;
    let settings = match settings {
        [] => Vec::new(),
        settings => vec![Setting { call: 0, value: settings.to_vec() }],
    };
    let native = Native::of(&suite.metadata.policies, policy, surroundings);
    let judgements = evaluate(suite.run_policy, &native, (environment, review), subject, &[policy], &settings);
    let asked = native.asked.into_inner();
    if !asked.is_empty() {
        return Ok(format!("the policy reads kinds that it does not declare: {asked:?}"));
    }
    Ok(match judgements.into_iter().next() {
        Some(Judgement { outcome: Ok(outcome), .. }) => write_native(&outcome),
        Some(Judgement { outcome: Err(error), .. }) => format!("error: {error}"),
        None => write_wasm(&Outcome::Evaluated(Evaluated::default())),
    })
}

/// The outcome of the WebAssembly run, in the same format.
pub(crate) fn write_wasm(outcome: &Outcome) -> String {
    let Outcome::Evaluated(report) = outcome else { return format!("{outcome:?}") };
    let mut text = format!("more {} assumed {:?}\n", report.more, report.assumptions);
    for finding in &report.findings {
        let _ = writeln!(
            text,
            "{:?} {:?} + {:?}\n  {}\n  {}\n  about {:?} related {:?} since {:?} companion {} unsettled {}",
            finding.severity,
            finding.at.pointer,
            finding.at.missing,
            finding.message,
            finding.help,
            finding.about,
            finding.related,
            finding.since,
            finding.companion,
            finding.unsettled,
        );
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "  {} {}", fix.class.as_str(), fix.title);
            for edit in &fix.edits {
                let _ = writeln!(
                    text,
                    "  {}",
                    match edit {
                        Edit::Add { pointer, value } => format!("add {pointer} {value}"),
                        Edit::Replace { pointer, value } => format!("replace {pointer} {value}"),
                        Edit::Append { pointer, value } => format!("append {pointer} {value}"),
                        Edit::Remove { pointer } => format!("remove {pointer}"),
                        // Only the host renames.
                        Edit::Rename { pointer, name } => format!("rename {pointer} to {name}"),
                    }
                );
            }
            if let Some(companion) = &fix.companion {
                let _ = writeln!(text, "  companion {companion}");
            }
        }
    }
    text
}

fn write_native(outcome: &GuestOutcome) -> String {
    let report = match outcome {
        GuestOutcome::Evaluated(report) => report,
        GuestOutcome::Skipped(reason) => return format!("{:?}", Outcome::Skipped(reason.clone())),
    };
    let value = |document: &[u8]| {
        let node = Node::root(document).expect("a policy writes flat documents");
        serde_json::to_value(node).expect("a flat document is JSON").to_string()
    };
    let mut text = format!("more {} assumed {:?}\n", report.more, report.assumptions);
    for finding in &report.findings {
        let _ = writeln!(
            text,
            "{:?} {:?} + {:?}\n  {}\n  {}\n  about {:?} related {:?} since {:?} companion {} unsettled {}",
            finding.severity,
            finding.at.pointer,
            finding.at.missing,
            finding.message,
            finding.help,
            finding.about,
            finding.related,
            finding.since,
            finding.companion,
            finding.unsettled,
        );
        if let Some(fix) = &finding.fix {
            let _ = writeln!(
                text,
                "  {} {}",
                format!("{:?}", fix.class).to_lowercase().replace("fixclass::", ""),
                fix.title
            );
            for edit in &fix.edits {
                let _ = writeln!(
                    text,
                    "  {}",
                    match edit {
                        GuestEdit::Add(add) => format!("add {} {}", add.pointer, value(&add.value)),
                        GuestEdit::Replace(new) => format!("replace {} {}", new.pointer, value(&new.value)),
                        GuestEdit::Append(new) => format!("append {} {}", new.pointer, value(&new.value)),
                        GuestEdit::Remove(pointer) => format!("remove {pointer}"),
                    }
                );
            }
            if let Some(companion) = &fix.companion {
                let _ = writeln!(text, "  companion {}", value(companion));
            }
        }
    }
    // The generated enums print as `Severity::Error`, and the host's as `Error`.
    text.replace("Severity::", "")
}

fn subject(subject: Subject) -> model::Subject {
    match subject {
        Subject::Object => model::Subject::Object,
        Subject::OldObject => model::Subject::OldObject,
    }
}

fn answer(answer: engine::Answer) -> Answer {
    Answer { documents: answer.documents, complete: answer.complete }
}

impl Host for Native<'_> {
    fn get(&self, about: Subject, kind: &str, name: &str) -> Answer {
        answer(self.asks(kind).get(subject(about), kind, name))
    }
    fn selecting(&self, about: Subject, kind: &str, labels: &[u8]) -> Answer {
        answer(self.asks(kind).selecting(subject(about), kind, labels))
    }
    fn selected_by(&self, about: Subject, kind: &str, selector: &[u8]) -> Answer {
        answer(self.asks(kind).selected_by(subject(about), kind, selector))
    }
    fn referring(&self, about: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        answer(self.asks(kind).referring(subject(about), kind, ref_kind, ref_name))
    }
    fn listing(&self, about: Subject, kind: &str) -> Answer {
        answer(self.asks(kind).listing(subject(about), kind))
    }
    fn is_authored(&self, about: Subject, pointer: &str) -> Knowledge {
        match self.surroundings.authored(subject(about), pointer) {
            model::Knowledge::Yes => Knowledge::Yes,
            model::Knowledge::No => Knowledge::No,
            model::Knowledge::Unknown => Knowledge::Unknown,
        }
    }
    fn log(&self, _: &str) {}
}
