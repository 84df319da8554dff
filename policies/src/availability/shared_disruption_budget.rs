use plimsoll_sdk::disruption::{Selected, Workload};
use plimsoll_sdk::flat::Kind as Json;
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets that count the Pods of several workloads together.
///
/// ## What it finds
/// - `warning`: a PodDisruptionBudget that selects the Pods of more than one workload, such as blue and green, or
///   stable and canary.
/// - `error`: a PodDisruptionBudget with an empty selector, `{}`, which selects every Pod of the namespace.
///
/// The policy reports the problem at the object that is applied last: the budget, or the workload at its Pod labels.
/// `plimsoll check` reports it once for a set.
///
/// ## Why
/// The budget counts the healthy Pods of all these workloads together. If green has five healthy Pods that are idle, a
/// drain may evict all five Pods of blue, which serve requests. Moreover, the API server never evicts a Pod that a
/// second budget selects too. With an empty selector, this applies to every Pod that has a budget of its own.
///
/// ## What to write
/// One budget for each workload, with its selector:
///
/// ```yaml
/// spec:
///   selector:
///     matchLabels: {app: shop, colour: blue}
/// ```
///
/// ## Assumptions
/// If not all workloads are known, the policy assumes that there are no others.
///
/// ## Order
/// A HorizontalPodAutoscaler or a ScaledObject changes the number of Pods, but never which Pods a budget selects.
#[policy(
    on = LongRunning, kinds = ["policy/PodDisruptionBudget", "batch/Job"], severity = Error,
    since = "0.1.0",
    refines = [LongRunning, Autoscalers, "batch/Job", "policy/PodDisruptionBudget"],
    default = Warn,
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = ["avail-pdb-selector-empty", "avail-pdb-multi-workload"]
)]
pub fn shared_disruption_budget(review: &Review, findings: &mut Findings) {
    if last::budgets(review, findings, shared_disruption_budget) {
        return;
    }
    let selector = review.at("/spec/selector");
    let Some(node) = selector.node().filter(|node| node.kind() == Json::Object) else { return };
    let help = "write one budget for each workload, with the selector of that workload";
    let has = |part: &'static str| selector.key(part).has_content();
    if !has("matchLabels") && !has("matchExpressions") {
        findings.error(&selector, "spec.selector is empty: the budget selects every Pod of the namespace", help);
        return;
    }
    let selected = Selected::by(review, Some(node));
    // No selector can tell an Argo Rollout from the workload that it takes its template from.
    let referring: Vec<_> = selected.workloads.iter().filter(|workload| workload.kind == Kind::ROLLOUT).collect();
    let stands_alone = |workload: &&Workload| !referring.iter().any(|rollout| rollout.takes_template_of(workload));
    // A colour or a canary at 0 has no Pods that count.
    let has_pods = |workload: &&Workload| workload.pods() != Some(0);
    let workloads: Vec<_> = selected.workloads.iter().filter(stands_alone).filter(has_pods).collect();
    if workloads.len() > 1 {
        let names: Vec<String> = workloads.iter().take(3).map(|workload| workload.describe()).collect();
        let more = workloads.len() - names.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let message = format!(
            "the budget counts the Pods of {}{more} together: while the Pods of one are healthy, all Pods of another may be evicted",
            names.join(", ")
        );
        findings.warning(&selector, message, help);
    } else if !selected.complete {
        findings.assume("a PodDisruptionBudget selects no Pods of further workloads");
    }
}
