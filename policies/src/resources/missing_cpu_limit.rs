use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Resources as _, lacks_limit, limit_ranges_unknown};

/// Containers that may take all the CPU time of their node.
///
/// ## What it finds
/// `info`: app containers, native sidecars and init containers, in workloads of every kind, without an effective cpu limit:
/// neither they nor a LimitRange of the namespace nor the Pod as a whole (from Kubernetes 1.34) state one. It is on only
/// where a PolicySet lists it, for whether there should be one is disputed: requests already divide what is there fairly,
/// and a limit throttles a container while the node is idle.
///
/// ## Why
/// With a limit a container is as fast on an empty node as on a full one, so that tests tell how it will be later, and nobody
/// comes to rely on what others leave.
///
/// ## What to write
/// ```yaml
/// resources:
///   requests: {cpu: 100m}
///   limits: {cpu: 500m}
/// ```
///
/// ## Assumptions
/// Where the LimitRanges of the namespace are not known, none is assumed to fill in limits.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no Pod that runs, and fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
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
        let message = format!("{} has no cpu limit, so its speed depends on its neighbours", container.describe());
        findings.info(&container.limit_at("cpu"), message, "write resources.limits.cpu");
    }
}
