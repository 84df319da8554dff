//! Objects without a name, for example with `generateName`. The API server generates their names later. Until then,
//! each gets a name that contains its place, so that no two objects have the same name.

use serde_json::Value;

/// Name for policies and messages of an object in this file and line: `web-* (k8s/web.yaml:12)`. `item` is the pointer to
/// an item of a List, because several items can be in one line: `web-* (k8s/web.yaml:12, items[0].items[1])`.
pub(super) fn name(object: &Value, file: &str, line: usize, item: &str) -> String {
    let prefix = object.pointer("/metadata/generateName").and_then(Value::as_str).filter(|prefix| !prefix.is_empty());
    let indices: Vec<String> = item
        .split('/')
        .filter_map(|index| index.parse::<usize>().ok())
        .map(|index| format!("items[{index}]"))
        .collect();
    let item = if indices.is_empty() { String::new() } else { format!(", {}", indices.join(".")) };
    match prefix {
        Some(prefix) => format!("{prefix}* ({file}:{line}{item})"),
        None => format!("({file}:{line}{item})"),
    }
}
