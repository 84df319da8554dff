use plimsoll_sdk::disruption::{Change, Selected};
use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets over Pods without a readiness probe.
///
/// ## What it finds
/// `warning`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout whose Pods a PodDisruptionBudget
/// selects, if none of its app containers and native sidecars has a readinessProbe. The policy reports it at the object
/// that is applied last. `plimsoll check` reports it once for a set, at the workload.
///
/// `missing-readiness-probe` checks whether each container has a probe of its own.
///
/// ## Why
/// A budget counts Pods that are ready. Without a readiness probe, a Pod is ready as soon as its containers have
/// started, even if it cannot answer yet. A drain moves one Pod after the other and waits until the new Pod is ready.
/// Without a probe there is nothing to wait for. The drain evicts the last old Pod while none of the new Pods serves
/// requests.
///
/// ## What to write
/// A probe that checks whether the container can serve requests:
///
/// ```yaml
/// readinessProbe:
///   httpGet: {path: /health/ready, port: http}
/// ```
#[policy(
    on = Kinds,
    kinds = [Scalable, "policy/PodDisruptionBudget"],
    severity = Warning, since = "0.1.0",
    requires = [Scalable, "policy/PodDisruptionBudget"],
    refines = [Autoscalers, "apps/DaemonSet", "batch/Job"],
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = ["avail-pdb-no-readiness"]
)]
pub fn disruption_budget_without_readiness(review: &Review, findings: &mut Findings) {
    if review.is(Kind::POD_DISRUPTION_BUDGET) {
        return of_budget(review, findings);
    }
    let Some(template) = review.template().filter(|template| !template.has_readiness_probe()) else { return };
    let mut running = template.containers().iter().filter(|container| container.class().runs_on());
    let (Some(container), Change::Of(workload, _)) = (running.next(), Change::of(review)) else { return };
    let budgets = workload.budgets(review);
    match budgets.names().first() {
        Some(name) => {
            let message = format!("no container has a readinessProbe, and PodDisruptionBudget {name} {HARM}");
            findings.warning(&container.at("/readinessProbe"), message, HELP);
        }
        None if !budgets.complete => findings.skip("not all PodDisruptionBudgets that select these Pods are known"),
        None => {}
    }
}

const HARM: &str = "counts ready Pods: a new Pod counts before it can serve requests";
const HELP: &str = "add a readinessProbe that checks whether the container can serve requests";

fn of_budget(review: &Review<'_>, findings: &mut Findings) {
    let selector = review.at("/spec/selector");
    let selected = Selected::by(review, selector.node());
    let mut is_found = false;
    for workload in &selected.workloads {
        if !SCALABLE.contains(&workload.kind.get()) {
            continue;
        }
        if workload.template(review).is_some_and(|template| !template.has_readiness_probe()) {
            let message =
                format!("no container of {} has a readinessProbe, and the budget {HARM}", workload.describe());
            let finding = findings.warning(&selector, message, HELP);
            finding.related(workload.describe().replace(' ', "/"));
            is_found = true;
        }
    }
    if !is_found && !selected.complete {
        findings.skip("not all workloads that the budget selects are known");
    }
}
