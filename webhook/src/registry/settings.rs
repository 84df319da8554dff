//! Settings of a policy: checked by the schema of its bundle, and normalised so that they can be compared.

use jsonschema::PatternOptions;
use jsonschema::error::{ValidationError, ValidationErrorKind};
use plimsoll_sdk::metadata;
use serde_json::{Map, Value};

use super::fields::{describe, path};
use super::problem::{Hint, Problem};
use crate::model::pointer::join;

/// Maximum memory of a compiled pattern of a schema. The regex engine is linear in the text.
const PATTERN_BYTES: usize = 1 << 20;

/// An error in the settings, with its place.
#[derive(Debug)]
pub(super) struct Fault {
    /// RFC 6901 pointer within the settings.
    pub(super) pointer: String,
    /// Whether the error is about the key, not the value.
    pub(super) key: bool,
    pub(super) problem: Problem,
}

/// The settings with all defaults filled in. None if they equal the defaults, in whatever form they were written.
///
/// # Errors
/// Everything that the schema rejects.
pub(super) fn complete(policy: &metadata::Policy, settings: &Value) -> Result<Option<Value>, Vec<Fault>> {
    let given = if settings.is_null() { Value::Object(Map::new()) } else { without_nulls(settings) };
    check(policy, &given)?;
    let defaults = &policy.settings_defaults;
    let mut complete = defaults.clone();
    fill(&mut complete, &given, &policy.settings_schema);
    Ok((complete != *defaults).then_some(complete))
}

/// The settings without members that are `null`. These count as absent, as everywhere in Kubernetes.
fn without_nulls(settings: &Value) -> Value {
    match settings {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            members.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        scalar => scalar.clone(),
    }
}

/// Puts the given settings over the defaults. A struct (a schema with `properties`) keeps its other members. A map and
/// a list replace their default.
fn fill(settings: &mut Value, given: &Value, schema: &Value) {
    match (settings, given, schema.get("properties")) {
        (Value::Object(settings), Value::Object(given), Some(properties)) => {
            for (name, value) in given {
                let settings = settings.entry(name).or_insert(Value::Null);
                fill(settings, value, &properties[name.as_str()]);
            }
        }
        (settings, given, _) => settings.clone_from(given),
    }
}

fn check(policy: &metadata::Policy, settings: &Value) -> Result<(), Vec<Fault>> {
    let fault = |pointer: String, key: bool, reason: String| Fault {
        pointer,
        key,
        problem: Problem::Setting { policy: policy.id.clone(), reason },
    };
    // A schema comes from a third party. So nothing is fetched for it, and its patterns can't take exponential time.
    let validator = jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
        .offline()
        .build(&policy.settings_schema)
        .map_err(|error| {
            vec![fault(String::new(), false, format!("the bundle's schema of them is broken: {error}"))]
        })?;
    let mut faults = Vec::new();
    for error in validator.iter_errors(settings) {
        let pointer = error.instance_path().as_str().to_owned();
        let schema = owner(&policy.settings_schema, error.schema_path().as_str());
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
            let known: Vec<&str> =
                schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
            for name in unexpected {
                let reason = if known.is_empty() && pointer.is_empty() {
                    format!("the policy has no settings; remove `{name}`")
                } else {
                    format!("unknown setting `{name}`{}", Hint::new(name, known.iter().copied()))
                };
                faults.push(fault(join(&pointer, name), true, reason));
            }
        } else {
            let reason = reason(&pointer, schema, &error);
            faults.push(fault(pointer, false, reason));
        }
    }
    // Two keywords of one schema (`type` and `enum`) give the same message.
    faults.dedup_by(|left, right| left.pointer == right.pointer && left.problem == right.problem);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// The schema that contains the failed keyword: its parent.
fn owner<'a>(schema: &'a Value, keyword: &str) -> &'a Value {
    let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    schema.pointer(parent).unwrap_or(&Value::Null)
}

fn reason(pointer: &str, schema: &Value, error: &ValidationError<'_>) -> String {
    let mut reason = match expected(schema) {
        // Our words cover the keywords that `jsonschema_only` leaves. The others get the message of jsonschema.
        Some(expected) if !jsonschema_only(error.kind()) => {
            format!("`{}` must be {expected}, not {}", path(pointer), describe(error.instance()))
        }
        _ if pointer.is_empty() => error.to_string(),
        _ => format!("`{}`: {error}", path(pointer)),
    };
    if let Some(default) = schema.get("default") {
        reason.push_str(&format!("; the default is {default}"));
    }
    reason
}

fn jsonschema_only(kind: &ValidationErrorKind) -> bool {
    !matches!(
        kind,
        ValidationErrorKind::AnyOf { .. }
            | ValidationErrorKind::OneOfNotValid { .. }
            | ValidationErrorKind::Type { .. }
            | ValidationErrorKind::Pattern { .. }
            | ValidationErrorKind::Enum { .. }
            | ValidationErrorKind::Constant { .. }
            | ValidationErrorKind::Minimum { .. }
            | ValidationErrorKind::Maximum { .. }
    )
}

/// The values that a schema accepts, in words.
fn expected(schema: &Value) -> Option<String> {
    if schema.get("format").and_then(Value::as_str) == Some("quantity") {
        return Some("a quantity, such as 100m, 0.5 or 128Mi".to_owned());
    }
    if let Some(choices) = ["anyOf", "oneOf"].iter().find_map(|keyword| schema.get(keyword)?.as_array()) {
        let words: Option<Vec<_>> = choices.iter().map(expected).collect();
        return words.map(|words| words.join(" or "));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<_> = values.iter().map(Value::to_string).collect();
        return Some(format!("one of {}", values.join(", ")));
    }
    let bounds = match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    };
    match schema.get("type")?.as_str()? {
        "string" => Some(match schema.get("pattern").and_then(Value::as_str) {
            Some(pattern) => format!("a string that matches `{pattern}`"),
            None => "a string".to_owned(),
        }),
        "integer" => Some(format!("a whole number{bounds}")),
        "number" => Some(format!("a number{bounds}")),
        "boolean" => Some("true or false".to_owned()),
        "array" => Some("a list".to_owned()),
        "object" => Some("a mapping".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_sdk::metadata::Severity;
    use serde_json::json;

    use super::*;
    use crate::registry::test_bundle::{policy, with_settings};

    fn ratio() -> metadata::Policy {
        with_settings(policy("excessive-memory-ratio", "resources", Severity::Warning))
    }

    fn reasons(settings: Value) -> Vec<String> {
        complete(&ratio(), &settings)
            .unwrap_err()
            .into_iter()
            .map(|fault| format!("{} {}", fault.pointer, fault.problem))
            .collect()
    }

    #[test]
    fn defaults_however_they_are_written() {
        for settings in
            [json!({}), json!({"limit": "4"}), json!({"limit": null}), json!({"limit": "4", "mode": "strict"})]
        {
            assert_eq!(complete(&ratio(), &settings).unwrap(), None, "{settings}");
        }
    }

    #[test]
    fn what_is_not_said_keeps_its_default() {
        let expected = json!({"limit": "6", "mode": "strict", "names": [], "replicas": 2});
        assert_eq!(complete(&ratio(), &json!({"limit": "6"})).unwrap(), Some(expected));
    }

    #[test]
    fn what_is_wrong_in_words() {
        let prefix = "settings of `excessive-memory-ratio`:";
        for (settings, expected) in [
            (json!({"limt": "4"}), format!("/limt {prefix} unknown setting `limt`; did you mean `limit`?")),
            (
                json!({"limit": "four"}),
                format!(
                    "/limit {prefix} `limit` must be a string that matches `^[0-9]+$` or a number, not \"four\"; \
                     the default is \"4\""
                ),
            ),
            (
                json!({"replicas": 0}),
                format!(
                    "/replicas {prefix} `replicas` must be a whole number from 1 to 9, not the number 0; the default is 2"
                ),
            ),
            (
                json!({"replicas": "2"}),
                format!(
                    "/replicas {prefix} `replicas` must be a whole number from 1 to 9, not \"2\"; the default is 2"
                ),
            ),
            (
                json!({"mode": "weak"}),
                format!(
                    "/mode {prefix} `mode` must be one of \"strict\", \"lax\", not \"weak\"; the default is \"strict\""
                ),
            ),
            (json!({"names": ["a", 1]}), format!("/names/1 {prefix} `names[1]` must be a string, not the number 1")),
            (
                json!({"names": ["a", "a"]}),
                format!("/names {prefix} `names`: [\"a\",\"a\"] has non-unique elements; the default is []"),
            ),
        ] {
            assert_eq!(reasons(settings.clone()), [expected], "{settings}");
        }
    }

    #[test]
    fn everything_at_once() {
        assert_eq!(reasons(json!({"limit": [], "mode": 1, "x": 1})).len(), 3);
    }

    #[test]
    fn a_policy_without_settings() {
        let faults = complete(&policy("p", "image", Severity::Error), &json!({"x": 1})).unwrap_err();
        assert_eq!(faults[0].problem.to_string(), "settings of `p`: the policy has no settings; remove `x`");
    }

    /// Network references and look-around are rejected when the settings are read.
    #[test]
    fn schemas_of_strangers() {
        for (schema, words) in [
            (json!({"$ref": "https://example.com/schema.json"}), "example.com"),
            (json!({"properties": {"x": {"pattern": "(?=a)(a+)+$"}}}), "(?=a)"),
            (json!({"type": "nonsense"}), "nonsense"),
        ] {
            let hostile = metadata::Policy { settings_schema: schema.clone(), ..policy("p", "image", Severity::Error) };
            let faults = complete(&hostile, &json!({"x": "a"})).unwrap_err();
            let text = faults[0].problem.to_string();
            assert!(text.starts_with("settings of `p`: the bundle's schema of them is broken: "), "{text}");
            assert!(text.contains(words), "{schema}: {text}");
        }
    }
}
