use plimsoll_sdk::disruption::{PodBudget, Selected};
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rounding::Budget;

/// PodDisruptionBudgets that let all Pods go at once.
///
/// ## What it finds
/// `warning`: a PodDisruptionBudget over two or more Pods under which none of them must stay: `minAvailable` of 0 or 0%, or
/// a `maxUnavailable` that comes to all of them. How many there are is what the workloads ask for whose Pods it selects, at
/// their autoscalers' minimum; percentages are rounded up, as the controller does it: 51% of 2 is 2.
///
/// Of a single Pod nothing can be kept while it moves, so a budget of one is left out.
///
/// It is found whichever object comes last: at the budget, at the labels of the workload's Pods, or at the target of
/// the autoscaler. `plimsoll check` says it once for a set.
///
/// ## Why
/// It looks like protection, and a drain may take everything at once.
///
/// ## What to write
/// One at a time, which never blocks a drain either; `--fix=unsafe` writes it:
///
/// ```yaml
/// spec:
///   maxUnavailable: 1
/// ```
///
/// ## Assumptions
/// Where other workloads or autoscalers may exist that are not known, there are none. Where nothing of what it selects is
/// known, nothing is judged.
#[policy(
    on = LongRunning,
    kinds = [
        "policy/PodDisruptionBudget", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "batch/Job"
    ],
    severity = Warning, since = "0.1.0",
    requires = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout",
        "apps/DaemonSet", "batch/Job"
    ],
    refines = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "policy/PodDisruptionBudget"],
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
        return findings.skip("the workloads whose Pods it selects are not known");
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
    let fix = Fix::changing("let one Pod go at a time");
    let (at, asked, fix) = match budget {
        Budget::MinAvailable(count) => (&min, format!("minAvailable {count}"), fix.remove(&min).add(&max, 1_i64)),
        Budget::MaxUnavailable(count) => (&max, format!("maxUnavailable {count}"), fix.replace(&max, 1_i64)),
    };
    let message = format!("{asked} of {pods} Pods ({}): all may be evicted at once", selected.describe());
    findings.warning(at, message, "write maxUnavailable: 1").fix(fix);
}
