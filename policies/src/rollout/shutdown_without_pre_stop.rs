use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::is_served;
use plimsoll_sdk::shutdown::grace_period;

/// Seconds until every node and load balancer knows that a Pod is gone.
const WAIT: i64 = 5;
/// Seconds that the program needs after that: the value that `shutdown-cut-short` requires.
const DRAIN: i64 = 10;

/// Containers that stop while requests still come.
///
/// ## What it finds
/// `info`: a container without `preStop` belongs to a long-running workload whose Pods a Service selects. The container
/// declares a port, or is the only app container. This policy is on in profile `strict`, or if a PolicySet lists it.
///
/// The finding appears at the object that is applied last: the workload or the selector of the Service.
/// `plimsoll check` reports it once for a set.
///
/// If the Service is applied last, the policy looks at the first 16 workloads, by name, that it selects. It looks at
/// fewer if these are large, and assumes that the others are correct.
///
/// ## Why
/// When a Pod ends, the program gets SIGTERM. At the same time the API server begins to tell every node and every load
/// balancer that the address is gone. A program that closes its port at once rejects requests for a second or more. The
/// result is a few errors at each rollout.
///
/// ## What to write
/// A short wait before SIGTERM. `--fix=unsafe` writes it, from Kubernetes 1.30 on, if the grace period leaves 10
/// seconds for the rest:
///
/// ```yaml
/// lifecycle:
///   preStop: {sleep: {seconds: 5}}
/// ```
///
/// A program that keeps serving for a while after SIGTERM needs no `preStop`.
///
/// ## Assumptions
/// If not all Services are known, the policy assumes that some Service selects the Pods.
#[policy(
    on = LongRunning, kinds = ["/Service"], severity = Info, since = "0.1.0",
    refines = [LongRunning, Monitors, "/Service"],
    edits = ["{template}/spec/containers/*/lifecycle/preStop"],
    profile = Strict,
    reads = [Workloads, Services],
    covers = ["shutdown-prestop-missing"]
)]
pub fn shutdown_without_pre_stop(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &[], shutdown_without_pre_stop) {
        return;
    }
    let Some(template) = review.template() else { return };
    let apps = || template.containers().iter().filter(|container| container.class() == Class::App);
    let is_only = apps().count() == 1;
    let without: Vec<_> = apps()
        .filter(|container| is_only || container.ports().next().is_some())
        .filter(|container| container.at("/lifecycle/preStop").is_absent())
        .collect();
    if without.is_empty() {
        return;
    }
    match is_served(review) {
        Knowledge::No => return,
        Knowledge::Unknown => findings.assume("some Service selects these Pods"),
        Knowledge::Yes => {}
    }
    let has_sleep = review.kubernetes_version().is_some_and(|version| version.at_least(1, 30));
    let has_time = grace_period(template).is_some_and(|grace| grace >= WAIT + DRAIN);
    for container in without {
        let at = container.at("/lifecycle/preStop");
        let message = format!(
            "{} has no preStop: SIGTERM comes while Services still send requests, and these requests fail",
            container.describe()
        );
        let finding = findings.info(&at, message, format!("write lifecycle.preStop.sleep.seconds: {WAIT}"));
        if has_sleep && has_time {
            let sleep = Value::object([("sleep", Value::object([("seconds", Value::Int(WAIT))]))]);
            finding.fix(Fix::changing(format!("Add a preStop that sleeps {WAIT} s")).add(&at, sleep));
        }
    }
}
