//! A cursor over an object that also stands at places that do not exist.

use plimsoll_flat::{Kind, Node};

use crate::fault::Place;

/// Maximum number of names that a place remembers below the nearest value that exists.
const MISSING: usize = 3;

/// A place of an object, with its value if it has one. `null` counts as absent, as the API server reads it.
///
/// It is a few words that are copied freely; the pointer is worked out only where a fault is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// The nearest value that exists: the value itself, its `null`, or an ancestor.
    near: Node<'a>,
    present: bool,
    missing: [&'static str; MISSING],
}

impl<'a> At<'a> {
    /// The place of the whole object.
    pub(crate) fn root(node: Node<'a>) -> Self {
        Self::of(node)
    }

    fn of(node: Node<'a>) -> Self {
        Self { near: node, present: !node.is_null(), missing: [""; MISSING] }
    }

    /// The place of a field of this object.
    pub(crate) fn at(&self, name: &'static str) -> Self {
        if self.present
            && let Some(node) = self.near.get(name)
        {
            return Self::of(node);
        }
        let mut child = Self { present: false, ..*self };
        if let Some(free) = child.missing.iter_mut().find(|name| name.is_empty()) {
            *free = name;
        }
        child
    }

    /// The place of a field by its path, such as `["spec", "template"]`.
    pub(crate) fn path(&self, names: &[&'static str]) -> Self {
        names.iter().fold(*self, |at, name| at.at(name))
    }

    /// The place of the value of this key of a map, if the map has the key.
    pub(crate) fn entry(&self, key: &str) -> Option<Self> {
        self.node()?.get(key).map(Self::of)
    }

    /// The place of an item of this list, if the list has it.
    pub(crate) fn item(&self, index: usize) -> Option<Self> {
        self.node()?.item(index).map(Self::of)
    }

    /// The members of this object, also those that are `null`; nothing of other values.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        self.near
            .members()
            .filter({
                let present = self.present;
                move |_| present
            })
            .map(|(key, node)| (key, Self::of(node)))
    }

    /// The items of this list; nothing of other values. An item that is `null` is a place without a value: the API
    /// server reads an object without fields, an empty text or 0.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        self.near
            .items()
            .filter({
                let present = self.present;
                move |_| present
            })
            .map(Self::of)
    }

    /// How many items or members the value has; 0 of other values.
    pub(crate) fn count(&self) -> usize {
        self.node().map_or(0, Node::len)
    }

    /// The value, unless it is absent or `null`.
    pub(crate) fn node(&self) -> Option<Node<'a>> {
        self.present.then_some(self.near)
    }

    /// Whether there is a value that is not `null`, of whatever type.
    pub(crate) fn is_present(&self) -> bool {
        self.present
    }

    /// Whether there is no value, or `null`.
    pub(crate) fn is_absent(&self) -> bool {
        !self.present
    }

    /// Whether the API server reads this as the zero value: absent, `null`, `""`, 0, `false`, an empty list or object.
    pub(crate) fn is_zero(&self) -> bool {
        self.node().is_none_or(|node| match node.kind() {
            Kind::Null => true,
            Kind::Bool => node.as_bool() == Some(false),
            Kind::Number => node.as_f64() == Some(0.0),
            Kind::String => node.as_str() == Some(""),
            Kind::Array | Kind::Object => node.len() == 0,
        })
    }

    /// The kind of the value; `None` of an absent one.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.node().map(Node::kind)
    }

    /// The text of a string.
    pub(crate) fn str(&self) -> Option<&'a str> {
        self.node()?.as_str()
    }

    /// The text of a string; `""` of anything else, as the API server reads an absent string.
    pub(crate) fn text(&self) -> &'a str {
        self.str().unwrap_or_default()
    }

    /// The value of a whole number.
    pub(crate) fn int(&self) -> Option<i64> {
        self.node()?.as_i64()
    }

    /// The truth value of a boolean.
    pub(crate) fn bool(&self) -> Option<bool> {
        self.node()?.as_bool()
    }

    /// Whether the value is the boolean `true`.
    pub(crate) fn is_true(&self) -> bool {
        self.bool() == Some(true)
    }

    /// Whether the value is an object.
    pub(crate) fn is_object(&self) -> bool {
        self.kind() == Some(Kind::Object)
    }

    /// Whether the value is a list.
    pub(crate) fn is_list(&self) -> bool {
        self.kind() == Some(Kind::Array)
    }

    /// The pointer (RFC 6901) of the nearest value that exists.
    pub(crate) fn pointer(&self) -> String {
        self.near.pointer()
    }

    /// The place in the words of a fault.
    pub(crate) fn place(&self) -> Place {
        let missing: Vec<&str> = self.missing.into_iter().filter(|name| !name.is_empty()).collect();
        Place { pointer: self.near.pointer(), missing: missing.join("/") }
    }
}
