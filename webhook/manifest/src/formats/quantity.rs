//! Quantities such as `100m`, `1.5Gi` or `1e3`.

use std::fmt;

use plimsoll_flat::{Node, Number};

use crate::At;

/// One unit, in the units that a [`Quantity`] counts.
const ONE: i128 = 1_000_000_000;

/// Largest value that a quantity with a binary suffix can have; more is cut off.
const MOST_BINARY: i128 = i64::MAX as i128 * ONE;

/// An amount, exact to 10⁻⁹ and rounded up, as the API server reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i128);

impl Quantity {
    pub(crate) const ZERO: Self = Self(0);
    pub(crate) const ONE: Self = Self(ONE);
    pub(crate) const MILLI: Self = Self(ONE / 1000);

    /// The quantity in a text, if it has the right form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        parse(text).map(|(value, _)| value)
    }

    /// The quantity that a text or a number is.
    pub(crate) fn of(node: Node<'_>) -> Option<Self> {
        if let Some(text) = node.as_str() {
            return Self::parse(text.trim());
        }
        match node.number()? {
            Number::I64(value) => Some(Self(i128::from(value) * ONE)),
            _ => Self::parse(&node.to_json()),
        }
    }

    /// The quantity at a place; `None` if there is none, or if it is malformed.
    pub(crate) fn at(at: &At<'_>) -> Option<Self> {
        Self::of(at.node()?)
    }

    /// The quantity of a resource in a list of resources, where `null` is 0, and values are rounded up to thousandths.
    pub(crate) fn in_list(list: &At<'_>, resource: &str) -> Option<Self> {
        list.entry(resource).and_then(|at| Self::entry(&at))
    }

    /// The quantity at an entry of a list of resources.
    pub(crate) fn entry(at: &At<'_>) -> Option<Self> {
        match at.node() {
            None => Some(Self::ZERO),
            Some(node) => Self::of(node).map(Self::thousandths),
        }
    }

    /// The value, rounded up to thousandths, as defaulting does to lists of resources.
    pub(crate) fn thousandths(self) -> Self {
        const MILLI: i128 = ONE / 1000;
        let rest = self.0.rem_euclid(MILLI);
        if rest == 0 { self } else { Self(self.0.saturating_add(MILLI - rest)) }
    }

    pub(crate) fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub(crate) fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether the value is a whole number.
    pub(crate) fn is_whole(self) -> bool {
        self.0 % ONE == 0
    }

    /// The value as a whole number, rounded up.
    pub(crate) fn whole(self) -> i128 {
        let down = self.0.div_euclid(ONE);
        if self.is_whole() { down } else { down.saturating_add(1) }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// How many times larger this is.
    pub(crate) fn ratio(self, other: Self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "the API server compares doubles too")]
        let ratio = self.0 as f64 / other.0 as f64;
        ratio
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [(&str, i128); 5] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10), ("", 1)];
        if self.is_whole() {
            let value = self.0 / ONE;
            let unit = BINARY.iter().find(|(_, unit)| value != 0 && value % unit == 0);
            let (suffix, unit) = unit.copied().unwrap_or(("", 1));
            return write!(f, "{}{suffix}", value / unit);
        }
        match self.0 % (ONE / 1000) {
            0 => write!(f, "{}m", self.0 / (ONE / 1000)),
            _ => write!(f, "{}n", self.0),
        }
    }
}

/// Whether a divisor of the downward API is 1, or one of a suffix with the value 1.
pub(crate) fn is_unit(text: &str) -> bool {
    let Some((value, format)) = parse(text) else {
        return false;
    };
    let units = |base: i128| (0..=6).map(move |power| base.checked_pow(power).unwrap_or(0));
    match format {
        Format::Decimal => units(1000).any(|unit| value.0 == unit * ONE),
        Format::Binary => units(1024).any(|unit| value.0 == unit * ONE),
        Format::Exponent => value.0 == ONE,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

fn parse(text: &str) -> Option<(Quantity, Format)> {
    if text.is_empty() {
        return None;
    }
    let (negative, rest) = match text.as_bytes() {
        [b'-', ..] => (true, text.get(1..)?),
        [b'+', ..] => (false, text.get(1..)?),
        _ => (false, text),
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let (base, exponent, format) = suffix_of(suffix)?;
    let mut value: i128 = 0;
    let mut scale: i32 = 0;
    for (index, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
        // More than 38 digits can't be told apart; those behind the point only round up.
        if value > i128::MAX / 100 {
            if index >= whole.len() {
                break;
            }
            scale += 1;
            continue;
        }
        value = value * 10 + i128::from(byte - b'0');
        if index >= whole.len() {
            scale -= 1;
        }
    }
    let value = match base {
        Base::Ten => scaled(value, scale.saturating_add(exponent).saturating_add(9)),
        Base::Two => scaled(value.saturating_mul(1 << exponent), scale + 9).min(MOST_BINARY),
    };
    Some((Quantity(if negative { -value } else { value }), format))
}

/// The value times 10 to this power, rounded up, and cut off where it is too large to be counted.
fn scaled(value: i128, power: i32) -> i128 {
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    match (factor, power >= 0) {
        (Some(factor), true) => value.saturating_mul(factor),
        (Some(factor), false) => value.div_euclid(factor) + i128::from(value.rem_euclid(factor) != 0),
        (None, true) if value != 0 => i128::MAX,
        (None, _) => i128::from(value != 0),
    }
}

#[derive(Clone, Copy)]
enum Base {
    Two,
    Ten,
}

fn suffix_of(suffix: &str) -> Option<(Base, i32, Format)> {
    let decimal = |exponent| Some((Base::Ten, exponent, Format::Decimal));
    let binary = |exponent| Some((Base::Two, exponent, Format::Binary));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let exponent: i64 = exponent.parse().ok().filter(|_| whole)?;
            Some((Base::Ten, i32::try_from(exponent).ok()?, Format::Exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for text in [
            "0", "1", "+1", "-1", "1.5", ".5", "1.", "1.G", "100m", "1Ki", "1e3", "1E3", "1E", "1e-3", "1n", "00", "m",
            "+", ".",
        ] {
            assert!(Quantity::parse(text).is_some(), "{text}");
        }
        for text in
            ["", "1 Gi", "1GB", "256MB", "1gi", "1K", "1e", "1e+", "a", "1,5", "1.5.5", "0x1", "1mm", "--1", "1Kii"]
        {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn values() {
        let value = |text| Quantity::parse(text).unwrap();
        for (one, two) in [
            ("1", "1000m"),
            ("1k", "1e3"),
            ("1Ki", "1024"),
            ("0.5Gi", "512Mi"),
            ("1.5", "1500m"),
            ("0.1n", "1n"),
            ("-1", "-1000m"),
            ("9Ei", "9223372036854775807"),
        ] {
            assert_eq!(value(one), value(two), "{one} {two}");
        }
        assert!(value("1e100") > value("1e20"));
        assert!(Quantity::parse(&"9".repeat(60)) > Quantity::parse("1e20"));
        assert_eq!(value("0.1m").thousandths(), value("1m"));
        assert_eq!(value("0.5").whole(), 1);
        assert!(!value("256m").is_whole());
        for (text, shown) in [("1Gi", "1Gi"), ("0", "0"), ("250m", "250m"), ("1500", "1500"), ("2048Mi", "2Gi")] {
            assert_eq!(value(text).to_string(), shown);
        }
    }

    #[test]
    fn units() {
        for text in ["1", "1k", "1000", "1Ki", "1024Ki", "1Ei", "1E", "1e0", "1000m"] {
            assert!(is_unit(text), "{text}");
        }
        for text in ["1m", "2", "1024", "1e3", "2Ki", "0"] {
            assert!(!is_unit(text), "{text}");
        }
    }
}
