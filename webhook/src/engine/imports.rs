//! The host's side of the contract: what a guest can ask.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};
use wasmtime::{ResourceLimiter, Result};

use super::Subject;
use super::outcome::Outcome;
use super::session::End;

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

/// Whether the author wrote a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Knowledge {
    /// It stands in what the author applied.
    Yes,
    /// It does not.
    No,
    /// Nobody can tell.
    Unknown,
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
}

impl State {
    pub(super) fn new(surroundings: Arc<dyn Surroundings>, memory: usize, end: End) -> Self {
        Self { surroundings, memory, end, last_words: None, out_of_memory: false }
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
        Ok(self.surroundings.get(subject.into(), &kind, &name).into())
    }

    fn selecting(&mut self, subject: types::Subject, kind: String, labels: Vec<u8>) -> Result<context::Answer> {
        short([kind.as_bytes(), &labels])?;
        Ok(self.surroundings.selecting(subject.into(), &kind, &labels).into())
    }

    fn selected_by(&mut self, subject: types::Subject, kind: String, selector: Vec<u8>) -> Result<context::Answer> {
        short([kind.as_bytes(), &selector])?;
        Ok(self.surroundings.selected_by(subject.into(), &kind, &selector).into())
    }

    fn referring(
        &mut self,
        subject: types::Subject,
        kind: String,
        ref_kind: String,
        ref_name: String,
    ) -> Result<context::Answer> {
        short([kind.as_bytes(), ref_kind.as_bytes(), ref_name.as_bytes()])?;
        Ok(self.surroundings.referring(subject.into(), &kind, &ref_kind, &ref_name).into())
    }

    fn listing(&mut self, subject: types::Subject, kind: String) -> Result<context::Answer> {
        short([kind.as_bytes()])?;
        Ok(self.surroundings.listing(subject.into(), &kind).into())
    }
}

impl authored::Host for State {
    fn is_authored(&mut self, subject: types::Subject, pointer: String) -> Result<types::Knowledge> {
        short([pointer.as_bytes()])?;
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
            self.last_words = Some(Outcome::words(message));
        } else if tracing::enabled!(target: "plimsoll::guest", tracing::Level::DEBUG) {
            tracing::debug!(target: "plimsoll::guest", "{}", Outcome::words(message));
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
