//! Mutation: the webhook adds in rounds, until a round adds nothing. Each round sees the object of the round before.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::evaluation::Evaluation;
use super::look::Look;
use crate::admission::decide::{Judgement, Looked, is_revision, may_roll_back};
use crate::admission::patch::{Lost, Untouched, additions, checked_patch, may_mutate};
use crate::context::{Context, pinned};
use crate::model::{Edit, Failure, Moment, Review, Subject};
use crate::registry::{Policy, Registry, Selected};

/// Maximum number of rounds of mutation, whether or not it converged.
const MAX_ROUNDS: usize = 3;

/// The result of mutation.
#[derive(Debug, Default)]
pub struct Mutation {
    /// The patch from the received to the completed object. Empty if nothing is added.
    pub patch: json_patch::Patch,
    /// The completed object. None if nothing is added.
    pub object: Option<Value>,
    /// Each addition and the policy it comes from.
    pub added: Vec<(Arc<Policy>, Edit)>,
    /// Additions that were skipped, because an earlier policy edits the same place.
    pub lost: Vec<Lost>,
    /// Policies that failed in one of the rounds. They add nothing.
    pub failed: Vec<(Arc<Policy>, Failure)>,
    /// Why nothing was added, if there is a reason.
    pub untouched: Option<Reason>,
}

/// Why an object was not completed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// A fixed rule: this object is never mutated.
    Rule(Untouched),
    /// No policy that applies is allowed to mutate.
    NoPolicy,
    /// After the last round there was still something to add.
    NoConvergence,
    /// Our own check of the patch found a difference.
    BadPatch,
    /// The workload goes back to an earlier template, which must become the same again.
    Rollback,
    /// The workload may go back to an earlier template, and the answer did not come in time.
    MaybeRollback,
}

/// Completes an object with what the PolicySets allow to be added.
pub fn mutate(registry: &Registry, review: &Arc<Review>, context: &Arc<dyn Context>, deadline: Instant) -> Mutation {
    if let Err(rule) = may_mutate(review, registry.workloads()) {
        return Mutation::nothing(Reason::Rule(rule));
    }
    let mut selected = registry.select(review);
    selected.retain(|selected| selected.mutate);
    if selected.is_empty() {
        return Mutation::nothing(Reason::NoPolicy);
    }
    let context = &pinned(context, review);
    let all: Vec<&Selected> = selected.iter().collect();
    let mut current = Arc::clone(review);
    let mut object: Option<Value> = None;
    let (mut added, mut lost, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let now = Moment::now();
    for _ in 0..MAX_ROUNDS {
        let mut evaluation = Evaluation::new(registry, &current, context, deadline);
        let outcomes = evaluation.run(&all, Subject::Object);
        failed = failures(failed, &selected, &outcomes);
        let judged =
            selected.iter().zip(&outcomes).filter_map(|(selected, outcome)| Some((selected, outcome.as_ref().ok()?)));
        let round = additions(&current, evaluation.authorship(), judged, now);
        lost.extend(round.lost);
        if round.edits.is_empty() {
            return Mutation { failed, ..Mutation::of(review, added, lost) };
        }
        if added.is_empty()
            && let Some(reason) = rolls_back(registry, review, context, deadline)
        {
            return Mutation { failed, ..Mutation::nothing(reason) };
        }
        let before = match object.take().or_else(|| value(review)) {
            Some(before) => before,
            None => return Mutation::nothing(Reason::BadPatch),
        };
        let edits: Vec<Edit> = round.edits.iter().map(|(_, edit)| edit.clone()).collect();
        let Some((_, after)) = checked_patch(&before, &edits) else { return Mutation::nothing(Reason::BadPatch) };
        let Some(next) = current.with_object(&after) else { return Mutation::nothing(Reason::BadPatch) };
        current = Arc::new(next);
        object = Some(after);
        added.extend(round.edits);
    }
    Mutation { failed, ..Mutation::nothing(Reason::NoConvergence) }
}

/// Why an update is not completed, if it may be a rollback. An addition would turn the rollback into a new revision,
/// and policies would judge values that the author did not send.
fn rolls_back(registry: &Registry, review: &Review, context: &Arc<dyn Context>, deadline: Instant) -> Option<Reason> {
    let kind = review.kind.group_kind();
    let template = registry.workloads().template(&kind);
    if !may_roll_back(review, template) {
        return None;
    }
    match Look::new(context, review, deadline).revisions() {
        Looked::Found(revisions) => is_revision(review, template, &revisions).then_some(Reason::Rollback),
        Looked::Absent => None,
        Looked::Unknown => Some(Reason::MaybeRollback),
    }
}

/// Each policy once, with its first failure.
fn failures(
    mut known: Vec<(Arc<Policy>, Failure)>,
    selected: &[Selected],
    outcomes: &[Judgement],
) -> Vec<(Arc<Policy>, Failure)> {
    for (selected, outcome) in selected.iter().zip(outcomes) {
        if let Err(failure) = outcome
            && !known.iter().any(|(policy, _)| Arc::ptr_eq(policy, &selected.policy))
        {
            known.push((Arc::clone(&selected.policy), failure.clone()));
        }
    }
    known
}

impl Mutation {
    /// A result without additions.
    fn nothing(reason: Reason) -> Self {
        Self { untouched: Some(reason), ..Self::default() }
    }

    /// The result after the last round.
    fn of(review: &Review, added: Vec<(Arc<Policy>, Edit)>, lost: Vec<Lost>) -> Self {
        let unchanged = Self { lost, ..Self::default() };
        if added.is_empty() {
            return unchanged;
        }
        let edits: Vec<Edit> = added.iter().map(|(_, edit)| edit.clone()).collect();
        match value(review).and_then(|object| checked_patch(&object, &edits)) {
            Some((patch, object)) => Self { patch, object: Some(object), added, ..unchanged },
            None => Self { untouched: Some(Reason::BadPatch), ..unchanged },
        }
    }
}

fn value(review: &Review) -> Option<Value> {
    serde_json::to_value(review.object()?).ok()
}
