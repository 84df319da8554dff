//! Tables of changes to valid objects, with the fault that each makes.

mod cluster;
mod config;
mod network;
mod patterns;
mod placement;
mod pods;
mod storage;
mod versions;
mod volumes;
mod workloads;

use plimsoll_flat::{Node, json};
use serde_json::{Value, json};

use crate::{Fault, Rule, Severity, Version, judge};

/// A change, the rule that it breaks, and the place of the fault. The change is a pointer and the value that is put
/// there; `()` removes what is there. A place that does not exist is written behind a space.
type Row = (&'static str, Value, Rule, &'static str);

/// Checks that a valid object has no fault, and that each change makes the fault. Pointers begin at `prefix`.
#[track_caller]
fn errors(object: &Value, prefix: &str, rows: &[Row]) {
    expect(object, prefix, rows, Severity::Error);
}

/// The same for warnings, which leave the object valid.
#[track_caller]
fn warnings(object: &Value, prefix: &str, rows: &[Row]) {
    expect(object, prefix, rows, Severity::Warning);
}

#[track_caller]
fn expect(object: &Value, prefix: &str, rows: &[Row], severity: Severity) {
    silent(object);
    for (pointer, value, rule, place) in rows {
        let mut changed = object.clone();
        put(&mut changed, &format!("{prefix}{pointer}"), value);
        let faults = faults(&changed, 36);
        let wanted = format!("{prefix}{place}");
        let found = faults.iter().any(|fault| {
            let at = match fault.at.missing.as_str() {
                "" => fault.at.pointer.clone(),
                missing => format!("{} {missing}", fault.at.pointer),
            };
            (fault.rule, at.as_str(), fault.severity) == (*rule, &wanted, severity)
        });
        assert!(found, "{pointer} = {value}: no {rule:?} at `{wanted}` in {faults:#?}");
        let errors = faults.iter().filter(|fault| fault.severity == Severity::Error);
        assert!(severity == Severity::Error || errors.count() == 0, "{pointer} = {value}: {faults:#?}");
    }
}

/// Checks that the object has no fault at all.
#[track_caller]
fn silent(object: &Value) {
    let faults = faults(object, 36);
    assert!(faults.is_empty(), "{object}: {faults:#?}");
}

/// Checks that each change leaves the object without an error.
#[track_caller]
fn fine(object: &Value, prefix: &str, rows: &[(&str, Value)]) {
    for (pointer, value) in rows {
        let mut changed = object.clone();
        put(&mut changed, &format!("{prefix}{pointer}"), value);
        let faults = faults(&changed, 36);
        let errors = faults.iter().filter(|fault| fault.severity == Severity::Error).count();
        assert_eq!(errors, 0, "{pointer} = {value}: {faults:#?}");
    }
}

fn faults(object: &Value, minor: u16) -> Vec<Fault> {
    let document = json::from_json(object.to_string().as_bytes()).unwrap();
    judge(Node::root(&document).unwrap(), Version { minor }).faults
}

/// Whether a server of this version refuses the object.
fn refused(object: &Value, minor: u16) -> bool {
    faults(object, minor).iter().any(|fault| fault.severity == Severity::Error)
}

/// Puts a value at a pointer. `"()"` removes what is there, and `-` behind the last `/` is the end of a list.
fn put(object: &mut Value, pointer: &str, value: &Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("`{pointer}` has no parent"));
    match parent {
        Value::Object(members) if *value == json!("()") => drop(members.remove(&key)),
        Value::Object(members) => drop(members.insert(key, value.clone())),
        Value::Array(items) if key == "-" => items.push(value.clone()),
        Value::Array(items) if *value == json!("()") => drop(items.remove(key.parse().unwrap())),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
        _ => panic!("`{pointer}` is inside of a scalar"),
    }
}

/// A Pod with one container.
fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.29"}]},
    })
}
