use plimsoll_sdk::disruption::Change;
use plimsoll_sdk::prelude::*;

/// Manifests that set the number of Pods which an autoscaler sets too.
///
/// ## What it finds
/// A Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout whose author wrote `replicas`, while a
/// HorizontalPodAutoscaler or a ScaledObject scales it.
///
/// - `warning`: each apply sets the number back.
/// - `error`: the number is 0. That turns a HorizontalPodAutoscaler off, and it never starts a Pod again. KEDA does.
///
/// A ScaledObject that is paused sets no number (`autoscaling.keda.sh/paused`), or the one of
/// `autoscaling.keda.sh/paused-replicas`: nothing is found where that is the same number.
///
/// An autoscaler that comes last is not blamed: the conflict is that of the workload's manifest, and is found when this
/// is applied, which is when it does harm. What `kubectl scale` sets is nobody's manifest.
///
/// ## Why
/// Under load the autoscaler has made ten Pods of three. A deployment applies the manifest: seven of them are ended at once,
/// in the middle of the day, and come back minutes later.
///
/// ## What to write
/// Nothing in `replicas`; the autoscaler's minimum says how few there may be. `--fix=unsafe` takes it out.
///
/// Where `kubectl apply` wrote it once, taking it out sets the number to 1 for a moment: what an apply no longer mentions,
/// it removes, and the API server fills in its default. So take it out of the record first, and then of the file:
///
/// ```sh
/// kubectl apply edit-last-applied deployment/shop   # delete the line `replicas:`
/// ```
///
/// With server-side apply, let the autoscaler become the owner of the field before: see "Migrating Deployments and
/// StatefulSets to horizontal autoscaling" in the documentation of Kubernetes.
///
/// ## Assumptions
/// Where nobody can tell whether the number was written, it was not. Where the autoscalers are not known, nothing is
/// judged.
///
/// ## Order
/// A HorizontalPodAutoscaler or a ScaledObject that comes last is not judged: of a stored workload it is not known whether
/// its author wrote `replicas`. The next apply of the workload is judged, and `plimsoll check` judges a set as a whole.
///
/// A Rollout that takes the template of this workload, and comes last, changes nothing here: its own autoscaler counts.
#[policy(
    on = Kinds,
    kinds = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout"
    ],
    severity = Error, since = "0.1.0", requires = ["autoscaling/HorizontalPodAutoscaler"],
    refines = ["keda.sh/ScaledObject", "argoproj.io/Rollout"], edits = ["/spec/replicas"],
    default = Warn,
    reads = [Workloads, Autoscalers],
    covers = ["hpa-replicas-conflict", "hpa-disabled-by-zero"]
)]
pub fn autoscaler_fights_replicas(review: &Review, findings: &mut Findings) {
    let Change::Of(workload, at) = Change::of(review) else { return };
    if !at.exists() {
        return;
    }
    let Some(floor) = &workload.floor else {
        if !workload.autoscalers_known {
            findings.skip("the autoscalers of the namespace are not all known");
        }
        return;
    };
    if floor.is_paused() && at.as_i64() == Some(floor.pods) {
        return;
    }
    match review.authored(&at) {
        Knowledge::No => return,
        Knowledge::Unknown => return findings.assume("replicas of what an autoscaler scales was not written"),
        Knowledge::Yes => {}
    }
    let (kind, name) = (review.kind().to_lowercase(), review.name());
    let help = match name {
        "" => "take replicas out of the manifest".to_owned(),
        _ => format!(
            "take replicas out of the manifest; if kubectl apply wrote it, first take it out with kubectl apply \
             edit-last-applied {kind}/{name}, or the next apply scales to 1"
        ),
    };
    // The written number counts, also if a Rollout takes the Pods over.
    let finding = match at.as_i64() {
        Some(0) if !floor.is_of_keda() => {
            findings.error(&at, format!("replicas 0 turns {} off, so that no Pod starts again", floor.by), help)
        }
        _ => {
            let message = format!("each apply overwrites the number of Pods that {} has set", floor.by);
            findings.warning(&at, message, help)
        }
    };
    finding.related(floor.by.replacen(' ', "/", 1));
    finding.fix(Fix::changing("leave the number of Pods to the autoscaler").remove(&at));
}
