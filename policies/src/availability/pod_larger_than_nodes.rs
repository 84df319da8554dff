use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Resources as _, Side, pod_total};

/// Settings of `pod-larger-than-nodes`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// CPU that the largest node has for Pods (allocatable); 0 if it is not known
    #[settings(default = "0")]
    cpu: Quantity,
    /// Memory that the largest node has for Pods (allocatable); 0 if it is not known
    #[settings(default = "0")]
    memory: Quantity,
}

/// Pods that are too large for every node.
///
/// ## What it finds
/// `warning`: a workload of any kind with a Pod that requests more CPU or memory than the largest node has for Pods.
/// The policy is on only if a PolicySet lists it, because it needs the size of the nodes as a setting.
///
/// The policy counts requests as the scheduler does. The containers and sidecars count together. An init container
/// counts instead if it requests more. If the Pod as a whole has a request, only that counts (from Kubernetes 1.34).
///
/// ## Why
/// The scheduler looks for a node with enough free capacity. There is none, even if all nodes are empty. The Pod stays
/// Pending, and the rollout that created it never finishes.
///
/// ## What to write
/// A request that a node can give, with room for the DaemonSet Pods of each node. Or more replicas that are smaller.
///
/// ## Settings
/// `cpu` and `memory` are Kubernetes quantities: the allocatable resources of the largest node on which these Pods may
/// run. This command shows them:
///
/// ```sh
/// kubectl get nodes -o custom-columns=CPU:.status.allocatable.cpu,MEMORY:.status.allocatable.memory
/// ```
///
/// With a value of 0, the policy does not compare this resource.
///
/// ## Assumptions
/// None: an unknown LimitRange can only add to the requests.
///
/// ## Order
/// The policy does not judge a LimitRange that comes last. The LimitRange changes no Pod that runs, and only sets
/// defaults for Pods that are created after it. The next change of the workload is judged by it. `plimsoll check`
/// judges a set as a whole.
#[policy(
    on = Workloads, severity = Warning, since = "0.1.0", refines = ["/LimitRange"],
    profile = OptIn,
    reads = [LimitRanges],
    covers = ["cap-peak-over-quota: the second policy is opt-in, because the size of the nodes is a setting"]
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
        let message = format!(
            "one Pod requests {sum} of {resource}, and the largest node has {most}: the Pod is never scheduled"
        );
        findings.warning(&at, message, format!("lower the {resource} requests, or run more replicas that are smaller"));
    }
}
