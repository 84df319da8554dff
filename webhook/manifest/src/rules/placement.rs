//! Where a Pod is placed: affinity, topology spread, tolerations.

use super::check::{Seen, duplicate, field, item, shown};
use super::selector;
use crate::formats::names;
use crate::{At, Faults, Rule};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Affinity to nodes and Pods. `labels` are those of a Pod; a template has none yet.
pub(super) fn affinity(affinity: &At<'_>, labels: Option<&At<'_>>, faults: &mut Faults) {
    let nodes = affinity.at("nodeAffinity");
    let required = nodes.at(REQUIRED);
    if required.is_present() {
        selector::node_selector(&required, faults);
    }
    for term in nodes.at(PREFERRED).items() {
        weight(&term, faults);
        selector::node_term(&term.at("preference"), false, faults);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.at(name);
        for term in pods.at(REQUIRED).items() {
            pod_term(&term, labels, faults);
        }
        for term in pods.at(PREFERRED).items() {
            weight(&term, faults);
            pod_term(&term.at("podAffinityTerm"), labels, faults);
        }
    }
}

fn weight(term: &At<'_>, faults: &mut Faults) {
    let weight = field(term, "weight");
    match weight.at.int().unwrap_or(0) {
        0 => weight.missing("a number from 1 to 100", faults),
        _ => weight.range(1, 100, faults),
    }
}

fn pod_term(term: &At<'_>, labels: Option<&At<'_>>, faults: &mut Faults) {
    selector::label_selector(&term.at("labelSelector"), faults);
    selector::label_selector(&term.at("namespaceSelector"), faults);
    for namespace in term.at("namespaces").items() {
        if namespace.text().is_empty() {
            item(&namespace, "namespaces").missing("the name of a namespace", faults);
        }
        item(&namespace, "namespaces").form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
    }
    label_keys(term, "matchLabelKeys", faults);
    label_keys(term, "mismatchLabelKeys", faults);
    repeated_expression(term, labels, faults);
    let mismatched = term.at("mismatchLabelKeys");
    for key in term.at("matchLabelKeys").items() {
        if mismatched.items().take(64).any(|other| other.text() == key.text()) {
            let message = format!("`{}` is in `matchLabelKeys` and in `mismatchLabelKeys`", shown(key.text()));
            faults.error(Rule::ExclusiveFields, &key, message, "leave it in one of the two lists");
        }
    }
    topology_key(term, faults);
}

fn topology_key(term: &At<'_>, faults: &mut Faults) {
    let key = field(term, "topologyKey");
    if key.need("a label of nodes, such as `kubernetes.io/hostname`", faults).is_some() {
        selector::key_field(key, faults);
    }
}

/// A list of keys of labels, which needs a selector.
fn label_keys(term: &At<'_>, name: &'static str, faults: &mut Faults) {
    let keys = field(term, name);
    if keys.at.count() == 0 {
        return;
    }
    if term.at("labelSelector").is_absent() {
        return keys.forbid(Rule::DependentFields, "without `labelSelector`", faults);
    }
    for key in keys.at.items() {
        selector::label_key(&key, key.text(), faults);
    }
}

/// The API server adds a key of `matchLabelKeys` to the selector of a Pod that has this label. No key may then be there
/// twice.
fn repeated_expression(term: &At<'_>, labels: Option<&At<'_>>, faults: &mut Faults) {
    let keys = term.at("matchLabelKeys");
    if keys.count() == 0 {
        return;
    }
    let selector = term.at("labelSelector");
    let is_key = |text: &str| keys.items().take(64).any(|other| other.text() == text);
    let added = |text: &str| labels.is_some_and(|labels| labels.entry(text).is_some());
    let mut seen = Seen::default();
    for (key, value) in selector.at("matchLabels").members() {
        seen.insert(key);
        if is_key(key) && added(key) {
            repeated(&value, key, faults);
        }
    }
    for expression in selector.at("matchExpressions").items() {
        let key = expression.at("key");
        let text = key.text();
        if is_key(text) && (!seen.insert(text) || added(text)) {
            repeated(&key, text, faults);
        }
    }
}

fn repeated(at: &At<'_>, key: &str, faults: &mut Faults) {
    let message = format!("`{}` is in `matchLabelKeys` and in `labelSelector`", shown(key));
    faults.error(Rule::ExclusiveFields, at, message, "remove it from `labelSelector`");
}

/// `topologySpreadConstraints` of a Pod.
pub(super) fn spread(constraints: &At<'_>, labels: Option<&At<'_>>, faults: &mut Faults) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for constraint in constraints.items() {
        let skew = field(&constraint, "maxSkew");
        match skew.at.int().unwrap_or(0) {
            0 => skew.missing("a number of at least 1", faults),
            _ => skew.least(1, faults),
        }
        let key = field(&constraint, "topologyKey");
        key.need("a label of nodes, such as `kubernetes.io/hostname`", faults);
        let action = field(&constraint, "whenUnsatisfiable").need_one_of(&["DoNotSchedule", "ScheduleAnyway"], faults);
        let pair = (key.at.text(), action);
        if seen.contains(&pair) {
            duplicate(&constraint, "the spread over", &format!("{} with {action}", shown(pair.0)), faults);
        } else if seen.len() < 64 {
            seen.push(pair);
        }
        let domains = field(&constraint, "minDomains");
        domains.least(1, faults);
        if domains.at.is_present() && action != "DoNotSchedule" {
            domains.forbid(Rule::DependentFields, "unless `whenUnsatisfiable` is `DoNotSchedule`", faults);
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            field(&constraint, policy).one_of(&["Honor", "Ignore"], faults);
        }
        spread_keys(&constraint, labels, faults);
        selector::label_selector(&constraint.at("labelSelector"), faults);
    }
}

fn spread_keys(constraint: &At<'_>, labels: Option<&At<'_>>, faults: &mut Faults) {
    label_keys(constraint, "matchLabelKeys", faults);
    if faults.since(34) {
        return repeated_expression(constraint, labels, faults);
    }
    // Before 1.34 a key was in the list or in the selector.
    let selector = constraint.at("labelSelector");
    for key in constraint.at("matchLabelKeys").items() {
        let text = key.text();
        let expressed = || selector.at("matchExpressions").items().take(64).any(|at| at.at("key").text() == text);
        if selector.at("matchLabels").entry(text).is_some() || expressed() {
            let message = format!("`{}` is in `matchLabelKeys` and in `labelSelector`", shown(text));
            faults.error(Rule::ExclusiveFields, &key, message, "remove it from one of the two");
        }
    }
}

/// Tolerations of a Pod or RuntimeClass.
pub(super) fn tolerations(tolerations: &At<'_>, faults: &mut Faults) {
    for toleration in tolerations.items() {
        let key = field(&toleration, "key");
        let operator = field(&toleration, "operator");
        let exists = operator.at.text() == "Exists";
        if !key.at.text().is_empty() {
            selector::key_field(key, faults);
        } else if !exists {
            let message = "a toleration without `key` tolerates every taint, which needs `operator: Exists`";
            faults.error(Rule::DependentFields, &operator.at, message, "write `key`, or `operator: Exists`");
        }
        let effect = field(&toleration, "effect");
        let seconds = field(&toleration, "tolerationSeconds");
        if effect.at.text() != "NoExecute" {
            seconds.forbid(Rule::DependentFields, "unless `effect` is `NoExecute`", faults);
        }
        operator.one_of_or_empty(&["Equal", "Exists"], faults);
        let value = field(&toleration, "value");
        if exists && !value.at.text().is_empty() {
            value.forbid(Rule::ExclusiveFields, "with `operator: Exists`", faults);
        } else if matches!(operator.at.text(), "" | "Equal") {
            value.form_or_empty(&names::LABEL_VALUE, Rule::InvalidLabel, faults);
        }
        effect.one_of_or_empty(&["NoSchedule", "PreferNoSchedule", "NoExecute"], faults);
    }
}
