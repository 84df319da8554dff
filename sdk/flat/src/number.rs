//! Numbers: the four forms, and equality by value.

/// A JSON number in the first of these forms that holds its decimal value exactly.
///
/// A double holds a decimal value if its shortest printed form has that value. If several shortest forms exist, the
/// nearest one counts, then the even one. `0.1` is such a value; `1e400` and `0.12345678901234567890` are not.
#[derive(Clone, Copy, Debug)]
pub enum Number<'a> {
    /// An integer from -2^63 up to 2^63 - 1.
    I64(i64),
    /// An integer from 2^63 up to 2^64 - 1.
    U64(u64),
    /// A number with a fraction or an exponent, a larger integer such as 10^20, or `-0`. Always finite.
    F64(f64),
    /// The original text of a number that no other form holds.
    Text(&'a str),
}

impl<'a> Number<'a> {
    /// The form of the number in `text`. `None` if it is no JSON number.
    pub fn parse(text: &'a str) -> Option<Self> {
        if grammar(text.as_bytes()) { Some(classify(text)) } else { None }
    }

    pub(crate) fn as_i64(self) -> Option<i64> {
        match self {
            Self::I64(value) => Some(value),
            Self::U64(value) => i64::try_from(value).ok(),
            // 2^63 is a double, and 2^63 - 1 is not.
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

/// Whether two numbers have the same value.
///
/// A text only equals another text, because a number that another form holds is never kept as text.
pub(crate) fn equal(one: Number<'_>, two: Number<'_>) -> bool {
    use Number::{F64, I64, Text, U64};
    match (one, two) {
        (F64(one), F64(two)) => one == two,
        (Text(one), Text(two)) => one == two || Decimal::of(one).is_same(&Decimal::of(two)),
        (Text(_), _) | (_, Text(_)) => false,
        (I64(one), I64(two)) => one == two,
        (U64(one), U64(two)) => one == two,
        // Compared as integers, because not every integer is a double.
        (I64(one), other) | (other, I64(one)) => other.as_i64() == Some(one),
        (U64(one), other) | (other, U64(one)) => other.as_u64() == Some(one),
    }
}

/// Whether `text` is a number in the grammar of RFC 8259.
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

/// Whether only the text form holds the number `text`.
pub(crate) fn only_text(text: &str) -> bool {
    matches!(Number::parse(text), Some(Number::Text(_)))
}

/// The form of a number. The text must follow the grammar.
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
    // 17 digits distinguish all doubles, so a double never prints more digits.
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

/// A number as an integer times a power of ten. `digits` has no zeros at either end.
#[derive(Debug)]
struct Decimal<'a> {
    negative: bool,
    /// From the first to the last digit other than zero. It may contain the decimal point.
    digits: &'a [u8],
    count: usize,
    /// The power of ten. `None` if it does not fit.
    exponent: Option<i64>,
    text: &'a str,
}

impl<'a> Decimal<'a> {
    /// Reads a text that follows the grammar. For other texts the result is undefined.
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
        // The weight of the last digit: at least one before the point, less after it.
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

    /// Whether a double certainly holds this number: up to 15 digits, away from both ends of the range.
    fn is_plain(&self) -> bool {
        self.count == 0 || self.count <= 15 && self.exponent.is_some_and(|exponent| (-290..=290).contains(&exponent))
    }

    /// A double within a few units in the last place. Infinite beyond all doubles.
    ///
    /// The exact algorithm of the standard library would add 12 KB of tables to the memory image of each guest that
    /// uses it.
    fn near(&self) -> f64 {
        const POWERS: [f64; 9] = [1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256];
        let taken = self.count.min(19);
        let digits = self.significant().take(taken);
        let value = digits.fold(0, |value: u64, digit| value * 10 + u64::from(digit - b'0')) as f64;
        let dropped = (self.count - taken) as i64;
        // For an exponent that does not fit an i64, only the sign matters.
        let limit = if self.text.contains("e-") || self.text.contains("E-") { i64::MIN } else { i64::MAX };
        let exponent = self.exponent.map_or(limit, |exponent| exponent.saturating_add(dropped));
        // At 10^-400 nothing is left of 19 digits, and all doubles are below 10^400.
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

    /// Only the digits. In a damaged document there may be other bytes between them.
    fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        self.digits.iter().copied().filter(u8::is_ascii_digit)
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())
}
