//! The policies as native code must give the same results as in WebAssembly.

use std::sync::Arc;

use plimsoll::context::{Surrounded, Unknown};
use plimsoll::engine::{self, Call, Input, Session, Surroundings};
use plimsoll::model::{self, Edit, Finding, Fix, Outcome, Review};
use plimsoll_sdk::bundle::{Answer, Host, evaluate};
use plimsoll_sdk::flat::Node;
use plimsoll_sdk::guest::{Edit as GuestEdit, Knowledge, Outcome as GuestOutcome, RawFinding, RawFix, Subject};
use serde_json::Value;

use crate::surroundings::{REGISTRY, deadline};

pub(super) fn agrees(review: &Arc<Review>) {
    let selected = REGISTRY.select(review);
    let environment = REGISTRY.environment(review);
    let surrounded = Arc::new(Surrounded::new(Arc::clone(review), Arc::new(Unknown)));
    let Some(bundle) = REGISTRY.bundles().first().filter(|_| !selected.is_empty()) else { return };
    let calls: Vec<Call> =
        selected.iter().map(|selected| Call { policy: selected.policy.index, settings: &selected.settings }).collect();
    let surroundings: Arc<dyn Surroundings> = Arc::<Surrounded>::clone(&surrounded);
    let mut session = Session::new(bundle.clone(), surroundings, deadline());
    let input = Input { environment: &environment, review: review.document(), subject: model::Subject::Object };
    let wasm = session.evaluate(&input, &calls);
    let failed: Vec<_> = wasm.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let numbers: Vec<u32> = calls.iter().map(|call| call.policy).collect();
    let documents = (&*environment, review.document());
    let run = plimsoll_policies::run_policy;
    let native = evaluate(run, &Native(surrounded.as_ref()), documents, Subject::Object, &numbers, &[]);
    for (number, (selected, wasm)) in selected.iter().zip(&wasm).enumerate() {
        let native =
            native.iter().find(|judgement| judgement.call as usize == number).map(|judgement| &judgement.outcome);
        let same = match (native, wasm) {
            (Some(Ok(GuestOutcome::Evaluated(native))), Ok(Outcome::Evaluated(wasm))) => {
                native.more == wasm.more
                    && native.assumptions.len() == wasm.assumptions.len()
                    && native.findings.len() == wasm.findings.len()
                    && native.findings.iter().zip(&wasm.findings).all(|(native, wasm)| finds(native, wasm))
            }
            (Some(Ok(GuestOutcome::Skipped(_))), Ok(Outcome::Skipped(_))) => true,
            (None, Ok(Outcome::Evaluated(report))) => *report == model::Evaluated::default(),
            _ => false,
        };
        assert!(same, "{}: natively {native:?}, as WebAssembly {wasm:?}", selected.policy.id);
    }
}

fn finds(native: &RawFinding, wasm: &Finding) -> bool {
    native.at.pointer == wasm.at.pointer
        && native.at.missing == wasm.at.missing
        && format!("{:?}", native.severity).ends_with(&format!("{:?}", wasm.severity))
        && words(&native.message, &wasm.message)
        && words(&native.help, &wasm.help)
        && native.about == wasm.about
        && native.companion == wasm.companion
        && match (&native.fix, &wasm.fix) {
            (Some(native), Some(wasm)) => mends(native, wasm),
            (None, None) => true,
            _ => false,
        }
}

/// The host cleans and shortens the text of a guest.
fn words(native: &str, wasm: &str) -> bool {
    native == wasm
        || native.len() > 200
        || native.chars().any(|character| !character.is_ascii_graphic() && character != ' ')
}

fn mends(native: &RawFix, wasm: &Fix) -> bool {
    let value = |document: &[u8]| Node::root(document).ok().and_then(|node| serde_json::to_value(node).ok());
    let same = |pointer: &str, document: &[u8], other: &str, known: &Value| {
        pointer == other && value(document).as_ref() == Some(known)
    };
    native.edits.len() == wasm.edits.len()
        && native.edits.iter().zip(&wasm.edits).all(|edits| match edits {
            (GuestEdit::Add(native), Edit::Add { pointer, value })
            | (GuestEdit::Replace(native), Edit::Replace { pointer, value })
            | (GuestEdit::Append(native), Edit::Append { pointer, value }) => {
                same(&native.pointer, &native.value, pointer, value)
            }
            (GuestEdit::Remove(native), Edit::Remove { pointer }) => native == pointer,
            _ => false,
        })
}

struct Native<'a>(&'a dyn Surroundings);

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
        answer(self.0.get(subject(about), kind, name))
    }
    fn selecting(&self, about: Subject, kind: &str, labels: &[u8]) -> Answer {
        answer(self.0.selecting(subject(about), kind, labels))
    }
    fn selected_by(&self, about: Subject, kind: &str, selector: &[u8]) -> Answer {
        answer(self.0.selected_by(subject(about), kind, selector))
    }
    fn referring(&self, about: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        answer(self.0.referring(subject(about), kind, ref_kind, ref_name))
    }
    fn listing(&self, about: Subject, kind: &str) -> Answer {
        answer(self.0.listing(subject(about), kind))
    }
    fn is_authored(&self, about: Subject, pointer: &str) -> Knowledge {
        match self.0.authored(subject(about), pointer) {
            model::Knowledge::Yes => Knowledge::Yes,
            model::Knowledge::No => Knowledge::No,
            model::Knowledge::Unknown => Knowledge::Unknown,
        }
    }
    fn log(&self, _: &str) {}
}
