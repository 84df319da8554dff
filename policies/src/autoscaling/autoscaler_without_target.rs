use plimsoll_sdk::disruption::target;
use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::owners::is_owned;
use plimsoll_sdk::prelude::*;

/// Autoscalers that scale nothing.
///
/// ## What it finds
/// `error`: the `scaleTargetRef` of a HorizontalPodAutoscaler or a ScaledObject names one of these:
///
/// - A workload that does not exist in the namespace of the autoscaler. Such a finding rests on a missing object. So
///   the cluster does not report it when the autoscaler is created, and for a young autoscaler a change only warns.
/// - A kind without a scale: a DaemonSet, Job, CronJob or Pod.
/// - A ReplicaSet that belongs to a Deployment or a Rollout, which set its size themselves.
/// - A kind of workload in the wrong API group, such as a Deployment of `v1`.
///
/// The policy skips kinds that it can't know, such as the kinds of an operator.
///
/// ## Why
/// Only the status of the autoscaler shows the problem. Mostly the workload was renamed, and since then it runs at the
/// size that it happened to have.
///
/// ## What to write
/// Group, kind and name of the workload to scale:
///
/// ```yaml
/// spec:
///   scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
/// ```
///
/// ## Assumptions
/// If not all workloads are known, the policy does not report a missing one.
#[policy(
    on = Kinds, kinds = [Autoscalers],
    severity = Error, since = "0.1.0",
    requires = [Scalable],
    default = Deny(CannotWork),
    reads = [Workloads],
    covers = ["hpa-target-missing", "hpa-target-unscalable"]
)]
pub fn autoscaler_without_target(review: &Review, findings: &mut Findings) {
    let Some((kind, name)) = review.object().node().and_then(|object| target(review, object)) else { return };
    let at = review.at("/spec/scaleTargetRef");
    let what = kind.name();
    if UNSCALABLE.contains(&kind.get()) {
        let message = format!("scaleTargetRef names a {what}: this kind has no scale, so the autoscaler does nothing");
        findings.error(&at.at("/kind"), message, "scale a Deployment or a StatefulSet, or delete the autoscaler");
        return;
    }
    let Some(known) = SCALABLE.into_iter().find(|known| *known == kind) else {
        // Other groups may have kinds of these names. The core group and the removed group have none.
        let meant = SCALABLE.iter().find(|known| known.name() == what);
        let is_wrong = matches!(kind.group(), "" | "extensions");
        if let Some(meant) = meant.filter(|_| is_wrong) {
            let message = format!("this API group has no kind {what}: the autoscaler scales nothing");
            findings.error(
                &at.at("/apiVersion"),
                message,
                format!("write the apiVersion of {what}, which is in the group {:?}", meant.group()),
            );
        }
        return;
    };
    let answer = review.resolve(known, &name);
    match answer.nodes().next() {
        Some(object) if what == "ReplicaSet" && is_owned(review, known, object) => {
            let message =
                format!("ReplicaSet {name} belongs to another workload, and that workload sets replicas itself");
            findings.error(
                &at.at("/name"),
                message,
                "set scaleTargetRef to the Deployment or Rollout that owns the ReplicaSet",
            );
        }
        Some(_) => {}
        None if !answer.complete => findings.skip("not all workloads of the namespace are known"),
        None => {
            let message = format!("this namespace has no {what} {name}: the autoscaler scales nothing");
            let help = "set scaleTargetRef.name to a workload of this namespace";
            findings.error(&at.at("/name"), message, help).companion();
        }
    }
}

const UNSCALABLE: [Kind<'static>; 4] = [Kind::DAEMON_SET, Kind::JOB, Kind::CRON_JOB, Kind::POD];
