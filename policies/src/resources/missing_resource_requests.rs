use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{
    Request, Resources as _, Side, lacks_limit, least_request, limit_ranges_unknown, pod_total,
};

use crate::resources::requests::{Requests, Resource};

/// Settings of `missing-resource-requests`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// CPU request written where there is neither request nor limit; 0 writes none.
    #[settings(default = "100m")]
    pub(crate) cpu: Quantity,
    /// Memory request written where there is neither request nor limit; 0 writes none.
    #[settings(default = "128Mi")]
    pub(crate) memory: Quantity,
    /// Smallest CPU request that counts; 0 counts every request but 0.
    #[settings(default = "3m")]
    pub(crate) least_cpu: Quantity,
    /// Smallest memory request that counts; 0 counts every request but 0.
    #[settings(default = "1Mi")]
    pub(crate) least_memory: Quantity,
    /// Where only a CPU limit stands, the request written is the limit divided by this. 1 leaves the copy of the limit.
    #[settings(default = "10")]
    pub(crate) cpu_ratio: Quantity,
    /// Where only a memory limit stands, the request written is the limit divided by this. 1 leaves the copy of the limit.
    #[settings(default = "4")]
    pub(crate) memory_ratio: Quantity,
}

/// Containers that reserve nothing.
///
/// ## What it finds
/// App containers, native sidecars and init containers, in workloads of every kind, without an effective request for
/// memory or CPU; a request of less than `leastMemory` or `leastCpu` is none. There is one finding for each container:
///
/// - `error` where the memory request is missing, alone or with the CPU request;
/// - `warning` where only the CPU request is missing;
/// - `info` for Pods that end by themselves (`restartPolicy` `Never` or `OnFailure`): Jobs, CronJobs, hooks of Helm, and
///   what `kubectl run --rm` makes for a smoke test.
///
/// Where such a container has no memory limit either, the same finding says so, and `missing-memory-limit` is silent.
///
/// An init container needs no request where the app containers and sidecars of its Pod request enough together. A Pod
/// requests the larger of what its init containers need one by one and what the others need together.
///
/// What takes effect where no request is stated:
///
/// 1. the container's limit, which the API server copies. That is recorded as `info`: the container reserves all that it
///    may ever use, and perhaps nobody meant that;
/// 2. the default of a LimitRange of the namespace: no finding;
/// 3. the `resources` of the Pod as a whole (from Kubernetes 1.34): no finding.
///
/// Each of them has to reach the smallest request that counts, too. Of a Pod as a whole this is so much for each container
/// without a request of its own; if it is less, that is one finding at the Pod.
///
/// ## Why
/// The scheduler places a Pod by its requests. One that requests nothing fits everywhere, so nodes are filled beyond what
/// they have. When memory runs out there, Pods without a request are evicted first; when CPU time does, they get what
/// is left. An autoscaler that goes by utilisation cannot work at all without requests.
///
/// ## What to write
/// What the container needs in normal operation:
///
/// ```yaml
/// resources:
///   requests: {cpu: 100m, memory: 128Mi}
///   limits: {memory: 512Mi}
/// ```
///
/// `--fix=unsafe`, and the webhook where `mutate` is on, write a request in the place of the copy of a limit: the limit
/// divided by `cpuRatio` or `memoryRatio`, but no less than LimitRanges demand. This lowers what is reserved, and what an
/// autoscaler compares use with. Where there is no limit either, they write the settings' `cpu` and `memory`. A limit is never written
/// by this policy.
///
/// ## Settings
/// `leastCpu` and `leastMemory` are the smallest requests that count. The API server rounds CPU up to thousandths, and the
/// kubelet gives up to 2m the same share as no request (`MinShares` of `pkg/kubelet/cm`). No program fits into less than 1Mi:
/// the smallest request for memory in the charts that Plimsoll is tested with is 10Mi. What is less is a slip (`128m` is an
/// eighth of a byte, and `128` are bytes), or a way around this policy.
///
/// `cpu` and `memory` are Kubernetes quantities, `cpuRatio` and `memoryRatio` numbers such as `"4"` or `"2.5"`.
///
/// ## Assumptions
/// Where the LimitRanges of the namespace are not known, none is assumed to fill in requests, and nothing is written.
/// Where a Pod's request equals its limit and nobody can tell who wrote it, its author is assumed to have done so.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no Pod that runs, and fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
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
    // How many containers rely on what the Pod requests as a whole.
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

/// One finding for all that the container lacks. It stands at the memory request where that is lacking.
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

/// Amounts that no other policy finds wrong: a request far below a limit is `excessive-memory-ratio`.
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

/// How many times the request the memory limit is that a help proposes.
const LIMIT_RATIO: i64 = 4;

/// The Pod as a whole has a request, on which so many containers rely.
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

/// Only a limit is stated.
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
        // The quality of service and what utilisation is measured against change with it.
        finding.fix(Fix::changing(title).add(&at, value));
    }
}
