//! Durations as written in flags, queries and PolicySets.

use std::time::Duration;

/// Parses a duration in Go's notation: `10s`, `1m30s`, `1.5s`, `250ms`. None if the text is not a duration, or if it is
/// negative.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    match rest {
        "" => return None,
        "0" => return Some(Duration::ZERO),
        _ => {}
    }
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let after = &rest[digits..];
        let unit = after.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(after.len());
        seconds += number
            * match &after[..unit] {
                "ns" => 1e-9,
                // Go writes the micro sign and reads the Greek letter as well.
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &after[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("1h", 3_600_000),
            ("+2s", 2_000),
            (".5s", 500),
            ("0", 0),
            ("0s", 0),
            ("1000us", 1),
            ("1000\u{b5}s", 1),
            ("1000000ns", 1),
            ("29.999s", 29_999),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "+", "1d", "10 s", "1.2.3s", "1s2", "NaNs", "infs", "1e400s", "\u{ff11}s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
