//! How controllers turn counts and percentages into Pods. Each controller rounds in its own way.
//!
//! The rules are those of Kubernetes 1.36; each function names its source. Totals are counts of Pods, and not negative.
//! The caller fills in the defaults of the API (such as `25%`).

use crate::int_or_percent::IntOrPercent;

/// How far a rolling update may deviate from the wanted number of Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fenceposts {
    /// Pods beyond the wanted number.
    pub surge: i64,
    /// Wanted Pods that may be down; at most all of them.
    pub unavailable: i64,
    /// Whether both rounded to zero, so that the controller made `unavailable` 1.
    pub forced: bool,
}

impl Fenceposts {
    /// The rolling update of a Deployment: surge rounds up, and unavailable rounds down. If both are zero, one is
    /// unavailable, except with zero replicas (`ResolveFenceposts` and `MaxUnavailable` in
    /// `pkg/controller/deployment/util`).
    #[must_use]
    pub fn of_deployment(replicas: i64, max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Self {
        Self::new(replicas, max_surge.resolve_up(replicas), max_unavailable.resolve_down(replicas))
    }

    /// The rolling update of a DaemonSet on this number of nodes: both round up. If both are zero, one is unavailable
    /// (`updatedDesiredNodeCounts` in `pkg/controller/daemon`).
    #[must_use]
    pub fn of_daemon_set(nodes: i64, max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Self {
        Self::new(nodes, max_surge.resolve_up(nodes), max_unavailable.resolve_up(nodes))
    }

    /// The rolling update of a StatefulSet: unavailable rounds down and is never below one, and there is no surge
    /// (`getStatefulSetMaxUnavailable` in `pkg/controller/statefulset`). The comment of the field says "rounding up",
    /// but the code rounds down. Without the field, or if the feature is off, pass `IntOrPercent::Int(1)`.
    #[must_use]
    pub fn of_stateful_set(replicas: i64, max_unavailable: IntOrPercent) -> Self {
        Self::new(replicas, 0, max_unavailable.resolve_down(replicas))
    }

    /// Pods that stay available throughout the update.
    #[must_use]
    pub fn min_available(self, total: i64) -> i64 {
        total.saturating_sub(self.unavailable).max(0)
    }

    fn new(total: i64, surge: i64, unavailable: i64) -> Self {
        let forced = total > 0 && surge <= 0 && unavailable <= 0;
        let unavailable = if forced { 1 } else { unavailable.clamp(0, total.max(0)) };
        Self { surge: surge.max(0), unavailable, forced }
    }
}

/// The limit that a PodDisruptionBudget sets. The API accepts exactly one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// `spec.minAvailable`.
    MinAvailable(IntOrPercent),
    /// `spec.maxUnavailable`.
    MaxUnavailable(IntOrPercent),
}

impl Budget {
    /// Number of Pods that must stay healthy. `expected` is the sum of the scales of the controllers whose Pods the
    /// budget selects. Percentages round up (`getExpectedPodCount` in `pkg/controller/disruption`).
    #[must_use]
    pub fn desired_healthy(self, expected: i64) -> i64 {
        match self {
            Self::MinAvailable(count) => count.resolve_up(expected),
            Self::MaxUnavailable(count) => expected.saturating_sub(count.resolve_up(expected)).max(0),
        }
    }

    /// Number of Pods that may be evicted while all expected Pods are healthy (`updatePdbStatus`, same package).
    #[must_use]
    pub fn allowed(self, expected: i64) -> i64 {
        if expected <= 0 { 0 } else { expected.saturating_sub(self.desired_healthy(expected)).max(0) }
    }

    /// The smallest number of expected Pods for which the budget allows an eviction. Every greater number allows one
    /// too. `None` if no number does (`minAvailable: 100%`, `maxUnavailable: 0`).
    #[must_use]
    pub fn fewest_evictable(self) -> Option<i64> {
        match self {
            Self::MinAvailable(IntOrPercent::Int(count)) => Some(count.saturating_add(1).max(1)),
            // ⌈p·n / 100⌉ ≤ n - 1 is equivalent to n·(100 - p) ≥ 100.
            Self::MinAvailable(IntOrPercent::Percent(percent @ 0..100)) => {
                let free = 100 - percent;
                Some((100 + free - 1) / free)
            }
            Self::MaxUnavailable(IntOrPercent::Int(1..) | IntOrPercent::Percent(1..)) => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Fenceposts};
    use crate::int_or_percent::IntOrPercent::{self, Int, Percent};

    #[test]
    fn deployments_by_the_table() {
        // replicas, surge, unavailable -> surge, unavailable, forced | available
        for (replicas, surge, unavailable, expected) in [
            (1, Percent(25), Percent(25), (1, 0, false, 1)),
            (2, Percent(25), Percent(25), (1, 0, false, 2)),
            (3, Percent(25), Percent(25), (1, 0, false, 3)),
            (4, Percent(25), Percent(25), (1, 1, false, 3)),
            (5, Percent(25), Percent(25), (2, 1, false, 4)),
            (10, Percent(25), Percent(25), (3, 2, false, 8)),
            (1, Int(0), Percent(25), (0, 1, true, 0)),
            (3, Int(0), Percent(25), (0, 1, true, 2)),
            (1, Int(0), Int(1), (0, 1, false, 0)),
            (1, Int(1), Int(0), (1, 0, false, 1)),
            (1, Percent(1), Percent(100), (1, 1, false, 0)),
            // Not in the table: more than all Pods, and no Pods.
            (2, Int(0), Int(5), (0, 2, false, 0)),
            (0, Percent(25), Percent(25), (0, 0, false, 0)),
        ] {
            let posts = Fenceposts::of_deployment(replicas, surge, unavailable);
            let found = (posts.surge, posts.unavailable, posts.forced, posts.min_available(replicas));
            assert_eq!(found, expected, "{replicas} {surge} {unavailable}");
        }
    }

    #[test]
    fn budgets_by_the_table() {
        use Budget::{MaxUnavailable, MinAvailable};
        for (expected, budget, healthy, allowed) in [
            (1, MinAvailable(Int(1)), 1, 0),
            (1, MinAvailable(Percent(1)), 1, 0),
            (1, MaxUnavailable(Percent(1)), 0, 1),
            (2, MinAvailable(Percent(50)), 1, 1),
            (2, MinAvailable(Percent(51)), 2, 0),
            (3, MinAvailable(Percent(50)), 2, 1),
            (3, MinAvailable(Percent(66)), 2, 1),
            (3, MinAvailable(Percent(67)), 3, 0),
            (3, MaxUnavailable(Percent(1)), 2, 1),
            (3, MaxUnavailable(Percent(0)), 3, 0),
            (7, MinAvailable(Percent(50)), 4, 3),
            (10, MinAvailable(Percent(91)), 10, 0),
            // Beyond the table.
            (2, MinAvailable(Int(5)), 5, 0),
            (2, MaxUnavailable(Int(5)), 0, 2),
            (0, MinAvailable(Int(0)), 0, 0),
        ] {
            assert_eq!(budget.desired_healthy(expected), healthy, "{expected} {budget:?}");
            assert_eq!(budget.allowed(expected), allowed, "{expected} {budget:?}");
        }
    }

    #[test]
    fn daemon_sets_round_up_and_stateful_sets_down() {
        let posts = Fenceposts::of_daemon_set(3, Int(0), Percent(1));
        assert_eq!(posts, Fenceposts { surge: 0, unavailable: 1, forced: false });
        let posts = Fenceposts::of_daemon_set(3, Percent(34), Int(0));
        assert_eq!(posts, Fenceposts { surge: 2, unavailable: 0, forced: false });
        let posts = Fenceposts::of_daemon_set(3, Int(0), Int(0));
        assert_eq!(posts, Fenceposts { surge: 0, unavailable: 1, forced: true });
        let posts = Fenceposts::of_daemon_set(0, Int(0), Int(0));
        assert_eq!(posts, Fenceposts { surge: 0, unavailable: 0, forced: false });
        for (replicas, unavailable, expected) in
            [(3, Percent(34), 1), (3, Percent(10), 1), (10, Percent(25), 2), (5, Int(3), 3)]
        {
            assert_eq!(Fenceposts::of_stateful_set(replicas, unavailable).unavailable, expected);
        }
    }

    #[test]
    fn raising_replicas_does_not_always_help() {
        assert_eq!(Budget::MinAvailable(Percent(91)).fewest_evictable(), Some(12));
        assert_eq!(Budget::MinAvailable(Percent(50)).fewest_evictable(), Some(2));
        assert_eq!(Budget::MinAvailable(Percent(100)).fewest_evictable(), None);
        assert_eq!(Budget::MinAvailable(Int(3)).fewest_evictable(), Some(4));
        assert_eq!(Budget::MaxUnavailable(Percent(0)).fewest_evictable(), None);
    }

    /// An independent model. Pods go down one by one, and shares are compared as cross products, without division.
    mod naive {
        use super::IntOrPercent::{self, Int, Percent};

        /// The largest number of Pods, counted one by one, that does not exceed the share.
        pub(super) fn most(count: IntOrPercent, total: i64) -> i64 {
            match count {
                Int(value) => value,
                Percent(percent) => (0..).take_while(|pods| pods * 100 <= percent * total).last().unwrap(),
            }
        }

        /// The smallest number of Pods that is not below the share.
        pub(super) fn fewest(count: IntOrPercent, total: i64) -> i64 {
            match count {
                Int(value) => value,
                Percent(percent) => (0..).find(|pods| pods * 100 >= percent * total).unwrap(),
            }
        }
    }

    fn counts() -> impl Iterator<Item = IntOrPercent> + Clone {
        (0..=7).map(Int).chain((0..=110).filter(|share| share % 8 < 3 || *share > 88).map(Percent))
    }

    #[test]
    fn updates_agree_with_the_naive_model() {
        for total in (0..=12).chain([33, 100]) {
            for (surge, unavailable) in counts().flat_map(|surge| counts().map(move |unavailable| (surge, unavailable)))
            {
                let check = |posts: Fenceposts, up: i64, down: i64| {
                    let is_stuck = total > 0 && up == 0 && down == 0;
                    let down = if is_stuck { 1 } else { down.min(total) };
                    assert_eq!(posts, Fenceposts { surge: up, unavailable: down, forced: is_stuck });
                    assert_eq!(posts.min_available(total), (0..=total).find(|pods| pods + down >= total).unwrap());
                };
                let (up, down) = (naive::fewest(surge, total), naive::most(unavailable, total));
                check(Fenceposts::of_deployment(total, surge, unavailable), up, down);
                check(Fenceposts::of_daemon_set(total, surge, unavailable), up, naive::fewest(unavailable, total));
                check(Fenceposts::of_stateful_set(total, unavailable), 0, down);
            }
        }
    }

    #[test]
    fn budgets_agree_with_the_naive_model() {
        for count in counts() {
            for budget in [Budget::MinAvailable(count), Budget::MaxUnavailable(count)] {
                let evictable = |total: i64| {
                    let most = naive::fewest(count, total);
                    (0..=total)
                        .filter(|down| match budget {
                            Budget::MinAvailable(Int(value)) => total - down >= value,
                            Budget::MinAvailable(Percent(percent)) => (total - down) * 100 >= percent * total,
                            Budget::MaxUnavailable(_) => *down <= most,
                        })
                        .max()
                        .unwrap_or(0)
                };
                for total in (0..=130).step_by(3).chain(0..=13) {
                    assert_eq!(budget.allowed(total), evictable(total), "{budget:?} of {total}");
                    let is_enough = budget.fewest_evictable().is_some_and(|fewest| total >= fewest);
                    assert_eq!(evictable(total) > 0, is_enough, "{budget:?} of {total}");
                }
            }
        }
    }

    #[test]
    fn absurd_numbers_do_not_overflow() {
        for count in [Int(i64::MAX), Int(i64::MIN), Percent(i64::MAX)] {
            for total in [i64::MAX, 0, -1] {
                let _ = Fenceposts::of_deployment(total, count, count).min_available(total);
                let _ =
                    Budget::MinAvailable(count).allowed(total) + Budget::MaxUnavailable(count).allowed(total).min(0);
                let _ = Budget::MinAvailable(count).fewest_evictable();
            }
        }
    }
}
