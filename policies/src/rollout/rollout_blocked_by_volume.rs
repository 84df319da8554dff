use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout, autoscaler};
use plimsoll_sdk::volumes::{Access, Hold, claims};

/// Rollouts whose new Pod waits for the volume of the old one.
///
/// ## What it finds
/// `error`: a Deployment of one Pod, or an Argo Rollout with a canary whose traffic is not routed, that mounts a
/// PersistentVolumeClaim for one node (`ReadWriteOnce`) or one Pod (`ReadWriteOncePod`), while `maxSurge` comes to 1 or
/// more and `maxUnavailable` to 0. That is so with the defaults of 25%.
///
/// A `ReadWriteOnce` claim counts by its volume. Pods wait for one that is attached to a node: the driver of its StorageClass
/// or PersistentVolume says that. A claim without a class gets the default of the cluster. There is no finding for a volume
/// of one node (`local-path`, `hostPath`, `local`), to which the scheduler brings the new Pod too, nor for one of a file
/// server.
///
/// - `warning`: the class, the default class of a claim without one, or the driver is not known. The name of a class
///   (`gp3`) is not enough.
///
/// Several Pods on such a claim are `volume-shared-by-replicas`'s to say. Pods that are tied to one node, by
/// `nodeName`, the label `kubernetes.io/hostname` in `nodeSelector` or required node affinity, or a required `podAffinity` on it,
/// can share what is for one node.
///
/// It is found whichever object comes last: at the workload, at the claim, or at the target of the autoscaler.
/// `plimsoll check` says it once for a set.
///
/// A claim that comes last is judged by the first 16 workloads, by name, that mount it, or by fewer where these are large. The
/// others are assumed to be right.
///
/// ## Why
/// The old Pod stays until the new one is ready, and the new one starts once the old one has let go of the volume: on
/// another node "Multi-Attach error for volume", for one Pod on every node. The rollout hangs until its deadline, at
/// every deployment.
///
/// ## What to write
/// The old Pod has to go first. `--fix=unsafe` writes this for a Deployment:
///
/// ```yaml
/// strategy:
///   type: Recreate
/// ```
///
/// Without an interruption it takes a volume for several nodes (`ReadWriteMany`), or a StatefulSet with a claim for each
/// Pod.
///
/// ## Assumptions
/// Where a claim is not known, it is assumed to be for several nodes. A volume of a StorageClass that is not known is assumed
/// to be attached to one node at a time. Where not all autoscalers are known, none is assumed to scale the workload.
///
/// ## Order
/// A StorageClass or a PersistentVolume that comes last is not judged: claims that exist keep their volume.
#[policy(
    on = Kinds,
    kinds = [
        "apps/Deployment", "argoproj.io/Rollout", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject",
        "/PersistentVolumeClaim"
    ],
    severity = Error, since = "0.1.0",
    refines = [
        "/PersistentVolumeClaim", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "apps/Deployment",
        "argoproj.io/Rollout", "storage.k8s.io/StorageClass", "/PersistentVolume"
    ],
    edits = ["/spec/strategy/type", "/spec/strategy/rollingUpdate"],
    default = Deny(BlocksOthers),
    reads = [Workloads, Autoscalers, Storage],
    covers = ["rollout-rwo-surge: of one Pod; several are volume-shared-by-replicas"]
)]
pub fn rollout_blocked_by_volume(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &ROLLING, rollout_blocked_by_volume) {
        return;
    }
    let referenced = review.referenced();
    let template = review.template().or(referenced.as_ref());
    let (Some(rollout), Some(template)) = (Rollout::of(review), template) else { return };
    let mut claims = claims(template).peekable();
    if claims.peek().is_none() || rollout.is_stuck() {
        return;
    }
    let autoscaler = autoscaler(review);
    let pods = autoscaler.floor.unwrap_or(rollout.replicas);
    let posts = rollout.fenceposts(pods);
    if pods != 1 || posts.surge == 0 || posts.unavailable > 0 {
        return;
    }
    let is_tied = template.is_tied_to_node();
    let mut worst = None;
    for claim in claims {
        match claim.hold(review) {
            Hold::Unknown => findings.assume("a PersistentVolumeClaim that is not known is for several nodes"),
            Hold::Perhaps(Access::OneNode) | Hold::Certain(Access::OneNode) if is_tied => {}
            Hold::Free => {}
            Hold::Perhaps(access) => {
                worst.get_or_insert((claim, access, Severity::Warning));
            }
            Hold::Certain(access) => {
                worst = Some((claim, access, Severity::Error));
                break;
            }
        }
    }
    let Some((claim, access, severity)) = worst else { return };
    if severity == Severity::Warning {
        findings.assume(Hold::ASSUMED);
    }
    if !autoscaler.complete && autoscaler.floor.is_none() {
        findings.assume("no autoscaler scales this workload");
    }
    let Rollout { max_surge, max_unavailable, .. } = &rollout;
    let mut message = format!(
        "claim {} is {}: with maxSurge {max_surge} and maxUnavailable {max_unavailable} of 1 replica, the new Pod waits for \
         the volume of the old Pod, which waits for the new one",
        claim.name,
        access.mode().unwrap_or_default()
    );
    if severity == Severity::Warning {
        message = format!("{message} ({})", Hold::BECAUSE);
    }
    let is_deployment = review.is(Kind::DEPLOYMENT);
    let help = match is_deployment {
        true => "write strategy.type: Recreate, or claim a ReadWriteMany volume",
        false => "write maxSurge: 0 and maxUnavailable: 1, or claim a ReadWriteMany volume",
    };
    // A template that stands elsewhere has no place here.
    let at = if review.template().is_some() { claim.at } else { review.at("/spec/workloadRef") };
    let finding = findings.report(severity, &at, message, help);
    finding.about(&at).about(&rollout.max_surge_at).about(&rollout.max_unavailable_at);
    if is_deployment {
        let (kind, parameters) = (review.at("/spec/strategy/type"), review.at("/spec/strategy/rollingUpdate"));
        let fix = Fix::changing("end the old Pod before the new one starts");
        let fix = if kind.exists() { fix.replace(&kind, "Recreate") } else { fix.add(&kind, "Recreate") };
        finding.fix(if parameters.exists() { fix.remove(&parameters) } else { fix });
    }
}
