//! Severity of a PodDisruptionBudget that allows no eviction.

use plimsoll_sdk::disruption::{PodBudget, Selected, Workload};
use plimsoll_sdk::owners::controller;
use plimsoll_sdk::prelude::*;

/// Severity of the finding. It is an error only if no unknown workload or autoscaler can solve the problem.
pub(crate) fn severity(
    budget: &PodBudget,
    selected: &Selected,
    end: Option<&str>,
    findings: &mut Findings,
) -> Severity {
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

/// How a drain finishes although the budget allows no eviction of these Pods. An operator may block evictions for a
/// while and allow them later. The API group of its kind contains a dot, and no built-in kind creates budgets.
pub(crate) fn end(budget: Node<'_>, selected: &Selected) -> Option<String> {
    let maker = controller(budget).filter(|(kind, _)| kind.group().contains('.'));
    let opened =
        maker.map(|(kind, name)| format!("{} {name} created the budget and may allow evictions later", kind.name()));
    opened.or_else(|| selected.drain_ends().map(str::to_owned))
}

/// Whether replicas or an autoscaler that follow in the same release may add Pods to the single one. Helm and kustomize
/// apply the budget, the workload and the autoscaler in different orders.
pub(crate) fn may_grow(budget: &PodBudget, selected: &Selected) -> bool {
    let is_single = |it: &Workload| it.pods().is_some_and(|pods| pods <= 1);
    !budget.is_closed() && matches!(&selected.workloads[..], [one] if is_single(one))
}
