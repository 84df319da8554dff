use plimsoll_sdk::disruption::Selected;
use plimsoll_sdk::owners::controller;
use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets that guard nothing.
///
/// ## What it finds
/// - `warning`: a PodDisruptionBudget whose selector matches the labels of no workload's Pods. It rests on something
///   absent: in the cluster it is not said when the budget is made, and while it is young a change of it only warns.
/// - `warning`: one without a selector, which selects no Pods at all.
///
/// A budget that an operator made for its own Pods is not judged: its owner is of a kind that is not known here, and so are
/// the owner's Pods. Pods without a workload are not looked at: there are too many Pods to know them all.
///
/// ## Why
/// A budget that selects nothing looks like protection. A drain takes all Pods at once. Mostly a label was renamed, or the
/// budget has the labels of the workload itself in the place of those of its pod template.
///
/// ## What to write
/// The workload's own selector:
///
/// ```yaml
/// spec:
///   selector:
///     matchLabels: {app: shop}
/// ```
///
/// ## Order
/// A HorizontalPodAutoscaler or a ScaledObject changes the number of Pods, and never which Pods a budget selects.
#[policy(
    on = Kinds, kinds = ["policy/PodDisruptionBudget"], severity = Warning, since = "0.1.0",
    requires = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout",
        "apps/DaemonSet", "batch/Job", "batch/CronJob"
    ],
    refines = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"],
    reads = [Workloads, Autoscalers],
    covers = ["avail-pdb-selector-empty", "avail-pdb-dangling"]
)]
pub fn dangling_disruption_budget(review: &Review, findings: &mut Findings) {
    let selector = review.at("/spec/selector");
    // An operator's own Pods are of no workload that is known here.
    if let Some((kind, owner)) = review.object().node().and_then(controller)
        && !review.get(kind.get(), owner).complete
    {
        return findings.skip(format!("the Pods of its owner, {} {owner}, are not known", kind.name()));
    }
    let Some(node) = selector.node() else {
        let help = "write a selector: that of the workload whose Pods it is for";
        findings.warning(&selector, "the budget has no selector, so it selects no Pods and protects nothing", help);
        return;
    };
    let selected = Selected::by(review, Some(node));
    let jobs = review.selected_by(Kind::CRON_JOB, node);
    if !selected.workloads.is_empty() || !jobs.documents.is_empty() {
        return;
    }
    if !selected.complete || !jobs.complete {
        return findings.skip("the workloads of the namespace are not all known");
    }
    let message = "the budget selects the Pods of no workload of this namespace, so it protects nothing";
    let help = "write the labels of the workload's pod template, in the namespace of the workload";
    findings.warning(&selector, message, help).companion();
}
