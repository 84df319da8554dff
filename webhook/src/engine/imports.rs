//! The host's side of the contract: what a guest can ask.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};
use wasmtime::{ResourceLimiter, Result};

use super::instance::End;
use crate::model::{Knowledge, Subject};
use crate::printed::words;

/// The types and calls of `sdk/wit/plimsoll.wit`.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::too_many_arguments,
    reason = "generated from the WIT world"
)]
pub(super) mod contract {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "bundle",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

use contract::plimsoll::policy::{authored, context, log, types};

/// What a guest was answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The objects, each a flat document.
    pub documents: Vec<Vec<u8>>,
    /// False where the kind is not watched, the input is partial, or the list was cut.
    pub complete: bool,
}

impl Answer {
    /// Nothing is known.
    pub fn unknown() -> Self {
        Self::default()
    }
}

/// What surrounds one review: the other objects of its namespace, and what its author wrote.
pub trait Surroundings: Send + Sync {
    /// The object of this `group/Kind` and name.
    fn get(&self, subject: Subject, kind: &str, name: &str) -> Answer;
    /// Objects of this kind whose selector matches these labels (a flat document).
    fn selecting(&self, subject: Subject, kind: &str, labels: &[u8]) -> Answer;
    /// Workloads of this kind whose pod template's labels match this selector (a flat document).
    fn selected_by(&self, subject: Subject, kind: &str, selector: &[u8]) -> Answer;
    /// Objects of this kind that refer to the named one.
    fn referring(&self, subject: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer;
    /// All objects of a kind of which there are few.
    fn listing(&self, subject: Subject, kind: &str) -> Answer;
    /// Whether the author wrote what stands at an RFC 6901 pointer.
    fn authored(&self, subject: Subject, pointer: &str) -> Knowledge;
}

/// The data of one instance's store.
pub(super) struct State {
    surroundings: Arc<dyn Surroundings>,
    memory: usize,
    /// When the call under way must end.
    pub(super) end: End,
    /// What the guest said last before it trapped: the text of a panic.
    pub(super) last_words: Option<String>,
    /// A growth of the memory was refused.
    pub(super) out_of_memory: bool,
    /// How much more the host may do for it, where it is bounded by counts. Fuel counts only what the guest does itself.
    pub(super) answers: Option<u64>,
}

/// What one call may have of the host where it is bounded by counts: bytes of answers, and [`QUESTION`] for each question.
pub(super) const ANSWERS: u64 = 1 << 30;

/// What a question counts beside its answer. The longest look-up takes a millisecond, so a call has 16 s of them at most.
const QUESTION: u64 = 64 << 10;

/// How many questions a call may ask where no answer has anything in it.
pub(super) const MAX_QUESTIONS: u64 = ANSWERS / QUESTION;

/// A guest has asked too much.
#[derive(Debug, thiserror::Error)]
#[error("more questions to the host than a call may ask")]
pub(super) struct AskedTooMuch;

impl State {
    pub(super) fn new(surroundings: Arc<dyn Surroundings>, memory: usize, end: End) -> Self {
        Self { surroundings, memory, end, last_words: None, out_of_memory: false, answers: None }
    }

    fn charge(&mut self, bytes: usize) -> Result<()> {
        if let Some(left) = &mut self.answers {
            let cost = QUESTION.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            *left = left.checked_sub(cost).ok_or(AskedTooMuch)?;
        }
        Ok(())
    }

    fn answer(&mut self, answer: Answer) -> Result<context::Answer> {
        self.charge(answer.documents.iter().map(Vec::len).sum())?;
        Ok(answer.into())
    }
}

impl HasData for State {
    type Data<'a> = &'a mut State;
}

pub(super) fn link(linker: &mut Linker<State>) -> Result<()> {
    contract::Bundle::add_to_linker::<State, State>(linker, |state| state)
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let allowed = desired <= self.memory;
        self.out_of_memory |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= 10_000)
    }
}

impl types::Host for State {}

/// What a guest asks with is the host's to read, and reading it cannot be interrupted: so it is no longer than what a
/// pointer, a selector or the labels of an object can be.
const LONGEST_ARGUMENT: usize = 64 << 10;

/// A question that is too long to be read.
#[derive(Debug, thiserror::Error)]
#[error("a question to the host with an argument of {0} bytes, of which {LONGEST_ARGUMENT} are allowed")]
pub(super) struct TooLong(usize);

fn short<const N: usize>(arguments: [&[u8]; N]) -> Result<()> {
    match arguments.into_iter().map(<[u8]>::len).find(|&length| length > LONGEST_ARGUMENT) {
        Some(length) => Err(TooLong(length).into()),
        None => Ok(()),
    }
}

impl context::Host for State {
    fn get(&mut self, subject: types::Subject, kind: String, name: String) -> Result<context::Answer> {
        short([kind.as_bytes(), name.as_bytes()])?;
        let answer = self.surroundings.get(subject.into(), &kind, &name);
        self.answer(answer)
    }

    fn selecting(&mut self, subject: types::Subject, kind: String, labels: Vec<u8>) -> Result<context::Answer> {
        short([kind.as_bytes(), &labels])?;
        let answer = self.surroundings.selecting(subject.into(), &kind, &labels);
        self.answer(answer)
    }

    fn selected_by(&mut self, subject: types::Subject, kind: String, selector: Vec<u8>) -> Result<context::Answer> {
        short([kind.as_bytes(), &selector])?;
        let answer = self.surroundings.selected_by(subject.into(), &kind, &selector);
        self.answer(answer)
    }

    fn referring(
        &mut self,
        subject: types::Subject,
        kind: String,
        ref_kind: String,
        ref_name: String,
    ) -> Result<context::Answer> {
        short([kind.as_bytes(), ref_kind.as_bytes(), ref_name.as_bytes()])?;
        let answer = self.surroundings.referring(subject.into(), &kind, &ref_kind, &ref_name);
        self.answer(answer)
    }

    fn listing(&mut self, subject: types::Subject, kind: String) -> Result<context::Answer> {
        short([kind.as_bytes()])?;
        let answer = self.surroundings.listing(subject.into(), &kind);
        self.answer(answer)
    }
}

impl authored::Host for State {
    fn is_authored(&mut self, subject: types::Subject, pointer: String) -> Result<types::Knowledge> {
        short([pointer.as_bytes()])?;
        self.charge(0)?;
        Ok(match self.surroundings.authored(subject.into(), &pointer) {
            Knowledge::Yes => types::Knowledge::Yes,
            Knowledge::No => types::Knowledge::No,
            Knowledge::Unknown => types::Knowledge::Unknown,
        })
    }
}

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String) -> Result<()> {
        if matches!(level, log::Level::Error) {
            self.last_words = Some(words(message));
        } else if tracing::enabled!(target: "plimsoll::guest", tracing::Level::DEBUG) {
            tracing::debug!(target: "plimsoll::guest", "{}", words(message));
        }
        Ok(())
    }
}

impl From<Answer> for context::Answer {
    fn from(answer: Answer) -> Self {
        Self { documents: answer.documents, complete: answer.complete }
    }
}

impl From<types::Subject> for Subject {
    fn from(subject: types::Subject) -> Self {
        match subject {
            types::Subject::Object => Subject::Object,
            types::Subject::OldObject => Subject::OldObject,
        }
    }
}
