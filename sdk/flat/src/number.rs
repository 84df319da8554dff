//! Numbers: which of the four forms holds one exactly, and when two are worth the same.

/// A JSON number in the first of these forms that holds its decimal value.
///
/// A double holds a decimal value if printing the double (with as few digits as tell it from its neighbours, of those the
/// nearest, of two as near the even ones) gives that value back: it does for `0.1`, and not for `1e400` or
/// `0.12345678901234567890`.
#[derive(Clone, Copy, Debug)]
pub enum Number<'a> {
    /// An integer from -2^63 up to 2^63 - 1.
    I64(i64),
    /// An integer from 2^63 up to 2^64 - 1.
    U64(u64),
    /// A number with a fraction or an exponent, or a larger integer such as 10^20; `-0`. Always finite.
    F64(f64),
    /// The text of a number that none of the others holds, as it was written.
    Text(&'a str),
}

impl<'a> Number<'a> {
    /// The form of the number that `text` writes, or `None` if that is no JSON number.
    pub fn parse(text: &'a str) -> Option<Self> {
        if grammar(text.as_bytes()) { Some(classify(text)) } else { None }
    }

    pub(crate) fn as_i64(self) -> Option<i64> {
        match self {
            Self::I64(value) => Some(value),
            Self::U64(value) => i64::try_from(value).ok(),
            // 2^63 is a double, 2^63 - 1 is none.
            Self::F64(value) if (-TWO_63..TWO_63).contains(&value) && value.trunc() == value => Some(value as i64),
            _ => None,
        }
    }

    pub(crate) fn as_u64(self) -> Option<u64> {
        match self {
            Self::I64(value) => u64::try_from(value).ok(),
            Self::U64(value) => Some(value),
            Self::F64(value) if (0.0..2.0 * TWO_63).contains(&value) && value.trunc() == value => Some(value as u64),
            _ => None,
        }
    }

    pub(crate) fn as_f64(self) -> Option<f64> {
        let value = match self {
            // An integer of more than 53 bits is rounded to the nearest double.
            Self::I64(value) => value as f64,
            Self::U64(value) => value as f64,
            Self::F64(value) => value,
            Self::Text(text) => Decimal::of(text).near(),
        };
        value.is_finite().then_some(value)
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// Whether two numbers are worth the same.
///
/// Texts only ever equal texts: a number that another form holds is not kept as text.
pub(crate) fn equal(one: Number<'_>, two: Number<'_>) -> bool {
    use Number::{F64, I64, Text, U64};
    match (one, two) {
        (F64(one), F64(two)) => one == two,
        (Text(one), Text(two)) => one == two || Decimal::of(one).is_same(&Decimal::of(two)),
        (Text(_), _) | (_, Text(_)) => false,
        (I64(one), I64(two)) => one == two,
        (U64(one), U64(two)) => one == two,
        // Through the integer, because not every integer has a double.
        (I64(one), other) | (other, I64(one)) => other.as_i64() == Some(one),
        (U64(one), other) | (other, U64(one)) => other.as_u64() == Some(one),
    }
}

/// Whether `text` is a number by the grammar of RFC 8259.
pub(crate) fn grammar(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text.starts_with(b"0")) {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// Whether `text` is a number that only its text holds.
pub(crate) fn only_text(text: &str) -> bool {
    matches!(Number::parse(text), Some(Number::Text(_)))
}

/// The form of a number whose text is known to follow the grammar.
pub(crate) fn classify(text: &str) -> Number<'_> {
    if !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) && text != "-0" {
        if let Ok(value) = text.parse() {
            return Number::I64(value);
        }
        if let Ok(value) = text.parse() {
            return Number::U64(value);
        }
    }
    let decimal = Decimal::of(text);
    // Every double is told apart by 17 digits, so a longer number is not what a double prints as.
    if decimal.count <= 17
        && let Ok(value) = text.parse::<f64>()
        && value.is_finite()
        && (decimal.is_plain() || Decimal::of(zmij::Buffer::new().format_finite(value)).is_same(&decimal))
    {
        return Number::F64(value);
    }
    match decimal.integer() {
        Some(value) => match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Number::I64(value),
            (_, Ok(value)) => Number::U64(value),
            _ => Number::Text(text),
        },
        None => Number::Text(text),
    }
}

/// A number as digits times a power of ten: `digits` without zeros at either end, read as an integer.
#[derive(Debug)]
struct Decimal<'a> {
    negative: bool,
    /// From the first digit that is not zero to the last; may contain the decimal point.
    digits: &'a [u8],
    count: usize,
    /// The power of ten; `None` if it does not fit.
    exponent: Option<i64>,
    text: &'a str,
}

impl<'a> Decimal<'a> {
    /// Reads a text that follows the grammar; of any other the result means nothing.
    fn of(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let negative = bytes.first() == Some(&b'-');
        let split = bytes.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(bytes.len());
        let mantissa = &bytes[usize::from(negative)..split];
        let written = match text.get(split + 1..) {
            Some(exponent) => exponent.parse::<i64>().ok(),
            None => Some(0),
        };
        let is_digit = |byte: &u8| *byte != b'0' && *byte != b'.';
        let (Some(first), Some(last)) = (mantissa.iter().position(is_digit), mantissa.iter().rposition(is_digit))
        else {
            return Self { negative, digits: &[], count: 0, exponent: Some(0), text };
        };
        let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
        // The weight of the last digit: before the point it is at least one, behind it less.
        let weight = if last < point { point - 1 - last } else { last - point } as i64;
        let weight = if last < point { weight } else { -weight };
        let digits = &mantissa[first..=last];
        let count = digits.len() - usize::from(first < point && point < last);
        let exponent = written.and_then(|written| written.checked_add(weight));
        Self { negative, digits, count, exponent, text }
    }

    fn is_same(&self, other: &Self) -> bool {
        let (Some(one), Some(two)) = (self.exponent, other.exponent) else {
            return self.text == other.text;
        };
        self.negative == other.negative
            && self.count == other.count
            && one == two
            && self.significant().eq(other.significant())
    }

    /// Whether a double is sure to hold this: 15 digits always survive, away from both ends of the range.
    fn is_plain(&self) -> bool {
        self.count == 0 || self.count <= 15 && self.exponent.is_some_and(|exponent| (-290..=290).contains(&exponent))
    }

    /// A double within a few units in the last place of the value; infinite beyond all doubles.
    ///
    /// The exact way, the standard library's, would put 12 KB of tables into the memory image of each guest that asks for a double.
    fn near(&self) -> f64 {
        const POWERS: [f64; 9] = [1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256];
        let taken = self.count.min(19);
        let digits = self.significant().take(taken);
        let value = digits.fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0')) as f64;
        let dropped = (self.count - taken) as i64;
        // An exponent that does not fit an i64 is as good as its sign.
        let limit = if self.text.contains("e-") || self.text.contains("E-") { i64::MIN } else { i64::MAX };
        let exponent = self.exponent.map_or(limit, |exponent| exponent.saturating_add(dropped));
        // Of 19 digits none is left at 10^-400, and all doubles end before 10^400.
        let power = exponent.clamp(-400, 400);
        let mut near = value;
        for (bit, step) in POWERS.iter().enumerate() {
            if power.unsigned_abs() >> bit & 1 == 1 {
                near = if power < 0 { near / step } else { near * step };
            }
        }
        if self.negative { -near } else { near }
    }

    /// The value as an integer of at most 20 digits, which covers every `i64` and `u64`.
    fn integer(&self) -> Option<i128> {
        let zeros = usize::try_from(self.exponent?).ok()?;
        if self.count.checked_add(zeros)? > 20 {
            return None;
        }
        let digits = self.significant().chain(std::iter::repeat_n(b'0', zeros));
        let value = digits.fold(0, |value: i128, digit| value * 10 + i128::from(digit - b'0'));
        Some(if self.negative { -value } else { value })
    }

    /// The digits alone; in a damaged document there may be anything else between them.
    fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        self.digits.iter().copied().filter(u8::is_ascii_digit)
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())
}
