//! `?timeout=10s`: how long the API server waits, and how much of that time the server may use.

use std::time::Duration;

/// The API server's own default, for clients that send no timeout.
pub(super) const DEFAULT: Duration = Duration::from_secs(10);

/// The longest timeout that a webhook configuration can contain.
const LONGEST: Duration = Duration::from_secs(30);

/// Maximum time reserved for the answer to reach the API server. A tenth of the timeout is reserved, if that is less.
const MARGIN: Duration = Duration::from_millis(500);

/// The part of the timeout that the server may use.
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
