//! Typed parameters of a policy: read from a flat document, described by a JSON Schema.

use plimsoll_flat::Node;

use crate::int_or_percent::IntOrPercent;
use crate::quantity::Quantity;

/// What `#[derive(Settings)]` writes: a struct whose every field has a default and a schema.
pub trait Settings: Default {
    /// Reads the settings; members that are absent keep their default. The host has checked them by the schema.
    fn read(node: Node<'_>) -> Result<Self, String>;

    /// The JSON Schema, as JSON text; unknown members are refused.
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value;

    /// The defaults as they would stand in a PolicySet.
    #[cfg(not(target_arch = "wasm32"))]
    fn defaults() -> serde_json::Value;
}

/// Reads the settings of one call; no bytes mean the defaults.
pub fn read<S: Settings>(document: &[u8]) -> Result<S, String> {
    if document.is_empty() {
        return Ok(S::default());
    }
    S::read(Node::root(document).map_err(|error| format!("the settings are no flat document: {error}"))?)
}

/// A default as it stands in `#[settings(default = …)]`.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// `"100m"`
    Text(&'static str),
    /// `4`
    Int(i64),
    /// `true`
    Bool(bool),
    /// `["a", "b"]`
    List(&'static [Literal]),
}

/// A type that a field of settings may have.
pub trait SettingType: Sized {
    /// Reads a value; none where it is of another type.
    fn from_node(node: Node<'_>) -> Option<Self>;
    /// Reads a default; none is a mistake of the policy's author, found by the bundle's own build.
    fn from_literal(literal: Literal) -> Option<Self>;
    /// The JSON Schema of the type.
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value;
}

/// The default of a field.
///
/// # Panics
/// Where the literal is of another type than the field: the bundle's build runs every default and fails.
pub fn default<T: SettingType>(literal: Literal) -> T {
    match T::from_literal(literal) {
        Some(value) => value,
        None => panic!("the default {literal:?} does not fit the type of its setting"),
    }
}

/// The default as JSON.
#[cfg(not(target_arch = "wasm32"))]
pub fn literal_json(literal: Literal) -> serde_json::Value {
    match literal {
        Literal::Text(text) => text.into(),
        Literal::Int(number) => number.into(),
        Literal::Bool(value) => value.into(),
        Literal::List(items) => items.iter().copied().map(literal_json).collect(),
    }
}

macro_rules! setting_type {
    ($type:ty, $node:expr, $literal:pat => $value:expr, $schema:tt) => {
        impl SettingType for $type {
            fn from_node(node: Node<'_>) -> Option<Self> {
                #[allow(clippy::redundant_closure_call, reason = "the macro's argument is a closure")]
                ($node)(node)
            }
            fn from_literal(literal: Literal) -> Option<Self> {
                match literal {
                    $literal => $value,
                    _ => None,
                }
            }
            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> serde_json::Value {
                serde_json::json!($schema)
            }
        }
    };
}

setting_type!(bool, |node: Node<'_>| node.as_bool(), Literal::Bool(value) => Some(value), {"type": "boolean"});
setting_type!(i64, |node: Node<'_>| node.as_i64(), Literal::Int(value) => Some(value), {"type": "integer"});
setting_type!(u32, |node: Node<'_>| node.as_i64()?.try_into().ok(), Literal::Int(value) => value.try_into().ok(),
    {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32});
setting_type!(String, |node: Node<'_>| node.as_str().map(str::to_owned), Literal::Text(text) => Some(text.to_owned()),
    {"type": "string"});
setting_type!(Quantity, Quantity::from_node, Literal::Text(text) => Quantity::parse(text), {
    "description": "a Kubernetes quantity, such as 100m, 0.5 or 128Mi",
    "anyOf": [
        {"type": "string", "pattern": "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]+)?$"},
        {"type": "number"}
    ]
});
setting_type!(IntOrPercent, IntOrPercent::from_node, Literal::Int(number) => Some(IntOrPercent::Int(number)), {
    "description": "a number, or a percentage such as 25%",
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]
});

impl<T: SettingType> SettingType for Vec<T> {
    fn from_node(node: Node<'_>) -> Option<Self> {
        node.items().map(T::from_node).collect()
    }
    fn from_literal(literal: Literal) -> Option<Self> {
        match literal {
            Literal::List(items) => items.iter().copied().map(T::from_literal).collect(),
            _ => None,
        }
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "array", "items": T::schema()})
    }
}

/// Used by the derive: one field, its default where it is absent.
pub fn field<T: SettingType>(node: Node<'_>, name: &str, literal: Literal) -> Result<T, String> {
    match node.get(name).filter(|value| !value.is_null()) {
        None => Ok(default(literal)),
        Some(value) => T::from_node(value).ok_or_else(|| format!("setting {name:?} is of the wrong type")),
    }
}
