use plimsoll_sdk::prelude::*;
use plimsoll_sdk::quantity::ratio_exceeds;
use plimsoll_sdk::resources::{LEAST_MEMORY, Request, Resources, least_request, limit_ranges_unknown};

/// Settings of `excessive-memory-ratio`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// How many times the memory request the memory limit may be. Below 1 counts as 1.
    #[settings(default = "8")]
    limit: Quantity,
}

/// Containers that may use far more memory than is reserved for them.
///
/// ## What it finds
/// A memory limit that is more than eight times the memory request (setting `limit`), in app containers and native sidecars
/// of every workload. Init containers are left out, because they end before the app starts. Both count as they take effect: a limit or request that nobody stated comes
/// from the LimitRange of the namespace, and a request that is only a copy of the limit is no finding. A request below 1Mi
/// is none, which `missing-resource-requests` says. The `resources` of the Pod as a whole count likewise (from Kubernetes 1.34), where both are
/// written.
///
/// ## Why
/// The scheduler fills a node by requests; limits may add up to many times what the node has. Memory cannot be taken
/// back as CPU time can: when several containers use what they may, the kernel or the kubelet kills Pods, and first
/// those that are furthest above their requests.
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
/// `--fix=unsafe` raises a written request to the least that the limit allows: more memory is reserved on the nodes, so
/// fewer Pods fit.
///
/// ## Settings
/// `limit` is a number, `"8"` or `"2.5"`. 1 demands requests equal to limits.
///
/// ## Assumptions
/// Where the LimitRanges of the namespace are not known, a container without a memory limit is assumed to have none.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no Pod that runs, and fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
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
        // A copy of the limit is never below it. A request that counts as none is `missing-resource-requests`' to say.
        if amount < LEAST_MEMORY || !ratio_exceeds(limit, amount, allowed) {
            continue;
        }
        let request = container.request(review, "memory");
        let (request_at, limit_at) = (container.request_at("memory"), container.limit_at("memory"));
        let most = decimal(i128::from(allowed.milli()));
        let origin = if limit_at.exists() { "" } else { " (of a LimitRange)" };
        let Some(times) = times(limit, amount) else { continue };
        let message = format!("memory limit {limit}{origin} is {times} × the request {amount} (allowed: {most} ×)");
        let least = least_request(review, "memory", limit, allowed);
        let help = match least {
            Some(least) => format!("write requests.memory: {least} or more, or a lower limit"),
            None => "write a higher requests.memory, or a lower limit".to_owned(),
        };
        let finding = findings.warning(&request_at, format!("{}: {message}", container.describe()), help);
        finding.about(&limit_at);
        if let (Some(least), Request::Stated(_)) = (least, request) {
            let fix = Fix::changing(format!("request {least} of memory, so that more is reserved on the node"));
            let is_written = request_at.exists();
            finding.fix(if is_written { fix.replace(&request_at, least) } else { fix.add(&request_at, least) });
        }
    }
    of_pod(review, allowed, findings);
}

/// What the Pod requests and is limited to as a whole, from Kubernetes 1.34.
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
    let message =
        format!("the Pod as a whole: memory limit {limit} is {times} × the request {request} (allowed: {most} ×)");
    let help = match least_request(review, "memory", limit, allowed) {
        Some(least) => format!("write requests.memory: {least} or more in the resources of the Pod, or a lower limit"),
        None => "write a higher requests.memory in the resources of the Pod, or a lower limit".to_owned(),
    };
    findings.warning(&request_at, message, help).about(&limit_at);
}

/// How many times the request the limit is, rounded up, so that it never reads as the allowed number; none for a request
/// of nothing.
fn times(limit: Quantity, request: Quantity) -> Option<String> {
    let (limit, request) = (i128::from(limit.bytes()), i128::from(request.bytes()));
    let hundredths = (limit * 100 + request - 1).checked_div(request)?;
    Some(decimal(hundredths * 10))
}

/// So many thousandths, without zeros at the end.
fn decimal(thousandths: i128) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
