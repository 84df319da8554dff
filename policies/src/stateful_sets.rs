//! What policies say of the rolling update of a StatefulSet: `maxUnavailable`, where Kubernetes obeys it.

use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{StatefulUpdate, is_served};

/// What the findings assume where the patch release is not known.
const ON: &str = "the feature MaxUnavailableStatefulSet is on, as in 1.35.0 to 1.35.3";

/// An update that takes every Pod down at once.
pub(crate) fn none_left(review: &Review<'_>, findings: &mut Findings) {
    let Some((update, pods)) = update(review) else { return };
    let taken = update.taken(pods);
    if taken < pods {
        return;
    }
    let max_unavailable = update.max_unavailable;
    let message = format!("{pods} Pods, maxUnavailable {max_unavailable}: an update takes {taken} down, leaving 0");
    let (severity, message) = match is_served(review) {
        Knowledge::No => (Severity::Info, format!("{message}; no Service selects these Pods")),
        Knowledge::Yes if update.is_certain => (Severity::Error, message),
        Knowledge::Yes => (Severity::Warning, message),
        Knowledge::Unknown => {
            findings.assume("some Service selects these Pods");
            (Severity::Warning, message)
        }
    };
    report(review, &update, severity, message, findings);
}

/// An update that leaves some Pods, and less than this share of them.
pub(crate) fn few_left(review: &Review<'_>, available: i64, findings: &mut Findings) {
    let Some((update, pods)) = update(review) else { return };
    let taken = update.taken(pods);
    let left = pods.saturating_sub(taken);
    // One Pod at a time is what every update takes.
    if taken < 2 || left == 0 || left.saturating_mul(100) >= available.saturating_mul(pods) {
        return;
    }
    let message = format!(
        "{pods} Pods, maxUnavailable {}: an update takes {taken} down, leaving {left}, less than {available}%",
        update.max_unavailable
    );
    report(review, &update, Severity::Warning, message, findings);
}

/// The update, and at how many Pods it is judged: the autoscaler's minimum, else `replicas`.
fn update<'a>(review: &Review<'a>) -> Option<(StatefulUpdate<'a>, i64)> {
    let replicas_at = review.at("spec/replicas");
    let replicas = if replicas_at.is_absent() { 1 } else { replicas_at.as_i64()? };
    let (bounds, _) = bounds(review, "apps/StatefulSet", review.name());
    let pods = bounds.iter().map(|bounds| bounds.least.max(1)).min().unwrap_or(replicas);
    let update = StatefulUpdate::of(review, pods)?;
    (pods >= 2).then_some((update, pods))
}

fn report(
    review: &Review<'_>,
    update: &StatefulUpdate<'_>,
    severity: Severity,
    message: String,
    findings: &mut Findings,
) {
    if !update.is_certain {
        findings.assume(ON);
    }
    let fix = Fix::changing("replace one Pod at a time").replace(&update.at, 1_i64);
    let finding = findings.report(severity, &update.at, message, "write maxUnavailable: 1");
    finding.fix(fix).about(&review.at("spec/replicas"));
}
