//! Resolves scalars as kubectl does: go-yaml v2 (`resolve.go`), then sigs.k8s.io/yaml, then `encoding/json`. The rules
//! are those of YAML 1.1 (`no` is false, `010` is 8), without base 60 and timestamps.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use serde_json::{Number, Value};

/// A resolved scalar before its conversion to JSON. Numbers keep their Go type, which decides how a mapping key is
/// printed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Str(String),
}

/// Why kubectl rejects a scalar.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Meaningless {
    #[error("a mapping key is null; kubectl accepts strings, numbers and booleans")]
    NullKey,
    #[error("the mapping key {0} is too large a number; put it in quotes")]
    LargeKey(u64),
    #[error("{0} cannot be written in JSON")]
    NotJson(String),
    #[error("cannot decode `{text}` as a !!{kind}")]
    OtherTag { text: String, kind: String },
    #[error("!!binary value contains invalid base64 data")]
    Base64,
}

impl Scalar {
    /// The scalar as a JSON value.
    pub(super) fn to_json(&self) -> Result<Value, Meaningless> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Int(int) => Value::from(*int),
            Self::Uint(uint) => number(*uint as f64)?,
            Self::Float(float) => number(*float)?,
            Self::Str(string) => Value::String(string.clone()),
        })
    }

    /// The scalar as the name of a member (`convertToJSONableObject` of sigs.k8s.io/yaml).
    pub(super) fn to_key(&self) -> Result<String, Meaningless> {
        match self {
            Self::Str(string) => Ok(string.clone()),
            Self::Int(int) => Ok(int.to_string()),
            Self::Bool(bool) => Ok(bool.to_string()),
            Self::Float(float) => Ok(shortest_float32(*float)),
            Self::Null => Err(Meaningless::NullKey),
            Self::Uint(uint) => Err(Meaningless::LargeKey(*uint)),
        }
    }
}

/// Converts a float as `encoding/json` does. A float without fraction is written as an integer: its shortest digits,
/// then zeros. It is read back as an integer if that fits. Larger integers are floats in the API server too.
pub(super) fn number(float: f64) -> Result<Value, Meaningless> {
    if float.fract() == 0.0
        && float.abs() < 1e21
        && let Ok(int) = float.to_string().parse::<i64>()
    {
        return Ok(Value::from(int));
    }
    Number::from_f64(float).map(Value::Number).ok_or_else(|| Meaningless::NotJson(shortest_float32(float)))
}

/// Resolves a scalar. `tag` is the full tag (`tag:yaml.org,2002:int`). `plain` says that the scalar was not quoted.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>) -> Result<Scalar, Meaningless> {
    let Some(tag) = tag else {
        return Ok(if plain { resolve_plain(text) } else { Scalar::Str(text.to_owned()) });
    };
    let Some(kind) = tag.strip_prefix("tag:yaml.org,2002:") else {
        return Ok(Scalar::Str(text.to_owned()));
    };
    let resolved = match kind {
        "binary" => return decode_base64(text).map(Scalar::Str),
        "bool" | "int" | "float" | "null" | "timestamp" => resolve_plain(text),
        _ => return Ok(Scalar::Str(text.to_owned())),
    };
    match (kind, resolved) {
        ("bool", value @ Scalar::Bool(_))
        | ("int", value @ (Scalar::Int(_) | Scalar::Uint(_)))
        | ("float", value @ Scalar::Float(_))
        | ("null", value @ Scalar::Null) => Ok(value),
        ("float", Scalar::Int(int)) => Ok(Scalar::Float(int as f64)),
        ("timestamp", Scalar::Str(_)) if looks_like_date(text) => Ok(Scalar::Str(text.to_owned())),
        _ => Err(Meaningless::OtherTag { text: text.chars().take(40).collect(), kind: kind.to_owned() }),
    }
}

fn resolve_plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => fraction(text),
        Some(b'0'..=b'9' | b'+' | b'-') => integer_or_float(text),
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Str(text.to_owned()))
}

/// Parses `.5` like Go's ParseFloat, which accepts underscores between digits.
fn fraction(text: &str) -> Option<Scalar> {
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        digit(at.checked_sub(1)) && digit(at.checked_add(1))
    };
    // Each underscore needs a digit on both sides, so two in a row are rejected too.
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'_' && !between_digits(at)) {
        return None;
    }
    float(&text.replace('_', ""))
}

fn integer_or_float(text: &str) -> Option<Scalar> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, plain.as_str()),
    };
    let (radix, body) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if let Some(magnitude) = magnitude(body, radix) {
        let signed = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
        if let Some(int) = signed {
            return Some(Scalar::Int(int));
        }
        // Go's ParseUint accepts no sign.
        if plain.starts_with(|first: char| first.is_ascii_digit()) {
            return Some(Scalar::Uint(magnitude));
        }
    }
    if let Some(value) = float(&plain) {
        return Some(value);
    }
    // go-yaml parses the text after `0b` as a number that may have a sign: `0b-1` is -1.
    let body = plain.strip_prefix("0b")?;
    let (negative, body) = match body.as_bytes().first() {
        Some(b'-') => (true, &body[1..]),
        Some(b'+') => (false, &body[1..]),
        _ => return None,
    };
    let magnitude = magnitude(body, 2)?;
    let signed = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
    signed.map(Scalar::Int)
}

fn magnitude(digits: &str, radix: u32) -> Option<u64> {
    // Rust would accept a sign here.
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// Parses `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`. A number that overflows stays a string.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    if !mantissa_fits || !exponent_fits {
        return None;
    }
    text.parse::<f64>().ok().filter(|float| float.is_finite()).map(Scalar::Float)
}

/// Go's `FormatFloat(f, 'g', -1, 32)`, which converts a float to a key.
fn shortest_float32(float: f64) -> String {
    let float = float as f32;
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let shortest = format!("{float:e}");
    let fraction = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count() - 1;
    // If two shortest decimals are equally near, Go takes the even one, but the upper one at powers of two. The
    // standard library always takes the upper one, but rounds to even if the number of digits is given.
    let is_power = float.to_bits().trailing_zeros() >= f32::MANTISSA_DIGITS - 1;
    let scientific = if is_power { shortest } else { format!("{float:.fraction$e}") };
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
    } else {
        // With so few digits, they are also the shortest digits of the nearest double.
        scientific.parse::<f64>().map_or(scientific.clone(), |plain| plain.to_string())
    }
}

fn looks_like_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

/// Decodes standard base64 with padding, and ignores line breaks. As in Go, each byte that is not UTF-8 becomes U+FFFD.
fn decode_base64(text: &str) -> Result<String, Meaningless> {
    // Go ignores surplus bits of the last symbol.
    const LIKE_GO: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));
    let symbols: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    let bytes = LIKE_GO.decode(symbols).map_err(|_| Meaningless::Base64)?;
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn is(text: &str, expected: Value) {
        assert_eq!(resolve(text, true, None).unwrap().to_json().unwrap(), expected, "{text:?}");
    }

    #[test]
    fn integers() {
        for (text, int) in [
            ("010", 8),
            ("0o17", 15),
            ("0O17", 15),
            ("0b11", 3),
            ("0B1", 1),
            ("-0b11", -3),
            ("0x1F", 31),
            ("-0X1f", -31),
            ("1_000", 1000),
            ("1__0_", 10),
            ("+12", 12),
            ("-0", 0),
            ("00", 0),
            ("0_7", 7),
            ("0b-1", -1),
            ("0b+1", 1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            is(text, json!(int));
        }
    }

    #[test]
    fn floats() {
        for (text, float) in [
            ("1.5", 1.5),
            (".5", 0.5),
            (".5_5", 0.55),
            ("-.5", -0.5),
            ("1e-3", 0.001),
            ("18446744073709551615", 18446744073709551615.0),
            ("1_0.5", 10.5),
            ("99999999999999999999", 1e20),
            ("-9223372036854775809", -9223372036854775808.0),
        ] {
            is(text, json!(float));
        }
        for (text, int) in [
            ("1.0", 1),
            ("1e3", 1000),
            ("1.", 1),
            ("-0.0", 0),
            ("089", 89),
            ("08", 8),
            ("+1E+2", 100),
            (".0", 0),
            ("1234567890123456789.0", 1234567890123456800i64),
        ] {
            is(text, json!(int));
        }
    }

    #[test]
    fn words() {
        for text in ["y", "Y", "yes", "on", "On", "TRUE"] {
            is(text, json!(true));
        }
        for text in ["n", "N", "no", "NO", "off", "False"] {
            is(text, json!(false));
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            is(text, json!(null));
        }
    }

    #[test]
    fn strings() {
        for text in [
            "yEs",
            "nO",
            "oN",
            "nULL",
            "0o8",
            "0x",
            "0b",
            "0b2",
            "1e999",
            ".5e999",
            "._5",
            ".5_",
            "5_.e",
            "1:30",
            "2001-01-01",
            "<<",
            "+",
            "-",
            "_1",
            "1.2.3",
            "0x1.8p3",
            ".",
            "..",
            "inf",
            "NaN",
            "Infinity",
            "+_",
            "-0b-1",
            "--1",
            "1e",
            "1e+",
            "=",
        ] {
            is(text, json!(text));
        }
    }

    #[test]
    fn what_json_cannot_hold() {
        for text in [".nan", ".inf", "-.INF"] {
            assert!(resolve(text, true, None).unwrap().to_json().is_err());
        }
    }

    #[test]
    fn tags() {
        let tagged = |tag: &str, text: &str| resolve(text, true, Some(&format!("tag:yaml.org,2002:{tag}")));
        assert_eq!(tagged("str", "1"), Ok(Scalar::Str("1".into())));
        assert_eq!(tagged("int", "0x10"), Ok(Scalar::Int(16)));
        assert_eq!(tagged("float", "1"), Ok(Scalar::Float(1.0)));
        assert_eq!(tagged("bool", "yes"), Ok(Scalar::Bool(true)));
        assert_eq!(tagged("null", ""), Ok(Scalar::Null));
        assert_eq!(tagged("binary", "aGk="), Ok(Scalar::Str("hi".into())));
        assert_eq!(tagged("binary", "/w=="), Ok(Scalar::Str("\u{fffd}".into())));
        assert_eq!(tagged("set", "1"), Ok(Scalar::Str("1".into())));
        assert_eq!(resolve("1", true, Some("!mine")), Ok(Scalar::Str("1".into())));
        assert_eq!(resolve("1", false, None), Ok(Scalar::Str("1".into())));
        for (tag, text) in [
            ("int", "x"),
            ("int", "1.5"),
            ("bool", "1"),
            ("null", "x"),
            ("binary", "a"),
            ("binary", "a=bc"),
            ("binary", "aa==aa=="),
        ] {
            assert!(tagged(tag, text).is_err(), "{tag} {text}");
        }
    }

    #[test]
    fn keys() {
        let key = |text: &str| resolve(text, true, None).unwrap().to_key();
        for (text, expected) in [
            ("1", "1"),
            ("010", "8"),
            ("yes", "true"),
            ("1.5", "1.5"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1e6", "1e+06"),
            ("123456.0", "123456"),
            ("1e-5", "1e-05"),
            ("3000000.25", "3.0000002e+06"),
            ("-2097153.25", "-2.0971532e+06"),
            ("3000000.75", "3.0000008e+06"),
            ("131072.015625", "131072.02"),
            ("131072.046875", "131072.05"),
            ("0.000244140625", "0.00024414063"),
            (".inf", ".inf"),
        ] {
            assert_eq!(key(text).unwrap(), expected);
        }
        assert!(key("~").is_err());
        assert!(key("18446744073709551615").is_err());
    }
}
