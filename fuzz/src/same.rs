//! Compares our reader with serde_json's, except for the intended differences.

use serde_json::{Number, Value};

/// Errors of serde_json for text that Plimsoll accepts (see `plimsoll_flat::json::from_json`). serde_json distinguishes
/// its errors only by their text.
const WIDER: [&str; 4] = [
    "recursion limit exceeded",
    "number out of range",
    // Half a surrogate pair, either half.
    "lone leading surrogate in hex escape",
    "unexpected end of hex escape",
];

/// Whether Plimsoll may accept a text that serde_json rejects with this error.
pub(crate) fn is_wider(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    WIDER.iter().any(|wider| text.starts_with(wider))
}

/// Equality, except that Plimsoll keeps an integer exactly where serde_json has rounded it to a double.
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

/// Every pointer into a value, at most `most`. The root's `""` is the first.
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
