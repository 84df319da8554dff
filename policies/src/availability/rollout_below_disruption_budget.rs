use plimsoll_sdk::disruption::{Change, PodBudget, Selected, Workload};
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{ROLLING, Rollout};
use plimsoll_sdk::rounding::Budget;

/// Rolling updates that take down more Pods than the PodDisruptionBudget allows.
///
/// ## What it finds
/// `info`: a Deployment, or an Argo Rollout with a canary whose traffic is not routed. Its rolling update may leave
/// fewer Pods than the PodDisruptionBudget that selects them requires. The policy computes both as their controllers
/// do: `maxUnavailable` of the update is rounded down, and percentages of the budget are rounded up. If a
/// HorizontalPodAutoscaler or a ScaledObject scales the workload, its minimum counts, and also `replicas` if that is
/// more.
///
/// The policy reports the problem at the object that is applied last. `plimsoll check` reports it once for a set, at
/// the workload. `drain-deadlock` reports a budget that allows no eviction at all. If a workload has several budgets,
/// the policy checks the first two by name.
///
/// ## Why
/// An update ignores budgets, so it takes down Pods that the budget is meant to keep. During the update, the budget
/// allows no eviction. A node upgrade then waits for the update, and it waits as long as a bad update hangs.
///
/// ## What to write
/// An update that takes down no Pod, or no more Pods than the budget allows:
///
/// ```yaml
/// strategy:
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// ## Assumptions
/// If other workloads may exist, the policy assumes that the budget selects none of them.
#[policy(
    on = Kinds,
    kinds = [Rolling, Autoscalers, "policy/PodDisruptionBudget"],
    severity = Info, since = "0.1.0",
    requires = [Rolling, "policy/PodDisruptionBudget"],
    refines = [Autoscalers, "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "apps/DaemonSet", "batch/Job"],
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = ["avail-pdb-vs-rollout"]
)]
pub fn rollout_below_disruption_budget(review: &Review, findings: &mut Findings) {
    if review.is(Kind::POD_DISRUPTION_BUDGET) {
        return of_budget(review, findings);
    }
    if last::workloads(review, findings, &ROLLING, rollout_below_disruption_budget) {
        return;
    }
    let Some(rollout) = Rollout::of(review).filter(|rollout| !rollout.is_stuck()) else { return };
    let Change::Of(workload, _) = Change::of(review) else { return };
    let budgets = workload.budgets(review);
    for object in budgets.compared() {
        let Some(PodBudget { name, budget: Some(budget) }) = PodBudget::read(object) else { continue };
        let selected = Selected::by(review, object.at("/spec/selector"));
        let Some(short) = Short::of(&rollout, &workload, pods(&selected), budget) else { continue };
        if !selected.complete {
            findings.assume("a PodDisruptionBudget selects no Pods of further workloads");
        }
        let message = format!("{}, but PodDisruptionBudget {name} requires {}: {HARM}", short.describe(), short.kept);
        let finding = findings.info(&rollout.max_unavailable_at, message, short.help());
        finding.about(&rollout.replicas_at).about(&rollout.max_surge_at);
    }
    if !budgets.complete && budgets.nodes().next().is_none() {
        findings.skip("the PodDisruptionBudgets that select these Pods are not known");
    }
}

const HARM: &str = "during the update no Pod can be evicted";

fn of_budget(review: &Review<'_>, findings: &mut Findings) {
    let Some(budget) = review.object().node().and_then(PodBudget::read).and_then(|budget| budget.budget) else {
        return;
    };
    let selected = Selected::by(review, review.at("/spec/selector").node());
    let mut is_found = false;
    let all = pods(&selected);
    for workload in &selected.workloads {
        let object = workload.object(review).map(Cursor::of);
        let rollout = object.and_then(|object| Rollout::read(workload.kind.get(), &object));
        let Some(rollout) = rollout.filter(|rollout| !rollout.is_stuck()) else { continue };
        let Some(short) = Short::of(&rollout, workload, all, budget) else { continue };
        is_found = true;
        let at = match budget {
            Budget::MinAvailable(_) => review.at("/spec/minAvailable"),
            Budget::MaxUnavailable(_) => review.at("/spec/maxUnavailable"),
        };
        let message =
            format!("{} of {}, but the budget requires {}: {HARM}", short.describe(), workload.describe(), short.kept);
        let help = format!(
            "write rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}} in the strategy of the workload, or a maxUnavailable \
             of at most {}",
            short.free
        );
        findings.info(&at, message, help).related(workload.describe().replace(' ', "/"));
    }
    if !is_found && !selected.complete {
        findings.skip("not all workloads that the budget selects are known");
    }
}

/// Number of Pods that a budget selects. `None` if one of the workloads has no scale.
fn pods(selected: &Selected) -> Option<i64> {
    selected.workloads.iter().try_fold(0_i64, |sum, workload| Some(sum.saturating_add(workload.pods()?)))
}

/// An update that leaves too few Pods.
struct Short {
    pods: i64,
    taken: i64,
    /// Number of Pods that must stay, of all Pods that the budget selects.
    kept: i64,
    /// Number of Pods that the budget allows to evict.
    free: i64,
}

impl Short {
    /// The update at the smallest size that leaves too few Pods: the minimum, or `replicas` if that is more.
    fn of(rollout: &Rollout<'_>, workload: &Workload, all: Option<i64>, budget: Budget) -> Option<Self> {
        let all = all?;
        let least = workload.pods()?;
        let mut sizes = vec![least];
        sizes.extend(workload.replicas.filter(|replicas| *replicas > least));
        sizes.into_iter().find_map(|pods| {
            let all = all.saturating_sub(least).saturating_add(pods);
            let (taken, free) = (rollout.fenceposts(pods).unavailable, budget.allowed(all));
            (free > 0 && taken > free).then(|| Self { pods, taken, kept: budget.desired_healthy(all), free })
        })
    }

    fn describe(&self) -> String {
        format!("an update may stop {} of {} Pods", self.taken, self.pods)
    }

    fn help(&self) -> String {
        format!("write maxUnavailable: 0 and maxSurge: 1, or a maxUnavailable of at most {}", self.free)
    }
}
