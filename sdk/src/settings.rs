//! Typed parameters of a policy: read from a flat document, described by a JSON Schema.
//!
//! ```
//! use std::collections::BTreeMap;
//! use plimsoll_sdk::prelude::*;
//! use plimsoll_sdk::settings::{Faults, SettingType as _};
//!
//! /// Settings of a policy.
//! #[derive(Settings)]
//! #[settings(check = names_a_registry)]
//! pub struct Settings {
//!     /// Registries that images may come from.
//!     #[settings(pattern = "^[a-z0-9.:/-]+$", min_items = 1, default = ["registry.example.com"])]
//!     registries: Vec<String>,
//!     /// The limit for each kind of workload.
//!     limits: BTreeMap<String, Limit>,
//!     /// The team to ask; without it, messages name no team.
//!     contact: Option<String>,
//!     /// How strict the policy is.
//!     #[settings(default = Strictness::Lax)]
//!     strictness: Strictness,
//! }
//!
//! /// One limit.
//! #[derive(Settings)]
//! pub struct Limit {
//!     /// Largest number of replicas.
//!     #[settings(default = 10, minimum = 1, maximum = 1000)]
//!     replicas: u32,
//! }
//!
//! /// How strict the policy is.
//! #[derive(Settings)]
//! pub enum Strictness {
//!     /// Only errors.
//!     Lax,
//!     /// Warnings as well.
//!     Strict,
//! }
//!
//! fn names_a_registry(settings: &Settings, faults: &mut Faults) {
//!     for (number, registry) in settings.registries.iter().enumerate() {
//!         if registry.ends_with('/') {
//!             faults.add(format!("/registries/{number}"), "a registry ends without a slash");
//!         }
//!     }
//! }
//!
//! let settings = Settings { registries: vec!["registry.example.com/".to_owned()], ..Settings::default() };
//! let mut faults = Faults::default();
//! settings.check(&mut faults);
//! assert_eq!(faults.found()[0].pointer, "/registries/0");
//! ```

use std::collections::BTreeMap;

use plimsoll_flat::Node;

pub use crate::guest::SettingFault;
use crate::int_or_percent::IntOrPercent;
#[cfg(not(target_arch = "wasm32"))]
use crate::metadata::Json;
use crate::quantity::Quantity;

/// The parameters of a policy. `#[derive(Settings)]` implements it for a struct with named fields.
pub trait Settings: Default + SettingType {}

/// The dialect of JSON Schema in which settings are described.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of a policy's settings. It rejects unknown members.
#[cfg(not(target_arch = "wasm32"))]
pub fn schema_of<S: Settings>() -> Json {
    let mut schema = S::schema();
    schema["$schema"] = DIALECT.into();
    schema
}

/// The defaults as they would stand in a PolicySet.
#[cfg(not(target_arch = "wasm32"))]
pub fn defaults_of<S: Settings>() -> Json {
    S::default().to_json()
}

/// The settings of a policy that has none.
#[derive(Debug, plimsoll_sdk_macros::Settings)]
pub struct NoSettings {}

/// Reads the settings of one call. An empty document means the defaults.
pub fn read<S: Settings>(document: &[u8]) -> Result<S, String> {
    if document.is_empty() {
        return Ok(S::default());
    }
    S::from_node(Node::root(document).map_err(|error| format!("the settings are no flat document: {error}"))?)
}

/// Checks the settings beyond their schema.
pub fn check<S: Settings>(document: &[u8]) -> Vec<SettingFault> {
    let mut faults = Faults::default();
    match read::<S>(document) {
        Ok(settings) => settings.check(&mut faults),
        Err(reason) => faults.add("", reason),
    }
    faults.found
}

/// Errors in settings that the JSON Schema can't express, such as a broken regular expression. The host shows them
/// when it loads a PolicySet, and rejects the PolicySet.
#[derive(Debug, Default)]
pub struct Faults {
    found: Vec<SettingFault>,
    /// Pointer from the settings of the policy to the value that is being checked.
    within: String,
}

impl Faults {
    /// Adds an error. The pointer (RFC 6901) leads from the checked struct to the wrong value: `/registries/0`. An
    /// empty pointer means the struct itself.
    pub fn add(&mut self, pointer: impl AsRef<str>, reason: impl Into<String>) {
        let pointer = [self.within.as_str(), pointer.as_ref()].concat();
        self.found.push(SettingFault { pointer, reason: reason.into() });
    }

    /// The errors so far.
    pub fn found(&self) -> &[SettingFault] {
        &self.found
    }

    /// Checks a value below the current one.
    pub fn below(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let length = self.within.len();
        self.within.push('/');
        self.within.push_str(&name.replace('~', "~0").replace('/', "~1"));
        check(self);
        self.within.truncate(length);
    }
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

/// A type that a setting may have.
#[diagnostic::on_unimplemented(
    message = "a setting can't have the type `{Self}`",
    label = "write bool, i64, u32, String, Quantity, IntOrPercent, a type with #[derive(Settings)], or Option, Vec or \
             BTreeMap<String, _> of these"
)]
pub trait SettingType: Sized {
    /// The bounds that `#[settings(…)]` may state: keywords of JSON Schema.
    const BOUNDS: &'static [&'static str] = &[];
    /// The bounds that apply to the values inside, for lists, maps and options.
    const INNER: &'static [&'static str] = &[];
    /// Whether [`SettingType::check`] does anything.
    const CHECKED: bool = false;

    /// Reads a value. The host has checked it by the schema.
    ///
    /// # Errors
    /// If the value has another type.
    fn from_node(node: Node<'_>) -> Result<Self, String>;

    /// Reads a default. `None` if the literal has another type. The build of the bundle finds this mistake.
    fn from_literal(literal: Literal) -> Option<Self> {
        let _ = literal;
        None
    }

    /// Checks what the schema can't express.
    fn check(&self, faults: &mut Faults) {
        let _ = faults;
    }

    /// The JSON Schema of the type.
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Json;

    /// The value as it would stand in a PolicySet.
    #[cfg(not(target_arch = "wasm32"))]
    fn to_json(&self) -> Json;

    /// Puts a bound into the schema of the type.
    #[cfg(not(target_arch = "wasm32"))]
    fn bound(schema: &mut Json, name: &str, value: Json) {
        schema[name] = value;
    }
}

/// A type whose settings need no `#[settings(default = …)]`.
#[diagnostic::on_unimplemented(
    message = "a setting of the type `{Self}` needs `#[settings(default = …)]`",
    label = "only Option, BTreeMap and structs with #[derive(Settings)] have a default of their own"
)]
pub trait OwnDefault: SettingType {
    /// The default.
    fn own_default() -> Self;
}

/// Whether a type takes a bound, by the name of the keyword in JSON Schema. The derive asks at compile time.
pub const fn takes<T: SettingType>(bound: &str) -> bool {
    has(T::BOUNDS, bound) || has(T::INNER, bound)
}

const fn has(bounds: &[&str], bound: &str) -> bool {
    let mut number = 0;
    while number < bounds.len() {
        let (left, right) = (bounds[number].as_bytes(), bound.as_bytes());
        let mut at = 0;
        while at < left.len() && at < right.len() && left[at] == right[at] {
            at += 1;
        }
        if at == left.len() && at == right.len() {
            return true;
        }
        number += 1;
    }
    false
}

/// The default of a field.
///
/// # Panics
/// If the literal has another type than the field. The build of the bundle reads every default, so it fails.
pub fn default<T: SettingType>(name: &str, literal: Literal) -> T {
    match T::from_literal(literal) {
        Some(value) => value,
        None => panic!("the default {literal:?} does not fit the type of the setting `{name}`"),
    }
}

/// The default as JSON, as its author wrote it.
#[cfg(not(target_arch = "wasm32"))]
pub fn literal_json(literal: Literal) -> Json {
    match literal {
        Literal::Text(text) => text.into(),
        Literal::Int(number) => number.into(),
        Literal::Bool(value) => value.into(),
        Literal::List(items) => items.iter().copied().map(literal_json).collect(),
    }
}

/// Reads one field of a struct. An absent or `null` member means the default.
///
/// # Errors
/// If the member has another type.
pub fn field<T: SettingType>(node: Node<'_>, name: &str, default: impl FnOnce() -> T) -> Result<T, String> {
    match node.get(name).filter(|value| !value.is_null()) {
        None => Ok(default()),
        Some(value) => T::from_node(value).map_err(|reason| format!("setting {name:?}: {reason}")),
    }
}

const WRONG_TYPE: &str = "the value has the wrong type";

macro_rules! scalar {
    ($type:ty, $bounds:expr, $read:expr, $literal:pat => $value:expr, $to_json:expr, $schema:tt) => {
        impl SettingType for $type {
            const BOUNDS: &'static [&'static str] = &$bounds;

            fn from_node(node: Node<'_>) -> Result<Self, String> {
                let read: fn(Node<'_>) -> Option<Self> = $read;
                read(node).ok_or_else(|| WRONG_TYPE.to_owned())
            }
            fn from_literal(literal: Literal) -> Option<Self> {
                match literal {
                    $literal => $value,
                    _ => None,
                }
            }
            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> Json {
                serde_json::json!($schema)
            }
            #[cfg(not(target_arch = "wasm32"))]
            fn to_json(&self) -> Json {
                let to_json: fn(&Self) -> Json = $to_json;
                to_json(self)
            }
        }
    };
}

scalar!(bool, [], |node| node.as_bool(), Literal::Bool(value) => Some(value), |value| (*value).into(), {"type": "boolean"});
scalar!(i64, ["minimum", "maximum"], |node| node.as_i64(), Literal::Int(value) => Some(value), |value| (*value).into(),
    {"type": "integer"});
scalar!(u32, ["minimum", "maximum"], |node| node.as_i64()?.try_into().ok(), Literal::Int(value) => value.try_into().ok(),
    |value| (*value).into(), {"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32});
scalar!(String, ["pattern", "minLength", "maxLength"], |node| node.as_str().map(str::to_owned),
    Literal::Text(text) => Some(text.to_owned()), |text| text.as_str().into(), {"type": "string"});
scalar!(Quantity, [], Quantity::from_node, Literal::Text(text) => Quantity::parse(text), |value| value.to_string().into(), {
    "format": "quantity",
    "anyOf": [
        {"type": "string", "pattern": "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]+)?$"},
        {"type": "number"}
    ]
});
scalar!(IntOrPercent, [], IntOrPercent::from_node, Literal::Int(number) => Some(IntOrPercent::Int(number)),
    |value| match value {
        IntOrPercent::Int(number) => (*number).into(),
        IntOrPercent::Percent(_) => value.to_string().into(),
    }, {
    "description": "a number, or a percentage such as 25%",
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]
});

impl<T: SettingType> SettingType for Vec<T> {
    const BOUNDS: &'static [&'static str] = &["minItems", "maxItems", "uniqueItems"];
    const INNER: &'static [&'static str] = T::BOUNDS;
    const CHECKED: bool = T::CHECKED;

    fn from_node(node: Node<'_>) -> Result<Self, String> {
        if node.kind() != plimsoll_flat::Kind::Array {
            return Err(WRONG_TYPE.to_owned());
        }
        node.items().map(T::from_node).collect()
    }
    fn from_literal(literal: Literal) -> Option<Self> {
        match literal {
            Literal::List(items) => items.iter().copied().map(T::from_literal).collect(),
            _ => None,
        }
    }
    fn check(&self, faults: &mut Faults) {
        for (number, item) in self.iter().enumerate() {
            faults.below(&number.to_string(), |faults| item.check(faults));
        }
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Json {
        serde_json::json!({"type": "array", "items": T::schema()})
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn to_json(&self) -> Json {
        self.iter().map(T::to_json).collect()
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn bound(schema: &mut Json, name: &str, value: Json) {
        if has(Self::BOUNDS, name) {
            schema[name] = value;
        } else {
            T::bound(&mut schema["items"], name, value);
        }
    }
}

impl<T: SettingType> SettingType for BTreeMap<String, T> {
    const BOUNDS: &'static [&'static str] = &["minProperties", "maxProperties"];
    const INNER: &'static [&'static str] = T::BOUNDS;
    const CHECKED: bool = T::CHECKED;

    fn from_node(node: Node<'_>) -> Result<Self, String> {
        if node.kind() != plimsoll_flat::Kind::Object {
            return Err(WRONG_TYPE.to_owned());
        }
        node.members().map(|(name, value)| Ok((name.to_owned(), T::from_node(value)?))).collect()
    }
    fn check(&self, faults: &mut Faults) {
        for (name, value) in self {
            faults.below(name, |faults| value.check(faults));
        }
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Json {
        serde_json::json!({"type": "object", "additionalProperties": T::schema()})
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn to_json(&self) -> Json {
        self.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn bound(schema: &mut Json, name: &str, value: Json) {
        if has(Self::BOUNDS, name) {
            schema[name] = value;
        } else {
            T::bound(&mut schema["additionalProperties"], name, value);
        }
    }
}

/// An absent member is `None`. A `null` in a PolicySet counts as absent.
impl<T: SettingType> SettingType for Option<T> {
    const BOUNDS: &'static [&'static str] = T::BOUNDS;
    const INNER: &'static [&'static str] = T::INNER;
    const CHECKED: bool = T::CHECKED;

    fn from_node(node: Node<'_>) -> Result<Self, String> {
        if node.is_null() { Ok(None) } else { T::from_node(node).map(Some) }
    }
    fn from_literal(literal: Literal) -> Option<Self> {
        T::from_literal(literal).map(Some)
    }
    fn check(&self, faults: &mut Faults) {
        if let Some(value) = self {
            value.check(faults);
        }
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> Json {
        T::schema()
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn to_json(&self) -> Json {
        self.as_ref().map_or(Json::Null, T::to_json)
    }
    #[cfg(not(target_arch = "wasm32"))]
    fn bound(schema: &mut Json, name: &str, value: Json) {
        T::bound(schema, name, value);
    }
}

impl<T: SettingType> OwnDefault for Option<T> {
    fn own_default() -> Self {
        None
    }
}

impl<T: SettingType> OwnDefault for BTreeMap<String, T> {
    fn own_default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, to_document};
    use serde_json::{Value, json};

    use super::*;

    const fn all(bounds: &[&str]) -> bool {
        let mut number = 0;
        while number < bounds.len() {
            if !takes::<Vec<String>>(bounds[number]) {
                return false;
            }
            number += 1;
        }
        true
    }

    #[test]
    fn a_list_takes_bounds_of_its_own_and_those_of_its_items() {
        assert!(all(&["minItems", "pattern"]));
        assert!(!takes::<Vec<String>>("minimum"));
        assert!(!takes::<Quantity>("minimum"));
        assert!(takes::<Option<Vec<i64>>>("maximum"));
    }

    #[test]
    fn values_come_back_as_they_were_written() {
        fn through<T: SettingType>(value: &Value) -> Result<Value, String> {
            let document = to_document(value).unwrap();
            T::from_node(Node::root(&document).unwrap()).map(|value| value.to_json())
        }
        assert_eq!(through::<Vec<i64>>(&json!([1, 2])), Ok(json!([1, 2])));
        assert_eq!(through::<BTreeMap<String, bool>>(&json!({"a": true})), Ok(json!({"a": true})));
        assert_eq!(through::<Option<String>>(&json!(null)), Ok(json!(null)));
        assert_eq!(through::<IntOrPercent>(&json!("25%")), Ok(json!("25%")));
        assert_eq!(through::<Quantity>(&json!("128Mi")), Ok(json!("128Mi")));
        for wrong in [json!("a"), json!({"a": 1}), json!([1, "a"])] {
            assert!(through::<Vec<i64>>(&wrong).is_err(), "{wrong}");
        }
        assert!(through::<BTreeMap<String, bool>>(&json!(["a"])).is_err());
        assert!(through::<u32>(&json!(-1)).is_err());
    }

    #[test]
    fn pointers_of_faults_are_escaped() {
        let mut faults = Faults::default();
        faults.below("a/b~c", |faults| faults.add("/x", "no"));
        faults.add("", "all of it");
        let pointers: Vec<&str> = faults.found().iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a~1b~0c/x", ""]);
    }
}
