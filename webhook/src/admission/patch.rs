//! Mutation: what the webhook may add, and the patch for it.

use std::sync::Arc;

use plimsoll_flat::Node;
use plimsoll_sdk::kind::Kind;
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
    /// The request is for a subresource, so the object is not the author's.
    Subresource,
    /// A controller owns the object. It would undo the change, or compare the object with its own.
    Owned,
    /// The object is being deleted.
    Deleting,
    /// The object is the mirror of a static Pod.
    Mirror,
    /// The update does not change the part that the webhook would complete.
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
            // The spec of a Pod or a Job is immutable. The webhook completes a template only if the request itself
            // changes the spec of its Pods. A restart only writes an annotation, so its new Pods must equal the old
            // ones.
            let part = match workloads.template(&kind) {
                Some("") => return Err(Untouched::Unchanged),
                Some(_) if kind == Kind::JOB.as_str() => return Err(Untouched::Unchanged),
                Some(template) => format!("{template}/spec"),
                None => "/spec".to_owned(),
            };
            if old.at(&part) == object.at(&part) { Err(Untouched::Unchanged) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// An edit that was skipped, because an earlier policy edits the same place.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The policy whose edit was skipped.
    pub policy: Arc<Policy>,
    /// Pointer of the edit.
    pub pointer: String,
}

/// The additions of one round, in the order of the policies.
#[derive(Debug, Default)]
pub struct Additions {
    /// The edits, each with its policy.
    pub edits: Vec<(Arc<Policy>, Edit)>,
    /// Edits that were skipped.
    pub lost: Vec<Lost>,
}

/// Selects the edits that the webhook may make. Their policies have `mutate`, and they only add. They never change a
/// value that the author may have written.
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
            // If a PolicySet turns the finding off, or an exemption or annotation silences it, the webhook adds nothing
            // either.
            if action == Action::Off || annotations.silence(selected, action, now).is_some() {
                continue;
            }
            // A policy knows which of its fixes are only a guess. Those fixes are for files, where a person reviews
            // them.
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

/// The edits of a finding's fix, if all of them only add. An added value may replace only a default, never a value that
/// the author may have written. Otherwise no edits.
fn only_additions(finding: &Finding, object: Node<'_>, authorship: &Authorship) -> Vec<Edit> {
    let Some(fix) = &finding.fix else { return Vec::new() };
    let adds = fix.edits.iter().all(|edit| match edit {
        Edit::Add { pointer, .. } => match object.at(pointer).filter(|node| !node.is_null()) {
            None => true,
            // There is a value. Only the API server's own default may be replaced, and only if the author is known not
            // to have written it.
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

/// The patch from one version of an object to the next. None if the patch does not have the intended result: a patch
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

    /// A controller compares the revision with the workload. A completed revision would be a different one.
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
