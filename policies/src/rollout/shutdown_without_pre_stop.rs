use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::is_served;
use plimsoll_sdk::shutdown::grace_period;

/// Seconds until everybody has heard that a Pod is gone.
const WAIT: i64 = 5;
/// Seconds that its program needs after that: what `shutdown-cut-short` asks for.
const DRAIN: i64 = 10;

/// Containers that stop while requests still come.
///
/// ## What it finds
/// `info`: a container without `preStop` that declares a port, or is the only app container, of a workload that runs on and
/// whose Pods a Service selects. On in profile `strict`, or where a PolicySet lists it.
///
/// It is found whichever object comes last: at the workload, or at the selector of the Service. `plimsoll check` says
/// it once for a set.
///
/// A Service that comes last is judged by the first 16 workloads, by name, that it selects, or by fewer where these are large. The
/// others are assumed to be right.
///
/// ## Why
/// When a Pod ends, SIGTERM and the news that its address is gone set out at the same time. The news goes by the API server
/// to every node and every load balancer, so a program that closes its port at once refuses requests for a second or
/// more: a few errors at each rollout.
///
/// ## What to write
/// A short wait before SIGTERM. `--fix=unsafe` writes it, from Kubernetes 1.30 on and where the grace period leaves 10
/// seconds for the rest:
///
/// ```yaml
/// lifecycle:
///   preStop: {sleep: {seconds: 5}}
/// ```
///
/// A program that goes on serving for a while after SIGTERM needs none.
///
/// ## Assumptions
/// Where not all Services are known, some Service is assumed to select the Pods.
#[policy(
    on = LongRunning, kinds = ["/Service"], severity = Info, since = "0.1.0",
    refines = [
        "/Service", "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet",
        "/ReplicationController", "argoproj.io/Rollout", "monitoring.coreos.com/ServiceMonitor",
        "monitoring.coreos.com/PodMonitor"
    ],
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
            "{} has no preStop: it gets SIGTERM while Services still send it requests, which are then refused",
            container.describe()
        );
        let finding = findings.info(&at, message, format!("write lifecycle.preStop.sleep.seconds: {WAIT}"));
        if has_sleep && has_time {
            let sleep = Value::object([("sleep", Value::object([("seconds", Value::Int(WAIT))]))]);
            finding.fix(Fix::changing(format!("wait {WAIT} s before SIGTERM")).add(&at, sleep));
        }
    }
}
