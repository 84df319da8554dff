//! Default values, selectable fields and rules in the schema of a CustomResourceDefinition.

use plimsoll_flat::{Kind, Node};

use super::check::{Seen, duplicate, field, list, shown, value};
use super::crd_schema;
use super::rare::celex::{self, Scope, Want};
use crate::{At, Faults, Rule};

/// Types that a field can have by which objects are selected.
const SELECTABLE: &[&str] = &["string", "boolean", "integer"];

/// Rules in CEL. Names of fields are not checked.
pub(super) fn rules(schema: &At<'_>, faults: &mut Faults) {
    for rule in schema.at("x-kubernetes-validations").items() {
        let expression = field(&rule, "rule");
        if expression.at.text().trim().is_empty() {
            expression.missing("a rule in CEL", faults);
        } else {
            celex::probe(&expression.at, &Scope::of(&["self", "oldSelf"]), Want::Bool, faults);
        }
        let message = field(&rule, "message");
        let text = message.at.text();
        if !text.is_empty() && text.trim().is_empty() {
            message.missing("a text, or no field at all", faults);
        }
        let fault = |text: &str| text.trim().contains(['\n', '\r']).then_some("it must not have line breaks");
        message.without_fault(Rule::InvalidFormat, fault, faults);
        let several = expression.at.text().trim().contains(['\n', '\r']);
        if several && text.trim().is_empty() {
            message.missing("a text, because the rule has several lines", faults);
        }
        let reasons = ["FieldValueRequired", "FieldValueForbidden", "FieldValueInvalid", "FieldValueDuplicate"];
        let path = field(&rule, "fieldPath");
        let fault = |path: &str| rule_path_fault(path, schema);
        path.without_fault(Rule::UnknownReference, fault, faults);
        let words = field(&rule, "messageExpression");
        if !words.at.text().is_empty() {
            match words.at.text().trim() {
                "" => words.missing("a text in CEL, or no field at all", faults),
                _ => celex::probe(&words.at, &Scope::of(&["self", "oldSelf"]), Want::String, faults),
            }
        }
        let optional = field(&rule, "optionalOldSelf");
        if optional.at.is_present() && !expression.at.text().contains("oldSelf") {
            optional.forbid(Rule::DependentFields, "unless `rule` uses `oldSelf`", faults);
        }
        field(&rule, "reason").one_of(&reasons, faults);
    }
}

/// What is wrong with the path of a rule, if something is. Only names between dots are followed.
fn rule_path_fault(path: &str, schema: &At<'_>) -> Option<&'static str> {
    if path.is_empty() {
        return None;
    }
    if path.contains(['\n', '\r']) || !path.starts_with(['.', '[']) {
        return Some("it must be a path such as `.spec.replicas`");
    }
    if path.contains(['[', ']', '\'', '"', '\\']) {
        return None;
    }
    let mut place = *schema;
    for name in path.split('.').skip(1) {
        let additional = place.at("additionalProperties");
        place = match place.at("properties").entry(name) {
            Some(property) => property,
            None if additional.is_object() && !name.is_empty() => additional,
            None => return Some("it must be the path of a field of the schema"),
        };
    }
    None
}

/// The default value of a schema, which has to fit it.
pub(super) fn default(schema: &At<'_>, faults: &mut Faults) {
    let default = schema.at("default");
    if default.is_present()
        && let Some((at, why)) = misfit(&default, schema)
    {
        let message = format!("the default value `{}` does not fit the schema: {why}", value(&at));
        faults.error(Rule::InvalidValue, &at, message, "change `default` or the schema");
    }
}

/// The first part of a value that does not fit, and why.
fn misfit<'a>(value: &At<'a>, schema: &At<'_>) -> Option<(At<'a>, String)> {
    let kind = value.kind()?;
    let wanted = schema.at("type").text();
    let either = schema.at("x-kubernetes-int-or-string").is_true();
    let is_whole = value.int().is_some();
    let fits = match wanted {
        // The type is not checked without the usual form of `anyOf`.
        "" if either && crd_schema::is_either(&schema.at("anyOf")) => kind == Kind::String || is_whole,
        "string" => kind == Kind::String,
        "boolean" => kind == Kind::Bool,
        "integer" => kind == Kind::Number && (is_whole || value.node()?.as_f64()?.fract() == 0.0),
        "number" => kind == Kind::Number,
        "array" => kind == Kind::Array,
        "object" => kind == Kind::Object,
        _ => true,
    };
    if !fits {
        let wanted = if either { "a whole number or text" } else { wanted };
        return Some((*value, format!("it must be of the type `{wanted}`")));
    }
    limits(value, schema, kind).map(|why| (*value, why)).or_else(|| parts(value, schema))
}

fn limits(value: &At<'_>, schema: &At<'_>, kind: Kind) -> Option<String> {
    let values = schema.at("enum");
    if values.count() > 0 && !values.items().any(|one| one.node() == value.node()) {
        return Some("it is not one of the values of `enum`".into());
    }
    let number = |name: &'static str| schema.at(name).node().and_then(|node| node.as_f64());
    if kind == Kind::Number {
        let read = value.node()?.as_f64()?;
        if let Some(least) = number("minimum").filter(|least| read < *least) {
            return Some(format!("it must be at least {least}"));
        }
        if let Some(most) = number("maximum").filter(|most| read > *most) {
            return Some(format!("it must be at most {most}"));
        }
    }
    let (least, most, size) = match kind {
        Kind::String => ("minLength", "maxLength", value.text().chars().count()),
        Kind::Array => ("minItems", "maxItems", value.count()),
        Kind::Object => ("minProperties", "maxProperties", value.count()),
        _ => return None,
    };
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    if let Some(least) = schema.at(least).int().filter(|least| size < *least) {
        return Some(format!("its length must be at least {least}"));
    }
    if let Some(most) = schema.at(most).int().filter(|most| size > *most) {
        return Some(format!("its length must be at most {most}"));
    }
    None
}

fn parts<'a>(value: &At<'a>, schema: &At<'_>) -> Option<(At<'a>, String)> {
    let items = schema.at("items");
    for item in value.items() {
        if let Some(found) = misfit(&item, &items) {
            return Some(found);
        }
    }
    let open = schema.at("x-kubernetes-preserve-unknown-fields").is_true()
        || schema.at("x-kubernetes-embedded-resource").is_true();
    let additional = schema.at("additionalProperties");
    if value.is_object() {
        for required in schema.at("required").items() {
            if required.str().is_some_and(|name| value.entry(name).is_none()) {
                return Some((*value, format!("`{}` is required", shown(required.text()))));
            }
        }
    }
    for (name, member) in value.members() {
        let found = match schema.at("properties").entry(name) {
            Some(property) => misfit(&member, &property),
            None if additional.is_object() => misfit(&member, &additional),
            None if open || additional.is_true() || schema.at("type").text() != "object" => None,
            None => Some((member, format!("`{}` is not one of `properties`", shown(name)))),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Fields by which objects of a version can be selected.
pub(super) fn selectable(version: &At<'_>, schema: &At<'_>, faults: &mut Faults) {
    let fields = field(version, "selectableFields");
    fields.at_most(fields.at.count(), 8, "fields", faults);
    let mut seen = Seen::default();
    for selectable in fields.at.items() {
        let path = field(&selectable, "jsonPath");
        let Some(text) = path.need("a path such as `.spec.color`", faults) else {
            continue;
        };
        if !seen.insert(text) {
            duplicate(&path.at, "the path", text, faults);
        }
        let why = match text.strip_prefix('.') {
            None => Some("it must begin with `.`".into()),
            Some(rest) => path_fault(rest, schema),
        };
        if let Some(why) = why {
            let message = format!("`{}` can't be used to select objects: {why}", shown(text));
            faults.error(Rule::UnknownReference, &path.at, message, "write the path of a field such as `.spec.color`");
        }
    }
}

/// Versions with one and the same schema must have the same selectable fields: the API server then keeps one schema.
pub(super) fn same_fields(versions: &At<'_>, faults: &mut Faults) {
    let (Some(first), true) = (versions.item(0), versions.count() > 1) else {
        return;
    };
    let differ = versions.items().any(|version| selected(&version) != selected(&first));
    if differ && versions.items().all(|version| version.at("schema").node() == first.at("schema").node()) {
        for version in versions.items().filter(|version| selected(version).is_some()) {
            let message = "versions with the same schema must have the same `selectableFields`";
            faults.error(Rule::DependentFields, &version.at("selectableFields"), message, "write them in all versions");
        }
    }
}

fn selected<'a>(version: &At<'a>) -> Option<Node<'a>> {
    version.at("selectableFields").node().filter(|node| node.len() > 0)
}

/// What is wrong with a path of names, if something is. Other forms of paths are let through.
fn path_fault(path: &str, schema: &At<'_>) -> Option<String> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !path.split('.').all(is_name) {
        return None;
    }
    if path == "metadata" || path.starts_with("metadata.") {
        return Some("fields of `metadata` are selectable in another way".into());
    }
    let mut place = *schema;
    for name in path.split('.') {
        let found = place.at("properties").entry(name);
        match found {
            Some(property) => place = property,
            None => return Some(format!("`{}` is not a field of the schema", shown(name))),
        }
    }
    let kind = place.at("type").text();
    (!kind.is_empty() && !SELECTABLE.contains(&kind)).then(|| format!("its type must be one of {}", list(SELECTABLE)))
}
