use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout, autoscaler};

/// Settings of `excessive-rollout-surge`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Maximum number of Pods that an update may start at once, beyond the existing ones
    #[settings(default = 50, minimum = 1)]
    most: i64,
}

/// Number of Pods from which on the counters of controllers overflow. Controllers treat a percentage that comes to more
/// than an `int32` as an error.
const UNCOUNTABLE: i64 = i32::MAX as i64;

/// Rollouts that more than double the Pods.
///
/// ## What it finds
/// `warning`: `maxSurge` comes to more Pods than the workload has, or to more than `most`. The policy looks at rolling
/// updates of Deployments, and of Argo Rollouts with a canary without traffic routing.
///
/// If a HorizontalPodAutoscaler or a ScaledObject scales the workload, the number of Pods is the greater of its minimum
/// and `replicas`.
///
/// The finding appears at the object that is applied last: the workload or the target of the autoscaler.
/// `plimsoll check` reports it once for a set.
///
/// ## Why
/// All new Pods start at the same time, and controllers do not count Pods that are still ending. So an update needs
/// room, database connections and addresses for the old, the new and the ending Pods. If these are missing, the cluster
/// adds nodes, a quota rejects Pods, or other Pods are evicted.
///
/// ## What to write
/// ```yaml
/// strategy:
///   rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}
/// ```
///
/// `--fix=unsafe` writes a `maxSurge` of 25%, or `most` if that is less.
///
/// ## Settings
/// `most`: 50 Pods, regardless of their share of the replicas.
///
/// ## Assumptions
/// If not all autoscalers are known, the policy assumes that none scales the workload.
#[policy(
    on = Kinds,
    kinds = [Rolling, Autoscalers],
    severity = Warning, since = "0.1.0",
    refines = [Rolling, Autoscalers],
    edits = ["/spec/strategy/rollingUpdate/maxSurge", "/spec/strategy/canary/maxSurge"],
    reads = [Workloads, Autoscalers],
    covers = ["rollout-surge-excess: Pods that still terminate are mentioned, but not counted, because their number is unknown"]
)]
pub fn excessive_rollout_surge(review: &Review, settings: &Settings, findings: &mut Findings) {
    if last::workloads(review, findings, &ROLLING, |review, findings| {
        excessive_rollout_surge(review, settings, findings)
    }) {
        return;
    }
    let Some(rollout) = Rollout::of(review).filter(|rollout| rollout.replicas > 0) else { return };
    let autoscaler = autoscaler(review);
    let pods = autoscaler.floor.map_or(rollout.replicas, |floor| floor.max(rollout.replicas));
    let surge = rollout.fenceposts(pods).surge;
    let limit = pods.min(settings.most);
    if surge <= limit {
        return;
    }
    if !autoscaler.complete && autoscaler.floor.is_none() {
        findings.assume("no autoscaler scales this workload");
    }
    let than =
        if pods <= settings.most { "than the workload has".to_owned() } else { format!("than {}", settings.most) };
    let replicas = if pods == 1 { "replica" } else { "replicas" };
    // The text of the manifest: `max_surge` caps a number beyond all counters.
    let written = rollout.max_surge_at.as_str().map_or_else(|| rollout.max_surge.to_string(), str::to_owned);
    let message = match surge {
        UNCOUNTABLE.. => {
            format!("{pods} {replicas}, maxSurge {written}: the number overflows in the controller, so an update hangs")
        }
        _ => format!(
            "{pods} {replicas}, maxSurge {written}: an update starts {surge} Pods at once, more {than}, so up to {} Pods run \
             beside the Pods that still terminate",
            pods.saturating_add(surge)
        ),
    };
    let quarter = IntOrPercent::Percent(25);
    let (wanted, value) = match quarter.resolve_up(pods) <= limit {
        true => (quarter.to_string(), Value::from("25%")),
        false => (limit.to_string(), Value::Int(limit)),
    };
    let fix = Fix::changing(format!("Set maxSurge to {wanted}"));
    let at = &rollout.max_surge_at;
    let fix = if at.exists() { fix.replace(at, value) } else { fix.add(at, value) };
    let finding = findings.warning(at, message, format!("write maxSurge: {wanted}"));
    finding.fix(fix).about(at).about(&rollout.replicas_at);
}
