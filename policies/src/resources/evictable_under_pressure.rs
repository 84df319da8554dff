use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Resources as _, limit_ranges_unknown};

/// Pods whose QoS class is not `Guaranteed`.
///
/// ## What it finds
/// `info`: app containers, native sidecars and init containers need an effective request and limit of cpu and memory,
/// and the two must be equal. The finding names the first container that differs, and counts the others. If the Pod as
/// a whole has `resources` (from Kubernetes 1.34), these alone count. This policy is on only if a PolicySet lists it.
///
/// ## Why
/// When a node runs out of memory, Pods that use more than they requested are evicted first. A Pod whose requests equal
/// its limits never uses more. And the static CPU manager gives exclusive cores only to such Pods.
///
/// ## What to write
/// ```yaml
/// resources:
///   requests: {cpu: 500m, memory: 512Mi}
///   limits: {cpu: 500m, memory: 512Mi}
/// ```
///
/// ## Assumptions
/// If the LimitRanges of the namespace are not known, the policy assumes that none fills in requests or limits.
///
/// ## Order
/// A LimitRange that is applied after the workload has no finding: it changes no running Pod, and fills in missing
/// values only for Pods that are created later. The next change of the workload is checked against the LimitRange.
/// `plimsoll check` looks at a set as a whole.
#[policy(
    on = LongRunning, severity = Info, since = "0.1.0", refines = ["/LimitRange"],
    profile = OptIn,
    reads = [LimitRanges],
    covers = ["res-qos-guaranteed: no fix"]
)]
pub fn evictable_under_pressure(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let of_pod = template.spec().at("/resources");
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
    if is_known && of_pod.has_content() {
        for resource in ["cpu", "memory"] {
            let amount = |list: &'static str| of_pod.key(list).key(resource).node().and_then(Quantity::from_node);
            let (request, limit) = (amount("requests").or_else(|| amount("limits")), amount("limits"));
            if is_wrong(request, limit) {
                let what = describe(resource, request, limit);
                let message = format!("the Pod as a whole has {what}: its QoS class is not Guaranteed");
                findings.info(&of_pod.at("/limits").key(resource), message, help(resource));
            }
        }
        return;
    }
    let mut more = 0;
    let mut first = None;
    for container in template.containers().iter().filter(|container| container.class() != Class::Ephemeral) {
        for resource in ["cpu", "memory"] {
            let (request, limit) = (container.requested(review, resource), container.limit(review, resource));
            if is_wrong(request, limit) {
                more += i64::from(first.is_some());
                first = first.or(Some((container, resource, request, limit)));
            }
        }
    }
    let Some((container, resource, request, limit)) = first else { return };
    if limit_ranges_unknown(review) {
        findings.assume("no LimitRange fills in requests or limits");
    }
    let more = if more == 0 { String::new() } else { format!(" (and {more} more such values)") };
    let what = describe(resource, request, limit);
    let message = format!("{} has {what}{more}: the QoS class of the Pod is not Guaranteed", container.describe());
    let at = container.limit_at(resource);
    findings.info(&at, message, help(resource)).about(&at).about(&container.request_at(resource));
}

fn is_wrong(request: Option<Quantity>, limit: Option<Quantity>) -> bool {
    limit.is_none_or(|limit| limit.is_zero() || request != Some(limit))
}

fn describe(resource: &str, request: Option<Quantity>, limit: Option<Quantity>) -> String {
    match limit {
        None => format!("no {resource} limit"),
        Some(limit) => format!("a {resource} request of {} and a limit of {limit}", request.unwrap_or(Quantity::ZERO)),
    }
}

fn help(resource: &str) -> String {
    format!("write the same {resource} value in resources.requests and in resources.limits")
}
