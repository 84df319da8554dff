use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{
    Request, Resources as _, Side, lacks_limit, least_request, limit_ranges_unknown, pod_total,
};

use crate::resources::requests::{Requests, Resource};

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
/// A LimitRange that comes last is not judged: it changes no running Pod, and fills in missing values only for Pods
/// that are created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a
/// whole.
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
        "res-qos-besteffort: said of each container, not of the Pod"
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
                Request::PerhapsCopied(_) => findings.assume("requests that equal the limits were written"),
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
        ("cpu", false) => "it gets the CPU time that others leave".to_owned(),
        ("cpu", true) => "it gets the CPU time that others leave, and may take all memory of its node".to_owned(),
        (_, false) => format!("it is placed as if it used {placed}, and is evicted first"),
        (_, true) => {
            format!("it is placed as if it used {placed}, may take all memory of its node, and is evicted first")
        }
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
    let fix = Fix::changing(format!("request {} for {}", amounts.join(" and "), container.describe()));
    finding.fix(values.into_iter().fold(fix, |fix, (resource, value)| {
        let at = at(resource);
        if at.exists() { fix.replace(&at, value) } else { fix.add(&at, value) }
    }));
}

/// Proposes amounts without a finding of another policy: `excessive-memory-ratio` reports a request far below a limit.
fn help(review: &Review<'_>, container: &Container<'_>, lacking: &[(&Resource, String)], is_unlimited: bool) -> String {
    let amount = |resource: &Resource| resource.proposed(review, container);
    let names = |(resource, _): &(&Resource, String)| match amount(resource) {
        Some(amount) => format!("resources.requests.{}: {amount}", resource.name),
        None => format!("resources.requests.{}", resource.name),
    };
    let mut names: Vec<_> = lacking.iter().map(names).collect();
    if is_unlimited {
        let of_memory = |(resource, _): &&(&Resource, String)| resource.name == "memory";
        let request = match lacking.iter().find(of_memory) {
            Some((resource, _)) => amount(resource),
            None => container.requested(review, "memory"),
        };
        names.push(match request.and_then(|request| request.checked_mul(LIMIT_RATIO)) {
            Some(limit) => format!("resources.limits.memory: {limit}"),
            None => "resources.limits.memory".to_owned(),
        });
    }
    let list = match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    };
    format!("write {list}, with the amounts that the container needs in normal operation")
}

/// Ratio of memory limit to request in a proposed help.
const LIMIT_RATIO: i64 = 4;

/// Judges the request of the Pod as a whole, on which `relying` containers rely.
fn of_pod(resource: &Resource, review: &Review<'_>, relying: i64, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let total = pod_total(review, template, resource.name, Side::Request).and_then(|total| total.sum);
    let (Some(amount), Some(least)) = (total, resource.least.checked_mul(relying)) else { return };
    if amount >= least {
        return;
    }
    let (name, of_pod) = (resource.name, template.spec().at("/resources"));
    let noun = if relying == 1 { "container" } else { "containers" };
    let harm = if name == "cpu" { "they get the CPU time that others leave" } else { "they are evicted first" };
    let message = format!(
        "the Pod as a whole requests {amount} of {} for {relying} {noun}, less than the {least} that counts: {harm}",
        resource.label
    );
    // A limit of the Pod as a whole must not be many times its request.
    let limit = of_pod.at("/limits").key(name).node().and_then(Quantity::from_node);
    let by_limit = limit.and_then(|limit| least_request(review, name, limit, resource.ratio));
    let wanted = by_limit.map_or(least, |by_limit| by_limit.max(least));
    let help =
        format!("write {wanted} or more in resources.requests.{name} of the Pod: what its containers need together");
    let finding = findings.report(resource.severity, &of_pod.at("/requests").key(name), message, help);
    finding.about(&of_pod.at("/limits").key(name));
}

/// Reports a container that states only a limit.
fn copied(
    resource: &Resource,
    review: &Review<'_>,
    container: &Container<'_>,
    limit: Quantity,
    findings: &mut Findings,
) {
    let name = resource.name;
    let Some(value) = least_request(review, name, limit, resource.ratio).filter(|value| *value < limit) else {
        return;
    };
    let at = container.request_at(name);
    let finding = findings.info(
        &at,
        format!("{}: the {} request is only a copy of the limit {limit}", container.describe(), resource.label),
        format!(
            "write resources.requests.{name}: {value}, with the amount that the container needs in normal operation; \
             or {limit}, to reserve all that it may use"
        ),
    );
    finding.about(&container.limit_at(name));
    if !limit_ranges_unknown(review) {
        let title = format!("request {value} of {name}: lowers the reservation from {limit}, the copied limit");
        // The fix also changes the quality of service, and the base of the utilisation.
        finding.fix(Fix::changing(title).add(&at, value));
    }
}
