//! LimitRanges and ResourceQuotas.

use super::check::{Seen, duplicate, field, item, shown};
use super::resources;
use crate::formats::names;
use crate::formats::quantity::Quantity;
use crate::{At, Faults, Rule};

/// Names that a quota can have without a domain.
const QUOTA: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "VolumeAttributesClass",
    "CrossNamespacePodAffinity",
];

pub(super) fn limit_range(object: &At<'_>, faults: &mut Faults) {
    let mut seen = Seen::default();
    for limit in object.at("spec").at("limits").items() {
        let kind = field(&limit, "type");
        let text = kind.at.text();
        if text.is_empty() {
            kind.missing("one of `Container`, `Pod`, `PersistentVolumeClaim`", faults);
        } else if text.contains('/') {
            kind.form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
        } else {
            kind.one_of(&["Container", "Pod", "PersistentVolumeClaim"], faults);
        }
        if !seen.insert(text) {
            duplicate(&kind.at, "the type", text, faults);
        }
        limits(&limit, text, faults);
    }
}

fn limits(limit: &At<'_>, kind: &str, faults: &mut Faults) {
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let place = limit.at(list);
        if kind == "Pod" && matches!(list, "default" | "defaultRequest") {
            if place.count() > 0 {
                field(limit, list).forbid(Rule::ExclusiveFields, "for the type `Pod`", faults);
            }
            continue;
        }
        for (resource, value) in place.members() {
            match kind {
                "Pod" | "Container" => resources::container_name(&value, resource, faults),
                _ => {
                    resources::name(&value, resource, faults);
                }
            }
        }
    }
    if kind == "PersistentVolumeClaim" && ["min", "max"].iter().all(|list| limit.at(list).entry("storage").is_none()) {
        super::check::need_one(limit, &["min", "max"], "a limit of claims, with `storage` in it,", faults);
    }
    let mut seen = Seen::default();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        for (resource, value) in limit.at(list).members() {
            if seen.insert(resource) {
                compare(limit, kind, resource, &value, faults);
            }
        }
    }
}

/// Compares the quantities of one resource with each other.
fn compare(limit: &At<'_>, kind: &str, resource: &str, at: &At<'_>, faults: &mut Faults) {
    let get = |list: &'static str| Quantity::in_list(&limit.at(list), resource);
    let (min, max, ratio) = (get("min"), get("max"), get("maxLimitRequestRatio"));
    let container = kind == "Container";
    // Of a container the maximum is the default, and that or the minimum is the default request.
    let usual = get("default").or(if container { max } else { None });
    let request = get("defaultRequest").or(if container { usual.or(min) } else { None });
    let (usual, request) = if kind == "Pod" { (None, None) } else { (usual, request) };
    let pairs = [
        ("min", min, "max", max),
        ("min", min, "defaultRequest", request),
        ("defaultRequest", request, "max", max),
        ("defaultRequest", request, "default", usual),
        ("min", min, "default", usual),
        ("default", usual, "max", max),
    ];
    for (low, one, high, two) in pairs {
        if let (Some(one), Some(two)) = (one, two)
            && one > two
        {
            let message =
                format!("`{low}` of `{}` is {one}, but must not be above `{high}`, which is {two}", shown(resource));
            faults.error(Rule::DependentFields, at, message, format!("lower `{low}`, or raise `{high}`"));
        }
    }
    if let Some(ratio) = ratio {
        if ratio < Quantity::ONE {
            let message = format!("`maxLimitRequestRatio` of `{}` is {ratio}, but must be at least 1", shown(resource));
            faults.error(Rule::OutOfRange, at, message, "write a ratio of 1 or more");
        }
        if let (Some(min), Some(max)) = (min, max)
            && min.is_positive()
            && ratio.whole() <= i128::from(i64::MAX)
            && ratio.ratio(Quantity::ONE) > max.ratio(min)
        {
            let message =
                format!("`maxLimitRequestRatio` of `{}` is {ratio}, more than `max` is of `min`", shown(resource));
            faults.error(Rule::DependentFields, at, message, "lower the ratio");
        }
    }
    if let (Some(usual), Some(request)) = (usual, request)
        && usual != request
        && !resources::is_overcommitted(resource)
    {
        let message = format!("`default` and `defaultRequest` of `{}` must be equal", shown(resource));
        faults.error(Rule::DependentFields, at, message, "write the same quantity in both");
    }
}

pub(super) fn resource_quota(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    let hard = spec.at("hard");
    for (resource, value) in hard.members() {
        let fine = resources::name(&value, resource, faults);
        if fine && !resource.contains('/') && !is_standard(resource) {
            let message = format!("`{}` can't be in a quota", shown(resource));
            faults.error(Rule::InvalidName, &value, message, "write a resource such as `requests.cpu` or `pods`");
        }
        resources::amount(&value, resource, faults);
    }
    let mut seen = Seen::default();
    for scope in spec.at("scopes").items() {
        let text = item(&scope, "scopes").need_one_of(SCOPES, faults);
        fits(&scope, text, &hard, faults);
        seen.insert(text);
    }
    conflict(&spec.at("scopes"), &seen, faults);
    let expressions = spec.path(&["scopeSelector", "matchExpressions"]);
    let mut seen = Seen::default();
    for expression in expressions.items() {
        let scope = field(&expression, "scopeName");
        let text = scope.need_one_of(SCOPES, faults);
        fits(&scope.at, text, &hard, faults);
        let operator = field(&expression, "operator");
        let chosen = operator.need_one_of(&["In", "NotIn", "Exists", "DoesNotExist"], faults);
        if !matches!(text, "PriorityClass" | "VolumeAttributesClass")
            && matches!(chosen, "In" | "NotIn" | "DoesNotExist")
        {
            operator.one_of(&["Exists"], faults);
        }
        super::selector::values_of(&expression, chosen, faults);
        seen.insert(text);
    }
    conflict(&expressions, &seen, faults);
    warn(&hard, faults);
}

fn is_standard(resource: &str) -> bool {
    QUOTA.contains(&resource) || resource.starts_with("hugepages-") || resource.starts_with("requests.hugepages-")
}

/// Whether a scope can be about all resources of the quota.
fn fits(at: &At<'_>, scope: &str, hard: &At<'_>, faults: &mut Faults) {
    let fits = |resource: &str| match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        "" => true,
        _ => matches!(
            resource,
            "pods" | "cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu" | "requests.memory"
        ),
    };
    if !SCOPES.contains(&scope) {
        return;
    }
    for (resource, _) in hard.members().filter(|(resource, _)| is_standard(resource)) {
        if !fits(resource) {
            let message = format!("the scope `{scope}` does not go with the resource `{}`", shown(resource));
            faults.error(Rule::ExclusiveFields, at, message, "remove the scope or the resource");
        }
    }
}

fn conflict(at: &At<'_>, seen: &Seen<'_>, faults: &mut Faults) {
    for (one, two) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if seen.has(one) && seen.has(two) {
            let message = format!("the scopes `{one}` and `{two}` exclude each other");
            faults.error(Rule::ExclusiveFields, at, message, "remove one of the two");
        }
    }
}

fn warn(hard: &At<'_>, faults: &mut Faults) {
    for (request, plain, limit) in [
        ("requests.cpu", "cpu", "limits.cpu"),
        ("requests.memory", "memory", "limits.memory"),
        ("requests.ephemeral-storage", "", "limits.ephemeral-storage"),
    ] {
        let at = hard.entry(request).or_else(|| hard.entry(plain));
        let (Some(at), Some(most)) = (at, hard.entry(limit)) else {
            continue;
        };
        if let (Some(value), Some(most)) = (Quantity::entry(&at), Quantity::entry(&most))
            && value > most
        {
            let message = format!("`{request}` is {value}, more than `{limit}`, which is {most}");
            faults.warning(Rule::ServerWarning, &at, message, "lower the requests, or raise the limits");
        }
    }
}
