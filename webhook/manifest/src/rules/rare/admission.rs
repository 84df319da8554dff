//! Admission policies that are written in CEL, and their bindings.

use std::collections::HashSet;

use super::super::check::{self, Seen, field, item, shown};
use super::super::{meta, selector};
use super::celex::{self, Scope, Want};
use crate::formats::names;
use crate::{At, Faults, Rule};

const OPERATIONS: &[&str] = &["CREATE", "UPDATE", "DELETE", "CONNECT", "*"];
const MUTATING: &[&str] = &["CREATE", "UPDATE", "CONNECT", "*"];

/// Largest number of conditions, and of audit annotations, and longest expression of one, in bytes.
const CONDITIONS: usize = 64;
const ANNOTATIONS: usize = 20;
const ANNOTATION: usize = 5 * 1024;

pub(super) fn probe(kind: &str, at: &At<'_>, faults: &mut Faults) -> bool {
    let mutating = kind.starts_with("Mutating");
    match kind {
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => policy(at, mutating, faults),
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => binding(at, mutating, faults),
        _ => return false,
    }
    true
}

fn policy(object: &At<'_>, mutating: bool, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, false, faults);
    let spec = object.at("spec");
    field(&spec, "failurePolicy").one_of(&["Fail", "Ignore"], faults);
    let params = spec.at("paramKind");
    if params.is_present() {
        param_kind(&params, faults);
    }
    let constraints = field(&spec, "matchConstraints");
    if let Some(constraints) = constraints.need_value("the resources that the policy is about", faults) {
        resources(&constraints, mutating, faults);
        let rules = field(&constraints, "resourceRules");
        if rules.at.count() == 0 {
            rules.missing("at least one rule", faults);
        }
    }
    let scope = Scope { params: params.is_present(), authorizer: true, ..Scope::default() };
    conditions(&spec.at("matchConditions"), &scope, faults);
    let composed = mutating || spec.at("variables").count() > 0;
    let mut scope = Scope { variables: composed.then(HashSet::new), ..scope };
    for variable in spec.at("variables").items() {
        expression(&variable, "expression", &scope, Want::Any, faults);
        let name = field(&variable, "name");
        if let Some(text) = name.need("the name of the variable", faults) {
            if !celex::is_identifier(text) {
                let message = format!("`{}` is not an identifier of CEL", shown(text));
                faults.error(Rule::InvalidName, &name.at, message, "write letters, digits and `_`");
            }
            scope.variables.get_or_insert_default().insert(text);
        }
    }
    if mutating {
        mutations(&spec, &scope, faults);
    } else {
        validations(object, &spec, &scope, faults);
    }
}

fn validations<'a>(object: &At<'a>, spec: &At<'a>, scope: &Scope<'a>, faults: &mut Faults) {
    let (validations, annotations) = (spec.at("validations"), field(spec, "auditAnnotations"));
    if validations.count() == 0 && annotations.at.count() == 0 {
        check::need_one(spec, &["validations", "auditAnnotations"], "a policy", faults);
    }
    for validation in validations.items() {
        expression(&validation, "expression", scope, Want::Bool, faults);
        let message = field(&validation, "message");
        let text = message.at.text();
        if !text.is_empty() && text.trim().is_empty() {
            message.missing("a text", faults);
        } else if text.trim().contains(['\n', '\r']) {
            faults.error(Rule::InvalidValue, &message.at, "`message` has line breaks", "write the message in one line");
        }
        let why = field(&validation, "messageExpression");
        if !why.at.text().is_empty() {
            let scope = Scope { authorizer: false, ..scope.clone() };
            expression(&validation, "messageExpression", &scope, Want::String, faults);
        }
        field(&validation, "reason").one_of(&["Forbidden", "Invalid", "RequestEntityTooLarge"], faults);
    }
    annotations.at_most(annotations.at.count(), ANNOTATIONS, "annotations", faults);
    let mut seen = Seen::default();
    let metadata = object.at("metadata");
    let name = match metadata.at("name").text() {
        // The API server adds a few letters to the prefix before it validates.
        "" => format!("{}x", metadata.at("generateName").text()),
        name => name.to_owned(),
    };
    for annotation in annotations.at.items() {
        let key = annotation.at("key");
        if !names::is_qualified_name(&format!("{name}/{}", key.text())) {
            let message = format!("`{}` can't be the key of an audit annotation", shown(key.text()));
            faults.error(Rule::InvalidLabel, &key, message, "write letters, digits, `-`, `_` and `.`");
        }
        if !seen.insert(key.text()) {
            check::duplicate(&key, "the key", key.text(), faults);
        }
        let value = field(&annotation, "valueExpression");
        value.at_most(value.at.text().trim().len(), ANNOTATION, "bytes", faults);
        expression(&annotation, "valueExpression", scope, Want::String, faults);
    }
}

fn mutations(spec: &At<'_>, scope: &Scope<'_>, faults: &mut Faults) {
    let mutations = field(spec, "mutations");
    if mutations.at.count() == 0 {
        mutations.missing("at least one mutation", faults);
    }
    for mutation in mutations.at.items() {
        let (apply, patch) = (field(&mutation, "applyConfiguration"), field(&mutation, "jsonPatch"));
        let (own, other, want) =
            match field(&mutation, "patchType").need_one_of(&["ApplyConfiguration", "JSONPatch"], faults) {
                "ApplyConfiguration" => (apply, patch, Want::Object),
                "JSONPatch" => (patch, apply, Want::Patches),
                _ => continue,
            };
        other.forbid(Rule::ExclusiveFields, "with this `patchType`", faults);
        if let Some(own) = own.need_value("the expression of the patch", faults) {
            expression(&own, "expression", &Scope { patch: true, ..scope.clone() }, want, faults);
        }
    }
    field(spec, "reinvocationPolicy").need_one_of(&["Never", "IfNeeded"], faults);
}

fn binding(object: &At<'_>, mutating: bool, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, false, faults);
    let spec = object.at("spec");
    field(&spec, "policyName").need_name(faults);
    let params = spec.at("paramRef");
    if params.is_present() {
        param_ref(&params, faults);
    }
    resources(&spec.at("matchResources"), mutating, faults);
    if mutating {
        return;
    }
    let actions = field(&spec, "validationActions");
    if actions.at.count() == 0 {
        actions.missing("at least one of `Deny`, `Warn`, `Audit`", faults);
    }
    let mut seen = Seen::default();
    for action in actions.at.items() {
        item(&action, "validationActions").need_one_of(&["Deny", "Warn", "Audit"], faults);
        if !seen.insert(action.text()) {
            check::duplicate(&action, "the action", action.text(), faults);
        }
    }
    if seen.has("Deny") && seen.has("Warn") {
        let message = "`validationActions` has both `Deny` and `Warn`, which would say the same twice";
        faults.error(Rule::ExclusiveFields, &actions.at, message, "remove `Warn`");
    }
}

fn param_kind(params: &At<'_>, faults: &mut Faults) {
    let version = field(params, "apiVersion");
    if let Some(text) = version.need("the apiVersion of the parameters", faults) {
        let (group, number) = text.split_once('/').unwrap_or(("", text));
        let sound = (group.is_empty() || names::is_dns_subdomain(group)) && names::is_dns_1035_label(number);
        if !sound {
            let message = format!("`{}` is not a valid apiVersion", shown(text));
            faults.error(Rule::InvalidValue, &version.at, message, "write a group and version: `apps/v1`");
        }
    }
    field(params, "kind").need_form(&names::KIND, Rule::InvalidName, faults);
}

fn param_ref(params: &At<'_>, faults: &mut Faults) {
    let (name, chosen) = (field(params, "name"), params.at("selector"));
    name.form_or_empty(&names::PATH_SEGMENT, Rule::InvalidName, faults);
    selector::label_selector(&chosen, faults);
    match (name.at.text().is_empty(), chosen.is_present()) {
        (false, true) => {
            check::exclusive(params, &["name", "selector"], "a reference", faults);
        }
        (true, false) => check::need_one(params, &["name", "selector"], "a reference", faults),
        _ => {}
    }
    field(params, "parameterNotFoundAction").need_one_of(&["Allow", "Deny"], faults);
}

fn resources(constraints: &At<'_>, mutating: bool, faults: &mut Faults) {
    field(constraints, "matchPolicy").one_of(&["Exact", "Equivalent"], faults);
    selector::label_selector(&constraints.at("namespaceSelector"), faults);
    selector::label_selector(&constraints.at("objectSelector"), faults);
    for rule in constraints.at("resourceRules").items() {
        named_rule(&rule, if mutating { MUTATING } else { OPERATIONS }, faults);
    }
    for rule in constraints.at("excludeResourceRules").items() {
        named_rule(&rule, OPERATIONS, faults);
    }
}

fn named_rule(rule: &At<'_>, operations: &[&str], faults: &mut Faults) {
    let mut seen = Seen::default();
    for name in rule.at("resourceNames").items() {
        item(&name, "resourceNames").form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
        if !seen.insert(name.text()) {
            check::duplicate(&name, "the name", name.text(), faults);
        }
    }
    for name in ["operations", "apiGroups", "apiVersions"] {
        let values = field(rule, name);
        let all = values.at.items().any(|value| value.text() == "*");
        if values.at.count() == 0 {
            values.missing("at least one value", faults);
        } else if all && values.at.count() > 1 {
            let message = format!("`{name}` has `*` and others, but `*` stands for all");
            faults.error(Rule::ExclusiveFields, &values.at, message, "leave `*` alone, or remove it");
        }
    }
    for operation in rule.at("operations").items() {
        item(&operation, "operations").need_one_of(operations, faults);
    }
    for version in rule.at("apiVersions").items() {
        item(&version, "apiVersions").need("a version such as `v1`", faults);
    }
    rule_resources(&field(rule, "resources").at, faults);
    field(rule, "scope").one_of(&["*", "Cluster", "Namespaced"], faults);
}

/// Resources, with `/` and the subresource, of which none is covered by another one.
fn rule_resources(resources: &At<'_>, faults: &mut Faults) {
    if resources.count() == 0 {
        faults.error(
            Rule::MissingField,
            resources,
            "`resources` is missing or empty, but required",
            "write at least one resource, such as `pods`",
        );
    }
    let (mut every_sub, mut every_resource) = (Seen::default(), Seen::default());
    let (mut single, mut plain) = (false, false);
    for resource in resources.items() {
        let text = resource.text();
        if text.is_empty() {
            item(&resource, "resources").missing("a resource such as `pods`", faults);
            continue;
        }
        single |= text == "*";
        let Some((name, sub)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if every_sub.has(name) || every_resource.has(sub) {
            let message = format!("`{}` is covered by an earlier entry", shown(text));
            faults.error(Rule::DuplicateEntry, &resource, message, "remove the entry");
        }
        if sub == "*" {
            every_sub.insert(name);
        }
        if name == "*" {
            every_resource.insert(sub);
        }
    }
    let double = resources.items().any(|resource| resource.text() == "*/*");
    if (double && resources.count() > 1) || (single && plain) {
        let message = "`resources` has a `*` that covers other entries";
        faults.error(Rule::ExclusiveFields, resources, message, "leave the entry with `*` alone, or remove it");
    }
}

/// Conditions in CEL.
pub(super) fn conditions(conditions: &At<'_>, scope: &Scope<'_>, faults: &mut Faults) {
    if conditions.count() > CONDITIONS {
        let message = format!("there are {} conditions, but at most {CONDITIONS} are allowed", conditions.count());
        faults.error(Rule::OutOfRange, conditions, message, "join conditions with `&&`");
    }
    let mut seen = Seen::default();
    for condition in conditions.items() {
        expression(&condition, "expression", scope, Want::Bool, faults);
        let name = field(&condition, "name").need_form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
        if let Some(name) = name.filter(|name| !seen.insert(name)) {
            check::duplicate(&condition.at("name"), "the condition", name, faults);
        }
    }
}

fn expression(owner: &At<'_>, name: &'static str, scope: &Scope<'_>, want: Want, faults: &mut Faults) {
    let expression = field(owner, name);
    if expression.at.text().trim().is_empty() {
        expression.missing("an expression in CEL", faults);
    } else {
        celex::probe(&expression.at, scope, want, faults);
    }
}
