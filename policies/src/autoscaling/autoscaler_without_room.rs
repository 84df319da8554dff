use plimsoll_sdk::disruption::target;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::volumes::keep_one_pod;

/// Autoscalers that cannot scale.
///
/// ## What it finds
/// A HorizontalPodAutoscaler or a ScaledObject has a minimum that is not below its maximum. The defaults are:
///
/// | | minimum | maximum |
/// | --- | --- | --- |
/// | HorizontalPodAutoscaler | 1 | none |
/// | ScaledObject | 0 | 100 |
///
/// - `warning`: both are equal, so the number of Pods never changes.
/// - `error`: the minimum is greater. The API server and KEDA reject that.
///
/// ## Why
/// The workload seems to scale, but it can't. When the load grows, nothing happens.
///
/// ## What to write
/// A maximum for the highest load that the workload must survive, or `replicas` and no autoscaler:
///
/// ```yaml
/// spec:
///   minReplicas: 3
///   maxReplicas: 10
/// ```
///
/// If only one Pod can mount the PersistentVolumeClaim of the Pods, there can't be more Pods. Then the help proposes
/// only `replicas`.
///
/// ## Order
/// A volume changes only the advice. So the policy does not judge the autoscaler again when one of these is applied:
/// Deployment, StatefulSet, ReplicaSet, ReplicationController, Rollout, PersistentVolumeClaim, StorageClass,
/// PersistentVolume.
#[policy(
    on = Kinds, kinds = [Autoscalers],
    severity = Error, since = "0.1.0",
    refines = [Scalable, Storage],
    default = Deny(CannotWork),
    reads = [Workloads, Storage],
    covers = ["hpa-bounds"]
)]
pub fn autoscaler_without_room(review: &Review, findings: &mut Findings) {
    let (fields, defaults) = match review.is(Kind::SCALED_OBJECT) {
        true => (["minReplicaCount", "maxReplicaCount"], [Some(0), Some(100)]),
        false => (["minReplicas", "maxReplicas"], [Some(1), None]),
    };
    let places = fields.map(|field| review.at("/spec").key(field));
    let count = |number: usize| match places[number].as_i64() {
        None if places[number].is_absent() => defaults[number],
        count => count,
    };
    let (Some(least), Some(most)) = (count(0), count(1)) else { return };
    let [min, max] = fields;
    let finding = match least.cmp(&most) {
        std::cmp::Ordering::Less => return,
        std::cmp::Ordering::Equal => {
            let without = format!("write replicas: {least} in the workload and delete the autoscaler");
            let message = format!("{min} and {max} are both {most}: the number of Pods never changes");
            let (message, help) = match is_kept_at_one(review) {
                true => (format!("{message}, and a volume allows only one Pod"), without),
                false => (message, format!("raise {max}, or {without}")),
            };
            findings.warning(&places[1], message, help)
        }
        std::cmp::Ordering::Greater => {
            let who = if review.is(Kind::SCALED_OBJECT) { "KEDA" } else { "the API server" };
            let message = format!("{min} {least} is greater than {max} {most}: {who} rejects it");
            findings.error(&places[1], message, format!("raise {max} above {least}"))
        }
    };
    finding.about(&places[0]);
}

/// Whether a volume limits the scaled workload to one Pod, so that a higher maximum would be denied.
fn is_kept_at_one(review: &Review<'_>) -> bool {
    let Some((kind, name)) = review.object().node().and_then(|object| target(review, object)) else { return false };
    let (holder, answer) = review.template_of(kind.get(), &name);
    let template = answer.nodes().next().and_then(|object| review.template_in(holder.get(), object));
    template.is_some_and(|template| keep_one_pod(review, &template))
}
