use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout, autoscaler};
use plimsoll_sdk::volumes::{Access, Hold, claims};

/// Rollouts whose new Pod waits for the volume of the old one.
///
/// ## What it finds
/// `error`: a Deployment of one Pod, or an Argo Rollout with a canary without traffic routing, mounts a
/// PersistentVolumeClaim for one node (`ReadWriteOnce`) or one Pod (`ReadWriteOncePod`). At the same time `maxSurge`
/// comes to 1 or more, and `maxUnavailable` to 0. This is also the result of the defaults of 25%.
///
/// For a `ReadWriteOnce` claim the type of the volume decides. A new Pod waits only for a volume that is attached to a
/// node. The driver of the StorageClass or PersistentVolume shows whether that is so. A claim without a class gets the
/// default class of the cluster.
///
/// There is no finding for a volume of one node (`local-path`, `hostPath`, `local`), because the scheduler places the
/// new Pod on that node too. There is none for a volume of a file server.
///
/// It is a `warning` if the class, the default class of a claim without one, or the driver is unknown. The name of a
/// class (`gp3`) is not enough.
///
/// `volume-shared-by-replicas` reports several Pods on such a claim. Pods that are tied to one node can share a
/// `ReadWriteOnce` volume. Such Pods have one of these:
///
/// - `nodeName`;
/// - the label `kubernetes.io/hostname` in `nodeSelector` or in the required node affinity;
/// - a required `podAffinity` on that label.
///
/// The finding appears at the object that is applied last: the workload, the claim, or the target of the autoscaler.
/// `plimsoll check` reports it once for a set.
///
/// If the claim is applied last, the policy looks at the first 16 workloads, by name, that mount it. It looks at fewer
/// if these are large, and assumes that the others are correct.
///
/// ## Why
/// The old Pod stays until the new one is ready, but the new Pod needs the volume that the old Pod still holds. On
/// another node the new Pod fails with "Multi-Attach error for volume". With `ReadWriteOncePod` it waits on every node.
/// The rollout hangs until its deadline, at every deployment.
///
/// ## What to write
/// The old Pod must stop first. `--fix=unsafe` writes this for a Deployment:
///
/// ```yaml
/// strategy:
///   type: Recreate
/// ```
///
/// An update without an interruption needs a volume for several nodes (`ReadWriteMany`), or a StatefulSet with one
/// claim for each Pod.
///
/// ## Assumptions
/// The policy assumes that an unknown claim is for several nodes. It assumes that a volume of an unknown StorageClass
/// is attached to one node at a time. If not all autoscalers are known, it assumes that none scales the workload.
///
/// ## Order
/// A StorageClass or a PersistentVolume that comes last is not judged: existing claims keep their volume.
#[policy(
    on = Kinds,
    kinds = [Rolling, Autoscalers, "/PersistentVolumeClaim"],
    severity = Error, since = "0.1.0",
    refines = [Rolling, Autoscalers, Storage],
    edits = ["/spec/strategy/type", "/spec/strategy/rollingUpdate"],
    default = Deny(BlocksOthers),
    reads = [Workloads, Autoscalers, Storage],
    covers = ["rollout-rwo-surge: of one Pod; volume-shared-by-replicas reports several Pods"]
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
            Hold::Unknown => findings.assume("an unknown PersistentVolumeClaim is for several nodes"),
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
         the volume of the old Pod, and the old Pod waits for the new Pod",
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
    // The template of a `workloadRef` is in another object, so the finding points to the reference.
    let at = if review.template().is_some() { claim.at } else { review.at("/spec/workloadRef") };
    let finding = findings.report(severity, &at, message, help);
    finding.about(&at).about(&rollout.max_surge_at).about(&rollout.max_unavailable_at);
    if is_deployment {
        let (kind, parameters) = (review.at("/spec/strategy/type"), review.at("/spec/strategy/rollingUpdate"));
        let fix = Fix::changing("Set strategy.type to Recreate");
        let fix = if kind.exists() { fix.replace(&kind, "Recreate") } else { fix.add(&kind, "Recreate") };
        finding.fix(if parameters.exists() { fix.remove(&parameters) } else { fix });
    }
}
