//! Messages that say why a PodDisruptionBudget allows no eviction, and the smallest change that helps.

use crate::disruption::{Blocked, Selected, Workload};
use crate::int_or_percent::IntOrPercent;
use crate::rounding::Budget;

const HARM: &str = "so none may be evicted, and a drain never ends";

impl Blocked {
    /// `minAvailable 2 of 2 Pods (Deployment web), so none may be evicted, and a drain never ends`. If `end` says how
    /// a drain ends, the message says that instead.
    #[must_use]
    pub fn describe(&self, who: &str, end: Option<&str>) -> String {
        let harm = end.map_or_else(|| HARM.to_owned(), |end| format!("so none may be evicted, but {end}"));
        match self {
            Blocked::NothingAsked => format!("neither minAvailable nor maxUnavailable is set for {who}, {harm}"),
            Blocked::Closed(None) => format!("neither minAvailable nor maxUnavailable is set, {harm}"),
            Blocked::Closed(Some(budget)) => {
                format!("{} keeps all Pods, whatever their number, {harm}", written(*budget))
            }
            Blocked::NoScale(workload) => {
                format!("{workload} has no scale, which every budget needs except a number in minAvailable, {harm}")
            }
            Blocked::NoController => {
                format!("no workload created this Pod, and only a number in minAvailable counts such Pods, {harm}")
            }
            Blocked::Narrow { budget, all, kept, how } => {
                let of = all.map_or(String::new(), |all| format!(" of {}", count(all)));
                format!("{}{of} keeps {kept}, and {how}, {harm}", written(*budget))
            }
            Blocked::All { budget, pods } => {
                let (Budget::MinAvailable(value) | Budget::MaxUnavailable(value)) = budget;
                let share = match value {
                    IntOrPercent::Percent(share) if share.saturating_mul(*pods) % 100 != 0 => {
                        format!(" rounds up to {}", value.resolve_up(*pods))
                    }
                    _ => String::new(),
                };
                format!("{} of {} ({who}){share}, {harm}", written(*budget), count(*pods))
            }
        }
    }

    /// The smallest change that helps.
    #[must_use]
    pub fn help(&self, selected: &Selected) -> String {
        let Blocked::All { budget, pods } = self else {
            return match self {
                Blocked::NoScale(_) => {
                    "set minAvailable to a number that is less than the number of Pods, or delete the budget"
                }
                Blocked::NoController => "let a workload create the Pod, or delete the budget",
                Blocked::Narrow { .. } => {
                    "select the Pods by the labels of the workload's pod template, and write maxUnavailable: 1"
                }
                Blocked::Closed(_) => "write maxUnavailable: 1, or delete the budget",
                _ => "write maxUnavailable: 1",
            }
            .to_owned();
        };
        let raise = |pods: i64| match selected.workloads.as_slice() {
            [Workload { floor: Some(floor), .. }] => format!("raise {} of {} to {pods}", floor.field, floor.by),
            [_] => format!("set replicas to {pods}"),
            _ => format!("run {pods} Pods in all"),
        };
        match (pods, budget.fewest_evictable()) {
            (1, Some(fewest)) => {
                format!("{}, or delete the budget if the Pod may be unavailable for a moment", raise(fewest))
            }
            (1, None) => {
                format!(
                    "{} and write maxUnavailable: 1, or delete the budget if the Pod may be unavailable for a moment",
                    raise(2)
                )
            }
            (_, Some(fewest)) => format!("write maxUnavailable: 1, or {}", raise(fewest)),
            (_, None) => "write maxUnavailable: 1".to_owned(),
        }
    }

    /// Whether `maxUnavailable: 1` in the budget would allow an eviction.
    #[must_use]
    pub fn is_mended_by_one(&self) -> bool {
        matches!(self, Blocked::NothingAsked | Blocked::Closed(_) | Blocked::All { pods: 2.., .. })
    }
}

/// `minAvailable 2`
fn written(budget: Budget) -> String {
    match budget {
        Budget::MinAvailable(value) => format!("minAvailable {value}"),
        Budget::MaxUnavailable(value) => format!("maxUnavailable {value}"),
    }
}

/// `1 Pod` or `2 Pods`
fn count(pods: i64) -> String {
    if pods == 1 { "1 Pod".to_owned() } else { format!("{pods} Pods") }
}
