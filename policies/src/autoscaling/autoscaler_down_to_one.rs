use plimsoll_sdk::disruption::target;
use plimsoll_sdk::owners::is_owned_by;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::sharing::others_of;
use plimsoll_sdk::volumes::keep_one_pod;

/// Autoscalers that leave a single Pod.
///
/// ## What it finds
/// `warning`: a HorizontalPodAutoscaler with `minReplicas: 1`, which it also is where nobody wrote it. What KEDA scales to
/// nothing, and wakes at the next message, is meant so and left out. So is what shares each of its Services with the Pods of
/// another workload.
///
/// With `maxReplicas: 1` the number of Pods never changes, which `autoscaler-without-room` reports alone. Pods whose
/// PersistentVolumeClaim only one of them may mount can't be two; `volume-shared-by-replicas` reports these.
///
/// ## Why
/// Whenever it is quiet one Pod is left. A node that fails, a drain or a rollout that goes wrong is then an outage, at night,
/// of something that has ten Pods by day. A PodDisruptionBudget can't help: of one Pod it either keeps none or blocks the
/// drain.
///
/// ## What to write
/// `--fix=unsafe` writes it:
///
/// ```yaml
/// spec:
///   minReplicas: 2
/// ```
///
/// ## Order
/// Another workload behind the Service makes this milder, and so does a volume. None of these is judged by it if it comes
/// last: Service, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Rollout, PersistentVolumeClaim,
/// StorageClass, PersistentVolume.
#[policy(
    on = Kinds, kinds = ["autoscaling/HorizontalPodAutoscaler"], severity = Warning,
    since = "0.1.0", 
    refines = [
        "keda.sh/ScaledObject", "/Service", "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet",
        "/ReplicationController", "argoproj.io/Rollout", "monitoring.coreos.com/ServiceMonitor",
        "monitoring.coreos.com/PodMonitor", "/PersistentVolumeClaim", "storage.k8s.io/StorageClass", "/PersistentVolume"
    ],
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
    // Where one is all that there is at most, `autoscaler-without-room` has the finding.
    if most.is_none_or(|most| most <= 1) || is_backed_or_alone(review) {
        return;
    }
    let message = "the autoscaler may leave a single Pod, whose loss is an outage";
    let finding = findings.warning(&at, message, "write minReplicas: 2, or more");
    let fix = Fix::changing("keep two Pods");
    finding.fix(if at.exists() { fix.replace(&at, 2_i64) } else { fix.add(&at, 2_i64) });
}

/// Whether Pods of another workload answer for what is scaled too, or a volume keeps it from being two.
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
