//! Structural schemas of CustomResourceDefinitions.

use super::check::{Seen, field, shown};
use super::{crd_pattern, crd_values};
use crate::{At, Faults, Rule};

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// Keywords of JSON Schema that Kubernetes does not have.
const UNSUPPORTED: &[&str] =
    &["$ref", "$schema", "id", "additionalItems", "patternProperties", "definitions", "dependencies"];

/// Keywords that only the structure itself can have, not `allOf`, `anyOf`, `oneOf` and `not`.
const STRUCTURE: &[&str] = &[
    "type",
    "additionalProperties",
    "default",
    "title",
    "description",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
];

/// Keywords of the structure that count only if they are true.
const FLAGS: &[&str] = &[
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
];

/// Keywords that the root can't have if the kind has a status of its own.
const BESIDE_STATUS: &[&str] = &[
    "default",
    "enum",
    "maxProperties",
    "minProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "patternProperties",
    "definitions",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

/// Formats of texts that the API server checks, without `-`.
const FORMATS: &[&str] = &[
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Inner,
}

/// The schema of one version; `status` if the kind has a status of its own.
pub(super) fn root(schema: &At<'_>, status: bool, faults: &mut Faults) {
    if schema.at("nullable").is_true() {
        field(schema, "nullable").forbid(Rule::InvalidValue, "at the root", faults);
    }
    field(schema, "additionalProperties").forbid(Rule::InvalidValue, "at the root", faults);
    let kind = field(schema, "type");
    if matches!(kind.at.text(), "array" | "boolean" | "integer" | "number" | "string") {
        kind.one_of(&["object"], faults);
    }
    for name in BESIDE_STATUS.iter().filter(|_| status) {
        if schema.at(name).is_present() {
            field(schema, name).forbid(
                Rule::ExclusiveFields,
                "at the root of a kind with the subresource `status`",
                faults,
            );
        }
    }
    metadata(&schema.at("properties").at("metadata"), faults);
    type_meta(schema, Level::Root, faults);
    structure(schema, Level::Root, faults);
}

/// The schema of `metadata` can only restrict two names.
fn metadata(schema: &At<'_>, faults: &mut Faults) {
    let more = schema.members().filter(|(name, _)| !matches!(*name, "type" | "properties" | "default"));
    let others = schema.at("properties").members().filter(|(name, _)| !matches!(*name, "name" | "generateName"));
    for (name, value) in more.chain(others) {
        if value.is_present() && value.bool() != Some(false) && value.str() != Some("") {
            let name = shown(name);
            let message =
                format!("`{name}` must not be in the schema of `metadata`, only `name` and `generateName` can be");
            faults.error(Rule::InvalidValue, &value, message, format!("remove `{name}`"));
        }
    }
}

/// The types of the fields that every object has.
fn type_meta(schema: &At<'_>, level: Level, faults: &mut Faults) {
    let properties = schema.at("properties");
    for (name, kind) in [("metadata", "object"), ("kind", "string"), ("apiVersion", "string")] {
        let property = properties.at(name);
        if property.is_present() {
            field(&property, "type").need_one_of(&[kind], faults);
            if level == Level::Root {
                field(&property, "default").forbid(Rule::InvalidValue, "in the metadata of the kind", faults);
            }
        }
    }
}

/// One level of the structure. The depth is limited by that of documents.
fn structure(schema: &At<'_>, level: Level, faults: &mut Faults) {
    keywords(schema, faults);
    kind(schema, faults);
    lists(schema, faults);
    format(schema, faults);
    let (properties, additional) = (schema.at("properties"), schema.at("additionalProperties"));
    if properties.count() > 0 && (additional.is_object() || additional.bool() == Some(false)) && level == Level::Inner {
        field(schema, "additionalProperties").forbid(Rule::ExclusiveFields, "with `properties`", faults);
    }
    crd_values::rules(schema, faults);
    crd_values::default(schema, faults);
    let is_metadata = |name: &str| level == Level::Root && name == "metadata";
    for (name, property) in properties.members() {
        if !is_metadata(name) {
            structure(&property, Level::Inner, faults);
        }
    }
    if additional.is_object() {
        structure(&additional, Level::Inner, faults);
    }
    let items = schema.at("items");
    if items.is_object() {
        structure(&items, Level::Inner, faults);
    }
    values(schema, schema, level, faults);
}

/// Keywords of JSON Schema that no part of a schema can have.
fn keywords(schema: &At<'_>, faults: &mut Faults) {
    for name in UNSUPPORTED {
        // An empty one counts, but for texts and the two maps of schemas.
        let value = schema.at(name);
        let used = match *name {
            "$ref" | "additionalItems" | "dependencies" => value.is_present(),
            _ => !value.is_zero(),
        };
        if used {
            field(schema, name).forbid(Rule::InvalidValue, "in the schema of a custom resource", faults);
        }
    }
    if schema.at("uniqueItems").is_true() {
        let why = "to true: use `x-kubernetes-list-type: set`";
        field(schema, "uniqueItems").forbid(Rule::InvalidValue, why, faults);
    }
    let preserve = field(schema, "x-kubernetes-preserve-unknown-fields");
    if preserve.at.bool() == Some(false) {
        preserve.forbid(Rule::InvalidValue, "to false: remove it", faults);
    }
    field(schema, "pattern").without_fault(Rule::InvalidFormat, crd_pattern::fault, faults);
    let items = schema.at("items");
    if items.count() > 0 && items.is_list() {
        let message = "`items` must be one schema, not a list of schemas";
        faults.error(Rule::InvalidValue, &items, message, "write one schema for all items");
    }
}

fn kind(schema: &At<'_>, faults: &mut Faults) {
    let kind = field(schema, "type");
    let preserve = field(schema, "x-kubernetes-preserve-unknown-fields");
    let either = schema.at("x-kubernetes-int-or-string");
    kind.one_of_or_empty(TYPES, faults);
    let text = kind.at.text();
    if text.is_empty() && !either.is_true() && !preserve.at.is_true() {
        kind.missing("one of `array`, `boolean`, `integer`, `number`, `object`, `string`", faults);
    }
    if either.is_true() && preserve.at.is_true() {
        preserve.forbid(Rule::ExclusiveFields, "with `x-kubernetes-int-or-string`", faults);
    }
    if text == "array" && schema.at("items").is_absent() {
        field(schema, "items").missing("the schema of the items", faults);
    }
    let embedded = schema.at("x-kubernetes-embedded-resource");
    if embedded.is_true() {
        kind.need_one_of(&["object"], faults);
        type_meta(schema, Level::Inner, faults);
        for name in ["additionalProperties", "x-kubernetes-int-or-string"] {
            if !schema.at(name).is_zero() {
                field(schema, name).forbid(Rule::ExclusiveFields, "with `x-kubernetes-embedded-resource`", faults);
            }
        }
    }
    if embedded.is_true() && !preserve.at.is_true() && schema.at("properties").count() == 0 {
        field(schema, "properties").missing("the fields of the embedded resource", faults);
    }
}

/// Warns about a format that the API server does not check.
fn format(schema: &At<'_>, faults: &mut Faults) {
    let format = schema.at("format");
    let text = format.text();
    if text.is_empty() || !faults.since(34) {
        return;
    }
    let known = match schema.at("type").text() {
        "integer" => matches!(text, "int32" | "int64"),
        "number" => matches!(text, "float" | "double"),
        "" | "string" => FORMATS.contains(&text.replace('-', "").as_str()),
        _ => false,
    };
    if !known {
        let message = format!("the API server does not know the format `{}`, and checks nothing", shown(text));
        faults.warning(Rule::ServerWarning, &format, message, "use a known format, or a `pattern`");
    }
}

fn lists(schema: &At<'_>, faults: &mut Faults) {
    let map = field(schema, "x-kubernetes-map-type");
    map.one_of(&["atomic", "granular"], faults);
    if map.at.is_present() && schema.at("type").text() != "object" {
        map.forbid(Rule::DependentFields, "unless `type` is `object`", faults);
    }
    let list = field(schema, "x-kubernetes-list-type");
    list.one_of(&["atomic", "set", "map"], faults);
    if list.at.is_present() && schema.at("type").text() != "array" {
        return list.forbid(Rule::DependentFields, "unless `type` is `array`", faults);
    }
    let (keys, items) = (field(schema, "x-kubernetes-list-map-keys"), schema.at("items"));
    match list.at.text() {
        "map" => {
            if keys.at.count() == 0 {
                keys.missing("the fields that tell items apart", faults);
            }
            map_keys(&keys.at, &items, faults);
        }
        "set" if items.at("type").text() == "object" && items.at("x-kubernetes-map-type").text() != "atomic" => {
            let message = "items of a set that are objects must have `x-kubernetes-map-type: atomic`";
            faults.error(Rule::DependentFields, &items, message, "write `x-kubernetes-map-type: atomic` in `items`");
        }
        _ => {}
    }
    if matches!(list.at.text(), "map" | "set") && items.at("nullable").is_true() {
        field(&items, "nullable").forbid(Rule::ExclusiveFields, "in items of a map or set", faults);
    }
    if keys.at.count() > 0 && list.at.text() != "map" {
        keys.forbid(Rule::DependentFields, "unless `x-kubernetes-list-type` is `map`", faults);
    }
}

fn map_keys(keys: &At<'_>, items: &At<'_>, faults: &mut Faults) {
    if items.at("type").str().is_some_and(|kind| kind != "object") {
        let message = "items of a list of type `map` must be objects";
        return faults.error(Rule::DependentFields, &items.at("type"), message, "write `type: object`");
    }
    let mut seen = Seen::default();
    for key in keys.items() {
        let text = key.text();
        if !seen.insert(text) {
            super::check::duplicate(&key, "the key", text, faults);
        }
        let Some(property) = items.at("properties").entry(text) else {
            let message = format!("`{}` is not one of the `properties` of the items", shown(text));
            faults.error(Rule::UnknownReference, &key, message, "write the name of a property");
            continue;
        };
        if matches!(property.at("type").text(), "array" | "object") {
            let message = format!("`{}` must be a scalar to tell items apart", shown(text));
            faults.error(Rule::DependentFields, &property, message, "use another property as key");
        }
        let required = items.at("required").items().any(|name| name.text() == text);
        if !required && property.at("default").is_absent() {
            let message = format!("`{}` must be required or have a default, because it tells items apart", shown(text));
            faults.error(Rule::DependentFields, &property, message, format!("add `{}` to `required`", shown(text)));
        }
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`, which restrict values of a structure and have no structure of their own.
fn values(schema: &At<'_>, structure: &At<'_>, level: Level, faults: &mut Faults) {
    for name in ["allOf", "anyOf", "oneOf"] {
        let list = schema.at(name);
        // `anyOf` of an integer and a text is the usual form of both, also in the first part of `allOf`.
        if name == "anyOf" && is_either(&list) {
            continue;
        }
        for (index, part) in list.items().enumerate() {
            let usual = name == "allOf" && index == 0 && part.count() == 1 && is_either(&part.at("anyOf"));
            if !usual {
                nested(&part, structure, level, faults);
            }
        }
    }
    let not = schema.at("not");
    if not.is_present() {
        nested(&not, structure, level, faults);
    }
}

pub(super) fn is_either(list: &At<'_>) -> bool {
    let is_type = |index, kind| {
        let alone =
            |part: &At<'_>| part.members().all(|(name, value)| matches!(name, "type" | "example") || value.is_zero());
        list.item(index).is_some_and(|part| part.at("type").str() == Some(kind) && alone(&part))
    };
    list.count() == 2 && is_type(0, "integer") && is_type(1, "string")
}

fn nested(schema: &At<'_>, structure: &At<'_>, level: Level, faults: &mut Faults) {
    keywords(schema, faults);
    let why = "in `allOf`, `anyOf`, `oneOf` or `not`: write it in the schema itself";
    for name in STRUCTURE {
        let value = schema.at(name);
        let is_empty = value.str() == Some("") || (value.is_list() && value.count() == 0);
        if value.is_present() && (!is_empty || *name == "default") {
            field(schema, name).forbid(Rule::InvalidValue, why, faults);
        }
    }
    for name in FLAGS {
        if schema.at(name).is_true() {
            field(schema, name).forbid(Rule::InvalidValue, why, faults);
        }
    }
    for (name, property) in schema.at("properties").members() {
        if name == "metadata" {
            let message = "`metadata` must not be restricted in `allOf`, `anyOf`, `oneOf` or `not`";
            faults.error(Rule::InvalidValue, &property, message, "remove it");
        }
        match structure.at("properties").entry(name) {
            Some(known) => nested(&property, &known, level, faults),
            // Only what the root restricts must be in the structure.
            None if level == Level::Inner => nested(&property, &property.at("properties"), level, faults),
            None => {
                let message = format!("`{}` is not one of `properties` of the schema itself", shown(name));
                faults.error(Rule::UnknownReference, &property, message, "add it to `properties`");
            }
        }
    }
    let items = schema.at("items");
    if items.is_present() {
        nested(&items, &structure.at("items"), level, faults);
    }
    values(schema, structure, level, faults);
}
