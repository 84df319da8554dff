use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout, autoscaler, describe_count, is_in_place};

use crate::rollout::stateful_sets;

/// Settings of `rollout-below-minimum`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Percentage of the Pods that stay available throughout an update
    #[settings(default = 66, minimum = 1, maximum = 100)]
    available: i64,
}

/// Rollouts that take down more than a third of the Pods.
///
/// ## What it finds
/// `warning`: during a rolling update, less than `available` of the Pods stay available. The policy looks at
/// Deployments, and at Argo Rollouts with a canary without traffic routing. It resolves `maxSurge` and `maxUnavailable`
/// as the controller does: a percentage in `maxSurge` is rounded up, and one in `maxUnavailable` down.
///
/// The policy also looks at `maxUnavailable` of a StatefulSet, in Kubernetes 1.35.0 to 1.35.3 and from 1.37 on.
///
/// If a HorizontalPodAutoscaler or a ScaledObject scales the workload, the policy judges the minimum. It also judges
/// `replicas` if that is more. One unavailable Pod at a time is no finding if Pods use a port of their node or need
/// their own node (`podAntiAffinity` by `kubernetes.io/hostname`).
///
/// If no Pod stays at all, `rollout-without-capacity` reports it instead. If only rounding takes a Pod down,
/// `rollout-rounding-surprise` reports it.
///
/// The finding appears at the object that is applied last: the workload or the target of the autoscaler.
/// `plimsoll check` reports it once for a set.
///
/// ## Why
/// People deploy during working hours, when the load is high. If one of two Pods is down, the other one gets twice the
/// load, for as long as each new Pod takes to start.
///
/// ## What to write
/// Start a new Pod before an old one stops:
///
/// ```yaml
/// strategy:
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// This needs room for one more Pod; `--fix=unsafe` writes it.
///
/// ## Settings
/// `available`: with 66, one of three Pods may be down. 75 means three quarters.
///
/// ## Assumptions
/// If not all autoscalers are known, the policy assumes that none scales the workload.
#[policy(
    on = Kinds,
    kinds = [Rolling, Autoscalers, "apps/StatefulSet"],
    severity = Warning, since = "0.1.0",
    refines = [Rolling, Autoscalers],
    edits = [
        "/spec/strategy/rollingUpdate/maxSurge", "/spec/strategy/rollingUpdate/maxUnavailable",
        "/spec/strategy/canary/maxSurge", "/spec/strategy/canary/maxUnavailable",
        "/spec/updateStrategy/rollingUpdate/maxUnavailable"
    ],
    reads = [Workloads, Autoscalers],
    covers = ["rollout-min-available"]
)]
pub fn rollout_below_minimum(review: &Review, settings: &Settings, findings: &mut Findings) {
    if review.is(Kind::STATEFUL_SET) {
        return stateful_sets::few_left(review, settings.available, findings);
    }
    if last::workloads(review, findings, &ROLLING, |review, findings| rollout_below_minimum(review, settings, findings))
    {
        return;
    }
    let Some(rollout) = Rollout::of(review).filter(|rollout| !rollout.is_stuck() && rollout.replicas > 0) else {
        return;
    };
    let autoscaler = autoscaler(review);
    // A new Pod waits for the place of an old one, which must stop first.
    let is_in_place = is_in_place(review);
    let sizes = match autoscaler.floor {
        Some(floor) if rollout.replicas > floor => [Some(floor), Some(rollout.replicas)],
        Some(floor) => [Some(floor), None],
        None => [Some(rollout.replicas), None],
    };
    let too_few = |pods: &i64| {
        let posts = rollout.fenceposts(*pods);
        let left = posts.min_available(*pods);
        // A surge does not help: the extra Pods wait.
        let is_least = is_in_place && posts.unavailable <= 1;
        !posts.forced && !is_least && left > 0 && left.saturating_mul(100) < settings.available.saturating_mul(*pods)
    };
    let Some(pods) = sizes.into_iter().flatten().find(too_few) else { return };
    if !autoscaler.complete && autoscaler.floor.is_none() {
        findings.assume("no autoscaler scales this workload");
    }
    let Rollout { max_surge, max_unavailable, .. } = rollout;
    let posts = rollout.fenceposts(pods);
    let left = posts.min_available(pods);
    let count = describe_count(pods, autoscaler.floor == Some(pods));
    let message = format!(
        "{count}, maxSurge {max_surge}, maxUnavailable {max_unavailable}: an update takes {} down, leaving {left}, less \
         than {}%",
        posts.unavailable, settings.available
    );
    let help = "write maxUnavailable: 0 and maxSurge: 1, so that a new Pod is ready before an old one stops";
    let write =
        |fix: Fix, at: &Cursor<'_>, value: i64| if at.exists() { fix.replace(at, value) } else { fix.add(at, value) };
    let fix = match max_surge {
        IntOrPercent::Int(0) | IntOrPercent::Percent(0) => {
            let fix = Fix::changing("Set maxUnavailable to 0 and maxSurge to 1");
            write(write(fix, &rollout.max_unavailable_at, 0), &rollout.max_surge_at, 1)
        }
        _ => write(Fix::changing("Set maxUnavailable to 0"), &rollout.max_unavailable_at, 0),
    };
    if is_in_place {
        let help = "write maxUnavailable: 1 and maxSurge: 0, because a new Pod waits for the place of an old one";
        let fix = Fix::changing("Set maxUnavailable to 1 and maxSurge to 0");
        let fix = write(write(fix, &rollout.max_unavailable_at, 1), &rollout.max_surge_at, 0);
        let finding = findings.warning(&rollout.max_unavailable_at, message, help);
        finding.fix(fix).about(&rollout.max_surge_at).about(&rollout.replicas_at);
        return;
    }
    let finding = findings.warning(&rollout.max_unavailable_at, message, help);
    finding.fix(fix).about(&rollout.max_surge_at).about(&rollout.replicas_at);
}
