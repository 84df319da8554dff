//! The same comparison for random values, texts and numbers.

use plimsoll_flat::{Node, Number, json};
use proptest::prelude::*;
use serde_json::Value;

use super::{assert_alike, flat};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn generated_values_read_alike(value in value(), seed in any::<u64>()) {
        let text = odd_text(&value, seed);
        let document = flat(&text);
        assert_alike(&document, &serde_json::from_str(&text).unwrap());
        assert_alike(&document, &value);
    }

    #[test]
    fn damaged_texts_are_judged_alike(value in value(), seed in any::<u64>(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut text = odd_text(&value, seed).into_bytes();
        let at = at.index(text.len());
        text[at] = with;
        let (flat, serde) = (json::from_json(&text), serde_json::from_slice::<Value>(&text));
        match (flat, serde) {
            // Not compared as documents: a damaged number may have more digits than `Value` keeps, or may be an integer
            // that no double holds.
            (Ok(document), Ok(value)) => {
                let node = Node::root(&document).unwrap();
                for read in [serde_json::from_str(&node.to_json()).unwrap(), serde_json::to_value(node).unwrap()] {
                    prop_assert_eq!(in_doubles(read), in_doubles(value.clone()));
                }
            }
            (Err(_), Err(_)) => {}
            // The intended differences: half a surrogate pair, and a number out of range.
            (Ok(_), Err(error)) => assert!(
                ["surrogate", "number out of range", "unexpected end of hex escape"].iter().any(|known| error.to_string().contains(known)),
                "{}: {error}", String::from_utf8_lossy(&text)
            ),
            (Err(error), Ok(_)) => panic!("{}: {error}", String::from_utf8_lossy(&text)),
        }
    }

    #[test]
    fn doubles_survive(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        assert_survives(value);
    }

    /// Many of these are exactly between two decimal numbers of the same length.
    #[test]
    fn doubles_of_few_places_survive(numerator in 0..1_i64 << 53, shorter in 0..24, halvings in 0..24) {
        assert_survives((numerator >> shorter) as f64 / f64::from(1 << halvings));
    }

    #[test]
    fn doubles_are_near_their_text(text in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?") {
        let document = flat(&text);
        let exact: f64 = text.parse().unwrap();
        let near = Node::root(&document).unwrap().as_f64();
        if exact.is_finite() && exact.abs() < 1e308 {
            let near = near.unwrap();
            prop_assert!((near - exact).abs() <= exact.abs() * 16.0 * f64::EPSILON + 1e-320, "{near} {exact}");
        } else if exact.is_infinite() && !text.contains("e308") {
            prop_assert!(near.is_none_or(|near| near.abs() > 1.7e308));
        }
    }

    #[test]
    fn written_numbers_keep_their_value(text in "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?") {
        let document = flat(&text);
        let printed = Node::root(&document).unwrap().to_json();
        let again = flat(&printed);
        prop_assert_eq!(Node::root(&document).unwrap(), Node::root(&again).unwrap());
        prop_assert_eq!(decimal(&text), decimal(&printed));
    }
}

/// As text and as a document, the value is the double that `serde_json` writes and reads.
fn assert_survives(value: f64) {
    let text = serde_json::to_string(&value).unwrap();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let scientific = format!("{mantissa}0E{exponent}");
    for text in [&text, if mantissa.contains('.') { &scientific } else { &text }] {
        let document = flat(text);
        let node = Node::root(&document).unwrap();
        assert!(matches!(node.number(), Some(Number::F64(read)) if read.to_bits() == value.to_bits()), "{text}");
        assert_eq!(decimal(&node.to_json()), decimal(text));
        assert_alike(&document, &Value::from(value));
    }
}

/// Sign, digits without zeros at the ends, and power of ten: a second, simple implementation for comparison.
fn decimal(text: &str) -> (bool, String, i64) {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let lower = text.to_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let stripped = digits.trim_end_matches('0');
    if stripped.is_empty() {
        return (sign, String::new(), 0);
    }
    let exponent = exponent.parse::<i64>().unwrap() - fraction.len() as i64 + (digits.len() - stripped.len()) as i64;
    (sign, stripped.into(), exponent)
}

/// Each number as its nearest double.
fn in_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.into_iter().map(in_doubles).collect(),
        Value::Object(members) => members.into_iter().map(|(key, value)| (key, in_doubles(value))).collect(),
        other => other,
    }
}

fn value() -> impl Strategy<Value = Value> {
    let key = prop_oneof!["[a-e]{0,2}", "[a-z./]{0,20}", any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-100i64..100).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 120, 30, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..10).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..30)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes `value` with unusual white space and escapes, and with some earlier duplicates.
fn odd_text(value: &Value, seed: u64) -> String {
    let mut odd = Odd { state: seed | 1, out: String::new() };
    odd.value(value);
    odd.out
}

struct Odd {
    state: u64,
    out: String,
}

impl Odd {
    fn pick(&mut self, choices: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % choices
    }

    fn space(&mut self) {
        for _ in 0..self.pick(3) {
            let space = [' ', '\t', '\n', '\r'][self.pick(4) as usize];
            self.out.push(space);
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            if character < ' ' || matches!(character, '"' | '\\') || self.pick(8) == 0 {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let hex = if self.pick(2) == 0 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
                    self.out.push_str(&hex);
                }
            } else {
                self.out.push(character);
            }
        }
        self.out.push('"');
    }

    fn value(&mut self, value: &Value) {
        self.space();
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.value(item);
                }
                self.space();
                self.out.push(']');
            }
            Value::Object(members) => {
                self.out.push('{');
                self.space();
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                        self.space();
                    }
                    if self.pick(6) == 0 {
                        self.string(key);
                        self.out.push_str(":[{}],");
                    }
                    self.string(key);
                    self.space();
                    self.out.push(':');
                    self.value(value);
                }
                self.space();
                self.out.push('}');
            }
            other => self.out.push_str(&other.to_string()),
        }
        self.space();
    }
}
