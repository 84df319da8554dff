//! Labels, and what selects them.

use super::check::{Field, field, item, shown};
use crate::formats::names;
use crate::{At, Faults, Rule};

/// A map of labels: of metadata, of a node selector, of a Service's selector.
pub(super) fn labels(labels: &At<'_>, faults: &mut Faults) {
    for (key, value) in labels.members() {
        label_key(&value, key, faults);
        item(&value, "label value").form(&names::LABEL_VALUE, Rule::InvalidLabel, faults);
    }
}

/// The key of a label, in a map or in a field.
pub(super) fn label_key(at: &At<'_>, key: &str, faults: &mut Faults) {
    if !names::is_qualified_name(key) {
        let message = format!("`{}` is not a valid label key: use {}", shown(key), names::QUALIFIED_NAME.allowed);
        faults.error(Rule::InvalidLabel, at, message, "write a key such as `app` or `example.com/app`");
    }
}

/// The key of a label in a field.
pub(super) fn key_field(field: Field<'_>, faults: &mut Faults) {
    label_key(&field.at, field.at.text(), faults);
}

/// A label selector, if it is there.
pub(super) fn label_selector(selector: &At<'_>, faults: &mut Faults) {
    labels(&selector.at("matchLabels"), faults);
    for requirement in selector.at("matchExpressions").items() {
        let values = requirement.at("values");
        let operator = field(&requirement, "operator").need_one_of(&["In", "NotIn", "Exists", "DoesNotExist"], faults);
        values_of(&requirement, operator, faults);
        key_field(field(&requirement, "key"), faults);
        for value in values.items() {
            item(&value, "label value").form(&names::LABEL_VALUE, Rule::InvalidLabel, faults);
        }
    }
}

/// Whether the values of a requirement fit its operator.
pub(super) fn values_of(requirement: &At<'_>, operator: &str, faults: &mut Faults) {
    let values = field(requirement, "values");
    match (operator, values.at.count()) {
        ("In" | "NotIn", 0) => values.missing(&format!("at least one value for the operator `{operator}`"), faults),
        ("Exists" | "DoesNotExist", 1..) => {
            values.forbid(Rule::ExclusiveFields, &format!("with the operator `{operator}`"), faults);
        }
        ("Gt" | "Lt", count) if count != 1 => {
            values.missing(&format!("exactly one number for the operator `{operator}`"), faults);
        }
        _ => {}
    }
}

/// Whether a selector has no requirement, so that it selects everything.
pub(super) fn is_empty(selector: &At<'_>) -> bool {
    selector.at("matchLabels").count() == 0 && selector.at("matchExpressions").count() == 0
}

/// Whether a label selector selects these labels.
pub(super) fn selects(selector: &At<'_>, labels: &At<'_>) -> bool {
    let find = |key: &str| labels.entry(key).map(|value| value.text());
    holds_all(&selector.at("matchLabels"), labels)
        && selector.at("matchExpressions").items().all(|requirement| {
            let found = find(requirement.at("key").text());
            let listed =
                || found.is_some_and(|found| requirement.at("values").items().any(|value| value.text() == found));
            match requirement.at("operator").text() {
                "In" => listed(),
                "NotIn" => !listed(),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                // Reported as a wrong operator.
                _ => true,
            }
        })
}

/// Whether the labels have all of these.
pub(super) fn holds_all(wanted: &At<'_>, labels: &At<'_>) -> bool {
    wanted.members().all(|(key, value)| labels.entry(key).is_some_and(|label| label.text() == value.text()))
}

/// Whether a label selector or map of labels is well-formed enough to be compared.
pub(super) fn is_sound(selector: &At<'_>) -> bool {
    selector.at("matchExpressions").items().all(|requirement| {
        let values = requirement.at("values").count();
        match requirement.at("operator").text() {
            "In" | "NotIn" => values > 0,
            "Exists" | "DoesNotExist" => values == 0,
            _ => false,
        }
    })
}

/// A list of terms that nodes are selected by: of an affinity or of a PersistentVolume.
pub(super) fn node_selector(selector: &At<'_>, faults: &mut Faults) {
    let terms = field(selector, "nodeSelectorTerms");
    if terms.at.count() == 0 {
        return terms.missing("a list of at least one term", faults);
    }
    for term in terms.at.items() {
        // Before 1.33 values were not checked.
        let strict = faults.since(33);
        node_term(&term, strict, faults);
    }
}

/// One term of a node selector. Values of a preferred term may have any form.
pub(super) fn node_term(term: &At<'_>, strict: bool, faults: &mut Faults) {
    for requirement in term.at("matchExpressions").items() {
        let operators = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
        let operator = field(&requirement, "operator").need_one_of(&operators, faults);
        values_of(&requirement, operator, faults);
        key_field(field(&requirement, "key"), faults);
        for value in requirement.at("values").items().filter(|_| strict) {
            item(&value, "label value").form(&names::LABEL_VALUE, Rule::InvalidLabel, faults);
        }
    }
    for requirement in term.at("matchFields").items() {
        let operator = field(&requirement, "operator").need_one_of(&["In", "NotIn"], faults);
        let values = field(&requirement, "values");
        if matches!(operator, "In" | "NotIn") && values.at.count() != 1 {
            values.missing("exactly one name of a node", faults);
        }
        field(&requirement, "key").need_one_of(&["metadata.name"], faults);
        for value in values.at.items() {
            item(&value, "name of a node").form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
        }
    }
}
