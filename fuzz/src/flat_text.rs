//! JSON text to a document and back, compared with serde_json.

use plimsoll_flat::json::{JsonErrorKind, from_json, from_json_omitting};
use plimsoll_flat::{Node, to_document, validate};
use serde_json::Value;

use crate::same::{is_wider, means};

/// Any bytes as JSON text.
pub const TARGET: crate::Target = crate::Target { name: "flat_text", run, words: WORDS, bounded: 60_000 };

const WORDS: &[&str] = &[
    "null",
    "true",
    "false",
    "-0",
    "1e400",
    "1E-400",
    "18446744073709551615",
    "9223372036854775808",
    "0.1e-7",
    "-9223372036854775808",
    "123456789012345678901234567890",
    "9007199254740993.0",
    "\\ud800",
    "\\udc00",
    "\\u0000",
    "\\ud83d\\ude00",
    "\"a\":",
    "\"a\":{\"b\":",
    "\"\":",
    "{\"a\":1,\"a\":2}",
    "[[[[[[[[",
    "]]]]]]]]",
    "\\n",
    "\\\"",
    "\\/",
    "é",
    "😀",
    "\u{feff}",
    "{\"k0\":0,\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":6,\"k7\":7,\"k8\":8,\"k9\":9,\"ka\":1,\"kb\":2,\"kc\":3,\"kd\":4,\"ke\":5,\"kf\":6,\"k0\":7}",
];

fn run(text: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(text);
    let document = match (from_json(text), &theirs) {
        (Ok(document), Err(error)) => {
            assert!(is_wider(error), "read, but serde_json says: {error}");
            document
        }
        (Ok(document), Ok(_)) => document,
        (Err(error), theirs) => {
            assert!(
                error.offset <= text.len() && error.line >= 1 && error.column >= 1,
                "{error:?} is outside of the text"
            );
            let limit = matches!(error.kind, JsonErrorKind::TooDeep | JsonErrorKind::TooManyNodes);
            assert!(theirs.is_err() || limit, "Plimsoll rejects the text, but serde_json reads it: {error}");
            return;
        }
    };
    assert_eq!(validate(&document), Ok(()));
    let root = Node::root(&document).expect("a valid document has a root");
    let printed = root.to_json();
    let again = from_json(printed.as_bytes()).expect("the printed text is JSON");
    let root_again = Node::root(&again).expect("a valid document has a root");
    assert_eq!(root, root_again);
    assert_eq!(printed, root_again.to_json());
    assert_eq!(validate(&root.to_document()), Ok(()));
    if let Ok(theirs) = theirs {
        let ours = serde_json::to_value(root).expect("serde_json can hold a value that it reads");
        assert!(means(&ours, &theirs), "{ours} is not {theirs}");
        let written = to_document(&ours).expect("a value can be written");
        assert_eq!(validate(&written), Ok(()));
        assert!(means(&serde_json::to_value(Node::root(&written).expect("a root")).expect("a value"), &ours));
        omitted(text, &theirs);
    }
}

/// Omits two members, at paths that depend on the text.
fn omitted(text: &[u8], whole: &Value) {
    let mut path = Vec::new();
    let mut at = whole;
    while let Some(map) = at.as_object().filter(|map| !map.is_empty() && path.len() < 4) {
        let Some((name, child)) = map.iter().nth(text.len() % map.len()) else { break };
        path.push(name.as_str());
        at = child;
    }
    let other = ["a", "b"];
    // Omitting a value inside another omitted value is not defined.
    let apart = !path.is_empty() && !path.starts_with(&other) && !other.starts_with(&path);
    let paths: &[&[&str]] = if apart { &[&path, &other] } else { &[if path.is_empty() { &other } else { &path }] };
    let (document, ranges) = from_json_omitting(text, paths).expect("the whole of it could be read");
    assert_eq!(validate(&document), Ok(()));
    let mut expected = whole.clone();
    let found: Vec<Option<Value>> = paths.iter().map(|path| take(&mut expected, path)).collect();
    let ours = serde_json::to_value(Node::root(&document).expect("a root")).expect("a value");
    assert!(means(&ours, &expected), "without {paths:?}: {ours} is not {expected}");
    let value = |range: std::ops::Range<usize>| serde_json::from_slice(&text[range]).expect("a range is a value");
    let values: Vec<Option<Value>> = ranges.into_iter().map(|range| range.map(value)).collect();
    assert_eq!(values, found, "{paths:?}");
}

/// Removes the member at a path through objects, and returns it.
fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    parents.iter().try_fold(value, |at, name| at.as_object_mut()?.get_mut(*name))?.as_object_mut()?.remove(*last)
}
