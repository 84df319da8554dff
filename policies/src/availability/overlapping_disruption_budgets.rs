use std::collections::BTreeSet;

use plimsoll_sdk::budgets::Budgets;
use plimsoll_sdk::disruption::{Change, Selected, Workload};
use plimsoll_sdk::prelude::*;

/// Pods that two PodDisruptionBudgets select.
///
/// ## What it finds
/// `error`, and for a DaemonSet `warning`: a workload whose Pods, by their labels, are selected by more than one
/// PodDisruptionBudget. The policy reports the problem at the object that is applied last:
///
/// - at the selector of a budget;
/// - at the Pod labels of the workload;
/// - at the labels of a Pod, which may have more labels than its workload's template.
///
/// `plimsoll check` reports it once for a set.
///
/// `plimsoll serve --write-budgets` writes stand-in budgets, with the label `plimsoll.dev/stand-in`. A stand-in does
/// not count if another budget selects the same Pods, because the server then deletes the stand-in. The label alone
/// does not make a budget a stand-in. The budget must also have `maxUnavailable: 1`, and the name and the selector of a
/// workload that owns it.
///
/// ## Why
/// The API server evicts no Pod that has two budgets. It answers with status 500: "This pod has more than one
/// PodDisruptionBudget, which the eviction subresource does not support." `kubectl drain` fails at the first such Pod,
/// whatever the budgets allow. A drain does not evict Pods of DaemonSets: it leaves them on the node
/// (`--ignore-daemonsets`).
///
/// ## What to write
/// One budget for each workload, with the workload's own selector. Often one of the two budgets is a leftover. Or it
/// selects a label that all workloads of an application share.
///
/// ## Order
/// A HorizontalPodAutoscaler or a ScaledObject changes the number of Pods, but never which Pods a budget selects.
#[policy(
    on = LongRunning, kinds = ["policy/PodDisruptionBudget", "batch/Job", "/Pod"],
    severity = Error, since = "0.1.0",
    requires = [LongRunning, "policy/PodDisruptionBudget", "batch/Job"],
    refines = [Autoscalers],
    default = Warn,
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = ["avail-pdb-overlap"]
)]
pub fn overlapping_disruption_budgets(review: &Review, findings: &mut Findings) {
    if review.is(Kind::POD_DISRUPTION_BUDGET) {
        return of_budget(review, findings);
    }
    let (budgets, (harm, severity)) = match Change::of(review) {
        Change::Of(workload, _) => (workload.budgets(review), harm(workload.kind.get())),
        _ if review.is(Kind::POD) => (Budgets::of_pod(review), harm(Kind::POD)),
        _ => return,
    };
    let names = budgets.names();
    if names.len() > 1 {
        let message = format!("PodDisruptionBudgets {} all select these Pods: {harm}", list(&names));
        let labels = review.template().map(|template| template.root().at("/metadata/labels"));
        let finding = findings.report(severity, &labels.unwrap_or_else(|| review.at("/spec")), message, HELP);
        finding.related(format!("PodDisruptionBudget/{}", names[0]));
    } else if !budgets.complete {
        findings.skip("not all PodDisruptionBudgets that select these Pods are known");
    }
}

/// Maximum number of selected workloads whose other budgets the policy requests, and maximum size of these budgets in
/// bytes. If no other budget is found within these limits, the policy treats the rest as unknown.
const MAX_WORKLOADS: usize = 32;
const MAX_READ: usize = 512 << 10;

/// Effect of the overlap and its severity. It is lower for DaemonSets, because a drain does not evict their Pods.
fn harm(kind: Kind<'_>) -> (&'static str, Severity) {
    match kind {
        Kind::DAEMON_SET => (
            "the API server rejects each eviction (status 500); kubectl drain --ignore-daemonsets leaves them on the node",
            Severity::Warning,
        ),
        _ => ("the API server rejects each eviction (status 500), so kubectl drain fails", Severity::Error),
    }
}

const HELP: &str = "keep one budget for these Pods, with the selector of their workload";

fn of_budget(review: &Review<'_>, findings: &mut Findings) {
    let own = review.name();
    let selector = review.at("/spec/selector");
    let selected = Selected::by(review, selector.node());
    let mut is_known = selected.complete;
    let mut said: BTreeSet<String> = BTreeSet::new();
    let mut read = 0;
    // If two budgets share several workloads, report the one with the higher severity.
    let mut workloads: Vec<&Workload> = selected.workloads.iter().collect();
    workloads.sort_by_key(|workload| workload.kind == Kind::DAEMON_SET);
    for (number, workload) in workloads.into_iter().enumerate() {
        if number == MAX_WORKLOADS || read > MAX_READ {
            is_known = false;
            break;
        }
        let budgets = workload.budgets(review);
        read += budgets.size();
        is_known &= budgets.complete;
        let others: Vec<&str> = budgets.names().into_iter().filter(|name| *name != own).collect();
        // Report each pair of budgets once, however many workloads they share.
        let is_said = others.iter().all(|other| said.contains(*other));
        let Some(other) = others.first().filter(|_| !is_said) else { continue };
        let (harm, severity) = harm(workload.kind.get());
        let message = format!("the Pods of {} are selected by {} too: {harm}", workload.describe(), list(&others));
        let finding = findings.report(severity, &selector, message, HELP);
        // The first of two budgets, by name, has the finding. The second one names the first as related.
        if *other < own {
            finding.related(format!("PodDisruptionBudget/{other}"));
        }
        said.extend(others.into_iter().map(str::to_owned));
    }
    if said.is_empty() && !is_known {
        findings.skip("not all other budgets, or not all workloads that this budget selects, are known");
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [one] => format!("PodDisruptionBudget {one}"),
        [first, second, third, more @ ..] if !more.is_empty() => {
            format!("{first}, {second}, {third} and {} more", more.len())
        }
        names => names.join(", "),
    }
}
