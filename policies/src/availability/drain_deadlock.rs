use plimsoll_sdk::budgets::Budgets;
use plimsoll_sdk::disruption::{Blocked, Change, PodBudget, Selected};
use plimsoll_sdk::evictions::{Pinned, blocks_pod};
use plimsoll_sdk::prelude::*;

use crate::availability::drain_severity::{end, may_grow, severity};

/// PodDisruptionBudgets that never allow an eviction.
///
/// ## What it finds
/// `error`: a PodDisruptionBudget that allows no eviction although all Pods are healthy. The number of Pods is the sum
/// of `replicas` of the workloads that the budget selects by their labels. If a HorizontalPodAutoscaler or a
/// ScaledObject scales a workload, its minimum replaces `replicas`. The policy computes the budget as the disruption
/// controller does:
///
/// | budget | computation | no eviction, for example |
/// | --- | --- | --- |
/// | `minAvailable`, a number | this many Pods must stay | 2 of 2 Pods |
/// | `minAvailable`, a percentage | rounded up | 51% of 2 is 2, and 1% of 1 is 1 |
/// | `maxUnavailable`, a percentage | rounded up, so 1% allows one eviction | `0%` |
/// | `maxUnavailable`, a number | this many Pods may go | `0` |
/// | neither field | the controller expects no Pods | always |
/// | a percentage, or `maxUnavailable`, over Pods of a DaemonSet or Job | impossible: these have no scale | always |
///
/// `warning`: such a budget, if a drain still finishes while other evictions are rejected:
///
/// - a budget over Pods of DaemonSets only, which `kubectl drain --ignore-daemonsets` leaves on the node;
/// - a budget over Pods of Jobs only, which end by themselves;
/// - a budget whose controller, by its owner references, is a custom resource. Operators (Rook, Elastic's) block
///   evictions while another part of their system is unavailable, and allow them again later.
///
/// Some budgets allow no eviction for any number of Pods: `maxUnavailable: 0`, `minAvailable: 100%`, neither field, or
/// a `minAvailable` of 150,000 or more. Such a budget is a deadlock whatever it selects, even if the policy knows no
/// workload that it selects.
///
/// Some labels exist only on Pods: `pod-template-hash`, `controller-revision-hash`,
/// `statefulset.kubernetes.io/pod-name`, `apps.kubernetes.io/pod-index`, `batch.kubernetes.io/job-name` and more. With
/// such a label, a budget selects some Pods of a workload, but the controller still expects all of them. For example,
/// `maxUnavailable: 1` over one Pod of a StatefulSet with 3 replicas keeps 2 Pods, so it never allows the eviction of
/// that one.
///
/// The policy reports the problem at a Pod in two cases: the budget selects the Pod by labels that its workload's
/// template does not have, or no workload created the Pod. Two cases are only a `warning`:
///
/// - a number in `minAvailable` over Pods that no workload created, because there may be more such Pods;
/// - an update of a running Pod, because a failover changes labels in this way.
///
/// The policy reports the problem at the object that is applied last: the budget, the workload (or its Scale), the
/// autoscaler, or the Pod. `plimsoll check` reports it once for a set, at the budget. `unhealthyPodEvictionPolicy`
/// makes no difference, because it is about Pods that are not ready.
///
/// ## Why
/// `kubectl drain`, a node upgrade and the cluster autoscaler request evictions. If the API server rejects an eviction,
/// they retry. With such a budget they retry forever: the node is never empty, until a user deletes the Pods by hand.
/// No budget protects Pods from a deletion.
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
/// `--fix=unsafe` replaces the written field by `maxUnavailable: 1` if there are two or more Pods. A single Pod needs a
/// second one, or no budget: either the Pod may be unavailable for a moment, or it can't be moved.
///
/// If several budgets select the Pods of a workload, the policy checks the first two by name at the workload. The API
/// server evicts no Pod that two budgets select. `overlapping-disruption-budgets` reports that.
///
/// ## Assumptions
/// In the cluster, a budget over a single Pod only warns, because more replicas or an autoscaler may follow in the same
/// release. `plimsoll check` knows the whole set, and `kubectl scale` is no release. Both report an error.
///
/// If other workloads or autoscalers may exist, the policy assumes that there are none, and only warns. A budget that
/// allows no eviction for any number of Pods does not depend on this assumption.
///
/// ## Order
/// Plimsoll does not watch Pods. A budget may select a part of a workload's Pods by labels that only Pods have. The
/// policy judges such a budget when the budget or the Pod is written, but not when the workload is written.
#[policy(
    on = LongRunning,
    kinds = [Autoscalers, "policy/PodDisruptionBudget", "batch/Job", "/Pod"],
    subresources = ["scale"], severity = Error, since = "0.1.0",
    requires = [LongRunning, "policy/PodDisruptionBudget", "batch/Job"],
    refines = [Autoscalers],
    edits = ["/spec/minAvailable", "/spec/maxUnavailable"],
    default = Deny(BlocksOthers),
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = [
        "avail-pdb-drain-deadlock", "avail-pdb-hpa-deadlock", "avail-pdb-single-replica",
        "avail-pdb-unmanaged: not Pods without a workload, nor Pods of unknown kinds",
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
        Change::Unknown => return findings.skip("the scaled workload is not known"),
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
        findings.skip("the PodDisruptionBudgets that select these Pods are not known");
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
        // Workloads without Pods block nothing now.
        let is_idle = !selected.workloads.is_empty() && selected.complete;
        (Blocked::Closed(budget.budget), if end.is_some() || is_idle { Severity::Warning } else { Severity::Error })
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
        return findings.skip("the workloads that the budget selects are not known");
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
        let fix = Fix::changing("Set maxUnavailable to 1");
        finding.fix(match (min.exists(), max.exists()) {
            (true, _) => fix.remove(&min).add(&max, 1_i64),
            (false, true) => fix.replace(&max, 1_i64),
            (false, false) => fix.add(&max, 1_i64),
        });
    }
}

fn of_pod(review: &Review<'_>, findings: &mut Findings) {
    let Some(labels) = review.template().map(|template| template.root().at("/metadata/labels")) else { return };
    let budgets = Budgets::of_pod(review);
    for object in budgets.compared() {
        let (Some(budget), Some(selector)) = (PodBudget::read(object), object.at("/spec/selector")) else { continue };
        let Some((blocked, is_sure)) = blocks_pod(review, &budget, selector) else { continue };
        // A failover changes the labels of a running Pod. To deny this update would cause an outage.
        let is_denied = is_sure && review.operation() != "UPDATE";
        let severity = if is_denied { Severity::Error } else { Severity::Warning };
        let message = format!("PodDisruptionBudget {}: {}", budget.name, blocked.describe("these Pods", None));
        let help = blocked.help(&Selected::default());
        findings.report(severity, &labels, message, help).related(format!("PodDisruptionBudget/{}", budget.name));
    }
}
