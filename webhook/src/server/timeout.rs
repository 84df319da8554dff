//! `?timeout=10s`: how long the API server waits, and what of it is ours.

use std::time::Duration;

/// The API server's own default, for clients that do not say.
pub(super) const DEFAULT: Duration = Duration::from_secs(10);

/// More than this a webhook configuration cannot ask for.
const LONGEST: Duration = Duration::from_secs(30);

/// What an answer needs to reach the API server: a tenth of its time, at most this.
const MARGIN: Duration = Duration::from_millis(500);

/// What remains for us of the time that the API server waits.
pub(super) fn ours(timeout: Duration) -> Duration {
    let timeout = timeout.min(LONGEST);
    timeout - (timeout / 10).min(MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_tenth_and_at_most_half_a_second() {
        assert_eq!(ours(Duration::from_secs(10)), Duration::from_millis(9_500));
        assert_eq!(ours(Duration::from_secs(1)), Duration::from_millis(900));
        assert_eq!(ours(Duration::from_secs(3_600)), Duration::from_millis(29_500));
    }
}
