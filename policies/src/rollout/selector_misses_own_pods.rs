use plimsoll_sdk::prelude::*;
use plimsoll_sdk::selector::{self, Match};

/// Workloads whose selector does not match their own Pods.
///
/// ## What it finds
/// `error`: the `spec.selector` of a Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController or Rollout
/// does not match the labels of its pod template.
///
/// ## Why
/// The API server rejects it: "selector does not match template labels". It accepts a Rollout, but the controller then
/// does nothing for it. The usual cause is a label that was renamed in only one of the two places.
///
/// ## What to write
/// The selector's labels in the template. The selector of an existing workload is immutable, so the template has to
/// follow:
///
/// ```yaml
/// selector:
///   matchLabels: {app: shop}
/// template:
///   metadata:
///     labels: {app: shop}
/// ```
#[policy(
    on = LongRunning, severity = Error, since = "0.1.0",
    default = Deny(CannotWork),
    covers = ["rollout-selector-mismatch"]
)]
pub fn selector_misses_own_pods(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/selector");
    let (Some(template), Some(selector)) = (review.template(), at.node()) else { return };
    let labels = template.labels();
    let is_miss = match review.is(Kind::REPLICATION_CONTROLLER) {
        true => selector.len() > 0 && !selector::matches_map(selector, labels),
        false => selector::matches(selector, labels) == Match::No,
    };
    if !is_miss {
        return;
    }
    // The first label that differs is a more precise place than the whole selector.
    let map = if review.is(Kind::REPLICATION_CONTROLLER) { at.clone() } else { at.at("/matchLabels") };
    let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Node::as_str);
    let differing = map.members().find(|(key, wanted)| wanted.as_str() != value(key));
    let (at, message, help) = match differing {
        Some((key, wanted)) => {
            let wanted_text = wanted.as_str().unwrap_or_default().to_owned();
            let message = match value(key) {
                Some(found) => {
                    format!("spec.selector requires {key}: {wanted_text}, but the pod template has {key}: {found}")
                }
                None => format!("spec.selector requires {key}: {wanted_text}, but the pod template has no label {key}"),
            };
            (wanted, message, format!("write {key}: {wanted_text} in the labels of the pod template"))
        }
        None => (
            at,
            "spec.selector does not match the labels of the pod template".to_owned(),
            "write labels in the pod template that spec.selector matches".to_owned(),
        ),
    };
    findings.error(&at, message, help).about(&template.root().at("/metadata/labels"));
}
