use plimsoll_sdk::budgets::Budgets;
use plimsoll_sdk::disruption::{Blocked, Change, PodBudget, Selected, Workload};
use plimsoll_sdk::evictions::{Pinned, blocks_pod};
use plimsoll_sdk::owners::controller;
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
/// `warning`: such a budget under which a drain ends nonetheless, while other evictions are refused:
///
/// - over the Pods of DaemonSets alone, which `kubectl drain --ignore-daemonsets` leaves on the node;
/// - over the Pods of Jobs alone, which end;
/// - a budget whose controller, by its owner references, is a custom resource. Operators (Rook, Elastic's) close a budget
///   while something else of theirs is away, and open it again.
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
/// workload made it. `warning`: a number in `minAvailable` over such Pods, for there may be more of them; and a label that
/// a running Pod gets, as at a failover.
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
/// In the cluster a budget over a single Pod only warns, for more replicas or an autoscaler may follow in the same release. `plimsoll check` knows the whole set, and `kubectl scale` is no release: there it is an error.
///
/// If other workloads or autoscalers may exist, the policy assumes that there are none, and only warns. A budget that lets
/// none of any number of Pods go is an error in any case.
///
/// ## Order
/// Pods are not watched. A budget that selects a part of a workload's Pods, by labels that only Pods have, is judged when the
/// budget or the Pod is written, and not when the workload is.
#[policy(
    on = LongRunning,
    kinds = [
        "policy/PodDisruptionBudget", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "batch/Job", "/Pod"
    ],
    subresources = ["scale"], severity = Error, since = "0.1.0",
    requires = [
        "policy/PodDisruptionBudget", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController",
        "argoproj.io/Rollout", "apps/DaemonSet", "batch/Job"
    ],
    refines = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"],
    edits = ["/spec/minAvailable", "/spec/maxUnavailable"],
    default = Deny(BlocksOthers),
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = [
        "avail-pdb-drain-deadlock", "avail-pdb-hpa-deadlock", "avail-pdb-single-replica",
        "avail-pdb-unmanaged: not Pods that nobody manages, nor those of kinds that are not known",
        "avail-pdb-both-or-none"
    ]
)]
pub fn drain_deadlock(review: &Review, findings: &mut Findings) {
    if review.is(Kind::POD_DISRUPTION_BUDGET) {
        return of_budget(review, findings);
    }
    if review.is(Kind::POD) {
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
        let end = end(object, &selected);
        let severity = severity(&budget, &selected, end.as_deref(), findings);
        let said = blocked.describe(&selected.describe(), end.as_deref());
        let message = format!("PodDisruptionBudget {}: {said}", budget.name);
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
    let Some(object) = review.object().node() else { return };
    let Some(budget) = PodBudget::read(object) else { return };
    let selector = review.at("/spec/selector");
    let selected = Selected::by(review, selector.node());
    let end = end(object, &selected);
    let known = budget.blocks(&selected.workloads);
    let (blocked, severity) = if let Some(blocked) = known {
        (blocked, severity(&budget, &selected, end.as_deref(), findings))
    } else if budget.is_closed() && selector.exists() {
        (Blocked::Closed(budget.budget), if end.is_some() { Severity::Warning } else { Severity::Error })
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
    let (min, max) = (review.at("/spec/minAvailable"), review.at("/spec/maxUnavailable"));
    let at = if min.exists() { &min } else { &max };
    let message = blocked.describe(&selected.describe(), end.as_deref());
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

/// How a drain ends although the budget lets none of these Pods go. An operator closes its budget for a while, and opens
/// it again: its kind is in a group of its own, while no kind of Kubernetes makes budgets.
fn end(budget: Node<'_>, selected: &Selected) -> Option<String> {
    let maker = controller(budget).filter(|(kind, _)| kind.group().contains('.'));
    let opened = maker.map(|(kind, name)| format!("{} {name} made the budget, and may open it again", kind.name()));
    opened.or_else(|| selected.drain_ends().map(str::to_owned))
}

/// Whether what makes a single Pod more than one may follow in the same release: replicas, or an autoscaler. Helm and
/// kustomize apply the budget, the workload and the autoscaler in different orders.
fn may_grow(budget: &PodBudget, selected: &Selected) -> bool {
    let is_single = |it: &Workload| it.pods().is_some_and(|pods| pods <= 1);
    !budget.is_closed() && matches!(&selected.workloads[..], [one] if is_single(one))
}

fn of_pod(review: &Review<'_>, findings: &mut Findings) {
    let Some(labels) = review.template().map(|template| template.root().at("/metadata/labels")) else { return };
    let budgets = Budgets::of_pod(review);
    for object in budgets.compared() {
        let (Some(budget), Some(selector)) = (PodBudget::read(object), object.at("/spec/selector")) else { continue };
        let Some((blocked, is_sure)) = blocks_pod(review, &budget, selector) else { continue };
        // A running Pod gets other labels at a failover, and who refuses them causes the outage.
        let is_denied = is_sure && review.operation() != "UPDATE";
        let severity = if is_denied { Severity::Error } else { Severity::Warning };
        let message = format!("PodDisruptionBudget {}: {}", budget.name, blocked.describe("these Pods", None));
        let help = blocked.help(&Selected::default());
        findings.report(severity, &labels, message, help).related(format!("PodDisruptionBudget/{}", budget.name));
    }
}

/// An error only where nothing that is not known could change it.
fn severity(budget: &PodBudget, selected: &Selected, end: Option<&str>, findings: &mut Findings) -> Severity {
    if end.is_some() {
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
