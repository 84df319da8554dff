//! One instance of a bundle: how it starts, when it must end, and how its failures are reported.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Store, Trap, UpdateDeadline};

use super::bundle::Bundle;
use super::clock::thread_time;
use super::imports::{ANSWERS, AskedTooMuch, MAX_QUESTIONS, State, Surroundings, TooLong, contract};
use crate::model::{Failure, Knowledge, Subject};
use crate::printed::words;

/// Timeout for a bundle to start, and to list its policies or to check the settings of one.
pub(super) const LOADING: Duration = Duration::from_secs(1);

/// Maximum number of errors in the settings of one policy.
pub(super) const MAX_FAULTS: usize = 256;

/// A running bundle, for one review.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) exports: contract::Bundle,
}

impl Instance {
    /// Starts an instance. It must start before `end`, because a guest can contain code that runs before any call.
    pub(super) fn new(bundle: &Bundle, surroundings: Arc<dyn Surroundings>, end: End) -> wasmtime::Result<Self> {
        let limits = bundle.limits();
        let mut store = Store::new(&bundle.engine().inner, State::new(surroundings, limits.memory, end));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.output);
        if bundle.engine().metered {
            store.set_fuel(end.fuel)?;
        } else {
            // A tick only makes the host check the clocks. Ticks come late on a machine without a free core.
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|store| {
                let over = store.data().end.is_over();
                Ok(if over { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
            });
        }
        let exports = bundle.component().instantiate(&mut store)?;
        Ok(Self { store, exports })
    }
}

/// When a call must end: at a moment, or after this much processor time of its thread. If fuel is counted, only fuel
/// counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    moment: Instant,
    computed: Duration,
    pub(super) fuel: u64,
}

impl End {
    pub(super) fn within(wait: Duration, time: Duration, fuel: u64) -> Self {
        Self { moment: Instant::now() + wait, computed: thread_time() + time, fuel }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.moment || thread_time() >= self.computed
    }
}

/// An error in settings that their schema can't express.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingFault {
    /// RFC 6901 pointer within the settings, as the guest returned it.
    pub pointer: String,
    /// The error.
    pub reason: String,
}

/// The ids that a bundle exports. Asked once, when it is loaded.
pub(super) fn policies(bundle: &Bundle) -> Result<Vec<String>, Failure> {
    let end = End::within(LOADING, LOADING, bundle.limits().fuel);
    let mut instance = Instance::new(bundle, Arc::new(Nobody), end).map_err(|error| failure(&error, None, end))?;
    let ids = instance.exports.call_policies(&mut instance.store);
    ids.map_err(|error| failure(&error, Some(instance.store.data()), end))
}

/// The errors that a policy finds in its settings.
pub(super) fn check_settings(bundle: &Bundle, policy: u32, settings: &[u8]) -> Result<Vec<SettingFault>, Failure> {
    let end = End::within(LOADING, LOADING, bundle.limits().fuel);
    let mut instance = Instance::new(bundle, Arc::new(Nobody), end).map_err(|error| failure(&error, None, end))?;
    let faults = instance.exports.call_check_settings(&mut instance.store, policy, settings);
    let faults = faults.map_err(|error| failure(&error, Some(instance.store.data()), end))?;
    let faults = faults.into_iter().take(MAX_FAULTS);
    Ok(faults.map(|fault| SettingFault { pointer: fault.pointer, reason: words(fault.reason) }).collect())
}

/// The reason why a call failed.
pub(super) fn failure(error: &wasmtime::Error, state: Option<&State>, end: End) -> Failure {
    if state.is_some_and(|state| state.out_of_memory) {
        return Failure::Memory;
    }
    if let Some(too_long) = error.downcast_ref::<TooLong>() {
        return Failure::Contract(too_long.to_string());
    }
    if error.is::<AskedTooMuch>() {
        return Failure::Questions { most: MAX_QUESTIONS, bytes: ANSWERS };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Failure::Deadline,
        Some(Trap::OutOfFuel) => Failure::Fuel(end.fuel),
        Some(trap) => {
            let said = state.and_then(|state| state.last_words.as_deref());
            Failure::Trap(said.map_or_else(|| trap.to_string(), words))
        }
        None if is_too_much(error) => Failure::Output,
        // Any other error means that a result has the wrong type.
        None => Failure::Contract(words(format!("{:#}", error.root_cause()))),
    }
}

/// Whether a guest returned more than [`super::Limits::output`]. The error type of wasmtime is private, so the error is
/// identified by its text. `tests/tests/hostile_guests.rs` fails if the text changes.
fn is_too_much(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().ends_with("fuel allocated for hostcalls has been exhausted")
}

/// Surroundings without any knowledge.
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
    fn authored(&self, _: Subject, _: &str) -> Knowledge {
        Knowledge::Unknown
    }
}
