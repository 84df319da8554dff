//! Calls of a writer in any order: rejected, or the document has exactly what was written.

use plimsoll_flat::json::from_json;
use plimsoll_flat::{Node, Number, Writer, validate};
use serde_json::{Map, Value};

use crate::same::means;
use crate::script::Script;

/// Calls of a writer.
pub const TARGET: crate::Target = crate::Target { name: "flat_writer", run, words: &[], bounded: 60_000 };

const TEXTS: [&str; 8] = [
    "",
    "a",
    "b",
    "\0",
    "é😀",
    "a long key, longer than eight bytes",
    "a long kez, longer than eight bytes",
    "~/\"\\\n",
];

const NUMBERS: [&str; 16] = [
    "0",
    "-0",
    "1e0",
    "0.1",
    "1e400",
    "-1e-400",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "9007199254740993.0",
    "1.7976931348623157e308",
    "5e-324",
    "0.12345678901234567890",
    "01",
    "1.",
    "+1",
];

/// The meaning of the calls so far. `sound` is false after a wrong call.
struct Model {
    /// The open containers, each with its next key.
    open: Vec<(Value, Option<String>)>,
    root: Option<Value>,
    sound: bool,
    /// Whether a value was written that serde_json's values cannot hold.
    beyond: bool,
}

fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut writer = Writer::with_capacity(script.below(256));
    let mut model = Model { open: Vec::new(), root: None, sound: true, beyond: false };
    while !script.is_over() {
        step(&mut script, &mut writer, &mut model);
    }
    let complete = model.sound && model.open.is_empty();
    if model.beyond {
        let finished = writer.finish();
        assert!(finished.is_err() || finished.is_ok_and(|document| validate(&document).is_ok()));
        return;
    }
    match (writer.finish(), model.root.filter(|_| complete)) {
        (Ok(document), Some(expected)) => {
            assert_eq!(validate(&document), Ok(()));
            let root = Node::root(&document).expect("a valid document has a root");
            let said = serde_json::to_value(root).expect("serde_json can hold all numbers");
            assert!(means(&said, &expected), "{said} is not {expected}");
        }
        (Ok(document), None) => panic!("finished: {:?}", Node::root(&document)),
        (Err(error), Some(expected)) => panic!("the writer rejected {expected}: {error}"),
        (Err(_), None) => {}
    }
}

fn step(script: &mut Script<'_>, writer: &mut Writer, model: &mut Model) {
    match script.below(16) {
        0 => {
            writer.null();
            model.value(Value::Null);
        }
        1 => {
            let value = script.below(2) == 1;
            writer.bool(value);
            model.value(value.into());
        }
        2 => {
            let value = i64::from_le_bytes(eight(script));
            writer.i64(value);
            model.value(value.into());
        }
        3 => {
            let value = u64::from_le_bytes(eight(script));
            writer.u64(value);
            model.value(value.into());
        }
        4 => {
            let value = f64::from_le_bytes(eight(script));
            writer.f64(value);
            // JSON has no NaN.
            match serde_json::Number::from_f64(value) {
                Some(number) => model.value(number.into()),
                None => model.sound = false,
            }
        }
        5 => {
            let text = script.pick(&NUMBERS).copied().unwrap_or_default();
            writer.number_text(text);
            model.number(text);
        }
        6 => {
            let length = script.below(24);
            let text = String::from_utf8_lossy(script.take(length)).into_owned();
            writer.number_text(&text);
            model.number(&text);
        }
        7 => {
            let text = script.pick(&TEXTS).copied().unwrap_or_default();
            writer.string(text);
            model.value(text.into());
        }
        8 => {
            writer.begin_array();
            model.begin(Value::Array(Vec::new()));
        }
        9 => {
            writer.begin_object();
            model.begin(Value::Object(Map::new()));
        }
        10 | 11 => {
            writer.end();
            model.end();
        }
        12 => {
            let text = script.pick(&TEXTS).copied().unwrap_or_default();
            writer.key(text);
            model.key(text.to_owned());
        }
        13 => {
            // Enough keys for a sorted permutation.
            let text = format!("k{}", script.byte());
            writer.key(&text);
            model.key(text);
        }
        14 => {
            let length = script.below(64);
            let text = script.take(length);
            let Ok(document) = from_json(text) else { return };
            let node = Node::root(&document).expect("a parsed document has a root");
            writer.node(node);
            match serde_json::to_value(node) {
                Ok(value) => model.value(value),
                Err(_) => model.beyond = true,
            }
        }
        _ => {
            // Bytes that were not validated.
            let length = script.below(64);
            let mut document = vec![plimsoll_flat::VERSION];
            document.extend_from_slice(script.take(length));
            let Ok(node) = Node::root(&document) else { return };
            let mut alone = Writer::new();
            alone.node(node);
            let sound = alone.finish();
            assert!(validate(&document).is_err() || sound.is_ok(), "{sound:?}");
            writer.node(node);
            match sound.ok().and_then(|_| serde_json::to_value(node).ok()) {
                Some(value) => model.value(value),
                None => model.beyond = true,
            }
        }
    }
}

fn eight(script: &mut Script<'_>) -> [u8; 8] {
    let mut bytes = [0; 8];
    let piece = script.take(8);
    bytes[..piece.len()].copy_from_slice(piece);
    bytes
}

impl Model {
    fn number(&mut self, text: &str) {
        let ours = Number::parse(text);
        match serde_json::from_str::<Value>(text) {
            Ok(value) if value.is_number() && text.trim() == text => {
                assert!(ours.is_some(), "{text:?} is a number");
                self.value(value);
            }
            // A number beyond all doubles: our document can hold it, serde_json's value cannot.
            Err(error) if crate::same::is_wider(&error) => self.beyond = true,
            _ => {
                assert!(ours.is_none(), "{text:?} is no number");
                self.sound = false;
            }
        }
    }

    fn value(&mut self, value: Value) {
        match self.open.last_mut() {
            None if self.root.is_none() => self.root = Some(value),
            Some((Value::Array(items), _)) => items.push(value),
            Some((Value::Object(map), key @ Some(_))) => drop(map.insert(key.take().unwrap_or_default(), value)),
            _ => self.sound = false,
        }
    }

    fn begin(&mut self, empty: Value) {
        let fits = match self.open.last() {
            None => self.root.is_none(),
            Some((Value::Object(_), key)) => key.is_some(),
            Some(_) => true,
        };
        self.sound &= fits && self.open.len() < plimsoll_flat::MAX_DEPTH;
        self.open.push((empty, None));
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some((value, None)) => self.value(value),
            _ => self.sound = false,
        }
    }

    fn key(&mut self, text: String) {
        match self.open.last_mut() {
            Some((Value::Object(_), key @ None)) => *key = Some(text),
            _ => self.sound = false,
        }
    }
}
