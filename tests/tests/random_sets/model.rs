//! The expected findings of a set, from the controllers' code alone.

use crate::set::{Amount, Apart, Autoscaler, Container, Metric, Pause, Selects, Set};

/// Maximum ratio of a memory limit to its request.
const MOST_RATIO: i64 = 8;

impl Set {
    /// Minimum and maximum of the Pods that a controller sets; `None` if no controller scales. KEDA can remove all Pods
    /// and start one again, so while there are any, there is at least one. It sets a paused number once, and does not
    /// change the scale otherwise.
    fn scale(&self) -> Option<(i64, i64)> {
        let Autoscaler { least, most, keda, .. } = self.autoscaler?;
        match keda {
            None => Some((least.unwrap_or(1), most?)),
            Some(Pause::At(pods)) => Some((pods, pods)),
            Some(Pause::Paused(_, true)) => None,
            Some(_) => Some((least.unwrap_or(0).max(1), most.unwrap_or(100))),
        }
    }

    /// Number of Pods while the autoscaler has nothing to do.
    fn pods(&self) -> i64 {
        self.scale().map_or_else(|| self.replicas.unwrap_or(1), |(least, _)| least)
    }

    /// `updatePdbStatus` with all Pods healthy.
    fn lets_none_go(&self) -> bool {
        let Some((field, amount)) = self.budget else { return false };
        // `getExpectedScale`: "does not implement the scale subresource". `disruptionsAllowed` stays 0.
        if self.kind == "DaemonSet" {
            return true;
        }
        // If the paused size is unknown, the minimum of the ScaledObject is assumed.
        let expected = match self.autoscaler {
            Some(Autoscaler { least, keda: Some(Pause::Paused(_, true)), .. }) if self.replicas.is_none() => {
                least.unwrap_or(0).max(1)
            }
            _ => self.pods(),
        };
        if expected == 0 {
            // A drain waits for nothing, unless the budget allows no eviction for any number of Pods.
            let none = [("maxUnavailable", Amount::Number(0)), ("minAvailable", Amount::Percent(100))];
            return none.contains(&(field, amount));
        }
        let desired = match field {
            "maxUnavailable" => (expected - amount.scaled(expected, true)).max(0),
            _ => amount.scaled(expected, true),
        };
        expected - desired <= 0
    }

    /// `ResolveFenceposts`, with the API's defaults: the number of unavailable Pods during an update, and whether the
    /// controller raised it to 1.
    fn away(&self) -> (i64, bool) {
        self.away_of(self.pods())
    }

    fn away_of(&self, pods: i64) -> (i64, bool) {
        let default = Amount::Percent(25);
        let surge = self.surge.unwrap_or(default).scaled(pods, true);
        match self.unavailable.unwrap_or(default).scaled(pods, false) {
            0 if surge == 0 => (1, true),
            unavailable => (unavailable, false),
        }
    }

    /// `calculateRequests`, with limits copied to missing requests.
    fn is_not_computable(&self) -> bool {
        let has = |container: &Container, resource| {
            container.requests.contains(resource) || container.limits.contains(resource)
        };
        let Some(Autoscaler { metric, .. }) = self.autoscaler else { return false };
        match metric {
            // `calculatePodLevelRequests`, if the Pod as a whole requests any resource. For other resources the
            // requests of the containers are added.
            Metric::Utilization(resource) if !self.of_pod.is_empty() => {
                !self.of_pod.contains(resource) && !self.containers.iter().any(|one| has(one, resource))
            }
            Metric::Utilization(resource) => self.containers.iter().any(|one| !has(one, resource)),
            Metric::OfContainer(resource, number) => !has(&self.containers[number], resource),
            Metric::AverageValue => false,
        }
    }

    /// Whether Linux nodes are excluded. The scheduler accepts a node that matches one of the terms.
    fn is_windows(&self) -> bool {
        matches!(self.windows, Some("os" | "nodeSelector" | "affinity" | "NotIn"))
    }

    /// `satisfyPodAntiAffinity`: a new Pod goes to no domain with a Pod that the term selects. The old Pods keep their
    /// domains until a new Pod is ready. So an update that takes no Pod down needs a further domain.
    fn needs_more_domains(&self) -> bool {
        let is_own = |apart: &Apart| apart.is_required && matches!(apart.selects, Selects::Own | Selects::All);
        if self.kind != "Deployment" || !self.apart.iter().any(is_own) {
            return false;
        }
        // Applying the manifest sets its size, and the autoscaler continues from there.
        let own = self.replicas.unwrap_or(1);
        let (least, most) = self.scale().unwrap_or((own, own));
        [own.max(least), most].into_iter().any(|pods| pods >= own.max(least) && self.away_of(pods) == (0, false))
    }

    /// Several Pods of one revision, which no term keeps apart.
    fn may_share_a_node(&self) -> bool {
        let is_apart =
            self.apart.iter().any(|it| matches!(it.selects, Selects::Own | Selects::All | Selects::Revision));
        let most = self.replicas.unwrap_or(1).max(self.scale().map_or(0, |(_, most)| most));
        self.kind != "DaemonSet" && !is_apart && most > 1
    }

    /// The expected findings, and the findings that must be absent.
    pub(crate) fn expected(&self) -> Vec<(&'static str, bool)> {
        let is_rolling = self.kind == "Deployment";
        let (away, is_forced) = self.away();
        let leaves_none = is_rolling && self.pods() - away <= 0;
        // The scaling when the ScaledObject is active. A pause changes nothing about it.
        let room = self.autoscaler.map(|Autoscaler { least, most, keda, .. }| match keda {
            None => (least.unwrap_or(1), most.unwrap_or(0)),
            Some(_) => (least.unwrap_or(0), most.unwrap_or(100)),
        });
        vec![
            ("drain-deadlock", self.lets_none_go()),
            ("rollout-rounding-surprise", is_rolling && is_forced && !leaves_none),
            ("rollout-without-spare-node", self.needs_more_domains()),
            ("missing-spread", self.may_share_a_node()),
            ("missing-priority-class", self.priority.is_none()),
            ("excessive-memory-ratio", self.ratio.is_some_and(|(request, limit)| limit > request * MOST_RATIO)),
            ("autoscaler-without-requests", self.is_not_computable()),
            ("autoscaler-without-room", room.is_some_and(|(least, most)| least == most)),
            ("privilege-escalation", !self.is_windows()),
            ("missing-seccomp-profile", !self.is_windows()),
        ]
    }

    /// `rollout-without-capacity`: the severity if no Pod is left.
    pub(crate) fn without_capacity(&self) -> Option<&'static str> {
        let (away, _) = self.away();
        let leaves_none = self.kind == "Deployment" && self.pods() > 0 && self.pods() - away <= 0;
        leaves_none.then_some(match (self.is_served, self.pods()) {
            (false, _) => "info",
            (true, 1) => "warning",
            (true, _) => "error",
        })
    }
}
