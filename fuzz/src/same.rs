//! Whether our reader and serde_json's read the same, apart from the differences that are meant.

use serde_json::{Number, Value};

/// What serde_json refuses and Plimsoll reads (see `plimsoll_flat::json::from_json`). serde_json tells its errors apart by
/// their text only.
const WIDER: [&str; 4] = [
    "recursion limit exceeded",
    "number out of range",
    // Half a surrogate pair, either half.
    "lone leading surrogate in hex escape",
    "unexpected end of hex escape",
];

/// Whether it is right that serde_json refuses a text with this error, and Plimsoll reads it.
pub(crate) fn is_wider(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    WIDER.iter().any(|wider| text.starts_with(wider))
}

/// Equality, but that we keep an integer exactly where serde_json has rounded it to a double.
pub(crate) fn means(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours == theirs || rounded(ours, theirs),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| means(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|((name, ours), (other, theirs))| name == other && means(ours, theirs))
        }
        _ => ours == theirs,
    }
}

fn rounded(ours: &Number, theirs: &Number) -> bool {
    !ours.is_f64() && theirs.is_f64() && ours.as_f64() == theirs.as_f64()
}

/// Every pointer into a value, the root's `""` first, at most `most`.
pub(crate) fn pointers(value: &Value, most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut nodes = vec![value];
    let mut next = 0;
    while next < all.len() && all.len() < most {
        let (at, node) = (all[next].clone(), nodes[next]);
        let mut push = |token: &str, child| {
            all.push(format!("{at}/{}", escaped(token)));
            nodes.push(child);
        };
        match node {
            Value::Object(map) => map.iter().for_each(|(name, child)| push(name, child)),
            Value::Array(items) => items.iter().enumerate().for_each(|(index, child)| push(&index.to_string(), child)),
            _ => {}
        }
        next += 1;
    }
    all
}

/// A key as a token of a pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
