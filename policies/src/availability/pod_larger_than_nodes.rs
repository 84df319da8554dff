use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Resources as _, Side, pod_total};

/// Settings of `pod-larger-than-nodes`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// CPU that the largest node has for Pods (allocatable); 0 where that is not known
    #[settings(default = "0")]
    cpu: Quantity,
    /// Memory that the largest node has for Pods (allocatable); 0 where that is not known
    #[settings(default = "0")]
    memory: Quantity,
}

/// Pods for which no node is large enough.
///
/// ## What it finds
/// `warning`: a workload of any kind of which one Pod requests more CPU or memory than the largest node has for Pods. What a
/// Pod requests is counted as the scheduler does: containers and sidecars together, or an init container where that is more,
/// or what is requested for the Pod as a whole (from Kubernetes 1.34). It is on only where a PolicySet lists it, for it has
/// to be told how large the nodes are.
///
/// ## Why
/// The scheduler looks for a node with that much left, and there is none even when all are empty. The Pod stays Pending, and
/// so does the rollout that made it.
///
/// ## What to write
/// A request that a node can give, with room for what runs on each node (DaemonSets); or more replicas that are smaller.
///
/// ## Settings
/// `cpu` and `memory` are Kubernetes quantities: what `kubectl get nodes -o custom-columns=CPU:.status.allocatable.cpu,MEMORY:.status.allocatable.memory`
/// shows of the largest node that these Pods may run on. A 0 compares nothing.
///
/// ## Assumptions
/// None: what a LimitRange that is not known fills in only adds to the requests.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no Pod that runs, and fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
#[policy(
    on = Workloads, severity = Warning, since = "0.1.0", refines = ["/LimitRange"],
    profile = OptIn,
    reads = [LimitRanges],
    covers = ["cap-peak-over-quota: the second is opt-in, for it has to be told how large the nodes are"]
)]
pub fn pod_larger_than_nodes(review: &Review, settings: &Settings, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    for (resource, most) in [("cpu", settings.cpu), ("memory", settings.memory)] {
        let Some(sum) = pod_total(review, template, resource, Side::Request).and_then(|total| total.sum) else {
            continue;
        };
        if most.is_zero() || sum <= most {
            continue;
        }
        let of_pod = template.spec().at("/resources");
        let largest = review.containers().iter().max_by_key(|container| container.requested(review, resource));
        let at = match largest.map(|largest| largest.request_at(resource)) {
            Some(at) if !of_pod.exists() => at,
            _ => of_pod,
        };
        let message =
            format!("one Pod requests {sum} of {resource}, and the largest node has {most}: it is never scheduled");
        findings.warning(&at, message, "request what a node can give, or run more Pods that are smaller");
    }
}
