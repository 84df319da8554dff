//! How a workload replaces its Pods, with the API server's defaults and each controller's rounding.

use crate::cursor::Cursor;
use crate::int_or_percent::IntOrPercent;
use crate::review::Review;
use crate::workload::{Class, Probe};

/// The rollout parameters of a Deployment or an Argo Rollout (the same fields with the same defaults).
#[derive(Clone, Debug)]
pub struct Rollout<'a> {
    /// Pods asked for; 1 if unset.
    pub replicas: i64,
    /// `spec.replicas` as a place.
    pub replicas_at: Cursor<'a>,
    /// `maxSurge`; 25 % if unset.
    pub max_surge: IntOrPercent,
    /// Its place.
    pub max_surge_at: Cursor<'a>,
    /// `maxUnavailable`; 25 % if unset.
    pub max_unavailable: IntOrPercent,
    /// Its place.
    pub max_unavailable_at: Cursor<'a>,
}

impl<'a> Rollout<'a> {
    /// The parameters of a rolling update; none for another kind, for another strategy, or where a value is not one
    /// that the API server accepts.
    pub fn of(review: &Review<'a>) -> Option<Self> {
        let strategy = if review.is("apps/Deployment") {
            let strategy = review.at("spec/strategy");
            (strategy.at("type").as_str().unwrap_or("RollingUpdate") == "RollingUpdate").then(|| strategy.at("rollingUpdate"))?
        } else if review.is("argoproj.io/Rollout") {
            let canary = review.at("spec/strategy/canary");
            canary.exists().then_some(canary)?
        } else {
            return None;
        };
        let value = |cursor: &Cursor<'_>| match cursor.node() {
            None => Some(IntOrPercent::Percent(25)),
            Some(node) => IntOrPercent::from_node(node),
        };
        let replicas_at = review.at("spec/replicas");
        let max_surge_at = strategy.at("maxSurge");
        let max_unavailable_at = strategy.at("maxUnavailable");
        Some(Self {
            replicas: replicas_at.as_i64().unwrap_or(1),
            max_surge: value(&max_surge_at)?,
            max_unavailable: value(&max_unavailable_at)?,
            replicas_at,
            max_surge_at,
            max_unavailable_at,
        })
    }
}

/// Seconds that a Pod may take until it is ready, by its probes: the longest over its containers of
/// startup window (initialDelay + failureThreshold × period), else readiness initialDelay + period × successThreshold.
pub fn time_to_ready<'r, 'a>(review: &'r Review<'a>) -> Option<(i64, Probe<'a>, &'r crate::workload::Container<'a>)> {
    review
        .containers()
        .iter()
        .filter(|container| matches!(container.class(), Class::App | Class::Sidecar))
        .filter_map(|container| {
            if let Some(startup) = container.probe("startupProbe") {
                let window = startup.failure_threshold().saturating_mul(startup.period());
                return Some((startup.initial_delay().saturating_add(window), startup, container));
            }
            let readiness = container.probe("readinessProbe")?;
            let window = readiness.period().saturating_mul(readiness.success_threshold());
            Some((readiness.initial_delay().saturating_add(window), readiness, container))
        })
        .max_by_key(|(seconds, ..)| *seconds)
}
