//! Small kinds of a cluster.

use super::check::{duplicate, field, item, shown};
use super::{meta, placement, resources, selector, warnings};
use crate::formats::names;
use crate::{At, Faults, Rule};

/// Largest priority of a class that is not Kubernetes' own.
const MOST_PRIORITY: i64 = 1_000_000_000;

pub(super) fn namespace(object: &At<'_>, faults: &mut Faults) {
    for finalizer in object.at("spec").at("finalizers").items() {
        meta::finalizer(&finalizer, true, faults);
    }
    // The admission of Pod Security checks its labels.
    for (key, value) in object.at("metadata").at("labels").members() {
        match key.strip_prefix("pod-security.kubernetes.io/") {
            Some("enforce" | "audit" | "warn") => {
                item(&value, "label").need_one_of(&["privileged", "baseline", "restricted"], faults);
            }
            Some("enforce-version" | "audit-version" | "warn-version") if !is_version(value.text()) => {
                let message = format!("`{}` is not a version of Pod Security", shown(value.text()));
                faults.error(Rule::InvalidFormat, &value, message, "write `latest`, or a version such as `v1.36`");
            }
            _ => {}
        }
    }
}

fn is_version(text: &str) -> bool {
    let minor = text.strip_prefix("v1.");
    text == "latest"
        || minor.is_some_and(|minor| {
            minor.bytes().all(|byte| byte.is_ascii_digit())
                && (minor == "0" || !minor.starts_with('0'))
                && !minor.is_empty()
        })
}

pub(super) fn priority_class(object: &At<'_>, faults: &mut Faults) {
    let name = object.at("metadata").at("name");
    let value = field(object, "value");
    let number = value.at.int().unwrap_or(0);
    let known = match name.text() {
        "system-node-critical" => Some(2_000_001_000),
        "system-cluster-critical" => Some(2_000_000_000),
        _ => None,
    };
    if let Some(known) = known {
        if number != known {
            value.range(known, known, faults);
        }
        if object.at("globalDefault").is_true() {
            field(object, "globalDefault").forbid(Rule::InvalidValue, "for a class of Kubernetes", faults);
        }
    } else if name.text().starts_with("system-") {
        let message = format!("`{}` begins with `system-`, which is reserved", shown(name.text()));
        faults.error(Rule::InvalidName, &name, message, "write another name");
    } else {
        value.most(MOST_PRIORITY, "for a class that is not Kubernetes' own", faults);
    }
    let policy = field(object, "preemptionPolicy");
    policy.one_of(&["PreemptLowerPriority", "Never"], faults);
}

/// `strategy` and `preferredHolder` are dropped, because their feature is off by default.
pub(super) fn lease(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    field(&spec, "leaseDurationSeconds").least(1, faults);
    field(&spec, "leaseTransitions").least(0, faults);
}

pub(super) fn runtime_class(object: &At<'_>, faults: &mut Faults) {
    field(object, "handler").need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
    resources::limits_only(&object.at("overhead").at("podFixed"), faults);
    let scheduling = object.at("scheduling");
    let labels = scheduling.at("nodeSelector");
    selector::labels(&labels, faults);
    for (key, value) in labels.members() {
        warnings::label(&value, key, faults);
    }
    let tolerations = scheduling.at("tolerations");
    placement::tolerations(&tolerations, faults);
    let mut seen: Vec<[&str; 4]> = Vec::new();
    for toleration in tolerations.items() {
        let key = ["key", "operator", "value", "effect"].map(|name| toleration.at(name).text());
        if seen.contains(&key) {
            duplicate(&toleration, "the toleration of", key[0], faults);
        } else if seen.len() < 64 {
            seen.push(key);
        }
    }
}
