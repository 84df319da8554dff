use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{Rollout, is_served};
use plimsoll_sdk::services::are_only_scraped;
use plimsoll_sdk::sharing::others;

use crate::probes::missing_readiness_probe::missing_readiness_probe;

/// Rollouts that nothing stops if the new version is broken.
///
/// ## What it finds
/// A rolling update of a Deployment, StatefulSet or DaemonSet, or of an Argo Rollout with a canary without steps. No
/// container has a readinessProbe, and `minReadySeconds` is 0:
///
/// - `info`: no Service selects the Pods. These are workers, which may have no endpoint to probe.
/// - `error`: the Services that select the Pods all have `publishNotReadyAddresses: true`. It is a `warning` if each of
///   them also has Pods of another workload.
///
/// There is no finding if `missing-readiness-probe` has a warning or an error for a container. A readinessProbe
/// protects better, and one problem is reported once. There is none if only Services for metrics select the Pods.
///
/// A StatefulSet with a `partition` is skipped, because its update stops there by itself.
///
/// The finding appears at the object that is applied last: the workload or the selector of the Service.
/// `plimsoll check` reports it once for a set.
///
/// If the Service is applied last, the policy looks at the first 16 workloads, by name, that it selects. It looks at
/// fewer if these are large, and assumes that the others are correct.
///
/// ## Why
/// A rollout replaces the next Pod once the last one is available. Without a probe, a container is ready as soon as its
/// process has started. So a container that crashes after a second was available before. The rollout replaces all Pods
/// by broken ones before an alert can show the problem.
///
/// ## What to write
/// A readinessProbe in the container that serves. If there is no endpoint to probe, such as in a worker, a minimum
/// time:
///
/// ```yaml
/// spec:
///   minReadySeconds: 10
/// ```
///
/// A Pod that crashes within this time was never available. `--fix=unsafe` writes it.
///
/// ## Assumptions
/// If not all Services are known, the policy assumes that some Service selects the Pods. Findings are then warnings.
///
/// ## Order
/// Another workload behind the Service only lowers the severity. So the policy does not judge the reviewed workload
/// again when a ReplicaSet or ReplicationController is applied after it.
#[policy(
    on = Kinds,
    kinds = [Rolling, "apps/StatefulSet", "apps/DaemonSet", "/Service"],
    severity = Error, since = "0.1.0",
    refines = [LongRunning, Monitors, "/Service"],
    edits = ["/spec/minReadySeconds"],
    default = Warn,
    reads = [Workloads, Services],
    covers = ["rollout-unprotected: without a Service it is an info"]
)]
pub fn rollout_without_readiness(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &KINDS, rollout_without_readiness) {
        return;
    }
    let at = review.at("/spec/minReadySeconds");
    let is_unset = at.is_absent() || at.as_i64() == Some(0);
    let mut running = review.containers().iter().filter(|container| container.class().runs_on()).peekable();
    if !is_unset || running.peek().is_none() || running.any(|container| container.at("/readinessProbe").exists()) {
        return;
    }
    if !replaces_all(review) || are_only_scraped(review) {
        return;
    }
    let mut of_containers = Findings::default();
    missing_readiness_probe(review, &mut of_containers);
    if of_containers.is_grave() {
        return;
    }
    let message = "no readinessProbe and no minReadySeconds: a version that crashes replaces all Pods";
    let (severity, message) = match is_served(review) {
        Knowledge::Yes => match others(review) {
            Some(other) => (Severity::Warning, format!("{message}; the Service still has the Pods of {other}")),
            None => (Severity::Error, message.to_owned()),
        },
        Knowledge::No => (Severity::Info, format!("{message}; no Service selects these Pods")),
        Knowledge::Unknown => {
            findings.assume("some Service selects these Pods");
            (Severity::Warning, message.to_owned())
        }
    };
    // minReadySeconds must be less than the deadline, which is 600 by default.
    let has_time = review.at("/spec/progressDeadlineSeconds").as_i64().unwrap_or(600) > 10;
    let help = match has_time {
        true => "write a readinessProbe, or minReadySeconds: 10 if there is no endpoint to probe",
        false => "write a readinessProbe; or write minReadySeconds and a longer progressDeadlineSeconds",
    };
    let finding = findings.report(severity, &at, message, help);
    if has_time {
        let fix = Fix::changing("Set minReadySeconds to 10");
        finding.fix(if at.exists() { fix.replace(&at, 10_i64) } else { fix.add(&at, 10_i64) });
    }
}

/// Whether an update replaces one Pod after the other until all are new.
fn replaces_all(review: &Review<'_>) -> bool {
    if review.is(Kind::DEPLOYMENT) || review.is(Kind::ROLLOUT) {
        let has_steps = review.at("/spec/strategy/canary/steps").has_content();
        return !has_steps && Rollout::of(review).is_some_and(|rollout| rollout.replicas > 0);
    }
    let update = review.at("/spec/updateStrategy");
    let kind = update.at("/type");
    let is_rolling = kind.is_absent() || matches!(kind.as_str(), Some("" | "RollingUpdate"));
    let is_held = update.at("/rollingUpdate/partition").as_i64().is_some_and(|partition| partition > 0);
    let replicas = review.at("/spec/replicas").as_i64().unwrap_or(1);
    is_rolling && !is_held && (replicas > 0 || review.is(Kind::DAEMON_SET))
}

const KINDS: [Kind<'static>; 4] = [Kind::DEPLOYMENT, Kind::STATEFUL_SET, Kind::DAEMON_SET, Kind::ROLLOUT];
