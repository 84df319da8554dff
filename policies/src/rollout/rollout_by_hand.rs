use plimsoll_sdk::prelude::*;

/// Workloads whose new version only reaches Pods that are deleted by hand.
///
/// ## What it finds
/// - `warning`: a StatefulSet or DaemonSet has the update type `OnDelete`.
/// - `info`: a StatefulSet has a `partition` that is not below its `replicas`, and both are set. No Pod is updated
///   until the partition is lowered.
///
/// ## Why
/// Applying a new version changes nothing. Old and new Pods run beside each other until the old ones are deleted. The
/// next drain or crash decides which Pod is replaced, and when. A security fix seems to be rolled out everywhere, but
/// runs nowhere.
///
/// ## What to write
/// ```yaml
/// updateStrategy:
///   type: RollingUpdate
/// ```
///
/// A StatefulSet that must be updated in steps can use `rollingUpdate.partition`. If an operator deletes the Pods in
/// its own order, ignore this policy for the workload.
#[policy(
    on = Kinds, kinds = ["apps/StatefulSet", "apps/DaemonSet"], severity = Warning, since = "0.1.0",
    covers = ["rollout-on-delete"]
)]
pub fn rollout_by_hand(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/updateStrategy/type");
    if at.as_str() == Some("OnDelete") {
        let message = "updateStrategy.type is OnDelete: a Pod gets a new version only when a user deletes it";
        findings.warning(&at, message, "write type: RollingUpdate");
        return;
    }
    let (partition_at, replicas_at) =
        (review.at("/spec/updateStrategy/rollingUpdate/partition"), review.at("/spec/replicas"));
    let Some((partition, replicas)) = partition_at.as_i64().zip(replicas_at.as_i64()) else { return };
    if review.is(Kind::STATEFUL_SET) && replicas > 0 && partition >= replicas {
        let message = format!("partition {partition} of {replicas} replicas: a new version reaches no Pod");
        findings.info(&partition_at, message, "write partition: 0, or lower it step by step").about(&replicas_at);
    }
}
