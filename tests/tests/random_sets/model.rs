//! What is to be found of a set, from the controllers' code alone.

use crate::set::{Amount, Apart, Autoscaler, Container, Metric, Pause, Selects, Set};

/// How many times its memory request a limit may be.
const MOST_RATIO: i64 = 8;

impl Set {
    /// Fewest and most Pods that something else than the author decides on; none where nothing scales. KEDA takes all Pods
    /// away, and starts one again: while there are any there is at least one. It sets a paused number once, and else leaves
    /// the scale alone.
    fn scale(&self) -> Option<(i64, i64)> {
        let Autoscaler { least, most, keda, .. } = self.autoscaler?;
        match keda {
            None => Some((least.unwrap_or(1), most?)),
            Some(Pause::At(pods)) => Some((pods, pods)),
            Some(Pause::Paused(_, true)) => None,
            Some(_) => Some((least.unwrap_or(0).max(1), most.unwrap_or(100))),
        }
    }

    /// How many Pods there are when the autoscaler has nothing to do.
    fn pods(&self) -> i64 {
        self.scale().map_or_else(|| self.replicas.unwrap_or(1), |(least, _)| least)
    }

    /// `updatePdbStatus` with all Pods healthy.
    fn lets_none_go(&self) -> bool {
        let Some((field, amount)) = self.budget else { return false };
        // `getExpectedScale`: "does not implement the scale subresource", and the disruptions allowed stay 0.
        if self.kind == "DaemonSet" {
            return true;
        }
        // What was paused at a size that no file says had its minimum at least.
        let expected = match self.autoscaler {
            Some(Autoscaler { least, keda: Some(Pause::Paused(_, true)), .. }) if self.replicas.is_none() => {
                least.unwrap_or(0).max(1)
            }
            _ => self.pods(),
        };
        if expected == 0 {
            // There is nothing that a drain would wait for, unless no number of Pods lets one go.
            let none = [("maxUnavailable", Amount::Number(0)), ("minAvailable", Amount::Percent(100))];
            return none.contains(&(field, amount));
        }
        let desired = match field {
            "maxUnavailable" => (expected - amount.scaled(expected, true)).max(0),
            _ => amount.scaled(expected, true),
        };
        expected - desired <= 0
    }

    /// `ResolveFenceposts`, with the API's defaults: how many Pods are away in an update, and whether the controller
    /// insists on one.
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

    /// `calculateRequests`, after a limit has become a request where there is none.
    fn is_not_computable(&self) -> bool {
        let has = |container: &Container, resource| {
            container.requests.contains(resource) || container.limits.contains(resource)
        };
        let Some(Autoscaler { metric, .. }) = self.autoscaler else { return false };
        match metric {
            // `calculatePodLevelRequests`, where the Pod as a whole requests anything: what containers request is added up
            // for what it does not request.
            Metric::Utilization(resource) if !self.of_pod.is_empty() => {
                !self.of_pod.contains(resource) && !self.containers.iter().any(|one| has(one, resource))
            }
            Metric::Utilization(resource) => self.containers.iter().any(|one| !has(one, resource)),
            Metric::OfContainer(resource, number) => !has(&self.containers[number], resource),
            Metric::AverageValue => false,
        }
    }

    /// Whether nodes of Linux are out of the question: the scheduler takes a node that one of the terms takes.
    fn is_windows(&self) -> bool {
        matches!(self.windows, Some("os" | "nodeSelector" | "affinity" | "NotIn"))
    }

    /// `satisfyPodAntiAffinity`: a new Pod goes to no domain that holds a Pod which the term selects. The old Pods hold theirs
    /// until a new one is ready, so an update that takes none of them down needs a further domain.
    fn needs_more_domains(&self) -> bool {
        let is_own = |apart: &Apart| apart.is_required && matches!(apart.selects, Selects::Own | Selects::All);
        if self.kind != "Deployment" || !self.apart.iter().any(is_own) {
            return false;
        }
        // Whoever applies the manifest sets its size, and the autoscaler goes on from there.
        let own = self.replicas.unwrap_or(1);
        let (least, most) = self.scale().unwrap_or((own, own));
        [own.max(least), most].into_iter().any(|pods| pods >= own.max(least) && self.away_of(pods) == (0, false))
    }

    /// Several Pods of which no term keeps one away from another, of the same revision.
    fn may_share_a_node(&self) -> bool {
        let is_apart =
            self.apart.iter().any(|it| matches!(it.selects, Selects::Own | Selects::All | Selects::Revision));
        let most = self.replicas.unwrap_or(1).max(self.scale().map_or(0, |(_, most)| most));
        self.kind != "DaemonSet" && !is_apart && most > 1
    }

    /// What is to be found, and what is not.
    pub(crate) fn expected(&self) -> Vec<(&'static str, bool)> {
        let is_rolling = self.kind == "Deployment";
        let (away, is_forced) = self.away();
        let leaves_none = is_rolling && self.pods() - away <= 0;
        // What it says when it runs: a pause changes nothing about that.
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

    /// `rollout-without-capacity`: how bad, if no Pod is left.
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
