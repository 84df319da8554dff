use plimsoll_sdk::autoscaling::{Scalers, maximum};
use plimsoll_sdk::disruption::{name, target};
use plimsoll_sdk::kind::long_running;
use plimsoll_sdk::owners::is_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::volumes::{Access, Hold, claims};

use crate::rollout::several_pods::{several, taken};
use crate::rollout::shared_claims::{narrow_claim, shared_claims};

/// Several Pods on a volume that only one node, or one Pod, may mount.
///
/// ## What it finds
/// `error`: more than one Pod mounts the same PersistentVolumeClaim by its name, and the claim is for one node
/// (`ReadWriteOnce`) or one Pod (`ReadWriteOncePod`). The policy looks at these workloads:
///
/// - a Deployment, StatefulSet, ReplicaSet, ReplicationController, Rollout or a kind that the configuration names
///   (`workloads`), if it runs more than one Pod;
/// - the same kinds, if a HorizontalPodAutoscaler or ScaledObject may scale them to more than one Pod;
/// - a DaemonSet.
///
/// The finding appears at the object that is applied last: the workload's claim, the autoscaler's maximum or the access
/// modes of the claim. `plimsoll check` reports it once for a set.
///
/// It is a `warning` if the claim is `ReadWriteOnce`, and its StorageClass, the default class of a claim without one,
/// or the driver is unknown.
///
/// An Argo Rollout that takes its template from a workload (`workloadRef`) mounts the claims of that template. So it
/// counts at the workload and at the claim too.
///
/// There is no finding for a `ReadWriteOnce` volume of one node, because the scheduler places all Pods on that node.
/// There is none for a volume of a file server. The page of `rollout-blocked-by-volume` says how these are told apart.
///
/// Pods that are tied to one node may share a `ReadWriteOnce` volume. Such Pods have one of these:
///
/// - `nodeName`;
/// - the label `kubernetes.io/hostname` in `nodeSelector` or in the required node affinity;
/// - a required `podAffinity` on that label.
///
/// ## Why
/// The second Pod is placed on another node and stays in ContainerCreating, with "Multi-Attach error for volume". The
/// setup works while all Pods happen to be on one node. It fails when this node is drained, or when the load grows.
///
/// ## What to write
/// A StatefulSet with `volumeClaimTemplates`, which gives each Pod its own claim. Or a claim for several nodes:
///
/// ```yaml
/// accessModes: [ReadWriteMany]
/// ```
///
/// ## Assumptions
/// The policy assumes that an unknown claim is for several nodes. It assumes that a volume of an unknown StorageClass
/// is attached to one node at a time. If not all autoscalers are known, it assumes that none scales the workload.
///
/// ## Order
/// A StorageClass or a PersistentVolume that comes last is not judged: existing claims keep their volume.
#[policy(
    on = LongRunning,
    kinds = [Autoscalers, "/PersistentVolumeClaim"], severity = Error,
    since = "0.1.0",
    refines = [LongRunning, Autoscalers, Storage],
    default = Deny(CannotWork),
    reads = [Workloads, Autoscalers, Storage],
    covers = ["rollout-rwo-shared: Pods that are tied to one node may share ReadWriteOnce"]
)]
pub fn volume_shared_by_replicas(review: &Review, findings: &mut Findings) {
    match Autoscaler::of(review) {
        None if review.is(Kind::PERSISTENT_VOLUME_CLAIM) => of_claim(review, findings),
        Some(scaler) => of_autoscaler(review, scaler, findings),
        None => of_workload(review, findings),
    }
}

fn of_workload(review: &Review<'_>, findings: &mut Findings) {
    let referenced = review.referenced();
    let Some(template) = review.template().or(referenced.as_ref()) else { return };
    let Some(object) = review.object().node() else { return };
    let Some((claim, mode, severity)) = narrow_claim(review, object, template, findings) else { return };
    let Some(kind) = long_running(review).find(|kind| review.is(*kind)) else { return };
    let replicas = review.at("/spec/replicas");
    let (own, known) = several(review, &Scalers::of(review, 1), kind, review.name(), replicas.as_i64());
    let rollout = if own.is_none() { taken(review, kind, review.name()) } else { None };
    let (message, other) = match (own, rollout) {
        (Some(pods), _) => (format!("claim {claim} is {mode}, and {pods}: {}", harm(mode)), None),
        (None, Some((rollout, pods))) => {
            let harm = harm(mode);
            let message = format!("claim {claim} is {mode}, Rollout {rollout} takes this template, and {pods}: {harm}");
            (message, Some(rollout))
        }
        (None, None) if known => return,
        (None, None) => return findings.assume("no autoscaler scales this workload"),
    };
    // The finding points to the claim's name. The template of a `workloadRef` is in another object, so there it points
    // to the reference.
    let places = claims(template).map(|known| known.at).filter(|_| review.template().is_some());
    let at = places.into_iter().find(|at| at.as_str() == Some(claim.as_str()));
    let at = at.unwrap_or_else(|| review.at("/spec/workloadRef"));
    let finding = report(findings, severity, &at, message).about(&at);
    if let Some(rollout) = other {
        finding.related(format!("Rollout/{rollout}"));
    } else if kind != Kind::DAEMON_SET {
        finding.about(&replicas);
    }
}

fn of_autoscaler(review: &Review<'_>, scaler: Autoscaler, findings: &mut Findings) {
    let Some(object) = review.object().node() else { return };
    let Some((kind, of)) = target(review, object) else { return };
    let pods = maximum(scaler, object);
    let (holder, answer) = review.template_of(kind.get(), &of);
    let Some(holding) = answer.nodes().next() else { return };
    let Some(template) = review.template_in(holder.get(), holding) else { return };
    let claim = narrow_claim(review, holding, &template, findings).filter(|_| pods > 1);
    let Some((claim, mode, severity)) = claim else { return };
    let at = review.at(scaler.max());
    let workload = format!("{} {of}", kind.name());
    let message = format!("up to {pods} Pods of {workload} mount claim {claim}, which is {mode}: {}", harm(mode));
    report(findings, severity, &at, message).related(format!("{}/{of}", kind.name()));
}

fn of_claim(review: &Review<'_>, findings: &mut Findings) {
    let Some(object) = review.object().node() else { return };
    let (access, severity) = match Hold::of(review, object) {
        Hold::Unknown | Hold::Free => return,
        Hold::Perhaps(access) => (access, Severity::Warning),
        Hold::Certain(access) => (access, Severity::Error),
    };
    let Some(mode) = access.mode() else { return };
    let answers: Vec<_> = long_running(review)
        .map(|kind| (kind, review.referring(kind, Kind::PERSISTENT_VOLUME_CLAIM, review.name())))
        .collect();
    let scalers = Scalers::of(review, answers.iter().map(|(_, answer)| answer.documents.len()).sum());
    for (kind, answer) in &answers {
        for object in answer.nodes() {
            let Some(template) = review.template_in(*kind, object) else { continue };
            let mut shared = shared_claims(object, &template);
            if !shared.any(|claim| claim.name == review.name()) {
                continue;
            }
            if is_owned(review, *kind, object) || access == Access::OneNode && template.is_tied_to_node() {
                continue;
            }
            let of = name(object);
            let replicas = object.at("/spec/replicas").and_then(Node::as_i64);
            let own = several(review, &scalers, *kind, of, replicas).0.map(|pods| (*kind, of.to_owned(), pods));
            let found = own.or_else(|| taken(review, *kind, of).map(|(rollout, pods)| (Kind::ROLLOUT, rollout, pods)));
            let Some((kind, of, pods)) = found else { continue };
            let (what, harm) = (kind.name(), harm(mode));
            let message = format!("the claim is {mode}, {what} {of} mounts it, and {pods}: {harm}");
            let finding = report(findings, severity, &review.at("/spec/accessModes"), message);
            finding.related(format!("{}/{of}", kind.name()));
        }
    }
}

/// What happens to a second Pod.
fn harm(mode: &str) -> &'static str {
    match mode {
        "ReadWriteOncePod" => "a second Pod does not start",
        _ => "a second Pod does not start on another node",
    }
}

const HELP: &str = "use a ReadWriteMany claim, or a StatefulSet with volumeClaimTemplates";

fn report<'f>(findings: &'f mut Findings, severity: Severity, at: &Cursor<'_>, mut message: String) -> &'f mut Finding {
    if severity == Severity::Warning {
        findings.assume(Hold::ASSUMED);
        message = format!("{message} ({})", Hold::BECAUSE);
    }
    findings.report(severity, at, message, HELP)
}
