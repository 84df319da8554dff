use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;

/// Replicated Pods that block the removal of their nodes.
///
/// ## What it finds
/// `warning`: a workload with two or more Pods that a Service selects. Its pod template has an annotation that keeps
/// node autoscalers from emptying the node. The policy is on in profile `strict`, or if a PolicySet lists it. The
/// annotations are:
///
/// | annotation | value |
/// | --- | --- |
/// | `cluster-autoscaler.kubernetes.io/safe-to-evict` | `"false"` |
/// | `karpenter.sh/do-not-disrupt` | `"true"` |
/// | `karpenter.sh/do-not-evict`, in older versions | `"true"` |
///
/// The policy reports the problem at the object that is applied last: the workload, or the Service at its selector.
/// `plimsoll check` reports it once for a set.
///
/// For a Service that comes last, the policy checks the first 16 workloads, by name, that the Service selects. It
/// checks fewer if these are large. It assumes that the others are right.
///
/// ## Why
/// A Pod that another Pod can replace has no reason to hold its node. Nodes that are nearly empty stay, and cost money.
/// Nodes that must be replaced stay too.
///
/// ## What to write
/// A PodDisruptionBudget with `maxUnavailable: 1` instead of the annotation. It allows the eviction of one Pod at a
/// time.
///
/// ## Assumptions
/// If the Services are not all known, the policy judges nothing.
#[policy(
    on = Kinds,
    kinds = [Scalable, "/Service"],
    severity = Warning, since = "0.1.0", requires = ["/Service"],
    refines = [Scalable],
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
            findings.skip("not all Services of the namespace are known");
        }
        return;
    }
    let message =
        format!("{replicas} Pods have {key}: {value:?}, so node autoscalers never remove a node that runs one of them");
    let help = "remove the annotation, and write a PodDisruptionBudget with maxUnavailable: 1";
    findings.warning(&annotations.key(key), message, help);
}

const FORBIDDING: [(&str, &str); 3] = [
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("karpenter.sh/do-not-disrupt", "true"),
    ("karpenter.sh/do-not-evict", "true"),
];
