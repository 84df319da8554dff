//! The health of each part that is replaced while the server runs. `/readyz?verbose` and metrics show it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::printed;

/// Maximum length of a reason in `/readyz?verbose`, in characters.
const LONGEST: usize = 1_000;

/// A part that is replaced while the server runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// PolicySets and bundles.
    Configuration,
    /// The server's certificate, and the authorities of its clients.
    Certificate,
    /// The webhook configurations at the API server.
    Registration,
    /// PodDisruptionBudgets that Plimsoll writes in place of missing ones.
    Budgets,
}

/// The state of every part. A part that fails keeps its last valid version, so the server stays ready.
#[derive(Debug, Default)]
pub struct Health {
    parts: Mutex<[State; 4]>,
    foreign: AtomicBool,
}

/// The state of a part.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Number of versions that were taken over. 0 means that the part is not in use.
    pub(crate) generation: u64,
    pub(crate) last_success: Option<SystemTime>,
    pub(crate) failures: u64,
    /// Why the newest version was rejected. None after the next success.
    pub(crate) trouble: Option<String>,
}

impl Health {
    /// Records that a version was taken over. Returns its number, counted from 1.
    pub fn succeeded(&self, part: Part) -> u64 {
        let mut parts = self.lock();
        let state = &mut parts[part as usize];
        state.generation += 1;
        state.last_success = Some(SystemTime::now());
        state.trouble = None;
        state.generation
    }

    /// Records that a version was rejected, and that the previous one stays in use.
    pub fn failed(&self, part: Part, reason: &str) {
        let mut parts = self.lock();
        let state = &mut parts[part as usize];
        state.failures += 1;
        state.trouble = Some(bounded(reason));
    }

    /// Records whether another server is registered in our place.
    pub fn registered_by_another(&self, foreign: bool) {
        self.foreign.store(foreign, Ordering::Relaxed);
    }

    pub(crate) fn is_registered_by_another(&self) -> bool {
        self.foreign.load(Ordering::Relaxed)
    }

    pub(crate) fn of(&self, part: Part) -> State {
        self.lock()[part as usize].clone()
    }

    fn lock(&self) -> MutexGuard<'_, [State; 4]> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shortens a reason to one line of limited length.
pub(crate) fn bounded(reason: &str) -> String {
    let words = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    printed::line(&words).chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use crate::serving::health::*;

    #[test]
    fn trouble_ends_with_the_next_success() {
        let health = Health::default();
        assert_eq!(health.succeeded(Part::Configuration), 1);
        health.failed(Part::Configuration, "a.yaml:1:1: wrong\nb.yaml:2:1: wrong as well");
        health.failed(Part::Configuration, &"long ".repeat(10_000));
        let state = health.of(Part::Configuration);
        assert_eq!((state.generation, state.failures), (1, 2));
        assert_eq!(state.trouble.map(|text| text.len()), Some(LONGEST));
        assert_eq!(health.of(Part::Certificate).generation, 0);
        assert_eq!(health.succeeded(Part::Configuration), 2);
        let state = health.of(Part::Configuration);
        assert_eq!((state.trouble, state.failures), (None, 2));
    }
}
