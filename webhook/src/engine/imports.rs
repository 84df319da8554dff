//! The host's side of the contract: the questions that a guest can ask.

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

/// The answer to a guest's question.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The objects as flat documents.
    pub documents: Vec<Vec<u8>>,
    /// False if the kind is not watched, the input is not complete, or the list was cut.
    pub complete: bool,
}

impl Answer {
    /// The answer if nothing is known.
    pub fn unknown() -> Self {
        Self::default()
    }
}

/// The surroundings of one review: the other objects of its namespace, and the fields that its author wrote.
pub trait Surroundings: Send + Sync {
    /// The object with this `group/Kind` and name.
    fn get(&self, subject: Subject, kind: &str, name: &str) -> Answer;
    /// Objects of this kind with a selector that matches these labels (a flat document).
    fn selecting(&self, subject: Subject, kind: &str, labels: &[u8]) -> Answer;
    /// Workloads of this kind with a pod template whose labels match this selector (a flat document).
    fn selected_by(&self, subject: Subject, kind: &str, selector: &[u8]) -> Answer;
    /// Objects of this kind that refer to the named object.
    fn referring(&self, subject: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer;
    /// All objects of a kind that has only few.
    fn listing(&self, subject: Subject, kind: &str) -> Answer;
    /// Whether the author wrote the value at an RFC 6901 pointer.
    fn authored(&self, subject: Subject, pointer: &str) -> Knowledge;
}

/// The data of one instance's store.
pub(super) struct State {
    surroundings: Arc<dyn Surroundings>,
    memory: usize,
    /// When the current call must end.
    pub(super) end: End,
    /// Last text of the guest before it trapped: the text of a panic.
    pub(super) last_words: Option<String>,
    /// Whether the memory reached its limit.
    pub(super) out_of_memory: bool,
    /// What the host may still do for the guest, if the limit is a count. Fuel counts only the guest's own work.
    pub(super) answers: Option<u64>,
}

/// Limit of the host's work for one call, if the limit is a count: the bytes of the answers, plus [`QUESTION`] for each
/// question.
pub(super) const ANSWERS: u64 = 1 << 30;

/// Cost of a question besides its answer. The longest look-up takes a millisecond, so the look-ups of a call take at
/// most 16 s.
pub(super) const QUESTION: u64 = 64 << 10;

/// Maximum number of questions of a call, if all answers are empty.
pub(super) const MAX_QUESTIONS: u64 = ANSWERS / QUESTION;

/// A guest asked too many questions, or got too many bytes.
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

/// Maximum size of an argument of a question. No pointer, selector or set of labels is longer. The host can't interrupt
/// itself while it reads an argument.
pub(super) const LONGEST_ARGUMENT: usize = 64 << 10;

/// An argument is too long.
#[derive(Debug, thiserror::Error)]
#[error("a question to the host has an argument of {0} bytes; the maximum is {LONGEST_ARGUMENT}")]
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
