use plimsoll_sdk::disruption::Change;
use plimsoll_sdk::prelude::*;

/// Manifests that set the number of Pods, which an autoscaler sets too.
///
/// ## What it finds
/// The author of a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout wrote `replicas`, while a
/// HorizontalPodAutoscaler or a ScaledObject scales it.
///
/// - `warning`: each apply resets the number.
/// - `error`: the number is 0. That turns a HorizontalPodAutoscaler off, and it never starts a Pod again. (KEDA does.)
///
/// A paused ScaledObject sets no number (`autoscaling.keda.sh/paused`), or the one of
/// `autoscaling.keda.sh/paused-replicas`. If the manifest has the same number, there is no finding.
///
/// An autoscaler that is applied last has no finding. The conflict is in the manifest of the workload, and does harm
/// when the workload is applied, so the finding appears there. A number that `kubectl scale` sets is not in a manifest.
///
/// ## Why
/// Under load the autoscaler has scaled from three Pods to ten. A deployment applies the manifest, and seven Pods end
/// at once, in the middle of the day. They come back minutes later.
///
/// ## What to write
/// No `replicas`; the autoscaler's minimum is the lower bound. `--fix=unsafe` removes the field.
///
/// If `kubectl apply` wrote the field before, removing it sets the number to 1 for a moment. The next apply deletes the
/// field, and the API server fills in its default. So first remove the field from the record, and then from the file:
///
/// ```sh
/// kubectl apply edit-last-applied deployment/shop   # delete the line `replicas:`
/// ```
///
/// With server-side apply, first let the autoscaler become the owner of the field. See "Migrating Deployments and
/// StatefulSets to horizontal autoscaling" in the documentation of Kubernetes.
///
/// ## Assumptions
/// If it is unknown whether the author wrote the number, the policy assumes that the author did not. If the autoscalers
/// are not known, it judges nothing.
///
/// ## Order
/// A HorizontalPodAutoscaler or a ScaledObject that comes last is not judged: for a stored workload it is unknown
/// whether its author wrote `replicas`. The next apply of the workload is judged, and `plimsoll check` judges a set as
/// a whole.
///
/// A Rollout that takes the template of this workload, and comes last, changes nothing here: its own autoscaler counts.
#[policy(
    on = Kinds,
    kinds = [Scalable],
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
            findings.skip("not all autoscalers of the namespace are known");
        }
        return;
    };
    if floor.is_paused() && at.as_i64() == Some(floor.pods) {
        return;
    }
    match review.authored(&at) {
        Knowledge::No => return,
        Knowledge::Unknown => return findings.assume("the author of the manifest did not write replicas"),
        Knowledge::Yes => {}
    }
    let (kind, name) = (review.kind().to_lowercase(), review.name());
    let help = match name {
        "" => "remove replicas from the manifest".to_owned(),
        _ => format!(
            "remove replicas from the manifest; if kubectl apply wrote the field, first remove it with kubectl apply \
             edit-last-applied {kind}/{name}, or the next apply scales to 1"
        ),
    };
    // The written number counts, even if a Rollout takes over the Pods.
    let finding = match at.as_i64() {
        Some(0) if !floor.is_of_keda() => {
            findings.error(&at, format!("replicas is 0, which turns {} off: no Pod starts again", floor.by), help)
        }
        _ => {
            let message =
                format!("replicas is set, but {} scales the workload: each apply resets the number of Pods", floor.by);
            findings.warning(&at, message, help)
        }
    };
    finding.related(floor.by.replacen(' ', "/", 1));
    finding.fix(Fix::changing("Remove replicas").remove(&at));
}
