//! A change back to an earlier pod template of the workload.

use plimsoll_flat::{Kind, Node};
use serde_json::Value;

use super::Case;
use crate::admission::verdict::Judged;
use crate::model::edit::tokens;
use crate::model::{Operation, Review};
use crate::registry::Selected;

/// An earlier pod template of a workload, from an object that the workload controls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revision {
    /// Template as a flat document.
    pub template: Vec<u8>,
    /// Whether the workload's controller wrote it, for this workload. A revision that a user wrote excuses nothing.
    pub own: bool,
}

/// Whether the request could be a rollback: it changes the pod template of a kind that keeps revisions.
pub fn may_roll_back(review: &Review, template: Option<&str>) -> bool {
    let (Some(template), Some(old), Some(new)) = (template, review.old_object(), review.object()) else { return false };
    review.operation == Operation::Update
        && review.subresource.is_empty()
        && keeps_revisions(&review.kind.group_kind())
        && old.at(template) != new.at(template)
}

fn keeps_revisions(kind: &str) -> bool {
    use plimsoll_sdk::kind::Kind;
    const KINDS: [Kind<'static>; 4] = [Kind::DEPLOYMENT, Kind::STATEFUL_SET, Kind::DAEMON_SET, Kind::ROLLOUT];
    KINDS.iter().any(|known| known.as_str() == kind)
}

/// Whether the requested pod template equals one of these revisions, regardless of their author.
pub fn is_revision(review: &Review, template: Option<&str>, revisions: &[Revision]) -> bool {
    let wanted = template.and_then(|template| review.object()?.at(template));
    wanted.is_some_and(|wanted| {
        revisions
            .iter()
            .filter_map(|revision| Node::root(&revision.template).ok())
            .any(|it| is_same_template(it, wanted))
    })
}

/// A change back to an earlier template of the workload.
pub(super) struct Rollback<'a> {
    template: &'a str,
    /// Whether the template is the only change in `spec`.
    all: bool,
}

impl<'a> Rollback<'a> {
    pub(super) fn of(case: &Case<'a>, revisions: &[Revision]) -> Option<Self> {
        let template = case.template?;
        let (old, new) = (case.review.old_object()?, case.review.object()?);
        let (before, wanted) = (old.at(template)?, new.at(template)?);
        let own = || revisions.iter().filter(|it| it.own).filter_map(|it| Node::root(&it.template).ok());
        let is_one = own().any(|revision| is_same_template(revision, wanted))
            || own().any(|revision| is_same_but_for_additions(revision, before, wanted, case.selected));
        is_one.then(|| Self { template, all: is_same_beside(old, new, template) })
    }

    /// Whether the request is only the rollback, so that every finding is excused.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// Whether a finding is about the earlier template.
    pub(super) fn excuses(&self, judged: &Judged) -> bool {
        let pointer = judged.finding.at.full();
        pointer.strip_prefix(self.template).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Labels that a controller adds to the template of each revision.
const REVISION_LABELS: [&str; 3] = ["pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"];

/// Whether two templates are equal, apart from the labels that tell revisions apart.
fn is_same_template(revision: Node<'_>, wanted: Node<'_>) -> bool {
    fn is_same(
        left: Node<'_>,
        right: Node<'_>,
        but: &[&str],
        below: &dyn Fn(&str, Node<'_>, Node<'_>) -> bool,
    ) -> bool {
        let covered = |one: Node<'_>, other: Node<'_>| {
            one.members()
                .filter(|(name, value)| !but.contains(name) && !value.is_null())
                .all(|(name, value)| other.get(name).is_some_and(|other| below(name, value, other)))
        };
        left.kind() == Kind::Object && right.kind() == Kind::Object && covered(left, right) && covered(right, left)
    }
    let equal = |_: &str, left: Node<'_>, right: Node<'_>| left == right;
    let labels = |name: &str, left: Node<'_>, right: Node<'_>| match name {
        "labels" => is_same(left, right, &REVISION_LABELS, &equal),
        // The API server writes one into a template, too.
        _ => left == right,
    };
    let metadata = |name: &str, left: Node<'_>, right: Node<'_>| match name {
        "metadata" => is_same(left, right, &["creationTimestamp"], &labels),
        _ => left == right,
    };
    is_same(revision, wanted, &["$patch"], &metadata)
}

/// Whether two templates are equal, apart from values that the webhook filled in since. Such values stay when an
/// earlier manifest is applied again. The author did not write them, so they don't make the template a different one.
fn is_same_but_for_additions(revision: Node<'_>, before: Node<'_>, wanted: Node<'_>, selected: &[Selected]) -> bool {
    let patterns =
        selected.iter().filter(|selected| selected.mutate).flat_map(|selected| &selected.policy.metadata.edits);
    let patterns: Vec<Vec<String>> =
        patterns.filter_map(|pattern| tokens(pattern.strip_prefix("{template}")?).ok()).collect();
    if patterns.is_empty() {
        return false;
    }
    let values = [revision, before, wanted].map(serde_json::to_value);
    let [Ok(revision), Ok(before), Ok(mut wanted)] = values else { return false };
    for pattern in &patterns {
        take_out(&mut wanted, Some(&before), Some(&revision), pattern);
    }
    let (Ok(revision), Ok(wanted)) = (plimsoll_flat::to_document(&revision), plimsoll_flat::to_document(&wanted))
    else {
        return false;
    };
    matches!((Node::root(&revision), Node::root(&wanted)), (Ok(revision), Ok(wanted)) if is_same_template(revision, wanted))
}

/// Removes the value at a pattern if the revision has none there, and if the value was the same before this request.
fn take_out(wanted: &mut Value, before: Option<&Value>, revision: Option<&Value>, pattern: &[String]) {
    let Some((name, rest)) = pattern.split_first() else { return };
    match wanted {
        Value::Array(items) if name == "*" => {
            for (index, item) in items.iter_mut().enumerate() {
                let at = |value: Option<&'_ Value>| value.and_then(|value| value.get(index)).cloned();
                take_out(item, at(before).as_ref(), at(revision).as_ref(), rest);
            }
        }
        Value::Object(members) => {
            let (before, revision) = (before.and_then(|it| it.get(name)), revision.and_then(|it| it.get(name)));
            let Some(member) = members.get_mut(name) else { return };
            let is_empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
            if !rest.is_empty() {
                take_out(member, before, revision, rest);
            }
            let is_added = rest.is_empty() && before == Some(&*member) || !rest.is_empty() && is_empty(member);
            if is_added && revision.is_none_or(Value::is_null) {
                members.remove(name);
            }
        }
        _ => {}
    }
}

/// Whether `spec` is the same outside the template.
fn is_same_beside(old: Node<'_>, new: Node<'_>, template: &str) -> bool {
    let (Some(old), Some(new)) = (old.get("spec"), new.get("spec")) else { return false };
    let Some(but) = template.strip_prefix("/spec/") else { return false };
    let covered = |left: Node<'_>, right: Node<'_>| {
        left.members().filter(|(name, _)| *name != but).all(|(name, value)| right.get(name) == Some(value))
    };
    covered(old, new) && covered(new, old)
}
