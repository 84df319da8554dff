//! Objects without a name, for example with `generateName`. The API server generates their names later. Until then,
//! each gets a name that contains its place, so that no two objects have the same name.

use serde_json::Value;

/// Name for policies and messages of an object in this file and line: `web-* (k8s/web.yaml:12)`.
pub(super) fn name(object: &Value, file: &str, line: usize) -> String {
    let prefix = object.pointer("/metadata/generateName").and_then(Value::as_str).filter(|prefix| !prefix.is_empty());
    match prefix {
        Some(prefix) => format!("{prefix}* ({file}:{line})"),
        None => format!("({file}:{line})"),
    }
}
