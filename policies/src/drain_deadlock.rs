use plimsoll_sdk::disruption::{Blocked, Change, PodBudget, Selected, Workload};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rounding::Budget;

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
/// It is found whichever object comes last: at the budget, at the workload (or its Scale), or at the autoscaler.
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
/// Where other workloads or autoscalers may exist that are not known, there are none, and findings are warnings, but for
/// budgets that let none of any number go. Where nothing of what it selects is known, only these are judged: it is assumed
/// that they select some Pods, and they are warned of.
#[policy(
    category = "availability", on = LongRunning,
    kinds = ["policy/PodDisruptionBudget", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"],
    subresources = ["scale"], severity = Error, since = "0.1.0",
    requires = [
        "policy/PodDisruptionBudget", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController",
        "argoproj.io/Rollout", "apps/DaemonSet", "batch/Job"
    ],
    refines = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"],
    edits = ["/spec/minAvailable", "/spec/maxUnavailable"]
)]
pub fn drain_deadlock(review: &Review, findings: &mut Findings) {
    if review.is("policy/PodDisruptionBudget") {
        return of_budget(review, findings);
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
        let message = format!("PodDisruptionBudget {}: {}", budget.name, describe(&blocked, &selected));
        let finding = findings.report(severity, &at, message, help(&blocked, &selected));
        finding.related(format!("PodDisruptionBudget/{}", budget.name));
    }
    if !budgets.complete && budgets.nodes().next().is_none() {
        findings.skip("the PodDisruptionBudgets that select its Pods are not known");
    }
}

fn of_budget(review: &Review<'_>, findings: &mut Findings) {
    let Some(budget) = review.object().node().and_then(PodBudget::read) else { return };
    let selector = review.at("spec/selector");
    let selected = Selected::by(review, selector.node());
    let (min, max) = (review.at("spec/minAvailable"), review.at("spec/maxUnavailable"));
    let at = if min.exists() { &min } else { &max };
    if selected.workloads.is_empty() && !selected.complete {
        if !budget.is_closed() || !selector.exists() {
            return findings.skip("the workloads whose Pods it selects are not known");
        }
        findings.assume("a PodDisruptionBudget selects some Pods");
        let message = format!("{} lets none of any number of Pods go, {HARM}", asked(budget.budget));
        findings.warning(at, message, "write maxUnavailable: 1").about(&selector).about(&min).about(&max);
        return;
    }
    let Some(blocked) = budget.blocks(&selected.workloads) else { return };
    let severity = severity(&budget, &selected, findings);
    let finding = findings.report(severity, at, describe(&blocked, &selected), help(&blocked, &selected));
    finding.about(&selector).about(&min).about(&max);
    let is_single = matches!(blocked, Blocked::NoScale(_) | Blocked::All { pods: ..2, .. });
    if !is_single {
        let fix = Fix::changing("let one Pod go at a time");
        finding.fix(match (min.exists(), max.exists()) {
            (true, _) => fix.remove(&min).add(&max, 1_i64),
            (false, true) => fix.replace(&max, 1_i64),
            (false, false) => fix.add(&max, 1_i64),
        });
    }
}

/// An error only where nothing that is not known could change it.
fn severity(budget: &PodBudget, selected: &Selected, findings: &mut Findings) -> Severity {
    if budget.is_closed() || selected.complete && selected.is_scale_known() {
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

fn describe(blocked: &Blocked, selected: &Selected) -> String {
    let who = selected.describe();
    match blocked {
        Blocked::NothingAsked => format!("{}: the controller then lets none of {who} go, {HARM}", asked(None)),
        Blocked::NoScale(workload) => {
            format!("{workload} has no scale, without which only a number in minAvailable can be computed, {HARM}")
        }
        Blocked::All { budget, pods } => {
            let noun = if *pods == 1 { "Pod" } else { "Pods" };
            let (Budget::MinAvailable(count) | Budget::MaxUnavailable(count)) = budget;
            let share = match count {
                IntOrPercent::Percent(share) if share * pods % 100 != 0 => {
                    format!(" rounds up to {}", count.resolve_up(*pods))
                }
                _ => String::new(),
            };
            format!("{} of {pods} {noun} ({who}){share}, {HARM}", asked(Some(*budget)))
        }
    }
}

const HARM: &str = "so none may be evicted, and a drain never ends";

fn asked(budget: Option<Budget>) -> String {
    match budget {
        None => "neither minAvailable nor maxUnavailable".to_owned(),
        Some(Budget::MinAvailable(count)) => format!("minAvailable {count}"),
        Some(Budget::MaxUnavailable(count)) => format!("maxUnavailable {count}"),
    }
}

/// The smallest change that helps.
fn help(blocked: &Blocked, selected: &Selected) -> String {
    let Blocked::All { budget, pods } = blocked else {
        return match blocked {
            Blocked::NoScale(_) => {
                "write minAvailable as a number below that of the Pods, or delete the budget".to_owned()
            }
            _ => "write maxUnavailable: 1".to_owned(),
        };
    };
    let raise = |pods: i64| match selected.workloads.as_slice() {
        [Workload { floor: Some(floor), .. }] => format!("raise {} of {} to {pods}", floor.field, floor.by),
        [_] => format!("run {pods} replicas"),
        _ => format!("run {pods} Pods in all"),
    };
    match (pods, budget.fewest_evictable()) {
        (1, Some(fewest)) => format!("{}, or delete the budget if its Pod may be away for a moment", raise(fewest)),
        (1, None) => {
            format!(
                "{} and write maxUnavailable: 1, or delete the budget if its Pod may be away for a moment",
                raise(2)
            )
        }
        (_, Some(fewest)) => format!("write maxUnavailable: 1, or {}", raise(fewest)),
        (_, None) => "write maxUnavailable: 1".to_owned(),
    }
}
