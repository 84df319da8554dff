//! Configurations of webhooks.

use super::check::{Field, Seen, duplicate, exclusive, field, item, need_one, shown};
use super::rare::celex::{self, Scope, Want};
use super::selector;
use crate::formats::{names, paths};
use crate::{At, Faults, Rule};

/// A ValidatingWebhookConfiguration, or a `mutating` one.
pub(super) fn webhooks(object: &At<'_>, mutating: bool, faults: &mut Faults) {
    let mut seen = Seen::default();
    for hook in object.at("webhooks").items() {
        let name = field(&hook, "name");
        if let Some(text) = name.need_form(&names::FULLY_QUALIFIED, Rule::InvalidName, faults)
            && !seen.insert(text)
        {
            duplicate(&name.at, "the webhook", text, faults);
        }
        for rule in hook.at("rules").items() {
            self::rule(&rule, faults);
        }
        field(&hook, "failurePolicy").one_of(&["Ignore", "Fail"], faults);
        field(&hook, "matchPolicy").one_of(&["Exact", "Equivalent"], faults);
        let effects = field(&hook, "sideEffects");
        match effects.at.is_absent() {
            true => effects.missing("`None` or `NoneOnDryRun`", faults),
            false => effects.one_of(&["None", "NoneOnDryRun"], faults),
        }
        field(&hook, "timeoutSeconds").range(1, 30, faults);
        for name in ["namespaceSelector", "objectSelector"] {
            selector::label_selector(&hook.at(name), faults);
        }
        if mutating {
            field(&hook, "reinvocationPolicy").one_of(&["Never", "IfNeeded"], faults);
        }
        client(field(&hook, "clientConfig"), faults);
        conditions(&hook.at("matchConditions"), faults);
        versions(field(&hook, "admissionReviewVersions"), faults);
    }
}

/// How a webhook is called.
pub(super) fn client(config: Field<'_>, faults: &mut Faults) {
    let kinds = ["url", "service"];
    match exclusive(&config.at, &kinds, "`clientConfig`", faults) {
        0 => return need_one(&config.at, &kinds, "`clientConfig`", faults),
        1 => {}
        _ => return,
    }
    field(&config.at, "url").without_fault(Rule::InvalidFormat, paths::webhook_url_fault, faults);
    let service = config.at.at("service");
    if service.is_present() {
        field(&service, "name").need("the name of the Service", faults);
        field(&service, "namespace").need("the namespace of the Service", faults);
        field(&service, "port").port(faults);
        field(&service, "path").without_fault(Rule::InvalidFormat, paths::webhook_path_fault, faults);
    }
}

/// Versions of the review that a webhook understands; the API server sends `v1` or `v1beta1`.
pub(super) fn versions(versions: Field<'_>, faults: &mut Faults) {
    if versions.at.count() == 0 {
        return versions.missing("a list with `v1` or `v1beta1`", faults);
    }
    let mut seen = Seen::default();
    for version in versions.at.items() {
        if !seen.insert(version.text()) {
            duplicate(&version, "the version", version.text(), faults);
        } else if !names::is_dns_1035_label(version.text()) {
            let message = format!("`{}` is not a version", shown(version.text()));
            faults.error(Rule::InvalidName, &version, message, "write `v1`");
        }
    }
    if !seen.has("v1") && !seen.has("v1beta1") {
        let message = "the API server sends only the versions `v1` and `v1beta1`";
        faults.error(Rule::NotOneOf, &versions.at, message, "add `v1`");
    }
}

/// A rule: which requests are meant.
fn rule(rule: &At<'_>, faults: &mut Faults) {
    const OPERATIONS: &[&str] = &["*", "CREATE", "UPDATE", "DELETE", "CONNECT"];
    let operations = list(rule, "operations", true, faults);
    for operation in operations.items() {
        item(&operation, "operations").need_one_of(OPERATIONS, faults);
    }
    list(rule, "apiGroups", true, faults);
    let versions = list(rule, "apiVersions", true, faults);
    for version in versions.items().filter(|at| at.text().is_empty()) {
        item(&version, "apiVersions").missing("a version such as `v1`, or `*`", faults);
    }
    resources(&list(rule, "resources", false, faults), faults);
    field(rule, "scope").one_of(&["Cluster", "Namespaced", "*"], faults);
}

/// A list that must not be empty, and that has `*` only alone.
fn list<'a>(rule: &At<'a>, name: &'static str, alone: bool, faults: &mut Faults) -> At<'a> {
    let list = field(rule, name);
    if list.at.count() == 0 {
        list.missing("a list of at least one value", faults);
    }
    if alone && list.at.count() > 1 && list.at.items().any(|value| value.text() == "*") {
        let message = format!("`{name}` has `*` and other values, but `*` means all");
        faults.error(Rule::ExclusiveFields, &list.at, message, "leave `*` alone, or remove it");
    }
    list.at
}

fn resources(resources: &At<'_>, faults: &mut Faults) {
    let (mut all_parts, mut all_owners) = (Seen::default(), Seen::default());
    let (mut every, mut star, mut plain) = (false, false, false);
    for resource in resources.items() {
        let text = resource.text();
        if text.is_empty() {
            item(&resource, "resources").missing("a resource such as `pods`, or `*`", faults);
            continue;
        }
        every |= text == "*/*";
        star |= text == "*";
        let Some((owner, part)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if all_parts.has(owner) || all_owners.has(part) {
            let message = format!("`{}` is in another entry of `resources` already", shown(text));
            faults.error(Rule::ExclusiveFields, &resource, message, "remove it");
        }
        if part == "*" {
            all_parts.insert(owner);
        }
        if owner == "*" {
            all_owners.insert(part);
        }
    }
    if (every && resources.count() > 1) || (star && plain) {
        let message = "`resources` has `*` or `*/*` and what it covers";
        faults.error(Rule::ExclusiveFields, resources, message, "leave `*` or `*/*` alone, or remove it");
    }
}

fn conditions(conditions: &At<'_>, faults: &mut Faults) {
    item(conditions, "matchConditions").at_most(conditions.count(), 64, "conditions", faults);
    let mut seen = Seen::default();
    for condition in conditions.items() {
        expression(field(&condition, "expression"), faults);
        let name = field(&condition, "name");
        if let Some(text) = name.need_form(&names::QUALIFIED_NAME, Rule::InvalidName, faults)
            && !seen.insert(text)
        {
            duplicate(&name.at, "the condition", text, faults);
        }
    }
}

fn expression(expression: Field<'_>, faults: &mut Faults) {
    if expression.at.text().trim().is_empty() {
        expression.missing("an expression in CEL", faults);
    } else {
        celex::probe(&expression.at, &Scope { authorizer: true, ..Scope::default() }, Want::Bool, faults);
    }
}
