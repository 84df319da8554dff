//! Mutation: what the webhook may add, and the patch that says so.

use std::sync::Arc;

use plimsoll_flat::Node;
use serde_json::Value;

use super::authored::Authorship;
use super::decide::Annotations;
use crate::model::{Action, Edit, Finding, FixClass, Knowledge, Moment, Operation, Outcome, Review, Subject, edit};
use crate::registry::{Policy, REVISION, Selected, Workloads};

/// Why a review is not mutated at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Untouched {
    /// DELETE and CONNECT change nothing.
    Operation,
    /// A subresource: the object is not the author's.
    Subresource,
    /// It belongs to a controller, which would fight the change, or is what one compares with.
    Owned,
    /// It is being deleted.
    Deleting,
    /// A static Pod's mirror.
    Mirror,
    /// The update does not touch what the defaults would complete.
    Unchanged,
}

/// Whether the webhook may complete this object at all (docs/adr/0005).
///
/// # Errors
/// The reason why it may not.
pub fn may_mutate(review: &Review, workloads: &Workloads) -> Result<(), Untouched> {
    if !review.subresource.is_empty() {
        return Err(Untouched::Subresource);
    }
    let object = match review.operation {
        Operation::Create | Operation::Update => review.object().ok_or(Untouched::Operation)?,
        Operation::Delete | Operation::Connect => return Err(Untouched::Operation),
    };
    if review.kind.group_kind() == REVISION {
        return Err(Untouched::Owned);
    }
    let metadata = object.get("metadata");
    let owners = metadata.and_then(|metadata| metadata.get("ownerReferences")).into_iter().flat_map(Node::items);
    if owners.into_iter().any(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true)) {
        return Err(Untouched::Owned);
    }
    if metadata.and_then(|metadata| metadata.get("deletionTimestamp")).is_some_and(|at| !at.is_null()) {
        return Err(Untouched::Deleting);
    }
    if metadata.and_then(|metadata| metadata.at("/annotations/kubernetes.io~1config.mirror")).is_some() {
        return Err(Untouched::Mirror);
    }
    match review.old_object() {
        Some(old) if review.operation == Operation::Update => {
            let kind = review.kind.group_kind();
            // What a Pod and a Job are made of cannot change; a template only where the request itself changes its Pods. A
            // restart writes an annotation, which is no reason to make them other than they are.
            let part = match workloads.template(&kind) {
                Some("") => return Err(Untouched::Unchanged),
                Some(_) if kind == "batch/Job" => return Err(Untouched::Unchanged),
                Some(template) => format!("{template}/spec"),
                None => "/spec".to_owned(),
            };
            if old.at(&part) == object.at(&part) { Err(Untouched::Unchanged) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// An edit that was not made, because another policy's edit of the same place came first.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Whose edit it was.
    pub policy: Arc<Policy>,
    /// Where.
    pub pointer: String,
}

/// The additions of one round, in the order of the policies.
#[derive(Debug, Default)]
pub struct Additions {
    /// What is added, and whose it is.
    pub edits: Vec<(Arc<Policy>, Edit)>,
    /// What lost.
    pub lost: Vec<Lost>,
}

/// Picks what the webhook may make of the fixes: those of policies with `mutate`, that only add, and only where nothing
/// stands that somebody wrote.
pub fn additions<'a>(
    review: &Review,
    authorship: &Authorship,
    judgements: impl IntoIterator<Item = (&'a Selected, &'a Outcome)>,
    now: Moment,
) -> Additions {
    let mut additions = Additions::default();
    let Some(object) = review.object() else { return additions };
    let mut annotations = Annotations::of(Some(object));
    for (selected, outcome) in judgements {
        let Outcome::Evaluated(report) = outcome else { continue };
        if !selected.mutate {
            continue;
        }
        for finding in &report.findings {
            let action = selected.actions.of(finding.severity);
            // Whoever may live without it does not want it filled in either.
            if action == Action::Off || annotations.silence(selected, action, now).is_some() {
                continue;
            }
            // A policy knows best which of its fixes would only be a guess: those are for people, in files.
            let most = FixClass::from(selected.policy.metadata.mutates);
            if finding.fix.as_ref().is_some_and(|fix| fix.class > most) {
                continue;
            }
            for edit in only_additions(finding, object, authorship) {
                additions.push(&selected.policy, edit);
            }
        }
    }
    additions
}

/// The edits of a finding's fix, if every one of them adds what nobody wrote; else nothing of it.
fn only_additions(finding: &Finding, object: Node<'_>, authorship: &Authorship) -> Vec<Edit> {
    let Some(fix) = &finding.fix else { return Vec::new() };
    let adds = fix.edits.iter().all(|edit| match edit {
        Edit::Add { pointer, .. } => match object.at(pointer).filter(|node| !node.is_null()) {
            None => true,
            // It holds a value: only the API server's own default may give way, and only where that is known.
            Some(_) => authorship.ask(Subject::Object, pointer) == Knowledge::No,
        },
        _ => false,
    });
    if adds { fix.edits.clone() } else { Vec::new() }
}

impl Additions {
    fn push(&mut self, policy: &Arc<Policy>, edit: Edit) {
        if self.edits.iter().any(|(_, known)| *known == edit) {
            return;
        }
        let pointer = edit.pointer();
        if self.edits.iter().any(|(_, known)| overlap(known.pointer(), pointer)) {
            self.lost.push(Lost { policy: Arc::clone(policy), pointer: pointer.to_owned() });
        } else {
            self.edits.push((Arc::clone(policy), edit));
        }
    }
}

/// Whether one pointer is the other, or lies above it.
fn overlap(left: &str, right: &str) -> bool {
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The patch from one version of an object to the next, or none where the patch does not do what it should: a patch
/// that does not apply would block every apply of that kind.
pub fn checked_patch(object: &Value, edits: &[Edit]) -> Option<(json_patch::Patch, Value)> {
    let patch = edit::to_json_patch(object, edits).ok()?;
    let mut edited = object.clone();
    edit::apply(&mut edited, edits).ok()?;
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).ok()?;
    (patched == edited).then_some((patch, patched))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A controller compares it with the workload: filled in, it would be another revision.
    #[test]
    fn a_revision_stays_as_it_is() {
        let may = |api_version: &str, kind: &str| {
            let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web-1"}});
            may_mutate(&Review::from_object(&object).unwrap(), &Workloads::default())
        };
        assert_eq!(may("apps/v1", "ControllerRevision"), Err(Untouched::Owned));
        assert_eq!(may("apps/v1", "ReplicaSet"), Ok(()));
    }
}
