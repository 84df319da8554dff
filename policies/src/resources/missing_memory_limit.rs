use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{LEAST_MEMORY, Request, Resources as _, lacks_limit, limit_ranges_unknown};

use crate::resources::missing_resource_requests::Settings as OfRequests;
use crate::resources::requests::Requests;

/// Settings of `missing-memory-limit`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Memory limit to write, at most four times the request and at least the request; 0 writes none.
    #[settings(default = "512Mi")]
    memory: Quantity,
}

/// Containers that may use all the memory of their node.
///
/// ## What it finds
/// `warning`: app containers, native sidecars and init containers of every workload without an effective memory limit.
/// Neither the container, nor a LimitRange of the namespace, nor the Pod as a whole (from Kubernetes 1.34) states one.
/// It is an `info` for Pods that run to completion (`restartPolicy` `Never` or `OnFailure`).
///
/// There is no finding for a container that has one of `missing-resource-requests` (with its default settings), also
/// for Pods that run to completion. That finding mentions the missing limit too. Once the requests are written, the
/// missing limit has a finding here.
///
/// ## Why
/// A program that leaks memory then uses all memory of the node. The kernel does not always kill the program that
/// leaks, and the kubelet evicts other Pods.
///
/// ## What to write
/// ```yaml
/// resources:
///   requests: {memory: 128Mi}
///   limits: {memory: 512Mi}
/// ```
///
/// `--fix=unsafe` writes the setting `memory`, but at most four times the request, and at least the request. It writes
/// nothing if the container has no request of its own: the API server would copy the limit, and the node would reserve
/// it.
///
/// ## Settings
/// `memory` is a Kubernetes quantity.
///
/// ## Assumptions
/// If the LimitRanges of the namespace are not known, the policy assumes that none fills in limits, and writes nothing.
///
/// ## Order
/// A LimitRange that is applied after the workload has no finding: it changes no running Pod, and fills in missing
/// values only for Pods that are created later. The next change of the workload is checked against the LimitRange.
/// `plimsoll check` looks at a set as a whole.
#[policy(
    on = Workloads, severity = Warning, since = "0.1.0", refines = ["/LimitRange"],
    subresources = ["resize"],
    edits = [
        "{template}/spec/containers/*/resources/limits/memory",
        "{template}/spec/initContainers/*/resources/limits/memory",
    ],
    default = Audit,
    reads = [LimitRanges],
    covers = ["res-memory-limit-missing: the webhook writes it only where a PolicySet says `mutate: true`"]
)]
pub fn missing_memory_limit(review: &Review, settings: &Settings, findings: &mut Findings) {
    let requests = Requests::of(review, &OfRequests::default());
    for container in review.containers().iter().filter(|container| lacks_limit(review, container, "memory")) {
        if requests.are_lacking(review, container) {
            continue;
        }
        let is_unknown = limit_ranges_unknown(review);
        if is_unknown {
            findings.assume("no LimitRange fills in limits");
        }
        let at = container.limit_at("memory");
        let message = format!("{} has no memory limit: it may use all memory of its node", container.describe());
        let help = "write resources.limits.memory, the maximum that the container may use";
        let severity = if requests.end { Severity::Info } else { Severity::Warning };
        let finding = findings.report(severity, &at, message, help);
        finding.about(&container.request_at("memory"));
        // If the container has no request, the API server would copy the limit, and the node would reserve all of it.
        let Request::Stated(request) = container.request(review, "memory") else { continue };
        // A limit at the request kills a container at the first peak. A limit far above it promises memory that no node
        // reserved.
        let limit = request.checked_mul(4).map_or(request, |most| request.max(settings.memory.min(most)));
        if !is_unknown && settings.memory > Quantity::ZERO && request >= LEAST_MEMORY {
            finding.fix(
                Fix::changing(format!("Set resources.limits.memory of {} to {limit}", container.describe()))
                    .add(&at, limit),
            );
        }
    }
}
