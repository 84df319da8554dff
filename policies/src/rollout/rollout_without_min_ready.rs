use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::is_served;

/// Rollouts that continue as soon as a Pod has answered once.
///
/// ## What it finds
/// `info`: a Deployment, StatefulSet, DaemonSet or Rollout has a Service that selects its Pods, and its
/// `minReadySeconds` is 0. This policy is on in profile `strict`, or if a PolicySet lists it. If no container has a
/// readinessProbe either, `rollout-without-readiness` reports it instead.
///
/// The finding appears at the object that is applied last: the workload or the selector of the Service.
/// `plimsoll check` reports it once for a set.
///
/// If the Service is applied last, the policy looks at the first 16 workloads, by name, that it selects. It looks at
/// fewer if these are large, and assumes that the others are correct.
///
/// ## Why
/// After one good answer, the rollout replaces the next Pod. A version may leak memory, or fail at its first real
/// requests. By the time this shows, it has replaced all Pods.
///
/// ## What to write
/// `--fix=unsafe` writes this; a rollout then takes longer:
///
/// ```yaml
/// spec:
///   minReadySeconds: 10
/// ```
///
/// ## Assumptions
/// If not all Services are known, the policy assumes that some Service selects the Pods.
#[policy(
    on = Kinds,
    kinds = [Rolling, "apps/StatefulSet", "apps/DaemonSet", "/Service"],
    severity = Info, since = "0.1.0",
    refines = [Rolling, Monitors, "/Service", "apps/StatefulSet", "apps/DaemonSet"],
    edits = ["/spec/minReadySeconds"],
    profile = Strict,
    reads = [Workloads, Services],
    covers = ["rollout-min-ready-missing: without a readinessProbe, rollout-without-readiness reports it"]
)]
pub fn rollout_without_min_ready(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &KINDS, rollout_without_min_ready) {
        return;
    }
    let at = review.at("/spec/minReadySeconds");
    let mut running = review.containers().iter().filter(|container| container.class().runs_on());
    let is_unset = at.is_absent() || at.as_i64() == Some(0);
    if !is_unset || !running.any(|container| container.at("/readinessProbe").exists()) {
        return;
    }
    match is_served(review) {
        Knowledge::No => return,
        Knowledge::Unknown => findings.assume("some Service selects these Pods"),
        Knowledge::Yes => {}
    }
    let message = "minReadySeconds is 0: an update continues as soon as a new Pod has been ready once";
    let finding = findings.info(&at, message, "write minReadySeconds: 10");
    // minReadySeconds must be less than the deadline, which is 600 by default.
    if review.at("/spec/progressDeadlineSeconds").as_i64().unwrap_or(600) > 10 {
        let fix = Fix::changing("Set minReadySeconds to 10");
        finding.fix(if at.exists() { fix.replace(&at, 10_i64) } else { fix.add(&at, 10_i64) });
    }
}

const KINDS: [Kind<'static>; 4] = [Kind::DEPLOYMENT, Kind::STATEFUL_SET, Kind::DAEMON_SET, Kind::ROLLOUT];
