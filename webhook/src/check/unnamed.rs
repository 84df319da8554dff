//! Objects without a name, for example with `generateName`. The API server generates their names later. Until then,
//! each gets a name that contains its place, so that no two objects have the same name.

use serde_json::Value;

/// Name for policies and messages of an object in this file and line: `web-* (k8s/web.yaml:12)`. `item` is the pointer to
/// an item of a List, because several items can be in one line.
pub(super) fn name(object: &Value, file: &str, line: usize, item: &str) -> String {
    let prefix = object.pointer("/metadata/generateName").and_then(Value::as_str).filter(|prefix| !prefix.is_empty());
    let item = item.rsplit_once('/').map(|(_, index)| format!(", items[{index}]")).unwrap_or_default();
    match prefix {
        Some(prefix) => format!("{prefix}* ({file}:{line}{item})"),
        None => format!("({file}:{line}{item})"),
    }
}
