use plimsoll_sdk::autoscaling::{Scalers, maximum};
use plimsoll_sdk::disruption::{name, target};
use plimsoll_sdk::kind::long_running;
use plimsoll_sdk::owners::is_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::volumes::{Access, Hold, claims};
use plimsoll_sdk::workload::PodTemplate;

use crate::rollout::several_pods::{several, taken};

/// Several Pods on a volume that only one node, or one Pod, may mount.
///
/// ## What it finds
/// `error`: a Deployment, StatefulSet, ReplicaSet, ReplicationController, Rollout or a kind that the configuration names
/// (`workloads`) that runs, or that a HorizontalPodAutoscaler or ScaledObject may scale to, more than one Pod, and a
/// DaemonSet, whose Pods mount one PersistentVolumeClaim by its name that is for one node (`ReadWriteOnce`) or one Pod
/// (`ReadWriteOncePod`). It is found at the workload's claim, at the autoscaler's maximum or at the claim's modes,
/// whichever is applied last; `plimsoll check` says it once for a set.
///
/// - `warning`: the claim is `ReadWriteOnce`, and its StorageClass, the default class of a claim without one, or the driver
///   is not known.
///
/// An Argo Rollout that takes its template from a workload (`workloadRef`) mounts the claims of that template. It counts at
/// the workload and at the claim too.
///
/// Nothing is found for a `ReadWriteOnce` volume of one node, to which the scheduler brings all Pods, nor for one of a file
/// server. `rollout-blocked-by-volume` says how they are told apart.
///
/// Pods that are tied to one node, by `nodeName`, by the label `kubernetes.io/hostname` in `nodeSelector` or required node
/// affinity, or by a required `podAffinity` on it, may share a `ReadWriteOnce` volume.
///
/// ## Why
/// The second Pod is placed on another node and stays in ContainerCreating, "Multi-Attach error for volume". It works as
/// long as all of them happen to be on one node, and fails on the day that this node is drained, or that load comes.
///
/// ## What to write
/// A StatefulSet with `volumeClaimTemplates`, which gives each Pod a claim of its own; or a claim for several nodes:
///
/// ```yaml
/// accessModes: [ReadWriteMany]
/// ```
///
/// ## Assumptions
/// Where a claim is not known, it is assumed to be for several nodes. A volume of a StorageClass that is not known is assumed
/// to be attached to one node at a time. Where not all autoscalers are known, none is assumed to scale the workload.
///
/// ## Order
/// A StorageClass or a PersistentVolume that comes last is not judged: claims that exist keep their volume.
#[policy(
    on = LongRunning,
    kinds = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "/PersistentVolumeClaim"], severity = Error,
    since = "0.1.0",
    refines = [
        "/PersistentVolumeClaim", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "apps/Deployment",
        "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout",
        "storage.k8s.io/StorageClass", "/PersistentVolume"
    ],
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
    let Some((claim, mode, severity)) = narrow_claim(review, template, findings) else { return };
    let Some(kind) = long_running(review).find(|kind| review.is(*kind)) else { return };
    let replicas = review.at("/spec/replicas");
    let (own, known) = several(review, &Scalers::of(review, 1), kind, review.name(), replicas.as_i64());
    let rollout = if own.is_none() { taken(review, kind, review.name()) } else { None };
    let (message, other) = match (own, rollout) {
        (Some(pods), _) => (format!("claim {claim} is {mode}, and {pods}: {HARM}"), None),
        (None, Some((rollout, pods))) => {
            let message = format!("claim {claim} is {mode}, Rollout {rollout} takes this template, and {pods}: {HARM}");
            (message, Some(rollout))
        }
        (None, None) if known => return,
        (None, None) => return findings.assume("no autoscaler scales this workload"),
    };
    // The claim's name stands where it was found; in a template that stands elsewhere it has no place here.
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
    let Some(template) = answer.nodes().next().and_then(|object| review.template_in(holder.get(), object)) else {
        return;
    };
    let Some((claim, mode, severity)) = narrow_claim(review, &template, findings).filter(|_| pods > 1) else { return };
    let at = review.at(scaler.max());
    let workload = format!("{} {of}", kind.name());
    let message = format!("up to {pods} Pods of {workload}, whose claim {claim} is {mode}: {HARM}");
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
            if is_owned(review, *kind, object) || access == Access::OneNode && template.is_tied_to_node() {
                continue;
            }
            let of = name(object);
            let replicas = object.at("/spec/replicas").and_then(Node::as_i64);
            let own = several(review, &scalers, *kind, of, replicas).0.map(|pods| (*kind, of.to_owned(), pods));
            let found = own.or_else(|| taken(review, *kind, of).map(|(rollout, pods)| (Kind::ROLLOUT, rollout, pods)));
            let Some((kind, of, pods)) = found else { continue };
            let message = format!("the claim is {mode}, {} {of} mounts it, and {pods}: {HARM}", kind.name());
            let finding = report(findings, severity, &review.at("/spec/accessModes"), message);
            finding.related(format!("{}/{of}", kind.name()));
        }
    }
}

const HARM: &str = "a second one does not start on another node";
const HELP: &str = "claim a ReadWriteMany volume, or make it a StatefulSet with volumeClaimTemplates";

/// The first claim that not all Pods can mount, its mode, and how certain that is.
fn narrow_claim(
    review: &Review<'_>,
    template: &PodTemplate<'_>,
    findings: &mut Findings,
) -> Option<(String, &'static str, Severity)> {
    let is_tied = template.is_tied_to_node();
    let mut perhaps = None;
    for claim in claims(template) {
        match claim.hold(review) {
            Hold::Unknown => findings.assume("a PersistentVolumeClaim that is not known is for several nodes"),
            Hold::Perhaps(Access::OneNode) | Hold::Certain(Access::OneNode) if is_tied => {}
            Hold::Free => {}
            Hold::Perhaps(access) => {
                perhaps = perhaps.or_else(|| Some((claim.name.to_owned(), access.mode()?, Severity::Warning)));
            }
            Hold::Certain(access) => return Some((claim.name.to_owned(), access.mode()?, Severity::Error)),
        }
    }
    perhaps
}

fn report<'f>(findings: &'f mut Findings, severity: Severity, at: &Cursor<'_>, mut message: String) -> &'f mut Finding {
    if severity == Severity::Warning {
        findings.assume(Hold::ASSUMED);
        message = format!("{message} ({})", Hold::BECAUSE);
    }
    findings.report(severity, at, message, HELP)
}
