//! Tells whether the author wrote a field, or whether it is a default of the API server.
//!
//! In a file, the author wrote every field. In the cluster, the entries of `managedFields` with operation Apply tell
//! it. Without such an entry, the last-applied annotation tells it. Without either, the answer is `Unknown`.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use plimsoll_flat::Node;
use serde_json::{Map, Value};

use crate::model::pointer::names;
use crate::model::review::{Aside, Origin};
use crate::model::{Knowledge, Review, Subject};

/// Answers for one review. The text that was set aside is parsed at the first question about it.
#[derive(Debug)]
pub struct Authorship {
    review: Arc<Review>,
    parsed: [OnceLock<Written>; 2],
}

impl Authorship {
    /// Parses nothing yet.
    pub fn new(review: Arc<Review>) -> Self {
        Self { review, parsed: [OnceLock::new(), OnceLock::new()] }
    }

    /// Whether the author wrote the value at this pointer.
    pub fn ask(&self, subject: Subject, pointer: &str) -> Knowledge {
        let (object, index) = match subject {
            Subject::Object => (self.review.object(), 0),
            Subject::OldObject => (self.review.old_object(), 1),
        };
        let Some(object) = object else { return Knowledge::Unknown };
        match &self.review.origin {
            Origin::File => {
                if object.at(pointer).is_some() {
                    Knowledge::Yes
                } else {
                    Knowledge::No
                }
            }
            Origin::Cluster(aside) => {
                let written = self.parsed[index].get_or_init(|| Written::parse(&aside[index]));
                written.ask(object, pointer)
            }
        }
    }
}

/// What `managedFields` and the last-applied annotation say about the authors of fields.
#[derive(Debug)]
struct Written {
    /// `fieldsV1` of each manager that applied, and of each manager that updated.
    applied: Vec<Map<String, Value>>,
    updated: Vec<Map<String, Value>>,
    last_applied: Option<Value>,
}

impl Written {
    fn parse(aside: &Aside) -> Self {
        let managed: Vec<Value> = parse(aside.managed_fields.as_deref()).unwrap_or_default();
        let fields = |operation: &str| {
            managed
                .iter()
                .filter(|entry| entry.get("operation").and_then(Value::as_str) == Some(operation))
                .filter(|entry| entry.get("subresource").is_none())
                .filter_map(|entry| entry.get("fieldsV1")?.as_object().cloned())
                .collect()
        };
        let text: Option<String> = parse(aside.last_applied.as_deref());
        Self {
            applied: fields("Apply"),
            updated: fields("Update"),
            last_applied: text.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }

    fn ask(&self, object: Node<'_>, pointer: &str) -> Knowledge {
        let Some(steps) = steps(object, pointer) else { return Knowledge::Unknown };
        let owned = |managers: &[Map<String, Value>]| managers.iter().any(|fields| owns(fields, &steps));
        if !self.applied.is_empty() {
            return match (owned(&self.applied), owned(&self.updated)) {
                (true, _) => Knowledge::Yes,
                // Another manager wrote it. That can be a user, or a default that the manager sent back.
                (false, true) => Knowledge::Unknown,
                (false, false) => Knowledge::No,
            };
        }
        match &self.last_applied {
            Some(applied) => {
                if holds(applied, &steps) {
                    Knowledge::Yes
                } else {
                    Knowledge::No
                }
            }
            None => Knowledge::Unknown,
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: Option<&[u8]>) -> Option<T> {
    serde_json::from_slice(text?).ok()
}

/// One step down: a member, or a list item with the key that identifies it.
enum Step<'a> {
    Member(Cow<'a, str>),
    Item { index: usize, item: Option<Node<'a>> },
}

fn steps<'a>(object: Node<'a>, pointer: &'a str) -> Option<Vec<Step<'a>>> {
    let mut node = Some(object);
    let mut steps = Vec::new();
    for name in names(pointer) {
        match node.filter(|node| node.kind() == plimsoll_flat::Kind::Array) {
            Some(list) => {
                let index = name.parse().ok()?;
                node = list.item(index);
                steps.push(Step::Item { index, item: node });
            }
            None => {
                node = node.and_then(|node| node.get(&name));
                steps.push(Step::Member(name));
            }
        }
    }
    Some(steps)
}

/// Whether a manager's `fieldsV1` names this path. It names items by key (`k:{"name":"app"}`) or value (`v:…`).
fn owns(fields: &Map<String, Value>, steps: &[Step<'_>]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    let child = match step {
        Step::Member(name) => fields.get(&format!("f:{name}")),
        Step::Item { index, item } => fields.iter().find_map(|(name, child)| {
            let owned = match name.split_at_checked(2)? {
                ("k:", key) => {
                    let key: Map<String, Value> = serde_json::from_str(key).ok()?;
                    let item = (*item)?;
                    key.iter().all(|(name, value)| item.get(name).is_some_and(|found| same(found, value)))
                }
                ("v:", value) => {
                    item.is_some_and(|item| serde_json::from_str(value).is_ok_and(|value| same(item, &value)))
                }
                ("i:", number) => number.parse() == Ok(*index),
                _ => false,
            };
            owned.then_some(child)
        }),
    };
    match child {
        None => false,
        // The owner of an atomic value (`f:x: {}`) owns everything below it.
        Some(Value::Object(below)) => below.is_empty() || owns(below, rest),
        Some(_) => true,
    }
}

/// Whether a configuration has a value at this path. Items are found by name, or else by index.
fn holds(value: &Value, steps: &[Step<'_>]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return !value.is_null() };
    let child = match step {
        Step::Member(name) => value.get(&**name),
        Step::Item { index, item } => match item.and_then(|item| identity(item)) {
            Some((key, expected)) => value
                .as_array()
                .and_then(|items| items.iter().find(|item| item.get(key).is_some_and(|found| same(expected, found)))),
            None => value.get(index),
        },
    };
    child.is_some_and(|child| holds(child, rest))
}

/// The merge key of a list item, if its list has one in the API.
pub(crate) fn identity(item: Node<'_>) -> Option<(&'static str, Node<'_>)> {
    ["name", "containerPort", "mountPath", "port", "type", "topologyKey", "key", "ip"]
        .into_iter()
        .find_map(|key| Some((key, item.get(key)?)))
}

fn same(node: Node<'_>, value: &Value) -> bool {
    serde_json::to_value(node).is_ok_and(|found| found == *value)
}
