use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{DEFAULT, ROLLING, Rollout, autoscaler, describe_count, is_in_place};

use crate::rollout::no_capacity::no_capacity;
use crate::rollout::stateful_sets;

/// Rollouts that leave too few Pods to serve requests.
///
/// ## What it finds
/// The policy looks at rolling updates of Deployments, and of Argo Rollouts with a canary without traffic routing. It
/// resolves `maxSurge` and `maxUnavailable` as the controller does: a percentage in `maxSurge` is rounded up, and one
/// in `maxUnavailable` down. If both come to 0, the controller still takes one Pod down.
///
/// - `error`: no Pod stays available during an update, and a Service selects the Pods. It is a `warning` if there is
///   only one Pod and its author accepts the gap (`maxUnavailable: 1`, or `maxSurge: 0`), because that is a choice. It
///   is an `info` if no Service selects the Pods. It is also an `info` if each such Service has Pods of another
///   workload too, for example the stable one beside a canary.
/// - `error`: both values are written as 0, so nothing could be replaced. The API server rejects that.
/// - `error`: `maxUnavailable` of a StatefulSet takes all of two or more Pods down at once.
/// - `info`: neither value is written, and the default of 25% lets an update take Pods down (from four replicas). There
///   is no finding if the Pods use a port of their node.
///
/// If a HorizontalPodAutoscaler or a ScaledObject scales the workload, its minimum counts instead of `replicas`. With
/// `replicas: 0` there is no finding. The policy skips values that the API server rejects for other reasons.
///
/// The finding appears at the object that is applied last: the workload, the selector of the Service, or the target of
/// the autoscaler. `plimsoll check` reports it once for a set.
///
/// If the Service is applied last, the policy looks at the first 16 workloads, by name, that it selects. It looks at
/// fewer if these are large, and assumes that the others are correct.
///
/// ## Why
/// The old Pods stop before the new ones are ready. Without any Pod the Service answers with errors for as long as a
/// Pod takes to start, at every deployment. If the new version does not start, the outage does not end. With the
/// default of 25%, a quarter of the capacity is missing during each update, most likely under load.
///
/// ## What to write
/// Start a new Pod before an old one stops:
///
/// ```yaml
/// strategy:
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// This needs room for one more Pod; `--fix=unsafe` writes it. If neither value was written, the webhook (with `mutate`
/// on) also writes it.
///
/// In some cases a new Pod waits for the place of an old one: the Pods use a port of the node, or a `podAntiAffinity`
/// demands a separate node for each. Then the fix writes `maxUnavailable: 1` and `maxSurge: 0` for two or more Pods.
/// For a single Pod it writes nothing in these cases. It also writes nothing for a single Pod that mounts a
/// PersistentVolumeClaim.
///
/// ## Assumptions
/// If not all Services are known, the policy assumes that some Service selects the Pods. If not all autoscalers are
/// known, it assumes that none scales the workload. In both cases findings are warnings. If it is unknown whether the
/// author wrote the 25%, the policy assumes that the author did.
///
/// Kubernetes obeys a StatefulSet's `maxUnavailable` in 1.35.0 to 1.35.3 and from 1.37 on. For 1.35 without a known
/// patch release, the policy assumes that it is obeyed.
///
/// ## Order
/// Another workload behind the Service only lowers the severity. So the policy does not judge the reviewed workload
/// again when a StatefulSet, DaemonSet, ReplicaSet or ReplicationController is applied after it.
#[policy(
    on = Kinds,
    kinds = [Rolling, Autoscalers, "apps/StatefulSet", "/Service"],
    severity = Error, since = "0.1.0",
    refines = [LongRunning, Autoscalers, Monitors, "/Service"],
    edits = [
        "/spec/strategy/rollingUpdate/maxSurge", "/spec/strategy/rollingUpdate/maxUnavailable",
        "/spec/strategy/canary/maxSurge", "/spec/strategy/canary/maxUnavailable",
        "/spec/updateStrategy/rollingUpdate/maxUnavailable"
    ],
    default = Deny(TakesDown), fills_in = Mutate,
    reads = [Workloads, Autoscalers, Services],
    covers = ["rollout-both-zero", "rollout-zero-available"]
)]
pub fn rollout_without_capacity(review: &Review, findings: &mut Findings) {
    if review.is(Kind::STATEFUL_SET) {
        return stateful_sets::none_left(review, findings);
    }
    if last::workloads(review, findings, &ROLLING, rollout_without_capacity) {
        return;
    }
    let Some(rollout) = Rollout::of(review) else { return };
    let Rollout { replicas, max_surge, max_unavailable, .. } = rollout;
    if rollout.is_stuck() {
        let who = if review.is(Kind::ROLLOUT) { "Argo Rollouts" } else { "the API server" };
        let message =
            format!("maxSurge and maxUnavailable are both 0: no Pod could ever be replaced, so {who} rejects it");
        let fix = Fix::changing("Set maxSurge to 1").replace(&rollout.max_surge_at, 1_i64);
        let finding = findings.error(&rollout.max_unavailable_at, message, "write maxSurge: 1");
        finding.fix(fix).about(&rollout.max_surge_at);
        return;
    }
    if replicas == 0 {
        return;
    }
    let autoscaler = autoscaler(review);
    let pods = autoscaler.floor.unwrap_or(replicas);
    // KEDA keeps the workload at 0.
    if pods == 0 {
        return;
    }
    let posts = rollout.fenceposts(pods);
    let count = describe_count(pods, autoscaler.floor.is_some());
    if posts.min_available(pods) == 0 {
        let taken = match posts.forced {
            true => "both come to 0, but the controller still takes 1 down".to_owned(),
            false => format!("an update takes {} down", posts.unavailable),
        };
        let message = format!("{count}, maxSurge {max_surge}, maxUnavailable {max_unavailable}: {taken}, leaving 0");
        // With the only Pod, this is the author's choice: the defaults would start a second Pod first.
        let worst = if pods == 1 { Severity::Warning } else { Severity::Error };
        let is_scale_known = autoscaler.complete || autoscaler.floor.is_some();
        no_capacity(review, &rollout, pods, (worst, message), is_scale_known, findings);
    } else if posts.unavailable > 0 && (max_surge, max_unavailable) == (DEFAULT, DEFAULT) && !is_in_place(review) {
        let left = posts.min_available(pods);
        let message =
            format!("{count}: the default maxUnavailable 25% takes {} down, leaving {left}", posts.unavailable);
        taken_by_default(review, &rollout, message, findings);
    }
}

fn taken_by_default(review: &Review<'_>, rollout: &Rollout<'_>, message: String, findings: &mut Findings) {
    let places = [&rollout.max_surge_at, &rollout.max_unavailable_at];
    let written = places.map(|at| if at.exists() { review.authored(at) } else { Knowledge::No });
    if written.contains(&Knowledge::Yes) {
        return;
    }
    if written.contains(&Knowledge::Unknown) {
        findings.assume("the author of the manifest wrote maxSurge and maxUnavailable of 25%");
        return;
    }
    let help = "write maxSurge: 1 and maxUnavailable: 0, or write the 25% if they are intended";
    let fix = Fix::changing("Set maxSurge to 1 and maxUnavailable to 0");
    let fix = fix.add(&rollout.max_surge_at, 1_i64).add(&rollout.max_unavailable_at, 0_i64);
    let finding = findings.info(&rollout.max_unavailable_at, message, help);
    finding.fix(fix).about(&rollout.max_surge_at).about(&rollout.replicas_at);
}
