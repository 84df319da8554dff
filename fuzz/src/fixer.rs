//! Edits of YAML files: rejected, or exact, and every other byte of the file stays.
//!
//! The first line of an input selects the edits, with four characters for each edit: the kind, the place in the
//! document, a suffix for that place, and the value. The rest of the input is the file.

use plimsoll::model::{Edit, edit};
use plimsoll::yaml::splice::{self, Reason, Spliced};
use plimsoll::yaml::{Document, SyntaxError, read};
use serde_json::{Value, json};

use crate::same::pointers;
use crate::script::Script;
use crate::yaml::WORDS;

/// Edits and a file.
pub const TARGET: crate::Target = crate::Target { name: "fixer", run, words: WORDS, bounded: 15_000 };

const BELOW: [&str; 8] = ["", "/new", "/new/deeper", "/no", "/a b/1", "/0", "/-", "/~0~1"];

const TEXTS: [&str; 16] = [
    "x",
    "no",
    "010",
    "",
    "a: b",
    "x #y",
    "it's",
    "two\nlines\n",
    "two\nlines",
    "\n",
    " pad ",
    "é😀",
    "\t",
    "null",
    "# c",
    "- a",
];

fn run(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let text = String::from_utf8_lossy(input.get(end + 1..).unwrap_or_default());
    let before = read(&text);
    let readable: Vec<usize> = (0..before.len()).filter(|index| before[*index].is_ok()).collect();
    let mut script = Script::new(&input[..end]);
    let Some(Ok(document)) = script.pick(&readable).map(|index| &before[*index]) else {
        // The document cannot be edited, so the text stays.
        let spliced = splice::apply(&text, &[(0, vec![Edit::Add { pointer: "/a".to_owned(), value: json!(1) }])]);
        assert_eq!((spliced.text.as_str(), spliced.refused.len()), (&*text, 1));
        return;
    };
    let index = before
        .iter()
        .position(|other| other.as_ref().is_ok_and(|other| other.range() == document.range()))
        .unwrap_or_default();
    let mut edits = Vec::new();
    while edits.len() < 3 && (edits.is_empty() || !script.is_over()) {
        edits.push(choose(&mut script, document.value()));
    }
    let spliced = splice::apply(&text, &[(index, edits.clone())]);
    let mut expected = document.value().clone();
    let fits = edit::apply(&mut expected, &edits);
    match spliced.refused.first() {
        Some(refusal) => {
            assert_eq!(spliced.text, text, "the edits were rejected, but the text changed");
            assert!(spliced.changes.is_empty());
            match &refusal.reason {
                Reason::Edit(error) => assert!(fits.is_err(), "{error}, but the edits fit"),
                Reason::Unreadable | Reason::NoDocument => panic!("{}", refusal.reason),
                _ => {}
            }
        }
        None => {
            fits.unwrap_or_else(|error| panic!("{error}, but it was edited: {:?}", spliced.text));
            edited(&text, &before, &spliced, index, &expected);
            twice(&text, document, &edits, index, &spliced);
        }
    }
}

fn choose(script: &mut Script<'_>, object: &Value) -> Edit {
    let kind = script.below(6);
    let places = pointers(object, 200);
    let mut pointer = script.pick(&places).cloned().unwrap_or_default();
    pointer.push_str(script.pick(&BELOW).copied().unwrap_or_default());
    let value = value(script.below(32));
    match kind {
        0 | 1 => Edit::Add { pointer, value },
        2 => Edit::Append { pointer, value },
        3 => Edit::Replace { pointer, value },
        _ => Edit::Remove { pointer },
    }
}

fn value(choice: usize) -> Value {
    match choice {
        0..16 => TEXTS[choice].into(),
        16 => Value::Null,
        17 => true.into(),
        18 => json!(-7),
        19 => json!(0.5),
        20 => json!(1e30),
        21 => json!([]),
        22 => json!({}),
        23 => json!([1, "two", {"three": 3}]),
        24 => json!({"a": {"b": [{"c": "no"}], "d": null}, "e": "x\ny\n"}),
        25 => json!([[1], []]),
        26 => json!({"": {"# c": "- "}}),
        27 => json!([{"a": 1, "b": 2}]),
        28 => json!(u64::MAX),
        29 => json!({"long": "x".repeat(200)}),
        30 => json!([{}]),
        _ => json!({"a": "two\nlines"}),
    }
}

/// The document has the values of the edits, and every other byte is unchanged.
fn edited(text: &str, before: &[Result<Document, SyntaxError>], spliced: &Spliced, index: usize, expected: &Value) {
    let after = read(&spliced.text);
    assert_eq!(after.len(), before.len(), "{:?}", spliced.text);
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        match (before, after) {
            (Ok(_), Ok(after)) if number == index => {
                assert!(equals(after.value(), expected), "{} is not {expected} in {:?}", after.value(), spliced.text);
            }
            (Ok(before), Ok(after)) => {
                assert_eq!(before.value(), after.value());
                assert_eq!(text[before.range()], spliced.text[after.range()]);
            }
            (Err(before), Err(after)) => assert_eq!(before.message, after.message),
            _ => panic!("another document can be read, or no longer: {:?}", spliced.text),
        }
    }
    let range = before[index].as_ref().map(Document::range).unwrap_or_default();
    assert!(spliced.changes.len() <= 1);
    let mut again = spliced.text.clone();
    for change in &spliced.changes {
        assert!(
            range.start <= change.range.start && change.range.end <= range.end,
            "{change:?} is outside of {range:?}"
        );
        again.replace_range(
            change.range.start..change.range.start + change.replacement.len(),
            &text[change.range.clone()],
        );
    }
    assert_eq!(again, text, "undoing the changes must give the old file");
}

/// Compares values as they come back from a file: an integer beyond 64 bits is a double, as for the API server, and
/// `1.0` equals 1.
fn equals(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => found == expected || found.as_f64() == expected.as_f64(),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| equals(found, expected))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|((name, found), (other, expected))| name == other && equals(found, expected))
        }
        _ => found == expected,
    }
}

/// An addition of a missing value, as the fixer makes it. It only inserts text, and repeating it changes nothing.
fn twice(text: &str, document: &Document, edits: &[Edit], index: usize, once: &Spliced) {
    let [Edit::Add { pointer, .. }] = edits else { return };
    if document.value().pointer(pointer).is_some() {
        return;
    }
    let again = splice::apply(&once.text, &[(index, edits.to_vec())]);
    assert!(again.text == once.text, "twice:\n{:?}\nonce:\n{:?}", again.text, once.text);
    let mut parents = pointer.as_str();
    let mut inserts = true;
    while let Some((parent, _)) = parents.rsplit_once('/') {
        inserts &= document.value().pointer(parent).is_none_or(|parent| !is_empty(parent));
        parents = parent;
    }
    if inserts {
        let head = text.bytes().zip(once.text.bytes()).take_while(|(left, right)| left == right).count();
        let tail = text.bytes().rev().zip(once.text.bytes().rev()).take_while(|(left, right)| left == right).count();
        assert!(head + tail >= text.len(), "more than an insertion:\n{text:?}\n{:?}", once.text);
    }
}

/// Whether an insertion into the value replaces all of its text.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
