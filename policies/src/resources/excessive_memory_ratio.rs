use plimsoll_sdk::prelude::*;
use plimsoll_sdk::quantity::ratio_exceeds;
use plimsoll_sdk::resources::{LEAST_MEMORY, Request, Resources, least_request, limit_ranges_unknown};

/// Settings of `excessive-memory-ratio`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Maximum of memory limit divided by memory request. Below 1 counts as 1.
    #[settings(default = "8")]
    limit: Quantity,
}

/// Containers that may use far more memory than is reserved for them.
///
/// ## What it finds
/// A memory limit is more than eight times the memory request (setting `limit`). The policy looks at app containers and
/// native sidecars of every workload. It skips init containers, because they end before the app starts.
///
/// Both values count as they take effect: if one is not written, the LimitRange of the namespace supplies it. There is
/// no finding for a request that is only a copy of the limit. There is none for a request below 1Mi, because
/// `missing-resource-requests` reports that. The same rule applies to the `resources` of the Pod as a whole (from
/// Kubernetes 1.34), if both values are written.
///
/// ## Why
/// The scheduler fills a node by requests, so the limits may add up to many times the memory of the node. The node
/// cannot take back memory as it can CPU time. If several containers use memory up to their limits, the kernel or the
/// kubelet kills Pods. It starts with those that are furthest above their requests.
///
/// ## What to write
/// A request near what the container uses under load, and a limit not far above it:
///
/// ```yaml
/// resources:
///   requests: {memory: 256Mi}
///   limits: {memory: 512Mi}
/// ```
///
/// `--fix=unsafe` raises a written request to the lowest value that the limit allows. The nodes then reserve more
/// memory, so fewer Pods fit.
///
/// ## Settings
/// `limit` is a number, `"8"` or `"2.5"`. 1 demands requests equal to limits.
///
/// ## Assumptions
/// If the LimitRanges of the namespace are not known, the policy assumes that none of them sets a limit for a container
/// without one.
///
/// ## Order
/// A LimitRange that is applied after the workload has no finding: it changes no running Pod, and fills in missing
/// values only for Pods that are created later. The next change of the workload is checked against the LimitRange.
/// `plimsoll check` looks at a set as a whole.
#[policy(
    on = Workloads, severity = Warning, since = "0.1.0", refines = ["/LimitRange"],
    subresources = ["resize"],
    edits = [
        "{template}/spec/containers/*/resources/requests/memory",
        "{template}/spec/initContainers/*/resources/requests/memory",
    ],
    production = Deny,
    reads = [LimitRanges],
    covers = ["res-memory-ratio"]
)]
pub fn excessive_memory_ratio(review: &Review, settings: &Settings, findings: &mut Findings) {
    let allowed = settings.limit.max(Quantity::from_milli(1000));
    for container in review.containers().iter().filter(|container| container.class().runs_on()) {
        let Some(amount) = container.requested(review, "memory").map(Quantity::capped) else { continue };
        let Some(limit) = container.limit(review, "memory").map(Quantity::capped) else {
            if limit_ranges_unknown(review) && container.limit_at("memory").is_absent() {
                findings.assume("no LimitRange sets memory limits");
            }
            continue;
        };
        // A copy of the limit is never below it. `missing-resource-requests` reports a request that is too small to
        // count.
        if amount < LEAST_MEMORY || !ratio_exceeds(limit, amount, allowed) {
            continue;
        }
        let request = container.request(review, "memory");
        let (request_at, limit_at) = (container.request_at("memory"), container.limit_at("memory"));
        let most = decimal(i128::from(allowed.milli()));
        let origin = if limit_at.exists() { "" } else { " (of a LimitRange)" };
        let Some(times) = times(limit, amount) else { continue };
        let message = format!(
            "memory limit {limit}{origin} is {times} × the request {amount} (allowed: {most} ×), so the node can run \
             out of memory"
        );
        let least = least_request(review, "memory", limit, allowed);
        let help = match least {
            Some(least) => format!("write resources.requests.memory: {least} or more, or lower the limit"),
            None => "raise resources.requests.memory, or lower the limit".to_owned(),
        };
        let finding = findings.warning(&request_at, format!("{}: {message}", container.describe()), help);
        finding.about(&limit_at);
        if let (Some(least), Request::Stated(_)) = (least, request) {
            let fix =
                Fix::changing(format!("Set resources.requests.memory to {least}, so that the node reserves more"));
            let is_written = request_at.exists();
            finding.fix(if is_written { fix.replace(&request_at, least) } else { fix.add(&request_at, least) });
        }
    }
    of_pod(review, allowed, findings);
}

/// Judges the request and the limit of the Pod as a whole, from Kubernetes 1.34.
fn of_pod(review: &Review<'_>, allowed: Quantity, findings: &mut Findings) {
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
    let Some(of_pod) = review.template().map(|template| template.spec().at("/resources")).filter(|_| is_known) else {
        return;
    };
    let [request_at, limit_at] = ["requests", "limits"].map(|list| of_pod.key(list).key("memory"));
    let amount = |at: &Cursor<'_>| at.node().and_then(Quantity::from_node).map(Quantity::capped);
    let Some((request, limit)) = amount(&request_at).zip(amount(&limit_at)) else { return };
    if request < LEAST_MEMORY || !ratio_exceeds(limit, request, allowed) {
        return;
    }
    let most = decimal(i128::from(allowed.milli()));
    let Some(times) = times(limit, request) else { return };
    let message = format!(
        "the Pod as a whole: memory limit {limit} is {times} × the request {request} (allowed: {most} ×), so the node \
         can run out of memory"
    );
    let help = match least_request(review, "memory", limit, allowed) {
        Some(least) => {
            format!("write resources.requests.memory: {least} or more in the pod spec, or lower the limit there")
        }
        None => "raise resources.requests.memory in the pod spec, or lower the limit there".to_owned(),
    };
    findings.warning(&request_at, message, help).about(&limit_at);
}

/// Limit divided by request, rounded up, so that it never reads as the allowed number. None for a request of 0.
fn times(limit: Quantity, request: Quantity) -> Option<String> {
    let (limit, request) = (i128::from(limit.bytes()), i128::from(request.bytes()));
    let hundredths = (limit * 100 + request - 1).checked_div(request)?;
    Some(decimal(hundredths * 10))
}

/// Formats thousandths as a decimal number, without trailing zeros.
fn decimal(thousandths: i128) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
