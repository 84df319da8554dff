use plimsoll_sdk::disruption::{PodBudget, Selected};
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rounding::Budget;

/// PodDisruptionBudgets that allow all Pods to be evicted at once.
///
/// ## What it finds
/// `warning`: a PodDisruptionBudget over two or more Pods that keeps none of them. Its `minAvailable` is 0 or 0%, or
/// its `maxUnavailable` comes to all Pods.
///
/// The number of Pods is the sum of `replicas` of the workloads that the budget selects. If an autoscaler scales a
/// workload, its minimum counts instead. Percentages are rounded up, as the controller does it: 51% of 2 is 2.
///
/// The policy skips a budget over a single Pod, because no budget can keep that Pod while it moves.
///
/// The policy reports the problem at the object that is applied last: the budget, the workload at its Pod labels, or
/// the autoscaler at its `scaleTargetRef`. `plimsoll check` reports it once for a set.
///
/// ## Why
/// The budget looks like protection, but a drain may evict all Pods at once.
///
/// ## What to write
/// One Pod at a time, which never blocks a drain either. `--fix=unsafe` writes it:
///
/// ```yaml
/// spec:
///   maxUnavailable: 1
/// ```
///
/// ## Assumptions
/// If other workloads or autoscalers may exist, the policy assumes that there are none. If nothing is known of what the
/// budget selects, the policy judges nothing.
#[policy(
    on = LongRunning,
    kinds = [Autoscalers, "policy/PodDisruptionBudget", "batch/Job"],
    severity = Warning, since = "0.1.0",
    requires = [LongRunning, "batch/Job"],
    refines = [Autoscalers, "policy/PodDisruptionBudget"],
    edits = ["/spec/minAvailable", "/spec/maxUnavailable"],
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = ["avail-pdb-too-loose"]
)]
pub fn toothless_disruption_budget(review: &Review, findings: &mut Findings) {
    if last::budgets(review, findings, toothless_disruption_budget) {
        return;
    }
    let Some(budget) = review.object().node().and_then(PodBudget::read).and_then(|budget| budget.budget) else {
        return;
    };
    let selected = Selected::by(review, review.at("/spec/selector").node());
    if selected.workloads.is_empty() && !selected.complete {
        return findings.skip("the workloads that the budget selects are not known");
    }
    let pods = selected.workloads.iter().map(|workload| workload.pods()).sum::<Option<i64>>();
    let Some(pods) = pods.filter(|pods| *pods > 1 && budget.desired_healthy(*pods) == 0) else { return };
    if !selected.complete {
        findings.assume("a PodDisruptionBudget selects no Pods of further workloads");
    }
    if !selected.is_scale_known() {
        findings.assume("no autoscaler scales these Pods");
    }
    let (min, max) = (review.at("/spec/minAvailable"), review.at("/spec/maxUnavailable"));
    let fix = Fix::changing("Set maxUnavailable to 1");
    let (at, written, fix) = match budget {
        Budget::MinAvailable(count) => (&min, format!("minAvailable {count}"), fix.remove(&min).add(&max, 1_i64)),
        Budget::MaxUnavailable(count) => (&max, format!("maxUnavailable {count}"), fix.replace(&max, 1_i64)),
    };
    let message = format!("{written} of {pods} Pods ({}): a drain may evict all of them at once", selected.describe());
    findings.warning(at, message, "write maxUnavailable: 1").fix(fix);
}
