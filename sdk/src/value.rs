//! Values that a fix writes.

use plimsoll_flat::{Kind as Json, Node, Writer};

use crate::int_or_percent::IntOrPercent;
use crate::quantity::Quantity;

/// A JSON value that a policy builds. Members keep the order in which they are given.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Value); N]) -> Self {
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A list of these items.
    pub fn list<const N: usize>(items: [Value; N]) -> Self {
        Value::List(items.into())
    }

    /// A copy of a value that holds only strings, whole numbers, booleans, lists and objects. Members that are `null`
    /// are left out. `None` for any other value.
    pub fn copy(node: Node<'_>) -> Option<Self> {
        match node.kind() {
            Json::Object => {
                let members = node.members().filter(|(_, value)| !value.is_null());
                let members = members.map(|(name, value)| Some((name.to_owned(), Self::copy(value)?)));
                members.collect::<Option<_>>().map(Value::Object)
            }
            Json::Array => node.items().map(Self::copy).collect::<Option<_>>().map(Value::List),
            _ => (node.as_str().map(Value::from))
                .or_else(|| node.as_bool().map(Value::Bool))
                .or_else(|| node.as_i64().map(Value::Int)),
        }
    }

    /// The value as a flat document, such as the selector of a question to the host.
    pub fn to_document(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        // Writing fails only for misplaced keys or for a gigabyte of data. A tree of owned values has neither.
        writer.finish().unwrap_or_default()
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Value::Bool(value) => writer.bool(*value),
            Value::Int(value) => writer.i64(*value),
            Value::Text(value) => writer.string(value),
            Value::List(items) => {
                writer.begin_array();
                items.iter().for_each(|item| item.write(writer));
                writer.end();
            }
            Value::Object(members) => {
                writer.begin_object();
                for (name, value) in members {
                    writer.key(name);
                    value.write(writer);
                }
                writer.end();
            }
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<Quantity> for Value {
    fn from(value: Quantity) -> Self {
        Value::Text(value.to_string())
    }
}

impl From<IntOrPercent> for Value {
    fn from(value: IntOrPercent) -> Self {
        match value {
            IntOrPercent::Int(number) => Value::Int(number),
            IntOrPercent::Percent(_) => Value::Text(value.to_string()),
        }
    }
}
