use plimsoll_sdk::budgets::Budgets;
use plimsoll_sdk::disruption::{BUDGET, Blocked, Change, PodBudget, Selected, Workload};
use plimsoll_sdk::evictions::{Pinned, blocks_pod};
use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets under which no Pod may ever be evicted.
///
/// ## What it finds
/// `error`: a PodDisruptionBudget that lets no Pod go although all are healthy. How many Pods there are is what the
/// workloads ask for whose Pods it selects, by their labels; where a HorizontalPodAutoscaler or a ScaledObject scales one,
/// its minimum counts in the place of `replicas`. Then the budget is resolved as the controller does it:
///
/// - `minAvailable` as a number: so many Pods must stay. As many as there are is too many: 2 of 2.
/// - `minAvailable` as a percentage is rounded up: 51% of 2 is 2, and 1% of 1 is 1.
/// - `maxUnavailable` as a percentage is rounded up too, so that 1% lets one go. `0` and `0%` let none go.
/// - neither of them: the controller expects no Pods and lets none go.
/// - a percentage, or `maxUnavailable`, over Pods of a DaemonSet or Job: these have no scale, so the controller cannot
///   compute the budget, and lets none go.
///
/// `warning`: such a budget over the Pods of DaemonSets alone. `kubectl drain` passes these by, so it blocks nothing there; other
/// evictions are refused.
///
/// A budget that lets none of any number of Pods go (`maxUnavailable: 0`, `minAvailable: 100%`, neither field, or 150,000
/// and more in `minAvailable`) is a deadlock whatever it selects, also where no workload is known that it selects.
///
/// Labels that only Pods have (`pod-template-hash`, `controller-revision-hash`, `statefulset.kubernetes.io/pod-name`,
/// `apps.kubernetes.io/pod-index`, `batch.kubernetes.io/job-name` and more) narrow a budget down to some Pods of a workload,
/// while the controller still expects all of them: `maxUnavailable: 1` over one Pod of a StatefulSet of 3 keeps 2 and lets
/// none go.
///
/// At a Pod it is found where the budget selects it by labels that its workload's template does not have, or where no
/// workload made it. `warning`: a number in `minAvailable` over such Pods, for there may be more of them.
///
/// It is found whichever object comes last: at the budget, at the workload (or its Scale), at the autoscaler, or at the Pod.
/// `plimsoll check` says it once for a set, at the budget. `unhealthyPodEvictionPolicy` changes none of this, for it is
/// about Pods that are not ready.
///
/// ## Why
/// `kubectl drain`, an upgrade of the nodes and the cluster autoscaler ask for evictions, and ask again for as long as they
/// are refused. Such a budget makes that forever: the node is never emptied, until somebody deletes Pods by hand, which no
/// budget guards.
///
/// ## What to write
/// A budget that does not depend on the number of Pods:
///
/// ```yaml
/// spec:
///   maxUnavailable: 1
///   unhealthyPodEvictionPolicy: AlwaysAllow
/// ```
///
/// `--fix=unsafe` writes `maxUnavailable: 1` in the place of what is there, from two Pods on. A single Pod needs a second
/// one, or no budget: either it may be away for a moment, or it can't be moved.
///
/// Of several budgets that select the Pods of a workload the first two, by name, are looked at there. The API server evicts
/// no Pod that two budgets select, which is `overlapping-disruption-budgets`'s to say.
///
/// ## Assumptions
/// In the cluster a budget over a single Pod without an autoscaler only warns, for more replicas or an autoscaler may follow
/// in the same release. `plimsoll check` knows the whole set, and `kubectl scale` is no release: there it is an error.
///
/// If other workloads or autoscalers may exist, the policy assumes that there are none, and only warns. A budget that lets
/// none of any number of Pods go is an error in any case.
///
/// ## Order
/// Pods are not watched. A budget that selects a part of a workload's Pods, by labels that only Pods have, is judged when the
/// budget or the Pod is written, and not when the workload is.
#[policy(
    category = "availability", on = LongRunning,
    kinds = [
        "policy/PodDisruptionBudget", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "batch/Job", "/Pod"
    ],
    subresources = ["scale"], severity = Error, since = "0.1.0",
    requires = [
        "policy/PodDisruptionBudget", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController",
        "argoproj.io/Rollout", "apps/DaemonSet", "batch/Job"
    ],
    refines = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"],
    edits = ["/spec/minAvailable", "/spec/maxUnavailable"]
)]
pub fn drain_deadlock(review: &Review, findings: &mut Findings) {
    if review.is(BUDGET) {
        return of_budget(review, findings);
    }
    if review.is("/Pod") {
        return of_pod(review, findings);
    }
    let (workload, at) = match Change::of(review) {
        Change::Of(workload, at) => (workload, at),
        Change::Unknown => return findings.skip("what is scaled is not known"),
        Change::Nothing | Change::Other => return,
    };
    let budgets = workload.budgets(review);
    for object in budgets.compared() {
        let Some(budget) = PodBudget::read(object) else { continue };
        let selected = Selected::by(review, object.at("/spec/selector"));
        let Some(blocked) = budget.blocks(&selected.workloads) else { continue };
        let severity = severity(&budget, &selected, findings);
        let message = format!(
            "PodDisruptionBudget {}: {}",
            budget.name,
            blocked.describe(&selected.describe(), selected.is_passed_by())
        );
        let finding = findings.report(severity, &at, message, blocked.help(&selected));
        finding.related(format!("PodDisruptionBudget/{}", budget.name));
        if may_grow(&budget, &selected) {
            finding.unsettled();
        }
    }
    if !budgets.complete && budgets.nodes().next().is_none() {
        findings.skip("the PodDisruptionBudgets that select its Pods are not known");
    }
}

fn of_budget(review: &Review<'_>, findings: &mut Findings) {
    let Some(budget) = review.object().node().and_then(PodBudget::read) else { return };
    let selector = review.at("spec/selector");
    let selected = Selected::by(review, selector.node());
    let known = budget.blocks(&selected.workloads);
    let (blocked, severity) = if let Some(blocked) = known {
        (blocked, severity(&budget, &selected, findings))
    } else if budget.is_closed() && selector.exists() {
        (Blocked::Closed(budget.budget), Severity::Error)
    } else if !selected.workloads.is_empty() {
        return;
    } else if let Some(pinned) = selector.node().and_then(|selector| Pinned::read(review, selector)) {
        match pinned.blocks(&budget) {
            Some((blocked, true)) => (blocked, Severity::Error),
            Some((blocked, false)) => (blocked, Severity::Warning),
            None => return,
        }
    } else if selected.complete {
        return;
    } else {
        return findings.skip("the workloads whose Pods it selects are not known");
    };
    let (min, max) = (review.at("spec/minAvailable"), review.at("spec/maxUnavailable"));
    let at = if min.exists() { &min } else { &max };
    let message = blocked.describe(&selected.describe(), selected.is_passed_by());
    let finding = findings.report(severity, at, message, blocked.help(&selected));
    finding.about(&selector).about(&min).about(&max);
    if may_grow(&budget, &selected) {
        finding.unsettled();
    }
    if blocked.is_mended_by_one() {
        let fix = Fix::changing("let one Pod go at a time");
        finding.fix(match (min.exists(), max.exists()) {
            (true, _) => fix.remove(&min).add(&max, 1_i64),
            (false, true) => fix.replace(&max, 1_i64),
            (false, false) => fix.add(&max, 1_i64),
        });
    }
}

/// Whether what makes a single Pod more than one may follow in the same release: replicas, or an autoscaler. Helm and
/// kustomize apply the budget, the workload and the autoscaler in different orders.
fn may_grow(budget: &PodBudget, selected: &Selected) -> bool {
    let is_single = |it: &Workload| it.floor.is_none() && it.replicas.is_some_and(|replicas| replicas <= 1);
    !budget.is_closed() && matches!(&selected.workloads[..], [one] if is_single(one))
}

fn of_pod(review: &Review<'_>, findings: &mut Findings) {
    let Some(labels) = review.template().map(|template| template.root().at("metadata/labels")) else { return };
    let budgets = Budgets::of_pod(review);
    for object in budgets.compared() {
        let (Some(budget), Some(selector)) = (PodBudget::read(object), object.at("/spec/selector")) else { continue };
        let Some((blocked, is_sure)) = blocks_pod(review, &budget, selector) else { continue };
        let severity = if is_sure { Severity::Error } else { Severity::Warning };
        let message = format!("PodDisruptionBudget {}: {}", budget.name, blocked.describe("these Pods", false));
        let help = blocked.help(&Selected::default());
        findings.report(severity, &labels, message, help).related(format!("PodDisruptionBudget/{}", budget.name));
    }
}

/// An error only where nothing that is not known could change it.
fn severity(budget: &PodBudget, selected: &Selected, findings: &mut Findings) -> Severity {
    if selected.is_passed_by() {
        return Severity::Warning;
    }
    if budget.is_closed() {
        return Severity::Error;
    }
    if selected.complete && selected.is_scale_known() {
        return Severity::Error;
    }
    if !selected.complete {
        findings.assume("a PodDisruptionBudget selects no Pods of further workloads");
    }
    if !selected.is_scale_known() {
        findings.assume("no autoscaler scales these Pods");
    }
    Severity::Warning
}
