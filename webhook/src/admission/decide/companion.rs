//! Findings that another object may resolve. While a set of objects is being applied, the webhook can't know whether
//! that object will come. So these findings count by the age of the object, and a Deny needs a second look.

use std::collections::BTreeMap;

use plimsoll_flat::{Kind, Node};
use plimsoll_sdk::metadata::Judges;

use super::naming::key;
use super::{Case, Judgement};
use crate::admission::authored::identity;
use crate::admission::verdict::Judged;
use crate::model::{Action, Moment, Operation, Outcome, Review, Spared};
use crate::registry::Selected;

/// Whether a finding depends on the absence of another object.
pub fn rests_on_absence(judged: &Judged) -> bool {
    judged.finding.companion || judged.policy.judges == Judges::Companion
}

/// Lowers the action of a finding that depends on an absence.
///
/// - CREATE: the finding is dropped.
/// - UPDATE that changes something that the missing object would be about: the finding warns at first. Once the
///   reviewed object is old enough, it counts in full.
/// - Any other UPDATE: the finding is only recorded.
/// - Files, and policies that judge transitions: the finding counts at once. A transition is about a state that existed
///   before, so it does not wait for a later object.
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

/// Whether the request changes something that a missing object would be about: the Pods of the template, a selector, or
/// a higher number of replicas. For a kind without a pod template, any change of `spec` counts. Annotations of the
/// template don't count: `kubectl rollout restart` sets one, and the new Pods are of the same kind.
fn touches(case: &Case<'_>) -> bool {
    let (Some(old), Some(new)) = (case.review.old_object(), case.review.object()) else { return true };
    let differs = |pointer: &str| !is_same(old.at(pointer), new.at(pointer));
    // An omitted value is 0 in a Scale, and 1 in a workload.
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

/// Whether two values are equal. The order of a list does not count if its items have names.
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

/// The items of a list by name. None if an item has no name, or if two items have the same name.
fn by_name(list: Node<'_>) -> Option<BTreeMap<String, Node<'_>>> {
    let named: Option<BTreeMap<_, _>> = list.items().map(|item| Some((identity(item)?.1.to_json(), item))).collect();
    named.filter(|named| named.len() == list.len())
}

/// Whether a second look did not confirm the finding: the missing object exists now, or a watch does not know yet. If
/// the policy failed the second time, for example at its deadline, the finding stands.
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
