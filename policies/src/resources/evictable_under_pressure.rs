use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Resources as _, limit_ranges_unknown};

/// Pods that are not of the class `Guaranteed`.
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
/// A LimitRange that comes last is not judged: it changes no running Pod, and fills in missing values only for Pods
/// that are created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a
/// whole.
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
                let message = format!("the Pod is not Guaranteed: {} for {resource}", describe(request, limit));
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
    let more = if more == 0 { String::new() } else { format!(", and {more} more like it") };
    let what = describe(request, limit);
    let message = format!("the Pod is not Guaranteed: {} has {what} for {resource}{more}", container.describe());
    let at = container.limit_at(resource);
    findings.info(&at, message, help(resource)).about(&at).about(&container.request_at(resource));
}

fn is_wrong(request: Option<Quantity>, limit: Option<Quantity>) -> bool {
    limit.is_none_or(|limit| limit.is_zero() || request != Some(limit))
}

fn describe(request: Option<Quantity>, limit: Option<Quantity>) -> String {
    match limit {
        None => "no limit".to_owned(),
        Some(limit) => format!("a request of {} and a limit of {limit}", request.unwrap_or(Quantity::ZERO)),
    }
}

fn help(resource: &str) -> String {
    format!("write the same for {resource} in requests and in limits")
}
