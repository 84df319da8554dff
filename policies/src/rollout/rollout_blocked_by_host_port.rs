use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout, autoscaler, describe_count};

/// Rollouts whose new Pod needs a node with a free port.
///
/// ## What it finds
/// `warning`: a rolling update of Pods that use a port of their node, while `maxSurge` comes to 1 or more and
/// `maxUnavailable` to 0. The port is a `hostPort`, or a declared port with `hostNetwork`. The policy looks at
/// Deployments, and at Argo Rollouts with a canary without traffic routing.
///
/// The finding appears at the object that is applied last: the workload or the target of the autoscaler.
/// `plimsoll check` reports it once for a set.
///
/// ## Why
/// Only one Pod can use a port of a node. So the new Pod needs a node without an old Pod, and no old Pod stops before
/// the new one is ready. If every suitable node has a Pod, the rollout hangs until its deadline.
///
/// ## What to write
/// Stop an old Pod first:
///
/// ```yaml
/// strategy:
///   rollingUpdate: {maxSurge: 0, maxUnavailable: 1}
/// ```
///
/// `--fix=unsafe` writes it for two or more Pods. With a single Pod nothing would be left. It is better to remove the
/// port, because a Service needs none.
///
/// ## Assumptions
/// The number of nodes is unknown. If not all autoscalers are known, the policy assumes that none scales the workload.
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
    covers = ["rollout-hostport-surge: how many nodes there are is not known; of hostNetwork only declared ports"]
)]
pub fn rollout_blocked_by_host_port(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &ROLLING, rollout_blocked_by_host_port) {
        return;
    }
    let port = review.template().and_then(|template| template.host_port());
    let Some((port, at)) = port else { return };
    let Some(rollout) = Rollout::of(review).filter(|rollout| !rollout.is_stuck() && rollout.replicas > 0) else {
        return;
    };
    let autoscaler = autoscaler(review);
    let pods = autoscaler.floor.unwrap_or(rollout.replicas);
    let posts = rollout.fenceposts(pods);
    if pods == 0 || posts.surge == 0 || posts.unavailable > 0 {
        return;
    }
    if !autoscaler.complete && autoscaler.floor.is_none() {
        findings.assume("no autoscaler scales this workload");
    }
    let Rollout { max_surge, max_unavailable, .. } = &rollout;
    let count = describe_count(pods, autoscaler.floor.is_some());
    let message = format!(
        "{count}, maxSurge {max_surge}, maxUnavailable {max_unavailable}: a new Pod starts before an old one stops, and \
         needs a node on which port {port} is free"
    );
    let help = match pods {
        1 => "remove hostPort or hostNetwork, or write type: Recreate if an interruption does no harm",
        _ => "remove hostPort or hostNetwork, or write maxSurge: 0 and maxUnavailable: 1",
    };
    let finding = findings.warning(&at, message, help);
    finding.about(&at).about(&rollout.max_surge_at).about(&rollout.max_unavailable_at);
    if pods > 1 {
        let write = |fix: Fix, at: &Cursor<'_>, value: i64| {
            if at.exists() { fix.replace(at, value) } else { fix.add(at, value) }
        };
        let fix = write(Fix::changing("Set maxSurge to 0 and maxUnavailable to 1"), &rollout.max_surge_at, 0);
        finding.fix(write(fix, &rollout.max_unavailable_at, 1));
    }
}
