//! Why a PodDisruptionBudget lets no Pod go, as a message says it, and the smallest change that helps.

use crate::disruption::{Blocked, Selected, Workload};
use crate::int_or_percent::IntOrPercent;
use crate::rounding::Budget;

const HARM: &str = "so none may be evicted, and a drain never ends";

impl Blocked {
    /// `minAvailable 2 of 2 Pods (Deployment web), so none may be evicted, and a drain never ends`; or how it ends.
    #[must_use]
    pub fn describe(&self, who: &str, end: Option<&str>) -> String {
        let harm = end.map_or_else(|| HARM.to_owned(), |end| format!("so none may be evicted, but {end}"));
        match self {
            Blocked::NothingAsked => format!("{}: the controller then keeps all of {who}, {harm}", asked(None)),
            Blocked::Closed(None) => format!("neither minAvailable nor maxUnavailable is written, {harm}"),
            Blocked::Closed(budget) => format!("{} keeps all Pods, however many there are, {harm}", asked(*budget)),
            Blocked::NoScale(workload) => {
                format!("{workload} has no scale, and only a number in minAvailable counts Pods without one, {harm}")
            }
            Blocked::NoController => format!(
                "no workload made this Pod, and of such Pods only a number in minAvailable can be computed, {harm}"
            ),
            Blocked::Narrow { budget, all, kept, how } => {
                let of = all.map_or(String::new(), |all| format!(" of {all}"));
                format!("{}{of} keeps {kept}, and {how}, {harm}", asked(Some(*budget)))
            }
            Blocked::All { budget, pods } => {
                let noun = if *pods == 1 { "Pod" } else { "Pods" };
                let (Budget::MinAvailable(count) | Budget::MaxUnavailable(count)) = budget;
                let share = match count {
                    IntOrPercent::Percent(share) if share.saturating_mul(*pods) % 100 != 0 => {
                        format!(" rounds up to {}", count.resolve_up(*pods))
                    }
                    _ => String::new(),
                };
                format!("{} of {pods} {noun} ({who}){share}, {harm}", asked(Some(*budget)))
            }
        }
    }

    /// The smallest change that helps.
    #[must_use]
    pub fn help(&self, selected: &Selected) -> String {
        let Blocked::All { budget, pods } = self else {
            return match self {
                Blocked::NoScale(_) => {
                    "write a number of Pods into minAvailable, fewer than there are, or delete the budget"
                }
                Blocked::NoController => "run the Pod as a workload, or delete the budget",
                Blocked::Narrow { .. } => {
                    "select the Pods by the labels of their workload, and write maxUnavailable: 1"
                }
                Blocked::Closed(_) => "write maxUnavailable: 1, or delete the budget",
                _ => "write maxUnavailable: 1",
            }
            .to_owned();
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

    /// Whether another number in the budget would let a Pod go.
    #[must_use]
    pub fn is_mended_by_one(&self) -> bool {
        matches!(self, Blocked::NothingAsked | Blocked::Closed(_) | Blocked::All { pods: 2.., .. })
    }
}

/// `minAvailable 2`
fn asked(budget: Option<Budget>) -> String {
    match budget {
        None => "neither minAvailable nor maxUnavailable".to_owned(),
        Some(Budget::MinAvailable(count)) => format!("minAvailable {count}"),
        Some(Budget::MaxUnavailable(count)) => format!("maxUnavailable {count}"),
    }
}
