//! Findings that another object may end. While a set of objects is being applied nobody can tell whether it will come. So
//! those that rest on an absence count by age, and a Deny only after a second look.

use std::collections::BTreeMap;

use plimsoll_flat::{Kind, Node};
use plimsoll_sdk::metadata::Judges;

use super::naming::key;
use super::{Case, Judgement};
use crate::admission::authored::identity;
use crate::admission::verdict::Judged;
use crate::model::{Action, Moment, Operation, Outcome, Review, Spared};
use crate::registry::Selected;

/// Whether a finding rests on the absence of another object.
pub fn rests_on_absence(judged: &Judged) -> bool {
    judged.finding.companion || judged.policy.judges == Judges::Companion
}

/// On CREATE it says nothing. On an UPDATE that changes what the missing object would be about, it counts once the
/// reviewed object is old enough, and warns until then; on any other it is only recorded. Over files it counts at once, and
/// so does a transition: what was there before does not wait for what comes.
pub(super) fn weigh(case: &Case<'_>, selected: &Selected, judged: &mut Judged) {
    let review = case.review;
    if judged.finding.unsettled && !review.is_from_file() && review.subresource.is_empty() {
        judged.lower(Action::Warn, Spared::Unsettled);
    }
    if !rests_on_absence(judged) || review.is_from_file() || judged.policy.judges == Judges::Transition {
        return;
    }
    match review.operation {
        Operation::Create => judged.lower(Action::Off, Spared::Young),
        Operation::Update if !touches(case) => judged.lower(Action::Audit, Spared::Untouched),
        Operation::Update => {
            let old = review.old_object().and_then(|old| old.at("/metadata/creationTimestamp")?.as_str());
            let age = old.and_then(Moment::parse).and_then(|created| created.age(case.now));
            if age.is_none_or(|age| age < selected.enforce_after) {
                judged.lower(Action::Warn, Spared::Young);
            }
        }
        Operation::Delete | Operation::Connect => {}
    }
}

/// The Pods of a template changed, replicas were raised, a selector switched; of kinds without a pod template, anything of
/// `spec`. An annotation of the template only makes new Pods of the same kind, as `kubectl rollout restart` does.
fn touches(case: &Case<'_>) -> bool {
    let (Some(old), Some(new)) = (case.review.old_object(), case.review.object()) else { return true };
    let differs = |pointer: &str| !is_same(old.at(pointer), new.at(pointer));
    // A Scale leaves a 0 out, a workload a 1.
    let unwritten = i64::from(case.review.subresource != "scale");
    let replicas = |node: Node<'_>| node.at("/spec/replicas").and_then(Node::as_i64).unwrap_or(unwritten);
    let raised = replicas(new) > replicas(old);
    match case.template {
        _ if case.review.subresource == "scale" => raised,
        Some(template) => {
            let in_template = |part: &str| differs(&[template, part].concat());
            in_template("/spec") || in_template("/metadata/labels") || differs("/spec/selector") || raised
        }
        None => differs("/spec"),
    }
}

/// Whether two values are the same but for the order of lists whose items are known by a name.
fn is_same(old: Option<Node<'_>>, new: Option<Node<'_>>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return old.is_none() && new.is_none() };
    match (old.kind(), new.kind()) {
        (Kind::Object, Kind::Object) => {
            old.len() == new.len() && old.members().all(|(name, value)| is_same(Some(value), new.get(name)))
        }
        (Kind::Array, Kind::Array) if old.len() == new.len() => match (by_name(old), by_name(new)) {
            (Some(old), Some(new)) => old.iter().all(|(name, item)| is_same(Some(*item), new.get(name).copied())),
            _ => old.items().zip(new.items()).all(|(old, new)| is_same(Some(old), Some(new))),
        },
        _ => old == new,
    }
}

/// The items of a list by their names; none where one has no name, or two have the same.
fn by_name(list: Node<'_>) -> Option<BTreeMap<String, Node<'_>>> {
    let named: Option<BTreeMap<_, _>> = list.items().map(|item| Some((identity(item)?.1.to_json(), item))).collect();
    named.filter(|named| named.len() == list.len())
}

/// Whether a second look did not find the same: what was missing is there, or a watch has not told yet whether it is. A
/// policy that failed the second time, as where its time was over, has found nothing else.
pub(super) fn refutes(again: Option<&Judgement>, judged: &Judged, review: &Review) -> bool {
    let report = match again {
        Some(Ok(Outcome::Evaluated(report))) => report,
        Some(Err(_)) => return false,
        Some(Ok(Outcome::Skipped(_))) | None => return true,
    };
    let object = review.subject();
    !report.findings.iter().any(|finding| {
        finding.severity >= judged.finding.severity && key(&judged.policy.id, finding, object) == judged.key
    })
}
