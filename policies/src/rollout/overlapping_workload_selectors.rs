use std::collections::BTreeSet;

use plimsoll_sdk::disruption::name;
use plimsoll_sdk::kind::{OwnedKind, long_running};
use plimsoll_sdk::owners::{is_owned, is_reviewed_owned};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::references::workload_ref;
use plimsoll_sdk::selector;

use crate::rollout::counted_jobs::{self, JOBS};

/// Workloads that select each other's Pods.
///
/// ## What it finds
/// `error`: the `spec.selector` of one workload selects the Pods of another workload of the namespace. The finding
/// appears at the object that is applied last: at the selector that is too wide, or at the labels of the Pods that it
/// selects. If both select each other's Pods, it appears at both selectors. `plimsoll check` reports it once for a set.
///
/// `warning`: the selector of a workload selects the Pods of a Job or a CronJob, and an autoscaler scales the workload
/// by a share of requests. The autoscaler is a HorizontalPodAutoscaler or a ScaledObject. The finding appears at the
/// last of the three objects.
///
/// The policy looks at Deployments, StatefulSets, DaemonSets, ReplicaSets without an owner, ReplicationControllers and
/// Rollouts. It also looks at kinds that the configuration names (`workloads`), if they have a label selector at
/// `spec.selector`.
///
/// An Argo Rollout that takes its template from a Deployment (`workloadRef`) has the labels of that Deployment by
/// design. The policy does not compare these two.
///
/// ## Why
/// A selector says which Pods belong to a workload. If selectors overlap:
///
/// - An autoscaler divides by the Pods of both workloads, so it scales by the load of another workload.
/// - `kubectl logs deployment/…` shows the logs of the other workload.
/// - A controller adopts every Pod that has no owner, for example after `--cascade=orphan`, and deletes the surplus.
///
/// Pods of a Job count as well, for as long as they exist. A Pod without a request makes the autoscaler fail ("missing
/// request for cpu in container …"), even after it has completed. Completed Pods look busy when the autoscaler
/// considers a scale-down.
///
/// A canary and its stable workload, or blue and green, need a distinct label in each selector.
///
/// ## What to write
/// A label in the selector that only these Pods have. The selector of a Deployment is immutable, so the Deployment must
/// be deleted and created again:
///
/// ```yaml
/// selector:
///   matchLabels: {app: shop, component: web}
/// ```
///
/// ## Assumptions
/// None. If other workloads may exist that are not known, and no known workload overlaps, the policy reports nothing.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no running Pod.
#[policy(
    on = LongRunning,
    kinds = [Autoscalers, "batch/Job", "batch/CronJob"],
    severity = Error, since = "0.1.0",
    requires = [LongRunning],
    refines = [Autoscalers, "batch/Job", "batch/CronJob", "/LimitRange"],
    default = Warn,
    reads = [Workloads, Autoscalers, LimitRanges, crate::autoscaling::lack::READS],
    covers = ["rollout-selector-overlap: not Jobs"]
)]
pub fn overlapping_workload_selectors(review: &Review, findings: &mut Findings) {
    if let Some(scaler) = Autoscaler::of(review) {
        return counted_jobs::of_autoscaler(review, scaler, findings);
    }
    if is_reviewed_owned(review) {
        return;
    }
    if JOBS.into_iter().any(|kind| review.is(kind)) {
        return counted_jobs::of_job(review, findings);
    }
    let Some(template) = review.template() else { return };
    let kinds: Vec<Kind<'_>> = long_running(review).collect();
    let own = kinds.iter().copied().find(|kind| review.is(*kind));
    let (Some(own), Some(labels)) = (own, template.labels()) else { return };
    counted_jobs::of_workload(review, own, findings);
    let at = review.at("/spec/selector");
    let selected_by_own = match as_selector(own, at.node()) {
        Some(selector) => review.selected_by_each(&kinds, &selector),
        None => Vec::new(),
    };
    let (mut is_known, mut is_found) = (true, false);
    for (index, (&kind, selecting)) in kinds.iter().zip(review.selecting_each(&kinds, labels)).enumerate() {
        let is_itself = |other: &Node<'_>| kind == own && name(*other) == review.name();
        let is_other = |other: &Node<'_>| {
            !is_itself(other) && !is_owned(review, kind, *other) && !share_template(review, own, kind, *other)
        };
        let answer = selected_by_own.get(index);
        let selected: Vec<_> = answer.iter().flat_map(|answer| answer.nodes()).filter(is_other).map(name).collect();
        is_known &= selecting.complete && answer.is_none_or(|answer| answer.complete);
        let is_selecting = |other: &Node<'_>| is_other(other) && is_selector(kind, *other, labels);
        let selecting: Vec<_> = selecting.nodes().filter(is_selecting).map(name).collect();
        is_found |= !selected.is_empty() || !selecting.is_empty();
        if let Some(first) = selected.first() {
            let harm = harm(review, own, review.name());
            let message = format!("spec.selector also matches the Pods of {}: {harm}", list(kind, &selected));
            let finding = findings.error(&at, message, HELP);
            // If two select each other's Pods, one has the finding and the other is its related object.
            if selecting.contains(first) && (kind, *first) < (own, review.name()) {
                finding.related(format!("{}/{first}", kind.name()));
            }
        }
        let known: BTreeSet<_> = selected.iter().copied().collect();
        let wider: Vec<_> = selecting.into_iter().filter(|name| !known.contains(name)).collect();
        if let Some(first) = wider.first() {
            let message =
                format!("these Pods are also selected by {}: {}", list(kind, &wider), harm(review, kind, first));
            let labels = template.root().at("/metadata/labels");
            findings.error(&labels, message, HELP).related(format!("{}/{first}", kind.name()));
        }
    }
    if !is_found && !is_known {
        findings.skip("not all other workloads of the namespace are known");
    }
}

/// Whether one of the two is a Rollout that takes its template from the other: then the labels are equal by design.
/// `careless-argo-rollout` reports the case where both keep Pods.
fn share_template(review: &Review<'_>, own: Kind<'_>, kind: Kind<'_>, other: Node<'_>) -> bool {
    let own_takes = || review.object().node().and_then(|object| workload_ref(own, object));
    let refers = |reference: Option<(OwnedKind, &str)>, kind: Kind<'_>, of: &str| {
        reference.is_some_and(|(known, name)| known == kind && name == of)
    };
    refers(own_takes(), kind, name(other)) || refers(workload_ref(kind, other), own, review.name())
}

/// The consequence of a selector of the named workload that is too wide. The text names an autoscaler if there is one.
fn harm(review: &Review<'_>, kind: Kind<'_>, of: &str) -> String {
    let scaler = Autoscaler::ALL.into_iter().find_map(|scaler| {
        let answer = review.referring(scaler.kind(), kind, of);
        answer.nodes().next().map(|object| format!("{} counts the Pods of both, and", scaler.describe(object)))
    });
    let scaler = scaler.unwrap_or_else(|| "an autoscaler would count the Pods of both, and".to_owned());
    format!("{scaler} either workload may adopt a Pod that loses its owner")
}

const HELP: &str = "add a label that only these Pods have to the selector and to the pod template";

/// The selector as a document, also for a ReplicationController's plain map. None for an empty one, which the API
/// server rejects.
pub(crate) fn as_selector(kind: Kind<'_>, selector: Option<Node<'_>>) -> Option<Vec<u8>> {
    let selector = selector.filter(|selector| selector.len() > 0)?;
    match kind {
        Kind::REPLICATION_CONTROLLER => Some(Value::object([("matchLabels", Value::copy(selector)?)]).to_document()),
        _ => Some(selector.to_document()),
    }
}

/// Whether this selector matches the labels. An empty or absent selector never does, because the API server rejects it.
pub(crate) fn is_selector(kind: Kind<'_>, other: Node<'_>, labels: Node<'_>) -> bool {
    let Some(written) = other.at("/spec/selector").filter(|selector| selector.len() > 0) else { return false };
    match kind {
        Kind::REPLICATION_CONTROLLER => selector::matches_map(written, labels),
        _ => selector::matches(written, labels).is_yes(),
    }
}

fn list(kind: Kind<'_>, names: &[&str]) -> String {
    let mut text = names.iter().take(3).map(|name| format!("{} {name}", kind.name())).collect::<Vec<_>>().join(", ");
    if names.len() > 3 {
        text.push_str(&format!(" and {} more", names.len() - 3));
    }
    text
}
