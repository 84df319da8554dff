//! Numbers that may be percentages: `maxSurge`, `maxUnavailable`, `minAvailable`.

use std::fmt;

use plimsoll_flat::Node;

/// A count, or a share of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrPercent {
    /// A count as it stands, in the range of `i32`.
    Int(i64),
    /// Hundredths of a total, never negative.
    Percent(i64),
}

/// Maximum count of the API and its controllers.
const MOST: i64 = i32::MAX as i64;

impl IntOrPercent {
    /// Reads a number, or a string of digits and `%`, as the API server's validation accepts it (`IsValidPercent`).
    ///
    /// `None` for anything else, also for `"1"`: a string without `%` is an error to every controller (apimachinery,
    /// `GetScaledValueFromIntOrPercent`). Negative numbers are read, although the API server rejects them later.
    #[must_use]
    pub fn from_node(node: Node<'_>) -> Option<Self> {
        match node.as_str() {
            Some(text) => Self::parse_percent(text),
            None => node.as_i64().filter(|value| i32::try_from(*value).is_ok()).map(Self::Int),
        }
    }

    /// Reads `25%`. A number that is too large for an `i64`, which the validation accepts too, becomes the largest
    /// `i64`.
    #[must_use]
    pub fn parse_percent(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('%')?;
        // `str::parse` would also accept a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self::Percent(digits.parse().unwrap_or(i64::MAX)))
    }

    /// The count out of a total, rounded up: ⌈v·total / 100⌉, and at most the largest `i32`.
    #[must_use]
    pub fn resolve_up(self, total: i64) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Percent(value) => {
                let hundredths = value.saturating_mul(total);
                (hundredths.div_euclid(100) + i64::from(hundredths.rem_euclid(100) != 0)).min(MOST)
            }
        }
    }

    /// The count out of a total, rounded down: ⌊v·total / 100⌋, and at most the largest `i32`.
    #[must_use]
    pub fn resolve_down(self, total: i64) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Percent(value) => value.saturating_mul(total).div_euclid(100).min(MOST),
        }
    }
}

/// The number of Pods that a field states, or `unset` if the field is missing. `None` for a value that is no `int32`,
/// such as `"50%"`, which the API server rejects.
#[must_use]
pub fn pods_at(object: Node<'_>, pointer: &str, unset: i64) -> Option<i64> {
    match object.at(pointer).filter(|node| !node.is_null()) {
        Some(node) => node.as_i64().filter(|value| i32::try_from(*value).is_ok()),
        None => Some(unset),
    }
}

impl fmt::Display for IntOrPercent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(formatter, "{value}"),
            Self::Percent(value) => write!(formatter, "{value}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::IntOrPercent::{self, Int, Percent};

    #[test]
    fn reads_percentages_as_the_validation_does() {
        for (text, expected) in [
            ("25%", Some(Percent(25))),
            ("0%", Some(Percent(0))),
            ("007%", Some(Percent(7))),
            ("150%", Some(Percent(150))),
            ("1", None),
            ("", None),
            ("%", None),
            ("-5%", None),
            ("+5%", None),
            ("25 %", None),
            ("25%%", None),
            ("2.5%", None),
            ("99999999999999999999%", Some(Percent(i64::MAX))),
        ] {
            assert_eq!(IntOrPercent::parse_percent(text), expected, "{text}");
        }
    }

    #[test]
    fn reads_numbers_and_strings() {
        for (text, expected) in [
            ("3", Some(Int(3))),
            ("-1", Some(Int(-1))),
            ("2147483647", Some(Int(2_147_483_647))),
            ("2147483648", None),
            ("1.5", None),
            (r#""25%""#, Some(Percent(25))),
            (r#""3""#, None),
            ("null", None),
            ("{}", None),
        ] {
            let document = json::from_json(text.as_bytes()).unwrap();
            assert_eq!(IntOrPercent::from_node(Node::root(&document).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn numbers_of_pods_are_whole_and_fit() {
        for (text, expected) in [
            ("{}", Some(7)),
            (r#"{"replicas": null}"#, Some(7)),
            (r#"{"replicas": 3}"#, Some(3)),
            (r#"{"replicas": -1}"#, Some(-1)),
            (r#"{"replicas": 2147483648}"#, None),
            (r#"{"replicas": 1.5}"#, None),
            (r#"{"replicas": "3"}"#, None),
            (r#"{"replicas": "50%"}"#, None),
        ] {
            let document = json::from_json(text.as_bytes()).unwrap();
            assert_eq!(super::pods_at(Node::root(&document).unwrap(), "/replicas", 7), expected, "{text}");
        }
    }

    #[test]
    fn rounds_as_asked() {
        for (value, total, down, up) in [
            (Percent(25), 3, 0, 1),
            (Percent(25), 4, 1, 1),
            (Percent(25), 5, 1, 2),
            (Percent(100), 7, 7, 7),
            (Percent(150), 3, 4, 5),
            (Percent(0), 7, 0, 0),
            (Percent(29), 100, 29, 29),
            (Int(2), 100, 2, 2),
            (Percent(3_000_000_000), 3, 90_000_000, 90_000_000),
            (Percent(300_000_000_000), 3, i64::from(i32::MAX), i64::from(i32::MAX)),
            (Percent(i64::MAX), 3, i64::from(i32::MAX), i64::from(i32::MAX)),
        ] {
            assert_eq!((value.resolve_down(total), value.resolve_up(total)), (down, up), "{value} of {total}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        assert_eq!(Percent(25).to_string(), "25%");
        assert_eq!(Int(-3).to_string(), "-3");
    }
}
