use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout, autoscaler, describe_count, is_in_place};

/// Percentages of a rollout that round down to zero.
///
/// ## What it finds
/// A rolling update takes one Pod down although both numbers come to 0:
///
/// - `maxSurge` comes to 0.
/// - `maxUnavailable` is a percentage that is rounded down to 0.
/// - The controller still takes one Pod down, because otherwise it could replace nothing.
///
/// The policy looks at Deployments, and at Argo Rollouts with a canary without traffic routing. If no Pod is left,
/// `rollout-without-capacity` reports it instead.
///
/// If a HorizontalPodAutoscaler or a ScaledObject scales the workload, its minimum counts instead of `replicas`.
///
/// The finding appears at the object that is applied last: the workload or the target of the autoscaler.
/// `plimsoll check` reports it once for a set.
///
/// ## Why
/// With 25% of three replicas and no surge, the author expects that at most a quarter of the Pods is down. In fact a
/// third is down.
///
/// ## What to write
/// Numbers, so that the manifest says what happens:
///
/// ```yaml
/// strategy:
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// This needs room for one more Pod; `--fix=unsafe` writes it. If there is no such room, write `maxSurge: 0` and
/// `maxUnavailable: 1`, which is what happens now. `--fix=unsafe` writes these values if a new Pod waits for the place
/// of an old one. This is so with a port of the node, or with a `podAntiAffinity` that demands a separate node or zone
/// for each Pod.
///
/// ## Assumptions
/// If not all autoscalers are known, the policy assumes that none scales the workload.
#[policy(
    on = Kinds,
    kinds = [Rolling, Autoscalers],
    severity = Warning, since = "0.1.0",
    refines = [Rolling, Autoscalers],
    edits = [
        "/spec/strategy/rollingUpdate/maxSurge", "/spec/strategy/rollingUpdate/maxUnavailable",
        "/spec/strategy/canary/maxSurge", "/spec/strategy/canary/maxUnavailable"
    ],
    reads = [Workloads, Autoscalers],
    covers = ["rollout-rounding-surprise"]
)]
pub fn rollout_rounding_surprise(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &ROLLING, rollout_rounding_surprise) {
        return;
    }
    let Some(rollout) = Rollout::of(review).filter(|rollout| !rollout.is_stuck() && rollout.replicas > 0) else {
        return;
    };
    let autoscaler = autoscaler(review);
    let pods = autoscaler.floor.unwrap_or(rollout.replicas);
    let posts = rollout.fenceposts(pods);
    let left = posts.min_available(pods);
    if !posts.forced || left == 0 {
        return;
    }
    if !autoscaler.complete && autoscaler.floor.is_none() {
        findings.assume("no autoscaler scales this workload");
    }
    let Rollout { max_surge, max_unavailable, .. } = rollout;
    let count = describe_count(pods, autoscaler.floor.is_some());
    let message = format!(
        "{count}, maxSurge {max_surge}, maxUnavailable {max_unavailable}: {max_unavailable} of {pods} rounds down to 0, but the \
         controller still takes 1 down, leaving {left}"
    );
    // With a surge a new Pod would wait for the place of an old one.
    let (help, title, surge) = match is_in_place(review) {
        true => ("write maxUnavailable: 1 and maxSurge: 0", "Set maxSurge to 0 and maxUnavailable to 1", 0),
        // With two Pods, one left would be too few for `rollout-below-minimum`.
        false if pods < 3 => {
            ("write maxSurge: 1 and maxUnavailable: 0", "Set maxSurge to 1 and maxUnavailable to 0", 1)
        }
        false => (
            "write maxSurge: 1 and maxUnavailable: 0, or maxUnavailable: 1 if the cluster has no room for one more Pod",
            "Set maxSurge to 1 and maxUnavailable to 0",
            1,
        ),
    };
    let write =
        |fix: Fix, at: &Cursor<'_>, value: i64| if at.exists() { fix.replace(at, value) } else { fix.add(at, value) };
    let fix = write(Fix::changing(title), &rollout.max_surge_at, surge);
    let fix = write(fix, &rollout.max_unavailable_at, 1 - surge);
    let finding = findings.warning(&rollout.max_unavailable_at, message, help);
    finding.fix(fix).about(&rollout.max_unavailable_at).about(&rollout.max_surge_at).about(&rollout.replicas_at);
}
