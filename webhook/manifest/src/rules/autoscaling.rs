//! HorizontalPodAutoscalers and PodDisruptionBudgets.

use super::check::{field, list, shown};
use super::{resources, selector};
use crate::formats::names;
use crate::{At, Faults, Rule};

/// Types of metrics, and the fields that they are written in.
const METRICS: &[(&str, &str)] = &[
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("External", "external"),
    ("ContainerResource", "containerResource"),
];

const TYPES: &[&str] = &["Object", "Pods", "Resource", "External", "ContainerResource"];

/// An autoscaler; `old` if it is one of `autoscaling/v1`, which has only a share of the CPU.
pub(super) fn autoscaler(object: &At<'_>, old: bool, faults: &mut Faults) {
    let spec = object.at("spec");
    let (least, most) = (field(&spec, "minReplicas"), field(&spec, "maxReplicas"));
    // Since 1.37 an autoscaler may scale to 0.
    least.least(if faults.since(37) { 0 } else { 1 }, faults);
    match most.at.int().unwrap_or(0) {
        0 => most.missing("a number of at least 1", faults),
        _ => most.least(1, faults),
    }
    if let (Some(least), Some(value)) = (least.at.int(), most.at.int())
        && value < least
    {
        let message = format!("`maxReplicas` is {value}, but must not be below `minReplicas`, which is {least}");
        faults.error(Rule::DependentFields, &most.at, message, "raise `maxReplicas`, or lower `minReplicas`");
    }
    target_reference(&field(&spec, "scaleTargetRef").at, false, faults);
    if old {
        field(&spec, "targetCPUUtilizationPercentage").least(1, faults);
        return;
    }
    let metrics = spec.at("metrics");
    for metric in metrics.items() {
        self::metric(&metric, faults);
    }
    let outside = |metric: At<'_>| matches!(metric.at("type").text(), "Object" | "External");
    if least.at.int() == Some(0) && !metrics.items().any(outside) {
        let message = "`minReplicas` is 0, which needs a metric of type `Object` or `External`";
        faults.error(Rule::DependentFields, &least.at, message, "write `minReplicas: 1`, or add such a metric");
    }
    for name in ["scaleUp", "scaleDown"] {
        behavior(&spec.at("behavior").at(name), faults);
    }
}

/// The object that is scaled or measured.
fn target_reference(reference: &At<'_>, measured: bool, faults: &mut Faults) {
    for name in ["kind", "name"] {
        let part = field(reference, name);
        part.need("what the object is", faults);
        part.form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
    }
    // Before 1.34 the version was not checked.
    if !faults.since(34) {
        return;
    }
    let version = field(reference, "apiVersion");
    let text = version.at.text();
    let core = measured || reference.at("kind").text() == "ReplicationController";
    if text.matches('/').count() > 1 {
        let message = format!("`{}` is not a valid apiVersion", shown(text));
        faults.error(Rule::InvalidFormat, &version.at, message, "write a group and version such as `apps/v1`");
    } else if !core && text.split_once('/').is_none_or(|(group, _)| group.is_empty()) {
        let message = "`apiVersion` has no group, but everything that can be scaled has one";
        faults.error(Rule::MissingField, &version.at, message, "write a group and version such as `apps/v1`");
    }
}

fn metric(metric: &At<'_>, faults: &mut Faults) {
    let kind = field(metric, "type").need_one_of(TYPES, faults);
    let expected = METRICS.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name);
    for (_, name) in METRICS {
        let source = field(metric, name);
        if expected == Some(*name) {
            source.need_value(&format!("what the metric of type `{kind}` measures"), faults);
        } else if let Some(expected) = expected {
            let why = format!("with `type: {kind}`, which has `{expected}`");
            source.forbid(Rule::ExclusiveFields, &why, faults);
        }
        if source.at.is_present() {
            self::source(&source.at, name, faults);
        }
    }
}

fn source(source: &At<'_>, kind: &str, faults: &mut Faults) {
    let target = source.at("target");
    field(&target, "type").need_one_of(&["Utilization", "Value", "AverageValue"], faults);
    for name in ["value", "averageValue"] {
        field(&target, name).positive(faults);
    }
    field(&target, "averageUtilization").least(1, faults);
    let (values, exclusive): (&[&'static str], bool) = match kind {
        "object" => (&["value", "averageValue"], false),
        "external" => (&["value", "averageValue"], true),
        "pods" => (&["averageValue"], false),
        _ => (&["averageUtilization", "averageValue"], true),
    };
    match values.iter().filter(|name| target.at(name).is_present()).count() {
        0 => super::check::need_one(&target, values, "the target", faults),
        2 if exclusive => {
            let message = format!("the target has only one of {}", list(values));
            faults.error(Rule::ExclusiveFields, &target, message, "remove one of the two");
        }
        _ => {}
    }
    match kind {
        "object" => {
            target_reference(&source.at("describedObject"), true, faults);
            identifier(source, faults);
        }
        "pods" | "external" => identifier(source, faults),
        "containerResource" => {
            let name = field(source, "name");
            if let Some(text) = name.need("a resource such as `cpu`", faults) {
                resources::container_name(&name.at, text, faults);
            }
            field(source, "container").need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
        }
        _ => {
            field(source, "name").need("a resource such as `cpu`", faults);
        }
    }
}

fn identifier(source: &At<'_>, faults: &mut Faults) {
    let name = field(&source.at("metric"), "name");
    name.need("the name of a metric", faults);
    name.form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
}

fn behavior(rules: &At<'_>, faults: &mut Faults) {
    if rules.is_absent() {
        return;
    }
    field(rules, "stabilizationWindowSeconds").range(0, 3600, faults);
    field(rules, "selectPolicy").one_of(&["Max", "Min", "Disabled"], faults);
    let policies = field(rules, "policies");
    if policies.at.is_list() && policies.at.count() == 0 {
        policies.missing("a list of at least one policy", faults);
    }
    for policy in policies.at.items() {
        field(&policy, "type").need_one_of(&["Pods", "Percent"], faults);
        for (name, most) in [("value", i64::from(i32::MAX)), ("periodSeconds", 1800)] {
            let number = field(&policy, name);
            match number.at.int().unwrap_or(0) {
                0 => number.missing("a number of at least 1", faults),
                _ => number.range(1, most, faults),
            }
        }
    }
    // Before 1.35 the field was removed.
    if faults.since(35) {
        field(rules, "tolerance").not_negative(faults);
    }
}

pub(super) fn budget(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    let kinds = ["minAvailable", "maxUnavailable"];
    super::check::exclusive(&spec, &kinds, "a budget", faults);
    for kind in kinds {
        field(&spec, kind).count_or_percent(faults);
        field(&spec, kind).at_most_all(faults);
    }
    selector::label_selector(&spec.at("selector"), faults);
    field(&spec, "unhealthyPodEvictionPolicy").one_of(&["IfHealthyBudget", "AlwaysAllow"], faults);
}
