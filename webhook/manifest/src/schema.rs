//! Compares an object with the table: unknown and misplaced fields, and values of a wrong type.

use plimsoll_flat::{Kind as Json, Node, Number};

use crate::decode;
use crate::fault::{Faults, Rule};
use crate::misplaced;
use crate::place::At;
use crate::table::{Code, Struct, Type};

/// Checks the whole object.
pub(crate) fn check(object: Node<'_>, shape: Code, faults: &mut Faults) {
    value(object, shape, &Frame { up: None, shape: None, node: object }, false, faults);
}

/// An object that encloses the value at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'p, 'a> {
    pub(crate) up: Option<&'p Frame<'p, 'a>>,
    pub(crate) shape: Option<Struct>,
    pub(crate) node: Node<'a>,
}

/// `lax`: the decoder of this part does not refuse unknown fields.
fn value<'a>(node: Node<'a>, code: Code, up: &Frame<'_, 'a>, lax: bool, faults: &mut Faults) {
    let kind = node.kind();
    if kind == Json::Null {
        return;
    }
    let shape = code.shape();
    match (shape, kind) {
        (Type::Struct(fields), Json::Object) => object(node, fields, up, lax, faults),
        (Type::List(item), Json::Array) => {
            for child in node.items() {
                value(child, item, up, lax, faults);
            }
        }
        (Type::Map(item), Json::Object) => {
            for (_, child) in node.members() {
                value(child, item, up, lax, faults);
            }
        }
        (Type::SchemaOrArray | Type::SchemaOrBool | Type::SchemaOrStrings, _) => schema_or(node, shape, up, faults),
        _ => {
            if !scalar(node, shape, kind) {
                wrong(node, shape, faults);
            }
        }
    }
}

fn object<'a>(node: Node<'a>, fields: Struct, up: &Frame<'_, 'a>, lax: bool, faults: &mut Faults) {
    let frame = Frame { up: Some(up), shape: Some(fields), node };
    for (name, child) in node.members() {
        match fields.field(name, faults.version) {
            Some(code) => value(child, code, &frame, lax, faults),
            None if lax => {}
            None => misplaced::unknown(name, child, &frame, faults),
        }
    }
}

/// Whether the value fits the type, without looking into it.
pub(crate) fn fits(node: Node<'_>, code: Code) -> bool {
    let (shape, kind) = (code.shape(), node.kind());
    match shape {
        Type::Struct(_) | Type::Map(_) => kind == Json::Object,
        Type::List(_) => kind == Json::Array,
        Type::SchemaOrArray | Type::SchemaOrBool | Type::SchemaOrStrings => true,
        _ => scalar(node, shape, kind),
    }
}

fn scalar(node: Node<'_>, shape: Type, kind: Json) -> bool {
    match shape {
        Type::Any => true,
        Type::String => kind == Json::String,
        Type::Bool => kind == Json::Bool,
        Type::Int32 => whole(node).is_some_and(|number| i32::try_from(number).is_ok()),
        Type::Int64 => whole(node).is_some(),
        Type::Double => kind == Json::Number,
        Type::Bytes => match node.as_str() {
            Some(text) => decode::is_base64(text),
            // Go also reads a list of numbers as bytes.
            None => {
                kind == Json::Array
                    && node
                        .items()
                        .all(|item| item.is_null() || whole(item).is_some_and(|byte| (0..256).contains(&byte)))
            }
        },
        Type::Time => node.as_str().is_some_and(|text| decode::is_time(text, false)),
        Type::MicroTime => node.as_str().is_some_and(|text| decode::is_time(text, true)),
        Type::Quantity => kind == Json::Number || node.as_str().is_some_and(decode::is_quantity),
        Type::IntOrString => kind == Json::String || whole(node).is_some_and(|number| i32::try_from(number).is_ok()),
        _ => false,
    }
}

/// A number that is written without a fraction or an exponent.
fn whole(node: Node<'_>) -> Option<i64> {
    match node.number()? {
        Number::I64(number) => Some(number),
        Number::F64(number) if number == 0.0 && number.is_sign_negative() => Some(0),
        _ => None,
    }
}

/// The three types of a JSON schema whose decoders look at the first byte.
fn schema_or<'a>(node: Node<'a>, shape: Type, up: &Frame<'_, 'a>, faults: &mut Faults) {
    let schema = up.shape.filter(|shape| shape.field("x-kubernetes-validations", faults.version).is_some());
    match (shape, node.kind()) {
        (_, Json::Object) => {
            if let Some(fields) = schema {
                object(node, fields, up, true, faults);
            }
        }
        (Type::SchemaOrArray, Json::Array) => {
            for item in node.items() {
                match (item.kind(), schema) {
                    (Json::Object, Some(fields)) => object(item, fields, up, true, faults),
                    (Json::Null | Json::Object, _) => {}
                    _ => wrong(item, Type::SchemaOrArray, faults),
                }
            }
        }
        (Type::SchemaOrStrings, Json::Array) => {
            for item in node.items().filter(|item| !matches!(item.kind(), Json::String | Json::Null)) {
                wrong(item, Type::String, faults);
            }
        }
        (Type::SchemaOrBool, kind) if kind != Json::Bool => wrong(node, shape, faults),
        _ => {}
    }
}

#[cold]
fn wrong(node: Node<'_>, shape: Type, faults: &mut Faults) {
    let at = At::root(node);
    let is = describe(node);
    let rule = match (shape, node.kind()) {
        (Type::Bytes | Type::Time | Type::MicroTime, Json::String) => Rule::InvalidFormat,
        (Type::Quantity, Json::String) => Rule::InvalidQuantity,
        (Type::Int32 | Type::Int64 | Type::IntOrString, Json::Number) if whole(node).is_some() => Rule::OutOfRange,
        _ => Rule::WrongType,
    };
    let name = name(&at.pointer());
    let takes = match (shape, rule) {
        (Type::Int32 | Type::IntOrString, Rule::OutOfRange) => "a whole number from -2147483648 to 2147483647",
        _ => takes(shape),
    };
    let quoted = node.as_str().filter(|text| match shape {
        Type::Int32 => canonical(text).is_some_and(|number| i32::try_from(number).is_ok()),
        Type::Int64 => canonical(text).is_some(),
        Type::Bool => matches!(*text, "true" | "false"),
        _ => false,
    });
    let help = match (shape, node.kind(), quoted) {
        (.., Some(text)) => format!("write {text} without quotes"),
        (Type::Quantity, Json::String, _) => quantity_help(node.as_str().unwrap_or_default()),
        (Type::String, Json::Number | Json::Bool, _) => format!("put the value in quotes: \"{}\"", node.to_json()),
        (Type::Bytes, Json::String, _) => "encode the value as base64, or use `stringData` if this is a Secret".into(),
        (Type::List(_), ..) => "write a list: each item starts with `-`".into(),
        (Type::Struct(_) | Type::Map(_), Json::Array, _) => "write fields instead of a list: remove the `-`".into(),
        _ => format!("write {takes}"),
    };
    faults.error(rule, &at, format!("{name} is {is}, but the API server reads {takes} here"), help);
    if let Some(text) = quoted {
        let edit = crate::Edit::Replace { pointer: at.pointer(), value: text.to_owned() };
        faults.fix(format!("write {text} without quotes"), vec![edit]);
    }
}

/// What the author of a text that is almost a quantity means.
fn quantity_help(text: &str) -> String {
    let packed: String = text.chars().filter(|char| !char.is_whitespace() && *char != '_' && *char != ',').collect();
    let number = packed.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = packed.get(number.len()..).unwrap_or_default().trim_end_matches(['b', 'B']);
    let right = match unit.to_ascii_lowercase().as_str() {
        "k" => "k",
        "m" if unit == "m" && !packed.ends_with(['b', 'B']) => "m",
        "m" => "M",
        "g" => "G",
        "t" => "T",
        "ki" => "Ki",
        "mi" => "Mi",
        "gi" => "Gi",
        "ti" => "Ti",
        _ => unit,
    };
    let candidate = format!("{number}{right}");
    if candidate != text && decode::is_quantity(&candidate) {
        return format!("write `{}`", short(&candidate));
    }
    format!("write {}", takes(Type::Quantity))
}

/// The number that the text is, if it is written as JSON writes it.
fn canonical(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

fn takes(shape: Type) -> &'static str {
    match shape {
        Type::String => "a string",
        Type::Bool => "true or false",
        Type::Int32 | Type::Int64 => "a whole number",
        Type::Double => "a number",
        Type::Bytes => "base64",
        Type::Time => "a time such as \"2026-01-31T12:00:00Z\"",
        Type::MicroTime => "a time such as \"2026-01-31T12:00:00.000000Z\"",
        Type::Quantity => "a quantity such as 500m, 2 or 256Mi",
        Type::IntOrString => "a whole number or a string",
        Type::SchemaOrArray => "a schema or a list of schemas",
        Type::SchemaOrBool => "a schema, true or false",
        Type::SchemaOrStrings => "a schema or a list of strings",
        Type::Struct(_) => "an object with fields",
        Type::Map(_) => "an object of keys and values",
        Type::List(_) => "a list",
        Type::Any => "any value",
    }
}

/// A value in the words of a message, shortened.
pub(crate) fn describe(node: Node<'_>) -> String {
    match node.kind() {
        Json::Null => "null".into(),
        Json::Bool => node.to_json(),
        Json::Number => format!("the number {}", short(&node.to_json())),
        Json::String => format!("the string \"{}\"", short(node.as_str().unwrap_or_default())),
        Json::Array if node.len() == 0 => "an empty list".into(),
        Json::Array => "a list".into(),
        Json::Object if node.len() == 0 => "an empty object".into(),
        Json::Object => "an object".into(),
    }
}

pub(crate) fn short(text: &str) -> String {
    let mut kept: String = text.chars().take(40).map(|char| if char.is_control() { ' ' } else { char }).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}

/// The last name of a pointer, with an index after the name of its list: `containers[0]`.
pub(crate) fn name(pointer: &str) -> String {
    let mut indices = String::new();
    for token in pointer.rsplit('/') {
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            indices.insert_str(0, &format!("[{token}]"));
        } else if token.is_empty() {
            return "the object".into();
        } else {
            return format!("`{}{indices}`", token.replace("~1", "/").replace("~0", "~"));
        }
    }
    "the object".into()
}

/// A pointer as people write it: `spec.containers[0].image`.
pub(crate) fn path(pointer: &str) -> String {
    let mut path = String::with_capacity(pointer.len());
    for token in pointer.split('/').skip(1) {
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{token}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&token.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}
