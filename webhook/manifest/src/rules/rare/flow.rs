//! Priority and fairness of the API server.

use super::super::check::{self, field, item, list, shown};
use super::super::meta;
use crate::formats::names;
use crate::{At, Faults, Rule};

const VERBS: &[&str] =
    &["get", "list", "create", "update", "delete", "deletecollection", "patch", "watch", "proxy", "*"];

/// Largest number of bits that the choice of queues may need.
const ENTROPY: f64 = 60.0;

pub(super) fn probe(kind: &str, at: &At<'_>, faults: &mut Faults) -> bool {
    match kind {
        "FlowSchema" => schema(at, faults),
        "PriorityLevelConfiguration" => level(at, faults),
        _ => return false,
    }
    true
}

fn schema(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let name = object.path(&["metadata", "name"]).text();
    let spec = object.at("spec");
    let precedence = field(&spec, "matchingPrecedence");
    precedence.range(0, 10_000, faults);
    if precedence.at.int() == Some(1) && name != "exempt" {
        let message = "`matchingPrecedence` is 1, which is kept for the schema `exempt`";
        faults.error(Rule::OutOfRange, &precedence.at, message, "write a number from 2 to 10000");
    }
    let method = spec.at("distinguisherMethod");
    if method.is_present() {
        field(&method, "type").need_one_of(&["ByNamespace", "ByUser"], faults);
    }
    field(&spec.at("priorityLevelConfiguration"), "name").need_name(faults);
    for rule in spec.at("rules").items() {
        self::rule(&rule, faults);
    }
}

fn rule(rule: &At<'_>, faults: &mut Faults) {
    let subjects = field(rule, "subjects");
    if subjects.at.count() == 0 {
        subjects.missing("at least one subject", faults);
    }
    for subject in subjects.at.items() {
        self::subject(&subject, faults);
    }
    let (resources, urls) = (rule.at("resourceRules"), rule.at("nonResourceRules"));
    if resources.count() == 0 && urls.count() == 0 {
        check::need_one(rule, &["resourceRules", "nonResourceRules"], "a rule", faults);
    }
    for rule in resources.items() {
        verbs(&rule, faults);
        all_or_some(&rule, "apiGroups", faults);
        all_or_some(&rule, "resources", faults);
        let namespaces = field(&rule, "namespaces");
        if namespaces.at.count() > 0 {
            if all_or_some(&rule, "namespaces", faults) {
                for namespace in namespaces.at.items() {
                    item(&namespace, "namespaces").need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
                }
            }
        } else if !rule.at("clusterScope").is_true() {
            namespaces.missing("namespaces, or `clusterScope: true`", faults);
        }
    }
    for rule in urls.items() {
        verbs(&rule, faults);
        if all_or_some(&rule, "nonResourceURLs", faults) {
            for url in rule.at("nonResourceURLs").items().filter(|url| !is_path(url.text())) {
                let message = format!("`{}` is not a path: only its end may be `/*`", shown(url.text()));
                faults.error(Rule::InvalidFormat, &url, message, "write a path such as `/healthz` or `/metrics/*`");
            }
        }
    }
}

fn verbs(rule: &At<'_>, faults: &mut Faults) {
    if all_or_some(rule, "verbs", faults) {
        for verb in rule.at("verbs").items() {
            item(&verb, "verbs").need_one_of(VERBS, faults);
        }
    }
}

/// A list that has `*` alone, or others. Returns whether it has others.
fn all_or_some(rule: &At<'_>, name: &'static str, faults: &mut Faults) -> bool {
    let values = field(rule, name);
    if values.at.count() == 0 {
        values.missing("at least one value", faults);
    }
    let all = values.at.items().any(|value| value.text() == "*");
    if all && values.at.count() > 1 {
        let message = format!("`{name}` has `*` and others, but `*` stands for all");
        faults.error(Rule::ExclusiveFields, &values.at, message, "leave `*` alone, or remove it");
    }
    !all
}

fn is_path(path: &str) -> bool {
    let stars = path.matches('*').count();
    path == "/"
        || (path.starts_with('/')
            && !path.contains([' '])
            && !path.contains("//")
            && (stars == 0 || (stars == 1 && path.ends_with("/*"))))
}

fn subject(subject: &At<'_>, faults: &mut Faults) {
    let kinds = ["Group", "ServiceAccount", "User"];
    let (own, others): (&'static str, [&'static str; 2]) = match subject.at("kind").text() {
        "Group" => ("group", ["serviceAccount", "user"]),
        "ServiceAccount" => ("serviceAccount", ["group", "user"]),
        "User" => ("user", ["group", "serviceAccount"]),
        _ => {
            field(subject, "kind").need_one_of(&kinds, faults);
            return;
        }
    };
    for other in others {
        field(subject, other).forbid(Rule::ExclusiveFields, &format!("beside `{own}`"), faults);
    }
    let Some(named) = field(subject, own).need_value("the name of the subject", faults) else { return };
    let name = field(&named, "name");
    if own != "serviceAccount" {
        name.need("the name of the subject", faults);
        return;
    }
    if name.at.text() != "*" {
        name.need_name(faults);
    }
    field(&named, "namespace").need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
}

fn level(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let spec = object.at("spec");
    let kind = field(&spec, "type").need_one_of(&["Exempt", "Limited"], faults);
    let name = object.path(&["metadata", "name"]).text();
    if (name == "exempt") != (kind == "Exempt") && !kind.is_empty() {
        let message = format!("the level {} and the type {} don't fit", list(&[name]), list(&[kind]));
        let help = "write `type: Limited`: only the level named `exempt` is exempt";
        faults.error(Rule::DependentFields, &spec.at("type"), message, help);
    }
    let (exempt, limited) = (field(&spec, "exempt"), field(&spec, "limited"));
    match kind {
        "Exempt" => limited.forbid(Rule::ExclusiveFields, "with `type: Exempt`", faults),
        "Limited" => {
            exempt.forbid(Rule::ExclusiveFields, "with `type: Limited`", faults);
            limited.need_value("the limits of the level", faults);
        }
        _ => return,
    }
    for shares in [exempt.at, limited.at] {
        field(&shares, "nominalConcurrencyShares").least(0, faults);
        field(&shares, "lendablePercent").range(0, 100, faults);
    }
    field(&limited.at, "borrowingLimitPercent").least(0, faults);
    if kind == "Limited" && limited.at.is_present() {
        response(&limited.at.at("limitResponse"), faults);
    }
}

fn response(response: &At<'_>, faults: &mut Faults) {
    let queuing = field(response, "queuing");
    match field(response, "type").need_one_of(&["Queue", "Reject"], faults) {
        "Reject" => queuing.forbid(Rule::ExclusiveFields, "with `type: Reject`", faults),
        "Queue" => {
            let Some(queuing) = queuing.need_value("the queues", faults) else { return };
            field(&queuing, "queueLengthLimit").least(0, faults);
            field(&queuing, "queues").range(0, 10_000_000, faults);
            field(&queuing, "handSize").least(0, faults);
            let or = |name: &'static str, default: i64| {
                queuing.at(name).int().filter(|value| *value != 0).unwrap_or(default)
            };
            let (queues, hand) = (or("queues", 64), or("handSize", 8));
            if queues > 0 && hand > queues || (hand > 0 && ((queues as f64).log2() * hand as f64).ceil() > ENTROPY) {
                let message = format!("`handSize` is {hand}, which is too much for {queues} queues");
                faults.error(Rule::OutOfRange, &queuing.at("handSize"), message, "write a smaller `handSize`");
            }
        }
        _ => {}
    }
}
