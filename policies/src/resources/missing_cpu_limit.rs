use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Resources as _, lacks_limit, limit_ranges_unknown};

/// Containers that may use all the CPU time of their node.
///
/// ## What it finds
/// `info`: app containers, native sidecars and init containers of every workload without an effective cpu limit.
/// Neither the container, nor a LimitRange of the namespace, nor the Pod as a whole (from Kubernetes 1.34) states one.
///
/// This policy is on only if a PolicySet lists it, because experts disagree about cpu limits. Requests already divide
/// the CPU time fairly, and a limit throttles a container even on an idle node.
///
/// ## Why
/// With a limit a container is as fast on an empty node as on a full one. So tests show how it will perform later, and
/// no program depends on CPU time that others leave.
///
/// ## What to write
/// ```yaml
/// resources:
///   requests: {cpu: 100m}
///   limits: {cpu: 500m}
/// ```
///
/// ## Assumptions
/// If the LimitRanges of the namespace are not known, the policy assumes that none fills in limits.
///
/// ## Order
/// A LimitRange that is applied after the workload has no finding: it changes no running Pod, and fills in missing
/// values only for Pods that are created later. The next change of the workload is checked against the LimitRange.
/// `plimsoll check` looks at a set as a whole.
#[policy(
    on = Workloads, severity = Info, since = "0.1.0", refines = ["/LimitRange"],
    subresources = ["resize"],
    profile = OptIn,
    reads = [LimitRanges],
    covers = ["res-cpu-limit-missing: no fix"]
)]
pub fn missing_cpu_limit(review: &Review, findings: &mut Findings) {
    for container in review.containers().iter().filter(|container| lacks_limit(review, container, "cpu")) {
        if limit_ranges_unknown(review) {
            findings.assume("no LimitRange fills in limits");
        }
        let message = format!("{} has no cpu limit: its speed depends on the load of its node", container.describe());
        findings.info(&container.limit_at("cpu"), message, "write resources.limits.cpu");
    }
}
