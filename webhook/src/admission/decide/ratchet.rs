//! The ratchet: a violation that existed before and did not become worse is not denied.

use plimsoll_flat::Node;
use plimsoll_sdk::metadata::Judges;

use super::Judgement;
use super::naming::{key, named_path};
use crate::admission::verdict::Judged;
use crate::model::{Finding, Operation, Outcome, Review};
use crate::registry::Selected;

/// Whether the old object may excuse the finding. A transition is judged by the change, so an old violation excuses
/// nothing. A finding that depends on an absence goes by the age of the object.
pub(super) fn applies(review: &Review, selected: &Selected, judged: &Judged) -> bool {
    review.operation == Operation::Update
        && review.old_object().is_some()
        && review.object().is_some()
        && selected.policy.judges == Judges::State
        && !judged.finding.companion
}

/// A Deny is excused if the old object had the same finding and already held every value that is judged now. A value
/// that is no longer judged, for example of a removed container, makes nothing worse.
pub(super) fn excuses(old: &Judgement, judged: &Judged, review: &Review) -> bool {
    let (Ok(Outcome::Evaluated(report)), Some(old_object), Some(object)) = (old, review.old_object(), review.object())
    else {
        return false;
    };
    let now = judged_values(&judged.finding, object);
    report.findings.iter().any(|finding| {
        finding.severity >= judged.finding.severity
            && key(&judged.policy.id, finding, Some(old_object)) == judged.key
            && {
                let before = judged_values(finding, old_object);
                now.iter().all(|value| before.contains(value))
            }
    })
}

/// The places that a finding judged, by name, and the values there.
fn judged_values<'a>(finding: &Finding, object: Node<'a>) -> Vec<(String, Option<Node<'a>>)> {
    let own = [finding.at.full()];
    let about = if finding.about.is_empty() { &own[..] } else { &finding.about[..] };
    about.iter().map(|pointer| (named_path(Some(object), pointer), object.at(pointer))).collect()
}
