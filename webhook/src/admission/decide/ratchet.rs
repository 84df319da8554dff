//! The ratchet: what was already wrong, and has not become worse, is not denied.

use plimsoll_flat::Node;
use plimsoll_sdk::metadata::Judges;

use super::Judgement;
use super::naming::{key, named_path};
use crate::admission::verdict::Judged;
use crate::model::{Finding, Operation, Outcome, Review};
use crate::registry::Selected;

/// Transitions are judged by what changes, so an old violation excuses nothing; what rests on another object's absence
/// goes by age.
pub(super) fn applies(review: &Review, selected: &Selected, judged: &Judged) -> bool {
    review.operation == Operation::Update
        && review.old_object().is_some()
        && review.object().is_some()
        && selected.policy.judges == Judges::State
        && !judged.finding.companion
}

/// A Deny is excused exactly if the old object has a finding of the same key, and had every value that is judged now: what
/// a finding no longer judges (a container that is gone) makes nothing worse.
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

/// The places that a finding judged, by name, and what stands there.
fn judged_values<'a>(finding: &Finding, object: Node<'a>) -> Vec<(String, Option<Node<'a>>)> {
    let own = [finding.at.full()];
    let about = if finding.about.is_empty() { &own[..] } else { &finding.about[..] };
    about.iter().map(|pointer| (named_path(Some(object), pointer), object.at(pointer))).collect()
}
