use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;

/// Replicated Pods that forbid their nodes to go.
///
/// ## What it finds
/// `warning`: an annotation of the pod template that keeps autoscalers of nodes from emptying the node, in a workload of two
/// or more Pods that a Service selects: `cluster-autoscaler.kubernetes.io/safe-to-evict: "false"`, or
/// `karpenter.sh/do-not-disrupt: "true"` (`karpenter.sh/do-not-evict` in older versions). It is on in profile `strict`, or
/// where a PolicySet lists it.
///
/// It is found whichever object comes last: at the workload, or at the selector of the Service. `plimsoll check` says
/// it once for a set.
///
/// A Service that comes last is judged by the first 16 workloads, by name, that it selects, or by fewer where these are large. The
/// others are assumed to be right.
///
/// ## Why
/// A Pod that another one can stand in for has no reason to hold its node. Nodes that are nearly empty are kept, and paid
/// for; those that have to be replaced are not.
///
/// ## What to write
/// A PodDisruptionBudget with `maxUnavailable: 1`, which makes them go one by one, in the place of the annotation.
///
/// ## Assumptions
/// Where the Services are not all known, nothing is judged.
#[policy(
    on = Kinds,
    kinds = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout",
        "/Service"
    ],
    severity = Warning, since = "0.1.0", requires = ["/Service"],
    refines = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout"
    ],
    profile = Strict,
    reads = [
        Workloads, Services, "{template}/metadata/annotations/cluster-autoscaler.kubernetes.io~1safe-to-evict",
        "{template}/metadata/annotations/karpenter.sh~1do-not-disrupt",
        "{template}/metadata/annotations/karpenter.sh~1do-not-evict"
    ],
    covers = ["avail-do-not-disrupt"]
)]
pub fn undisruptable_pods(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &SCALABLE, undisruptable_pods) {
        return;
    }
    let replicas = review.at("/spec/replicas").as_i64().unwrap_or(1);
    let Some(template) = review.template().filter(|_| replicas > 1) else { return };
    let annotations = template.root().at("/metadata/annotations");
    let forbids = |(key, value): &(&str, &str)| annotations.key(key).as_str() == Some(value);
    let Some((key, value)) = FORBIDDING.into_iter().find(forbids) else { return };
    let services = review.services();
    if services.nodes().next().is_none() {
        if !services.complete {
            findings.skip("the Services of the namespace are not all known");
        }
        return;
    }
    let message = format!("{key}: {value:?} on {replicas} Pods: no node that runs one of them is ever removed");
    let help = "take the annotation out, and write a PodDisruptionBudget with maxUnavailable: 1";
    findings.warning(&annotations.key(key), message, help);
}

const FORBIDDING: [(&str, &str); 3] = [
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("karpenter.sh/do-not-disrupt", "true"),
    ("karpenter.sh/do-not-evict", "true"),
];
