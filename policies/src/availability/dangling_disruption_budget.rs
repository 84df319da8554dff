use plimsoll_sdk::disruption::{PodBudget, Selected};
use plimsoll_sdk::owners::controller;
use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets that protect no Pods.
///
/// ## What it finds
/// - `warning`: a PodDisruptionBudget whose selector matches the Pod labels of no workload. The finding depends on a
///   missing object. In the cluster, the policy reports nothing when the budget is created. It only warns of an update
///   while the budget is young.
/// - `warning`: a PodDisruptionBudget without a selector, which selects no Pods.
///
/// The policy skips a budget if the kind of its controller is not known, as with most operators. The Pods of such an
/// owner are not known either. The policy also does not look for Pods without a workload: there are too many Pods to
/// watch them all.
///
/// ## Why
/// A budget that selects nothing looks like protection, but a drain evicts all Pods at once. Usually a label was
/// renamed. Or the budget has the labels of the workload itself instead of the labels of its pod template.
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
/// A HorizontalPodAutoscaler or a ScaledObject changes the number of Pods, but never which Pods a budget selects.
#[policy(
    on = Kinds, kinds = ["policy/PodDisruptionBudget"], severity = Warning, since = "0.1.0",
    requires = [LongRunning, "batch/Job", "batch/CronJob"],
    refines = [Autoscalers],
    reads = [Workloads, Autoscalers],
    covers = ["avail-pdb-selector-empty", "avail-pdb-dangling"]
)]
pub fn dangling_disruption_budget(review: &Review, findings: &mut Findings) {
    let selector = review.at("/spec/selector");
    // Pods that an operator creates belong to no workload that the policy knows.
    if let Some((kind, owner)) = review.object().node().and_then(controller)
        && !review.resolve(kind.get(), owner).complete
    {
        return findings.skip(format!("the Pods of the budget's owner, {} {owner}, are not known", kind.name()));
    }
    let Some(node) = selector.node() else {
        let help = "set spec.selector to the selector of the workload that the budget protects";
        findings.warning(&selector, "the budget has no spec.selector: it selects no Pods and protects nothing", help);
        return;
    };
    let selected = Selected::by(review, Some(node));
    let jobs = review.selected_by(Kind::CRON_JOB, node);
    if !selected.workloads.is_empty() || !jobs.documents.is_empty() {
        return;
    }
    if !selected.complete || !jobs.complete {
        return findings.skip("not all workloads of the namespace are known");
    }
    // Such a budget blocks every Pod that it will ever select. `drain-deadlock` reports it.
    if review.object().node().and_then(PodBudget::read).is_some_and(|budget| budget.is_closed()) {
        return;
    }
    let message = "spec.selector matches the Pods of no workload in this namespace: the budget protects nothing";
    let help = "set spec.selector to labels of the workload's pod template, and use the namespace of the workload";
    findings.warning(&selector, message, help).companion();
}
