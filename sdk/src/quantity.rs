//! Kubernetes quantities (`100m`, `1.5Gi`, `2e3`), exact and without floats.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use plimsoll_flat::{Node, Number};

const NANO: i128 = 1_000_000_000;
/// 10^29 units. Kubernetes has no bound for decimal quantities, but no amount in a cluster comes near this one.
const LARGEST: i128 = 100_000_000_000_000_000_000_000_000_000_000_000_000;
/// Maximum of binary quantities in apimachinery: 2^63 - 1 units.
const LARGEST_BINARY: i128 = i64::MAX as i128 * NANO;

/// An amount of a resource, as apimachinery's `resource.Quantity` reads it: a decimal number with one of the suffixes
/// `n u m k M G T P E`, `Ki Mi Gi Ti Pi Ei` or an exponent (`e3`, `E-3`).
///
/// It counts whole nanounits. Finer fractions are rounded away from zero, so that a tiny request stays above zero.
/// Equality and order are those of the amount: `1Gi` equals `1024Mi`. The written form (decimal, binary, exponent) is
/// kept only for [`fmt::Display`]. Amounts are limited to ±10^29 units. Binary amounts are limited to ±(2^63 - 1)
/// units, as in apimachinery.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    DecimalSi,
    BinarySi,
    DecimalExponent,
}

/// The unit to which [`Quantity::ceil_div`] rounds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Thousandths, the finest CPU amount that Kubernetes accepts.
    Milli,
    /// Whole units: bytes of memory, objects.
    Whole,
}

impl Quantity {
    /// Zero, in decimal form.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// This many thousandths, in decimal form: `from_milli(100)` is `100m`.
    #[must_use]
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * 1_000_000, format: Format::DecimalSi }
    }

    /// This many bytes, in binary form: `from_bytes(1 << 30)` is `1Gi`.
    #[must_use]
    pub const fn from_bytes(bytes: i64) -> Self {
        Self { nanos: bytes as i128 * NANO, format: Format::BinarySi }
    }

    /// Reads exactly the texts that apimachinery's `ParseQuantity` accepts, also unusual ones such as `.5`, `1.`, `+1`
    /// and `m`. `None` for texts that the API server rejects too. [`Quantity::from_node`] skips blanks, but this
    /// function does not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.as_bytes() {
            [] => return None,
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = match rest {
            [b'.', rest @ ..] => split_digits(rest),
            _ => (&[][..], rest),
        };
        let (scale, mut format) = Scale::parse(suffix)?;
        // Without a digit, apimachinery reads zero on its fast path, and fails on the exact path.
        if whole.is_empty() && fraction.is_empty() && !scale.is_fast() {
            return None;
        }
        let magnitude = match scale {
            Scale::Ten(exponent) => decimal(whole, fraction, i64::from(exponent)),
            Scale::Two(power) => binary(whole, fraction, power),
        };
        if format == Format::BinarySi && magnitude > 0 && magnitude < NANO {
            format = Format::DecimalSi;
        }
        Some(Self { nanos: if is_negative { -magnitude } else { magnitude }, format })
    }

    /// Reads a string as [`Quantity::parse`] does, without the blanks around it, or a number (`cpu: 0.5` is legal).
    ///
    /// `None` for anything else, including `null`. The caller decides whether `null` means absent.
    #[must_use]
    pub fn from_node(node: Node<'_>) -> Option<Self> {
        if let Some(text) = node.as_str() {
            return Self::parse(text.trim_matches(' '));
        }
        let nanos = match node.number()? {
            Number::I64(units) => i128::from(units) * NANO,
            Number::U64(units) => i128::from(units) * NANO,
            Number::F64(units) => nanos_of(units),
            Number::Text(text) => return Self::parse(text),
        };
        Some(Self { nanos, format: Format::DecimalSi })
    }

    /// Thousandths, rounded away from zero, and limited to the range of `i64`.
    #[must_use]
    pub fn milli(self) -> i64 {
        self.in_units_of(1_000_000)
    }

    /// Whole units, rounded away from zero, and limited to the range of `i64`.
    #[must_use]
    pub fn bytes(self) -> i64 {
        self.in_units_of(NANO)
    }

    /// The amount, but at most 2^63 - 1 units, because Kubernetes counts no further.
    #[must_use]
    pub fn capped(self) -> Self {
        Self { nanos: self.nanos.min(LARGEST_BINARY), ..self }
    }

    /// Whether the amount is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// The sum, in the form of `self`, or of `other` if `self` is zero. `None` beyond ±10^29 units.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let format = if self.is_zero() { other.format } else { self.format };
        in_range(self.nanos.checked_add(other.nanos)?, format)
    }

    /// The product of the amount and a number. `None` beyond ±10^29 units.
    #[must_use]
    pub fn checked_mul(self, times: i64) -> Option<Self> {
        in_range(self.nanos.checked_mul(i128::from(times))?, self.format)
    }

    /// The smallest multiple of `unit` that is not below `self / divisor`, in the form of `self`. For a limit and an
    /// allowed ratio of limit to request, this is the smallest request. `None` if the divisor is not positive, or the
    /// result is out of range.
    #[must_use]
    pub fn ceil_div(self, divisor: Self, unit: Unit) -> Option<Self> {
        if divisor.nanos <= 0 {
            return None;
        }
        let (units, nanos) = match unit {
            Unit::Milli => (1000, 1_000_000),
            Unit::Whole => (1, NANO),
        };
        let dividend = self.nanos.checked_mul(units)?;
        let rounding = i128::from(dividend % divisor.nanos > 0);
        in_range((dividend / divisor.nanos + rounding).checked_mul(nanos)?, self.format)
    }

    fn in_units_of(self, unit: i128) -> i64 {
        let rounded = self.nanos / unit + (self.nanos % unit).signum();
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Whether `limit / request` is greater than `ratio`, by exact cross multiplication.
///
/// With a request of zero, any positive limit exceeds any ratio. Negative amounts, which the API server rejects, count
/// as zero.
#[must_use]
pub fn ratio_exceeds(limit: Quantity, request: Quantity, ratio: Quantity) -> bool {
    let amount = |quantity: Quantity| quantity.nanos.max(0).unsigned_abs();
    wide_product(amount(limit), NANO.unsigned_abs()) > wide_product(amount(ratio), amount(request))
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Hash for Quantity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nanos.hash(state);
    }
}

impl fmt::Display for Quantity {
    /// The canonical form (apimachinery's `CanonicalizeBytes`). It has no fraction, and the largest suffix for which
    /// there is none. Binary suffixes are only for whole amounts of at least 1024. If apimachinery has no suffix, it
    /// drops the exponent, so that `1000E` becomes `1`; here `E` is kept.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return formatter.write_str("0");
        }
        let is_binary = self.format == Format::BinarySi
            && self.nanos % NANO == 0
            && self.nanos.unsigned_abs() >= 1024 * 1_000_000_000;
        let (mut mantissa, factor, suffixes): (_, _, &[_]) = if is_binary {
            (self.nanos / NANO, 1024, &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])
        } else if self.format == Format::DecimalExponent {
            (self.nanos, 1000, &["e-9", "e-6", "e-3", "", "e3", "e6", "e9", "e12", "e15", "e18", "e21", "e24", "e27"])
        } else {
            (self.nanos, 1000, &["n", "u", "m", "", "k", "M", "G", "T", "P", "E"])
        };
        let mut suffix = "";
        for (index, candidate) in suffixes.iter().enumerate() {
            if index > 0 {
                if mantissa % factor != 0 {
                    break;
                }
                mantissa /= factor;
            }
            suffix = candidate;
        }
        write!(formatter, "{mantissa}{suffix}")
    }
}

/// The factor of a suffix.
#[derive(Clone, Copy)]
enum Scale {
    /// Ten to this power.
    Ten(i32),
    /// Two to this power, at most 60.
    Two(u32),
}

impl Scale {
    fn parse(suffix: &[u8]) -> Option<(Self, Format)> {
        let scale = match suffix {
            b"n" => Scale::Ten(-9),
            b"u" => Scale::Ten(-6),
            b"m" => Scale::Ten(-3),
            b"" => Scale::Ten(0),
            b"k" => Scale::Ten(3),
            b"M" => Scale::Ten(6),
            b"G" => Scale::Ten(9),
            b"T" => Scale::Ten(12),
            b"P" => Scale::Ten(15),
            b"E" => Scale::Ten(18),
            b"Ki" => Scale::Two(10),
            b"Mi" => Scale::Two(20),
            b"Gi" => Scale::Two(30),
            b"Ti" => Scale::Two(40),
            b"Pi" => Scale::Two(50),
            b"Ei" => Scale::Two(60),
            [b'e' | b'E', exponent @ ..] => {
                let exponent: i64 = std::str::from_utf8(exponent).ok()?.parse().ok()?;
                // apimachinery also keeps only the lower 32 bits of the exponent.
                return Some((Scale::Ten(exponent as i32), Format::DecimalExponent));
            }
            _ => return None,
        };
        Some((scale, if matches!(scale, Scale::Two(_)) { Format::BinarySi } else { Format::DecimalSi }))
    }

    fn is_fast(self) -> bool {
        match self {
            Scale::Ten(exponent) => exponent >= -9,
            Scale::Two(power) => power <= 40,
        }
    }
}

fn in_range(nanos: i128, format: Format) -> Option<Quantity> {
    (-LARGEST..=LARGEST).contains(&nanos).then_some(Quantity { nanos, format })
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn append(number: i128, digit: u8) -> i128 {
    if number > LARGEST / 10 { LARGEST } else { (number * 10 + i128::from(digit - b'0')).min(LARGEST) }
}

/// Nanounits of a decimal number times ten to the exponent, rounded up.
fn decimal(whole: &[u8], fraction: &[u8], exponent: i64) -> i128 {
    let mut shift = exponent + 9 - fraction.len() as i64;
    let kept = (whole.len() + fraction.len()) as i64 + shift.min(0);
    let mut nanos = 0;
    let mut is_inexact = false;
    for (place, digit) in whole.iter().chain(fraction).enumerate() {
        if (place as i64) < kept {
            nanos = append(nanos, *digit);
        } else {
            is_inexact |= *digit != b'0';
        }
    }
    while shift > 0 && nanos > 0 && nanos < LARGEST {
        nanos = append(nanos, b'0');
        shift -= 1;
    }
    nanos + i128::from(is_inexact)
}

/// Nanounits of a decimal number times two to the power, rounded up.
fn binary(whole: &[u8], fraction: &[u8], power: u32) -> i128 {
    let unit = NANO << power;
    let whole = whole.iter().fold(0, |number, digit| append(number, *digit));
    if whole > i128::from(i64::MAX) >> power {
        return LARGEST_BINARY;
    }
    // From the last digit to the first, each step divides by ten. The remainder matters only for whether the result is
    // exact.
    let mut nanos = 0;
    let mut is_inexact = false;
    for digit in fraction.iter().rev() {
        nanos += i128::from(digit - b'0') * unit;
        is_inexact |= nanos % 10 != 0;
        nanos /= 10;
    }
    (whole * unit + nanos + i128::from(is_inexact)).min(LARGEST_BINARY)
}

/// Nanounits of the decimal number that a double stands for. This is the number with the fewest digits after the point
/// that reads as that double. More than nine such digits are rounded up, as in a text.
fn nanos_of(value: f64) -> i128 {
    let magnitude = value.abs();
    let (mut scale, mut unit) = (1.0, NANO);
    let nanos = loop {
        let digits = (magnitude * scale).round_ties_even();
        if digits >= 1e29 {
            break LARGEST;
        }
        if digits / scale == magnitude {
            break digits as i128 * unit;
        }
        if unit == 1 {
            break (magnitude * scale).ceil() as i128;
        }
        scale *= 10.0;
        unit /= 10;
    };
    if value < 0.0 { -nanos } else { nanos }
}

/// The upper and the lower half of the product.
fn wide_product(a: u128, b: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let low = (a & LOW) * (b & LOW);
    let middle = (a >> 64) * (b & LOW) + (low >> 64);
    let carried = (a & LOW) * (b >> 64) + (middle & LOW);
    ((a >> 64) * (b >> 64) + (middle >> 64) + (carried >> 64), (carried << 64) | (low & LOW))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use plimsoll_flat::{Node, json};

    use super::{Quantity, Unit, ratio_exceeds, wide_product};

    /// Texts with the result of `CanonicalizeBytes` in apimachinery 0.36.3, or `!` if it rejects the text.
    const CANONICAL: &str = "
        0=0 00=0 -0=0 +0=0 .=0 -=0 +=0 m=0 Ti=0 Pi=! Ei=! .Ki=0 .Ei=! e=! e3=0 e-10=! E=0 1=1 +1=1 -1=-1 01=1 1.=1
        .5=500m 0.5=500m -.5=-500m 1.5=1500m 1.50=1500m 1.500=1500m 100m=100m 0.1=100m 0.10=100m 1000m=1 1500m=1500m
        2500m=2500m 1k=1k 1000=1k 1000k=1M 1M=1M 1G=1G 1T=1T 1P=1P 1E=1E 10E=10E 999E=999E 1Ki=1Ki 1023=1023 1024=1024
        1024Ki=1Mi 1024Mi=1Gi 1Gi=1Gi 1.5Gi=1536Mi 0.5Gi=512Mi .25Ki=256 0.5Ki=512 0.0001Ki=102400u 1.1Ki=1126400m
        1000Ki=1000Ki 1048576=1048576 1048576Ki=1Gi 16Ei=9223372036854775807 7Ei=7Ei 8Ei=9223372036854775807
        7.9Ei=9108079886394091110400m 9223372036854775807=9223372036854775807 9223372036854775808=9223372036854775808
        9223372036854775807Ki=9223372036854775807 -8Ei=-9223372036854775807 -9Ei=-9223372036854775807 8191Pi=8191Pi
        8192Pi=9223372036854775807 1n=1n 1u=1u 0.1n=1n 0.5n=1n 1.1n=2n 0.0000000001=1n 0.9999999999=1
        1.0000000001=1000000001n -0.0000000001=-1n -1.0000000001=-1000000001n
        123456789123456789.123456789=123456789123456789123456789n 100000000000000000000=100E 0.1u=100n 0.0001u=1n
        1e0=1 1e3=1e3 1E3=1e3 1e+3=1e3 1e-3=1e-3 1E-9=1e-9 1e-10=1e-9 1.5e3=1500 12e6=12e6 1e03=1e3 1e9=1e9 100e-2=1
        123456e-3=123456e-3 1e18=1e18 1e21=1e21 1e24=1e24 12e-1=1200e-3 128Mi=128Mi 256Mi=256Mi 512Mi=512Mi 64Mi=64Mi
        1.25Gi=1280Mi 2.5Gi=2560Mi 129M=129M 128974848=128974848 129e6=129e6 123Mi=123Mi 0.001Gi=1073741824m
        100Ki=100Ki 250m=250m 0.25=250m 0.333=333m 0.3333333333=333333334n 2000m=2 1.2.3=! 1..2=! 1-1=! 1+=! 1-=!
        +-1=! 1e=! 1e+=! 1E-=! 1ee3=! 1e3.5=! 1e3m=! 1me3=! 1K=! 1mi=! 1ki=! 1KiB=! 1KB=! 1B=! 1Gib=! 1_000=! 1,5=!
        0x10=! 1e99999999999999999999=! NaN=! inf=! 1µ=! ½=! --1=! +.=0 -.=0 .e3=0 .m=0 .Gi=0 -Ki=0 Mi=0 Gi=0 5i=!
        5Kii=! 3mm=! 3Mm=! 3eE=! 1E5=100e3 1Ee5=! 0Ki=0 0e5=0 0.0Gi=0 -0.5Gi=-512Mi -1536Mi=-1536Mi -100m=-100m
        3E3=3e3 3e3=3e3 3E=3E 3Ei=3Ei -220Mi=-220Mi 0E+5=0 7200G=7200G -0.0M=0 -0.01Mi=-10485760m 0.0900=90m
        +500e13=5e15 1048576E-12=1049e-9 0.93E+3=930 0.Gi=0 80.0678P=80067800G 290.G=290G -.7084e-13=-1e-9
        0.2000006300070270030Ei=230585027270018880385231708n -0.0Ti=0 5000Ti=5000Ti 1.010Gi=1084479242240m +08T=8T
        +0007P=7P 6000e-11=60e-9 0.093Ki=95232m 010Mi=10Mi -8000k=-8M 333.n=333n 0756P=756P 1007600.00M=1007600M
        8676=8676 004Pi=4Pi e+12=0 +0.017483804600680810Ti=19223646456212075081n +0Mi=0 0.46P=460T +213e-2=2130e-3
        10Ti=10Ti 00030iE+8=! 0.Ki=0 2048k=2048k 663500u=663500u 9072.3600=9072360m 5300.015Gi=5690847773327360m
        100M=100M 31e+1=310 +30.G=30G +00P=0 302T=302T -128E-8=-1280e-9 8.4Gi=9019431321600m 0.052Ti=57174604644352m
        0.0E-6=0 1073741824=1073741824 0.0Pi=0 05000500=5000500 95Gi=95Gi .003e+1=30e-3 0.0G=0 0003.=3 -0Ki=0 0.00n=0
        5.0393m=5039300n -8006T=-8006T 800e+7=8e9 5379.01=5379010m 3036.030E-=! 056.1Ki=57446400m 100Mi=100Mi
        8.9084Ti=9794889384879718400u 0.0P=0 0.Ei=0 0.095600620e+0=95600620e-9 0.370Mi=387973120m -0.275=-275m
        0009.08T=9080G 0.2033Ei=234388941886571990220800u 00Ti=0 5.5Mi=5632Ki -59m=-59m 1023M=1023M 7980Ki=7980Ki
        0.38e10=3800e6 001P=1P 256P=256P 0009.264G=9264M -0880G=-880G 3946.e+9=3946e9 -10n=-10n 0.9410G=941M
        -94620k=-94620k 0.0000P=0 500G=500G -0.50=-500m 0.007e+1=70e-3 500n=500n 0.2251Ki=230502400u
        92.0701k=92070100m .95k=950 3167908520Mi=3167908520Mi 0005e+3=5e3 100T=100T 709000m=709 -0Ti=0 -0105G=-105G
        0.10Gi=107374182400m -2Pi=-2Pi 0.0Ei=0 500Ti=500Ti 0.1P=100T 602.00T=602T 59Ki=59Ki 655101031u=655101031u
        +0.100k=100 08.80Ti=9675702324428800m .09E=90P 970620401302006046=970620401302006046 2048=2048
        -0.002Pi=-2251799813685248m 0.6E=600P +0880Gi=880Gi 250Mi=250Mi 0.02k=20 128G=128G 000e+4=0
        084030005630000008E-4=8403000563000000800e-6 0.5009Gi=537837279641600u 3.7n=4n +8916n=8916n 1536n=1536n
        +68Ti=68Ti 0.10M=100k
    ";

    /// Ordered by apimachinery's `Cmp`.
    const ORDERED: &str = "
        -8Ei < -1Gi < -1G < -1.5 < -1 < -100m < -1n < 0 = 0n = 0Gi < 1n = 0.1n = 1e-9 < 999u < 1m = 0.001 = 1e-3 <
        100m = 0.1 < 0.5 = 500m < 999m < 1 = 1000m = 1.0 = 1e0 < 1.000000001 < 2 < 1000 = 1k = 1e3 < 1024 = 1Ki <
        0.5Mi = 512Ki = 524288 < 999999 < 1M < 1Mi = 1024Ki < 1G = 1000M = 1e9 < 1Gi = 1024Mi < 1.5Gi = 1536Mi < 1T <
        1Ti < 1P < 1Pi < 1E < 1Ei < 8Ei = 9Ei = 9223372036854775807 < 9223372036854775808 < 10E
    ";

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn from_json(text: &str) -> Option<Quantity> {
        Quantity::from_node(Node::root(&json::from_json(text.as_bytes()).unwrap()).unwrap())
    }

    #[test]
    fn parses_and_prints_as_apimachinery_does() {
        for vector in CANONICAL.split_whitespace() {
            let (text, expected) = vector.split_once('=').unwrap();
            let found = Quantity::parse(text);
            assert_eq!(found.map_or("!".to_owned(), |found| found.to_string()), expected, "{text}");
            assert_eq!(found, Quantity::parse(expected), "{text}");
        }
        for text in ["", " ", " 1", "1 ", "1 Gi", "1\n"] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn orders_as_apimachinery_does() {
        let words: Vec<_> = ORDERED.split_whitespace().collect();
        for triple in words.windows(3).step_by(2) {
            let expected = if triple[1] == "=" { Ordering::Equal } else { Ordering::Less };
            assert_eq!(quantity(triple[0]).cmp(&quantity(triple[2])), expected, "{triple:?}");
        }
    }

    #[test]
    fn takes_numbers() {
        for (text, expected) in [
            ("1", "1"),
            ("0.5", "500m"),
            ("0.1", "100m"),
            ("1.1", "1100m"),
            ("1e3", "1k"),
            ("1e-3", "1m"),
            ("1.5e9", "1500M"),
            ("-0.25", "-250m"),
            ("-0", "0"),
            ("0.333", "333m"),
            ("123456.789", "123456789m"),
            ("123456789.123456", "123456789123456u"),
            ("1e-12", "1n"),
            ("-1.5e-9", "-2n"),
            ("0.1234567891", "123456790n"),
            ("18446744073709551615", "18446744073709551615"),
            ("100000000000000000000", "100E"),
            ("0.12345678901234567890", "123456790n"),
            ("1e300", "100000000000E"),
            ("1e400", "100e27"),
            ("\" 128Mi \"", "128Mi"),
        ] {
            assert_eq!(from_json(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["null", "true", "[]", "{}", "\"\"", "\"1\\n\"", "\"one\""] {
            assert_eq!(from_json(text), None, "{text}");
        }
    }

    #[test]
    fn counts_thousandths_and_bytes_upwards() {
        for (text, milli, bytes) in [
            ("100m", 100, 1),
            ("1n", 1, 1),
            ("1.0001", 1001, 2),
            ("-1.0001", -1001, -2),
            ("1Ki", 1_024_000, 1024),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("8Ei", i64::MAX, i64::MAX),
            ("-1e30", i64::MIN, i64::MIN),
        ] {
            assert_eq!((quantity(text).milli(), quantity(text).bytes()), (milli, bytes), "{text}");
        }
        assert!(quantity("0Gi").is_zero() && !quantity("0.1n").is_zero());
        assert_eq!(Quantity::from_milli(1500).to_string(), "1500m");
        assert_eq!(Quantity::from_bytes(3 << 29).to_string(), "1536Mi");
    }

    #[test]
    fn divides_limits_into_requests() {
        for (limit, ratio, unit, expected) in [
            ("1Gi", "4", Unit::Whole, "256Mi"),
            ("512Mi", "2.5", Unit::Whole, "214748365"),
            ("100Mi", "3", Unit::Whole, "34952534"),
            ("1G", "4", Unit::Whole, "250M"),
            ("1", "4", Unit::Whole, "1"),
            ("1", "3", Unit::Milli, "334m"),
            ("2", "10", Unit::Milli, "200m"),
            ("1m", "10", Unit::Milli, "1m"),
            ("0", "4", Unit::Milli, "0"),
            ("1Gi", "1", Unit::Whole, "1Gi"),
            ("8Ei", "1n", Unit::Whole, "9223372036854775807000000000"),
        ] {
            let found = quantity(limit).ceil_div(quantity(ratio), unit).unwrap();
            assert_eq!(found.to_string(), expected, "{limit} / {ratio}");
            if ratio != "1n" {
                assert!(!ratio_exceeds(quantity(limit), found, quantity(ratio)));
            }
        }
        assert_eq!(quantity("1Gi").ceil_div(Quantity::ZERO, Unit::Whole), None);
        assert_eq!(quantity("1Gi").ceil_div(quantity("-1"), Unit::Whole), None);
        assert_eq!(quantity("10e28").ceil_div(quantity("1n"), Unit::Milli), None);
    }

    #[test]
    fn a_divided_limit_is_the_smallest_request_that_keeps_the_ratio() {
        for limit in (1..400).step_by(7) {
            for ratio in (1000..6000).step_by(250).map(Quantity::from_milli) {
                let limit = Quantity::from_milli(limit);
                let request = limit.ceil_div(ratio, Unit::Milli).unwrap();
                assert!(!ratio_exceeds(limit, request, ratio));
                assert!(ratio_exceeds(limit, Quantity::from_milli(request.milli() - 1), ratio));
            }
        }
    }

    #[test]
    fn compares_ratios_exactly() {
        for (limit, request, ratio, expected) in [
            ("1Gi", "256Mi", "4", false),
            ("1073741825", "256Mi", "4", true),
            ("1", "3", "0.333333333", true),
            ("1", "3", "0.333333334", false),
            ("8Ei", "8Ei", "1", false),
            ("1e29", "1e29", "1e29", false),
            ("1e29", "1n", "1e28", true),
            ("1m", "0", "1000", true),
            ("0", "0", "4", false),
            ("-1", "0", "4", false),
        ] {
            let found = ratio_exceeds(quantity(limit), quantity(request), quantity(ratio));
            assert_eq!(found, expected, "{limit} / {request} > {ratio}");
        }
        assert_eq!(wide_product(u128::MAX, u128::MAX), (u128::MAX - 1, 1));
        assert_eq!(wide_product(1 << 100, 3 << 100), (3 << 72, 0));
    }

    #[test]
    fn adds_in_the_form_of_the_first() {
        let sum = |a, b| quantity(a).checked_add(quantity(b)).map(|sum| sum.to_string());
        assert_eq!(sum("512Mi", "512M").as_deref(), Some("1024288Ki"));
        assert_eq!(sum("512Mi", "0.5Gi").as_deref(), Some("1Gi"));
        assert_eq!(sum("0", "1Gi").as_deref(), Some("1Gi"));
        assert_eq!(sum("100m", "0.9").as_deref(), Some("1"));
        assert_eq!(sum("1e29", "1"), None);
        assert_eq!(quantity("128Mi").checked_mul(8), Some(quantity("1Gi")));
        assert_eq!(quantity("1e28").checked_mul(11), None);
    }
}
