use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Request, Resources as _, lacks_limit, limit_ranges_unknown};

use crate::resources::requests::{Requests, Resource, copied, help, of_pod};

/// Settings of `missing-resource-requests`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// CPU request to write if there is neither request nor limit; 0 writes none.
    #[settings(default = "100m")]
    pub(crate) cpu: Quantity,
    /// Memory request to write if there is neither request nor limit; 0 writes none.
    #[settings(default = "128Mi")]
    pub(crate) memory: Quantity,
    /// Smallest CPU request that counts; 0 counts every request but 0.
    #[settings(default = "3m")]
    pub(crate) least_cpu: Quantity,
    /// Smallest memory request that counts; 0 counts every request but 0.
    #[settings(default = "1Mi")]
    pub(crate) least_memory: Quantity,
    /// If there is only a CPU limit, the request to write is the limit divided by this; 1 keeps the copy.
    #[settings(default = "10")]
    pub(crate) cpu_ratio: Quantity,
    /// If there is only a memory limit, the request to write is the limit divided by this; 1 keeps the copy.
    #[settings(default = "4")]
    pub(crate) memory_ratio: Quantity,
}

/// Containers that reserve nothing.
///
/// ## What it finds
/// App containers, native sidecars and init containers of every workload need an effective request for memory and CPU.
/// A request of less than `leastMemory` or `leastCpu` does not count. There is one finding for each container without
/// one:
///
/// - `error` if the memory request is missing, alone or with the CPU request;
/// - `warning` if only the CPU request is missing;
/// - `info` for Pods that run to completion (`restartPolicy` `Never` or `OnFailure`): Jobs, CronJobs, hooks of Helm,
///   and the Pod that `kubectl run --rm` makes for a smoke test.
///
/// If such a container has no memory limit either, the same finding says so, and `missing-memory-limit` reports
/// nothing.
///
/// An init container needs no request if the app containers and sidecars of its Pod together request enough. The
/// request of a Pod is the larger of two values: the largest need of a single init container, and the sum of the other
/// containers.
///
/// If no request is stated, one of these takes effect:
///
/// 1. The container's limit, which the API server copies. The policy records that as `info`: the container reserves all
///    that it may ever use, which may not be intended.
/// 2. The default of a LimitRange of the namespace: no finding.
/// 3. The `resources` of the Pod as a whole (from Kubernetes 1.34): no finding.
///
/// Each of these must also reach the smallest request that counts. A Pod as a whole needs this amount for each
/// container without a request of its own. If it requests less, there is one finding at the Pod.
///
/// ## Why
/// The scheduler places a Pod by its requests. A Pod without requests fits everywhere, so nodes get more load than they
/// can carry. When memory runs out there, Pods without a request are evicted first. When CPU time runs out, they get
/// what is left. An autoscaler that measures utilisation cannot work at all without requests.
///
/// ## What to write
/// The amounts that the container needs in normal operation:
///
/// ```yaml
/// resources:
///   requests: {cpu: 100m, memory: 128Mi}
///   limits: {memory: 512Mi}
/// ```
///
/// `--fix=unsafe`, and the webhook if `mutate` is on, replace the copy of a limit by a written request. The request is
/// the limit divided by `cpuRatio` or `memoryRatio`, but at least what LimitRanges demand. This lowers the reservation,
/// and the value with which an autoscaler compares the use. If there is no limit either, they write the settings' `cpu`
/// and `memory`. This policy never writes a limit.
///
/// ## Settings
/// `leastCpu` and `leastMemory` are the smallest requests that count.
///
/// - The API server rounds CPU up to thousandths. The kubelet treats a request of up to 2m like no request (`MinShares`
///   of `pkg/kubelet/cm`).
/// - No program fits into less than 1Mi of memory. The smallest memory request in the charts that Plimsoll is tested
///   with is 10Mi. A smaller value is a slip, or a way around this policy: `128m` is an eighth of a byte, and `128`
///   means bytes.
///
/// `cpu` and `memory` are Kubernetes quantities, `cpuRatio` and `memoryRatio` numbers such as `"4"` or `"2.5"`.
///
/// ## Assumptions
/// If the LimitRanges of the namespace are not known, the policy assumes that none fills in requests, and writes
/// nothing. If a Pod's request equals its limit and the author of the request is unknown, the policy assumes that the
/// user wrote it.
///
/// ## Order
/// A LimitRange that is applied after the workload has no finding: it changes no running Pod, and fills in missing
/// values only for Pods that are created later. The next change of the workload is checked against the LimitRange.
/// `plimsoll check` looks at a set as a whole.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", refines = ["/LimitRange"],
    subresources = ["resize"],
    edits = [
        "{template}/spec/containers/*/resources/requests/cpu",
        "{template}/spec/containers/*/resources/requests/memory",
        "{template}/spec/initContainers/*/resources/requests/cpu",
        "{template}/spec/initContainers/*/resources/requests/memory",
    ],
    default = Warn, fills_in = Mutate,
    reads = [LimitRanges],
    covers = [
        "res-cpu-request-missing", "res-memory-request-missing",
        "res-qos-besteffort: a finding for each container, not for the Pod"
    ]
)]
pub fn missing_resource_requests(review: &Review, settings: &Settings, findings: &mut Findings) {
    let requests = Requests::of(review, settings);
    // Number of containers that rely on the request of the Pod as a whole, for each resource.
    let mut relying = [0_i64; 2];
    for container in review.containers().iter().filter(|container| container.class() != Class::Ephemeral) {
        let mut lacking = Vec::new();
        for (index, resource) in requests.asked(container) {
            let request = container.request(review, resource.name);
            if let Some(lack) = resource.lack(request) {
                lacking.push((resource, lack));
                continue;
            }
            match request {
                Request::FromPod => relying[index] += i64::from(container.class().runs_on()),
                Request::CopiedFromLimit(limit) => copied(resource, review, container, limit, findings),
                Request::PerhapsCopied(_) => findings.assume("the author wrote the requests that equal the limits"),
                _ => {}
            }
        }
        missing(review, container, &lacking, findings);
    }
    for (resource, relying) in requests.resources.iter().zip(relying).filter(|(_, relying)| *relying > 0) {
        of_pod(resource, review, relying, findings);
    }
}

/// One finding for all missing requests of the container. It points to the memory request if that is missing.
fn missing(review: &Review<'_>, container: &Container<'_>, lacking: &[(&Resource, String)], findings: &mut Findings) {
    let Some((main, _)) = lacking.last() else { return };
    let at = |resource: &Resource| container.request_at(resource.name);
    let is_unlimited = lacks_limit(review, container, "memory");
    if limit_ranges_unknown(review) {
        if lacking.iter().any(|(resource, _)| !at(resource).exists()) {
            findings.assume("no LimitRange fills in requests");
        }
        if is_unlimited {
            findings.assume("no LimitRange fills in limits");
        }
    }

    let is_absent = |(resource, _): &(&Resource, String)| container.request(review, resource.name) == Request::Missing;
    let mut phrases: Vec<&str> = match lacking.len() == 2 && lacking.iter().all(is_absent) {
        true => vec!["requests neither CPU nor memory"],
        false => lacking.iter().map(|(_, phrase)| phrase.as_str()).collect(),
    };
    let placed = if lacking.len() == 2 { "nothing" } else { "no memory" };
    let harm = match (main.name, is_unlimited) {
        ("cpu", false) => "it gets only the CPU time that others leave".to_owned(),
        ("cpu", true) => "it gets only the CPU time that others leave, and may use all memory of its node".to_owned(),
        (_, false) => format!("the scheduler treats it as using {placed}, and it is evicted first"),
        (_, true) => format!(
            "the scheduler treats it as using {placed}, it may use all memory of its node, and it is evicted first"
        ),
    };
    let help = help(review, container, lacking, is_unlimited);
    if is_unlimited {
        phrases.push("has no memory limit");
    }
    let message = format!("{} {}: {harm}", container.describe(), phrases.join(" and "));
    let finding = findings.report(main.severity, &at(main), message, help);

    for (resource, _) in lacking {
        if resource.name != main.name {
            finding.about(&at(resource));
        }
        finding.about(&container.limit_at(resource.name));
    }
    if is_unlimited && main.name == "cpu" {
        finding.about(&container.limit_at("memory"));
    }

    let values = lacking.iter().filter_map(|(resource, _)| Some((*resource, resource.value(review, container)?)));
    let values: Vec<_> = values.collect();
    if values.is_empty() {
        return;
    }
    let amounts: Vec<_> = values.iter().map(|(resource, value)| format!("{value} of {}", resource.label)).collect();
    let fix = Fix::changing(format!("Set resources.requests of {} to {}", container.describe(), amounts.join(" and ")));
    finding.fix(values.into_iter().fold(fix, |fix, (resource, value)| {
        let at = at(resource);
        if at.exists() { fix.replace(&at, value) } else { fix.add(&at, value) }
    }));
}
