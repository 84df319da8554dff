//! One review on one bundle: a fresh instance, and all calls in one batch. Each policy has its own outcome, even if
//! another one traps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Limits;
use super::bundle::Bundle;
use super::clock::thread_time;
use super::imports::contract::plimsoll::policy::types;
use super::imports::{ANSWERS, Surroundings};
use super::instance::{End, Instance, failure};
use super::outcome;
use crate::model::{Evaluated, Failure, Outcome, Subject};
use crate::printed::words;

/// Maximum processor time of one policy in the repetition after a trap.
pub(super) const ALONE: Duration = Duration::from_millis(50);

/// In the repetition after a trap, a metered policy gets at least a tenth and at most a fifth of the fuel.
const LEAST_SHARE: u64 = 10;
const GREATEST_SHARE: u64 = 5;

/// One policy with its settings.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Index into the bundle's policies.
    pub policy: u32,
    /// The settings as a flat document. Empty for the policy's defaults.
    pub settings: &'a [u8],
}

/// The cost of a session so far, in counts that are the same on every machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// Number of instances.
    pub instances: u32,
    /// Bytes of documents copied into guests.
    pub copied: usize,
    /// Fuel used. 0 unless the engine is metered.
    pub fuel: u64,
}

/// The common input of the calls of a batch: flat documents, and the object that is judged.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// What policies get in addition to the review.
    pub environment: &'a [u8],
    /// The AdmissionRequest.
    pub review: &'a [u8],
    /// Which version of the object is judged.
    pub subject: Subject,
}

/// One review on one bundle. The instance is fresh, is kept for the old object, and is dropped at the end or after a
/// trap.
pub struct Session {
    bundle: Bundle,
    surroundings: Arc<dyn Surroundings>,
    deadline: Instant,
    shares: u32,
    instance: Option<Instance>,
    cost: Cost,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

impl Session {
    /// Makes a session that ends at `deadline`. No instance is made before the first call.
    pub fn new(bundle: Bundle, surroundings: Arc<dyn Surroundings>, deadline: Instant) -> Self {
        Self { bundle, surroundings, deadline, shares: 1, instance: None, cost: Cost::default() }
    }

    /// Evaluates all calls at once. If one of them traps or times out, they are repeated one by one on fresh instances.
    /// So the failure belongs to one policy, and the others still count.
    pub fn evaluate(&mut self, input: &Input<'_>, calls: &[Call<'_>]) -> Vec<Result<Outcome, Failure>> {
        if calls.is_empty() {
            return Vec::new();
        }
        let Limits { time, fuel, .. } = self.bundle.limits();
        let (time, fuel) = (time / self.shares, fuel / u64::from(self.shares));
        if self.bundle.engine().metered && self.remaining().is_zero() {
            return calls.iter().map(|_| Err(Failure::Spent)).collect();
        }
        // The batch gets a quarter of the remaining time, so that there is time for the repetition.
        let batch = if calls.len() == 1 { self.remaining() } else { self.remaining() / 4 };
        match self.call(input, calls, End::within(batch, time, fuel)) {
            Ok(outcomes) => outcomes,
            Err(failure) if calls.len() == 1 => vec![Err(failure)],
            Err(failure) if self.bundle.engine().metered => {
                tracing::debug!(%failure, "the batch is repeated one by one");
                self.repeat_by_fuel(input, calls, fuel)
            }
            Err(_) => self.repeat(input, calls, time),
        }
    }

    /// Runs each call on its own instance. A call that needs less than its share leaves the rest to the others.
    fn repeat(&mut self, input: &Input<'_>, calls: &[Call<'_>], time: Duration) -> Vec<Result<Outcome, Failure>> {
        let end = thread_time() + time;
        let alone = |index: usize| {
            let (remaining, time) = (self.remaining(), end.saturating_sub(thread_time()));
            if remaining.is_zero() || time.is_zero() {
                // No more calls: a tick for each of many would make the answer too late.
                return Err(Failure::Deadline);
            }
            let left = u32::try_from(calls.len() - index).unwrap_or(u32::MAX);
            self.instance = None;
            // Deadlines are checked at ticks, so a shorter share would have no effect.
            let share = (time / left).max(super::TICK).min(ALONE);
            let outcome = self.call(input, &calls[index..=index], End::within(remaining / left, share, 0));
            outcome.and_then(|outcomes| outcomes.into_iter().next().unwrap_or(Err(Failure::Deadline)))
        };
        (0..calls.len()).map(alone).collect()
    }

    /// The same for an engine that counts fuel.
    fn repeat_by_fuel(&mut self, input: &Input<'_>, calls: &[Call<'_>], fuel: u64) -> Vec<Result<Outcome, Failure>> {
        let before = self.cost.fuel;
        let alone = |index: usize| {
            let left = u64::try_from(calls.len() - index).unwrap_or(u64::MAX);
            let unspent = fuel.saturating_sub(self.cost.fuel - before);
            if unspent == 0 {
                return Err(Failure::Fuel(fuel));
            }
            self.instance = None;
            let share = (unspent / left).clamp(fuel / LEAST_SHARE, fuel / GREATEST_SHARE);
            let end = End::within(self.remaining(), Duration::ZERO, share);
            let outcome = self.call(input, &calls[index..=index], end);
            outcome.and_then(|outcomes| outcomes.into_iter().next().unwrap_or(Err(Failure::Fuel(share))))
        };
        (0..calls.len()).map(alone).collect()
    }

    /// Divides the limits of one evaluation among several, for example one for each pod template of an object.
    pub fn share(&mut self, evaluations: usize) {
        self.shares = u32::try_from(evaluations).unwrap_or(u32::MAX).max(1);
    }

    /// Sets the end of the next evaluation, so that one bundle can't use up the time of the others.
    pub fn end_at(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// The cost so far.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn call(
        &mut self,
        input: &Input<'_>,
        calls: &[Call<'_>],
        end: End,
    ) -> Result<Vec<Result<Outcome, Failure>>, Failure> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                self.cost.instances += 1;
                Instance::new(&self.bundle, Arc::clone(&self.surroundings), end)
                    .map_err(|error| failure(&error, None, end))?
            }
        };
        instance.store.data_mut().end = end;
        let is_metered = self.bundle.engine().metered;
        if is_metered {
            instance.store.data_mut().answers = Some(ANSWERS);
            instance.store.set_fuel(end.fuel).map_err(|error| failure(&error, None, end))?;
        }
        let policies: Vec<u32> = calls.iter().map(|call| call.policy).collect();
        let settings: Vec<_> = (0..)
            .zip(calls)
            .filter(|(_, call)| !call.settings.is_empty())
            .map(|(number, call)| types::Setting { call: number, value: call.settings })
            .collect();
        let subject = match input.subject {
            Subject::Object => types::Subject::Object,
            Subject::OldObject => types::Subject::OldObject,
        };
        self.cost.copied += input.environment.len() + input.review.len();
        self.cost.copied += settings.iter().map(|setting| setting.value.len()).sum::<usize>();
        let Instance { store, exports } = &mut instance;
        let judged = exports.call_evaluate(&mut *store, input.environment, input.review, subject, &policies, &settings);
        if is_metered {
            let burnt = end.fuel.saturating_sub(store.get_fuel().unwrap_or_default());
            self.cost.fuel += burnt;
            self.bundle.engine().burnt.fetch_add(burnt, Ordering::Relaxed);
        }
        match judged {
            Ok(judgements) => {
                let outcomes = spread(judgements, calls.len());
                self.instance = Some(instance);
                outcomes
            }
            Err(error) => Err(failure(&error, Some(instance.store.data()), end)),
        }
    }
}

/// The result of a guest as one outcome for each call. A call that the guest does not mention has no findings.
fn spread(judgements: Vec<types::Judgement>, calls: usize) -> Result<Vec<Result<Outcome, Failure>>, Failure> {
    let mut outcomes: Vec<_> = (0..calls).map(|_| Ok(Outcome::Evaluated(Evaluated::default()))).collect();
    for judgement in judgements {
        let slot = outcomes
            .get_mut(judgement.call as usize)
            .ok_or_else(|| Failure::Contract(format!("a judgement of call {} of {calls}", judgement.call)))?;
        *slot = judgement.outcome.map_err(|said| Failure::Policy(words(said))).and_then(outcome::outcome);
    }
    Ok(outcomes)
}
