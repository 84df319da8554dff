//! Findings about `maxUnavailable` in the rolling update of a StatefulSet, for versions of Kubernetes that obey it.

use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{StatefulUpdate, is_served};

/// The assumption of the findings if the patch release is unknown.
const ON: &str = "the feature MaxUnavailableStatefulSet is on, as in 1.35.0 to 1.35.3";

/// A StatefulSet's update, and the sizes at which it is judged.
struct Sizes<'a> {
    update: StatefulUpdate<'a>,
    /// The autoscaler's minimum, and `replicas` if that is more.
    pods: Vec<i64>,
    /// Whether no unknown autoscaler can exist.
    is_known: bool,
}

/// An update that takes every Pod down at once.
pub(crate) fn none_left(review: &Review<'_>, findings: &mut Findings) {
    let Some(Sizes { update, pods, is_known }) = sizes(review) else { return };
    // A value that takes down all of many Pods also takes down all of fewer Pods.
    let Some(pods) = pods.first().copied() else { return };
    let taken = update.taken(pods);
    if taken < pods {
        return;
    }
    let max_unavailable = update.max_unavailable;
    let message = format!("{pods} Pods, maxUnavailable {max_unavailable}: an update takes {taken} down, leaving 0");
    let (severity, message) = match is_served(review) {
        Knowledge::No => (Severity::Info, format!("{message}; no Service selects these Pods")),
        Knowledge::Yes if update.is_certain && is_known => (Severity::Error, message),
        Knowledge::Yes => (Severity::Warning, message),
        Knowledge::Unknown => {
            findings.assume("some Service selects these Pods");
            (Severity::Warning, message)
        }
    };
    report(review, (&update, is_known), severity, message, findings);
}

/// An update that leaves some Pods, but less than this percentage of them.
pub(crate) fn few_left(review: &Review<'_>, available: i64, findings: &mut Findings) {
    let Some(Sizes { update, pods, is_known }) = sizes(review) else { return };
    // Every update takes at least one Pod at a time.
    let is_too_few = |pods: &i64| {
        let taken = update.taken(*pods);
        let left = pods.saturating_sub(taken);
        taken >= 2 && left > 0 && left.saturating_mul(100) < available.saturating_mul(*pods)
    };
    let Some(pods) = pods.into_iter().find(is_too_few) else { return };
    let taken = update.taken(pods);
    let message = format!(
        "{pods} Pods, maxUnavailable {}: an update takes {taken} down, leaving {}, less than {available}%",
        update.max_unavailable,
        pods.saturating_sub(taken)
    );
    report(review, (&update, is_known), Severity::Warning, message, findings);
}

fn sizes<'a>(review: &Review<'a>) -> Option<Sizes<'a>> {
    // Most StatefulSets have no `maxUnavailable`, and need no request to the host.
    let update = StatefulUpdate::of(review)?;
    let replicas_at = review.at("/spec/replicas");
    let replicas = if replicas_at.is_absent() { 1 } else { replicas_at.as_i64()? };
    let (bounds, complete) = bounds(review, Kind::STATEFUL_SET, review.name());
    let least = bounds.iter().map(|bounds| bounds.least.max(1)).min();
    let more = Some(replicas).filter(|replicas| least.is_none_or(|least| *replicas > least));
    let pods: Vec<i64> = least.into_iter().chain(more).filter(|pods| *pods >= 2).collect();
    Some(Sizes { update, pods, is_known: complete || least.is_some() })
}

fn report(
    review: &Review<'_>,
    (update, is_known): (&StatefulUpdate<'_>, bool),
    severity: Severity,
    message: String,
    findings: &mut Findings,
) {
    if !update.is_certain {
        findings.assume(ON);
    }
    if !is_known {
        findings.assume("no autoscaler scales this workload");
    }
    let fix = Fix::changing("Set maxUnavailable to 1").replace(&update.at, 1_i64);
    let finding = findings.report(severity, &update.at, message, "write maxUnavailable: 1");
    finding.fix(fix).about(&review.at("/spec/replicas"));
}
