//! Logs failures of policies. Without a limit, they could flood the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::admission::Verdict;
use crate::model::Review;

/// Interval between two log lines about the same policy. The metrics count every failure.
const QUIET: Duration = Duration::from_secs(60);

/// The time of the last log line about each policy.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Instant>>);

impl Complaints {
    /// Logs a line for each policy that failed and was not logged recently. The line names the review, which the audit
    /// log also has.
    pub(super) fn log(&self, review: &Review, verdict: &Verdict) {
        for failed in &verdict.failed {
            if self.is_due(&failed.policy.id, Instant::now()) {
                tracing::warn!(
                    uid = review.uid,
                    policy = failed.policy.id,
                    kind = review.kind.group_kind(),
                    failure = %failed.failure,
                    "a policy could not judge; it counts as onError says, and is mentioned once a minute"
                );
            }
        }
    }

    fn is_due(&self, policy: &str, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match last.get_mut(policy) {
            Some(at) if now.duration_since(*at) < QUIET => false,
            Some(at) => {
                *at = now;
                true
            }
            None => last.insert(policy.to_owned(), now).is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_for_each_policy() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let at = |policy: &str, seconds: u64| complaints.is_due(policy, start + Duration::from_secs(seconds));
        assert!(at("a", 0) && !at("a", 1) && at("b", 1) && !at("a", 59));
        assert!(at("a", 60) && !at("a", 100) && at("b", 61));
    }
}
