//! Workloads whose Pods run for ever: Deployment, ReplicaSet, ReplicationController, DaemonSet, StatefulSet.

use super::check::{Field, field, is_none_of_it};
use super::{claim, meta, pod, selector, warnings};
use crate::formats::names;
use crate::{At, Faults, Rule};

pub(super) fn deployment(object: &At<'_>, faults: &mut Faults) {
    warnings::name_of_host(object, faults);
    let spec = object.at("spec");
    for name in ["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        field(&spec, name).least(0, faults);
    }
    let deadline = spec.at("progressDeadlineSeconds");
    let ready = spec.at("minReadySeconds").int().unwrap_or(0);
    if deadline.int().unwrap_or(600) <= ready {
        let message = format!("`progressDeadlineSeconds` must be greater than `minReadySeconds`, which is {ready}");
        faults.error(Rule::DependentFields, &deadline, message, "raise `progressDeadlineSeconds`");
    }
    selected_template(&spec, faults);
    strategy(&spec.at("strategy"), faults);
    pod::template(&spec.at("template"), None, faults);
}

pub(super) fn replica_set(object: &At<'_>, faults: &mut Faults) {
    warnings::name_of_host(object, faults);
    let spec = object.at("spec");
    for name in ["replicas", "minReadySeconds"] {
        field(&spec, name).least(0, faults);
    }
    selected_template(&spec, faults);
    pod::template(&spec.at("template"), None, faults);
}

pub(super) fn replication_controller(object: &At<'_>, faults: &mut Faults) {
    warnings::name_of_host(object, faults);
    let spec = object.at("spec");
    for name in ["replicas", "minReadySeconds"] {
        field(&spec, name).least(0, faults);
    }
    let Some(template) = field(&spec, "template").need_value("a template of Pods", faults) else {
        return;
    };
    let chosen = field(&spec, "selector");
    let labels = template.path(&["metadata", "labels"]);
    // Without a selector, the labels of the template are the selector.
    if chosen.at.count() == 0 && labels.count() == 0 {
        chosen.missing("labels of the Pods, here or in the template", faults);
    }
    if !selector::holds_all(&chosen.at, &labels) {
        mismatch(&template, faults);
    }
    always(&template, faults);
    pod::template(&template, None, faults);
}

pub(super) fn daemon_set(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    for name in ["minReadySeconds", "revisionHistoryLimit"] {
        field(&spec, name).least(0, faults);
    }
    selected_template(&spec, faults);
    let strategy = spec.at("updateStrategy");
    let kind = field(&strategy, "type");
    kind.one_of_or_empty(&["RollingUpdate", "OnDelete"], faults);
    if matches!(kind.at.text(), "" | "RollingUpdate") {
        let rolling = strategy.at("rollingUpdate");
        let (unavailable, surge) = (field(&rolling, "maxUnavailable"), field(&rolling, "maxSurge"));
        for count in [unavailable, surge] {
            count.count_or_percent(faults);
            count.at_most_all(faults);
        }
        // Without a value, one Pod may be unavailable.
        let down = unavailable.at.is_absent() || !is_none_of_it(&unavailable.at);
        let up = surge.at.is_present() && !is_none_of_it(&surge.at);
        if down && up {
            surge.forbid(Rule::ExclusiveFields, "unless `maxUnavailable` is 0", faults);
        } else if !down && !up {
            stuck(unavailable, faults);
        }
    }
    pod::template(&spec.at("template"), None, faults);
}

pub(super) fn stateful_set(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    field(&spec, "podManagementPolicy").one_of_or_empty(&["OrderedReady", "Parallel"], faults);
    update(&spec.at("updateStrategy"), faults);
    let retention = spec.at("persistentVolumeClaimRetentionPolicy");
    for name in ["whenDeleted", "whenScaled"] {
        field(&retention, name).one_of_or_empty(&["Retain", "Delete"], faults);
    }
    for name in ["replicas", "minReadySeconds"] {
        field(&spec, name).least(0, faults);
    }
    field(&spec.at("ordinals"), "start").least(0, faults);
    if faults.since(33) {
        field(&spec, "serviceName").form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
    }
    selected_template(&spec, faults);
    let claims = spec.at("volumeClaimTemplates");
    for template in claims.items() {
        // Before 1.34 neither claims nor the spec of the template were checked.
        if faults.since(34) {
            let name = field(&template.at("metadata"), "name");
            name.need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
            claim::spec(&template.at("spec"), true, faults);
        }
        warnings::claim(&template.at("spec"), faults);
    }
    if faults.since(34) {
        pod::template(&spec.at("template"), Some(claims), faults);
    } else {
        meta::template(&spec.path(&["template", "metadata"]), faults);
    }
    let history = spec.at("revisionHistoryLimit");
    if history.int().is_some_and(|limit| limit < 0) {
        let message = "`revisionHistoryLimit` is negative, so that all revisions are kept";
        faults.warning(Rule::ServerWarning, &history, message, "write a number of 0 or more");
    }
}

/// The kind PodTemplate.
pub(super) fn pod_template(object: &At<'_>, faults: &mut Faults) {
    pod::template(&object.at("template"), None, faults);
}

/// A required label selector that selects the Pods of the template, and what templates of these kinds can't have.
fn selected_template(spec: &At<'_>, faults: &mut Faults) {
    let chosen = field(spec, "selector");
    let template = spec.at("template");
    if chosen.at.is_absent() || selector::is_empty(&chosen.at) {
        chosen.missing("labels of the Pods, in `matchLabels` or `matchExpressions`", faults);
    } else {
        selector::label_selector(&chosen.at, faults);
        let labels = template.path(&["metadata", "labels"]);
        if selector::is_sound(&chosen.at) && !selector::selects(&chosen.at, &labels) {
            mismatch(&template, faults);
        }
    }
    always(&template, faults);
}

/// Records that the selector does not select the Pods of the template.
pub(super) fn mismatch(template: &At<'_>, faults: &mut Faults) {
    let labels = template.path(&["metadata", "labels"]);
    let message = "the labels of the template are not those that `selector` selects";
    faults.error(
        Rule::DependentFields,
        &labels,
        message,
        "write the labels of `selector` in `metadata.labels` of the template",
    );
}

fn always(template: &At<'_>, faults: &mut Faults) {
    let spec = template.at("spec");
    let policy = field(&spec, "restartPolicy");
    if matches!(policy.at.text(), "OnFailure" | "Never") {
        policy.one_of(&["Always"], faults);
    }
    field(&spec, "activeDeadlineSeconds").forbid(Rule::ExclusiveFields, "for Pods that run for ever", faults);
}

fn strategy(strategy: &At<'_>, faults: &mut Faults) {
    let kind = field(strategy, "type");
    kind.one_of_or_empty(&["Recreate", "RollingUpdate"], faults);
    let rolling = field(strategy, "rollingUpdate");
    match kind.at.text() {
        "Recreate" => rolling.forbid(Rule::ExclusiveFields, "with `type: Recreate`", faults),
        "" | "RollingUpdate" => {
            let unavailable = field(&rolling.at, "maxUnavailable");
            let surge = field(&rolling.at, "maxSurge");
            unavailable.count_or_percent(faults);
            unavailable.at_most_all(faults);
            surge.count_or_percent(faults);
            let none = |count: Field<'_>| count.at.is_present() && is_none_of_it(&count.at);
            if none(unavailable) && none(surge) {
                stuck(unavailable, faults);
            }
        }
        _ => {}
    }
}

fn stuck(unavailable: Field<'_>, faults: &mut Faults) {
    let message = "`maxUnavailable` and `maxSurge` are both 0, so that no Pod could be replaced";
    faults.error(Rule::DependentFields, &unavailable.at, message, "write 1 or more for one of the two");
}

fn update(strategy: &At<'_>, faults: &mut Faults) {
    let kind = field(strategy, "type");
    kind.one_of_or_empty(&["RollingUpdate", "OnDelete"], faults);
    let rolling = field(strategy, "rollingUpdate");
    match kind.at.text() {
        "OnDelete" => rolling.forbid(Rule::ExclusiveFields, "unless `type` is `RollingUpdate`", faults),
        _ => {
            field(&rolling.at, "partition").least(0, faults);
            let unavailable = field(&rolling.at, "maxUnavailable");
            // Before 1.37 the field was removed.
            if unavailable.at.is_present() && faults.since(37) {
                unavailable.count_or_percent(faults);
                unavailable.at_most_all(faults);
                if is_none_of_it(&unavailable.at) {
                    let message = "`maxUnavailable` is 0, so that no Pod could be replaced";
                    faults.error(Rule::OutOfRange, &unavailable.at, message, "write 1 or more");
                }
            }
        }
    }
}
