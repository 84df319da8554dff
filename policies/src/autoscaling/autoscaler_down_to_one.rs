use plimsoll_sdk::disruption::target;
use plimsoll_sdk::owners::is_owned_by;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::sharing::others_of;
use plimsoll_sdk::volumes::keep_one_pod;

/// Autoscalers that may leave a single Pod.
///
/// ## What it finds
/// `warning`: a HorizontalPodAutoscaler with `minReplicas: 1`, which is also the default. The policy skips these
/// autoscalers:
///
/// - The autoscaler that KEDA makes for a ScaledObject. KEDA scales the workload to zero and wakes it at the next
///   message, which is intended.
/// - The autoscaler of a workload whose Services all have Pods of another workload too.
/// - An autoscaler with `maxReplicas: 1`. Its number of Pods never changes, and `autoscaler-without-room` reports that.
/// - The autoscaler of Pods whose PersistentVolumeClaim can be mounted by only one of them. There can't be two Pods,
///   and `volume-shared-by-replicas` reports that.
///
/// ## Why
/// In a quiet period only one Pod is left. Then a failed node, a drain or a bad rollout is an outage at night, of a
/// service that has ten Pods by day. A PodDisruptionBudget can't help: with one Pod it either protects no Pod or blocks
/// the drain.
///
/// ## What to write
/// `--fix=unsafe` writes this:
///
/// ```yaml
/// spec:
///   minReplicas: 2
/// ```
///
/// ## Order
/// Another workload behind the Service, or a volume, only removes the finding. So the policy does not judge the
/// autoscaler again when one of these is applied: Service, Deployment, StatefulSet, DaemonSet, ReplicaSet,
/// ReplicationController, Rollout, PersistentVolumeClaim, StorageClass, PersistentVolume.
#[policy(
    on = Kinds, kinds = ["autoscaling/HorizontalPodAutoscaler"], severity = Warning,
    since = "0.1.0",
    refines = [LongRunning, Monitors, Storage, "keda.sh/ScaledObject", "/Service"],
    edits = ["/spec/minReplicas"],
    reads = [Workloads, Autoscalers, Services, Storage],
    covers = ["hpa-bounds"]
)]
pub fn autoscaler_down_to_one(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/minReplicas");
    let is_one = at.is_absent() || at.as_i64() == Some(1);
    let most = review.at("/spec/maxReplicas").as_i64();
    if !is_one || review.object().node().is_some_and(|object| is_owned_by(review, Kind::SCALED_OBJECT, object)) {
        return;
    }
    // If the maximum is one Pod, `autoscaler-without-room` has the finding.
    if most.is_none_or(|most| most <= 1) || is_backed_or_alone(review) {
        return;
    }
    let message = "minReplicas is 1: the autoscaler may leave a single Pod, and its loss is an outage";
    let finding = findings.warning(&at, message, "write minReplicas: 2, or more");
    let fix = Fix::changing("Set minReplicas to 2");
    finding.fix(if at.exists() { fix.replace(&at, 2_i64) } else { fix.add(&at, 2_i64) });
}

/// Whether Pods of another workload also serve the requests of the scaled workload, or a volume limits it to one Pod.
fn is_backed_or_alone(review: &Review<'_>) -> bool {
    let Some((kind, name)) = review.object().node().and_then(|object| target(review, object)) else { return false };
    let (holder, answer) = review.template_of(kind.get(), &name);
    let template = answer.nodes().next().and_then(|object| review.template_in(holder.get(), object));
    let Some(template) = template.as_ref() else { return false };
    if keep_one_pod(review, template) {
        return true;
    }
    let Some(labels) = template.labels() else { return false };
    let services = review.selecting(Kind::SERVICE, labels);
    others_of(review, kind.get(), &name, Some(template), services.nodes()).is_some()
}
