//! One review on one bundle: a fresh instance, calls in one batch, and each policy's own outcome even where one traps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Store, Trap};

use super::bundle::Bundle;
use super::imports::contract::plimsoll::policy::types;
use super::imports::{State, Surroundings, contract};
use super::outcome::{Failure, Outcome};
use super::TICK;

/// In the repeat after a trap no policy gets more than this.
const ALONE: Duration = Duration::from_millis(50);

/// Which version of the reviewed object is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The object of the request.
    Object,
    /// The object as it was.
    OldObject,
}

/// One policy on one subject.
#[derive(Clone, Debug)]
pub struct Call {
    /// Index into the bundle's policies.
    pub policy: u32,
    /// What it judges.
    pub subject: Subject,
    /// A flat document; empty for the policy's defaults.
    pub settings: Arc<[u8]>,
}

/// One review on one bundle. The instance is fresh, kept for the old object, and dropped at the end or after a trap.
pub struct Session {
    bundle: Bundle,
    surroundings: Arc<dyn Surroundings>,
    deadline: Instant,
    instance: Option<Instance>,
}

struct Instance {
    store: Store<State>,
    exports: contract::Bundle,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

impl Session {
    /// A session that ends at `deadline`. Nothing is instantiated before the first call.
    pub fn new(bundle: Bundle, surroundings: Arc<dyn Surroundings>, deadline: Instant) -> Self {
        Self { bundle, surroundings, deadline, instance: None }
    }

    /// Evaluates all calls at once, on flat documents of the environment and the request. Where one of them traps or runs out of time, they are repeated one by one on fresh
    /// instances, so that the failure belongs to one policy and the others still count.
    pub fn evaluate(&mut self, environment: &[u8], review: &[u8], calls: &[Call]) -> Vec<Result<Outcome, Failure>> {
        if calls.is_empty() {
            return Vec::new();
        }
        // A quarter of what remains for the batch leaves time for the repeat.
        let batch = if calls.len() == 1 { self.remaining() } else { self.remaining() / 4 };
        match self.call(environment, review, calls, batch) {
            Ok(outcomes) => outcomes,
            Err(failure) if calls.len() == 1 => vec![Err(failure)],
            Err(_) => (0..calls.len())
                .map(|index| {
                    let share = self.remaining() / u32::try_from(calls.len() - index).unwrap_or(u32::MAX);
                    self.instance = None;
                    let outcome = self.call(environment, review, &calls[index..=index], share.min(ALONE));
                    outcome.and_then(|outcomes| outcomes.into_iter().next().unwrap_or(Err(Failure::Deadline)))
                })
                .collect(),
        }
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn call(
        &mut self,
        environment: &[u8],
        review: &[u8],
        calls: &[Call],
        time: Duration,
    ) -> Result<Vec<Result<Outcome, Failure>>, Failure> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => Instance::new(&self.bundle, Arc::clone(&self.surroundings)).map_err(|error| failure(&error, None))?,
        };
        let ticks = u64::try_from(time.as_micros() / TICK.as_micros()).unwrap_or(u64::MAX);
        // The tick under way may end at once, so one more is the least that gives the policy its time.
        instance.store.set_epoch_deadline(ticks + 1);
        let wire: Vec<_> = calls
            .iter()
            .map(|call| types::Call {
                policy: call.policy,
                subject: match call.subject {
                    Subject::Object => types::Subject::Object,
                    Subject::OldObject => types::Subject::OldObject,
                },
                settings: call.settings.to_vec(),
            })
            .collect();
        let returned = instance.exports.call_evaluate(&mut instance.store, environment, review, &wire);
        match returned {
            Ok(outcomes) if outcomes.len() == calls.len() => {
                self.instance = Some(instance);
                Ok(outcomes
                    .into_iter()
                    .map(|outcome| outcome.map_err(Failure::Policy).and_then(Outcome::from_guest))
                    .collect())
            }
            Ok(outcomes) => Err(Failure::Contract(format!("{} outcomes for {} calls", outcomes.len(), calls.len()))),
            Err(error) => Err(failure(&error, Some(instance.store.data()))),
        }
    }
}

/// The ids that a bundle exports, asked once when it is loaded.
pub(super) fn policies(bundle: &Bundle) -> wasmtime::Result<Vec<String>> {
    let mut instance = Instance::new(bundle, Arc::new(Nobody))?;
    instance.store.set_epoch_deadline(200);
    instance.exports.call_policies(&mut instance.store)
}

impl Instance {
    fn new(bundle: &Bundle, surroundings: Arc<dyn Surroundings>) -> wasmtime::Result<Self> {
        let limits = bundle.limits();
        let mut store = Store::new(&bundle.engine.inner, State::new(surroundings, limits.memory));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.output);
        store.set_epoch_deadline(200);
        let exports = bundle.component.instantiate(&mut store)?;
        Ok(Self { store, exports })
    }
}

fn failure(error: &wasmtime::Error, state: Option<&State>) -> Failure {
    if state.is_some_and(|state| state.out_of_memory) {
        return Failure::Memory;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Failure::Deadline,
        Some(trap) => {
            let said = state.and_then(|state| state.last_words.as_deref());
            Failure::Trap(said.map_or_else(|| trap.to_string(), str::to_owned))
        }
        // What is neither a trap of the guest nor of ours is what it handed over: too much, or not of its type.
        None => {
            let text = format!("{error:#}");
            if text.contains("fuel") { Failure::Output } else { Failure::Contract(text) }
        }
    }
}

/// Knows nothing.
struct Nobody;

impl Surroundings for Nobody {
    fn get(&self, _: Subject, _: &str, _: &str) -> super::Answer {
        super::Answer::unknown()
    }
    fn selecting(&self, _: Subject, _: &str, _: &[u8]) -> super::Answer {
        super::Answer::unknown()
    }
    fn selected_by(&self, _: Subject, _: &str, _: &[u8]) -> super::Answer {
        super::Answer::unknown()
    }
    fn referring(&self, _: Subject, _: &str, _: &str, _: &str) -> super::Answer {
        super::Answer::unknown()
    }
    fn listing(&self, _: Subject, _: &str) -> super::Answer {
        super::Answer::unknown()
    }
    fn authored(&self, _: Subject, _: &str) -> super::Knowledge {
        super::Knowledge::Unknown
    }
}
