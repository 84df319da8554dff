//! Objects without a name, such as those with `generateName`: the API server makes their names up. Until then each has a
//! name that says where it stands, so that no two are taken for one.

use serde_json::Value;

/// What policies and messages call an object of this file and line: `web-* (k8s/web.yaml:12)`.
pub(super) fn name(object: &Value, file: &str, line: usize) -> String {
    let prefix = object.pointer("/metadata/generateName").and_then(Value::as_str).filter(|prefix| !prefix.is_empty());
    match prefix {
        Some(prefix) => format!("{prefix}* ({file}:{line})"),
        None => format!("({file}:{line})"),
    }
}
