//! The driver between registry, engine and decision. `serve` and `check` judge every review here.

mod evaluation;
mod look;
mod mutation;

use std::sync::Arc;
use std::time::Instant;

use crate::admission::Verdict;
use crate::admission::decide::{Case, Decision, Facts, Need, decide, is_system_deletion, misused};
use crate::context::{Context, pinned};
use crate::model::{Moment, Review, Subject};
use crate::registry::{Registry, Selected};
use evaluation::Evaluation;
use look::Look;
pub use mutation::{Mutation, Reason, mutate};

/// Judges a review: selects the policies, evaluates them and decides.
pub fn validate(registry: &Registry, review: &Arc<Review>, context: &Arc<dyn Context>, deadline: Instant) -> Verdict {
    if is_system_deletion(review) {
        return Verdict::default();
    }
    let selected = registry.select(review);
    if selected.is_empty() {
        // The API server does not call the webhook for most objects without policies, so `serve` reports no misused
        // names here. `check` reports them for every object.
        let template = registry.workloads().template(&review.kind.group_kind());
        let unused = if review.is_from_file() { misused(review, template) } else { Vec::new() };
        return Verdict { unused, ..Verdict::default() };
    }
    let context = &pinned(context, review);
    let mut evaluation = Evaluation::new(registry, review, context, deadline);
    let all: Vec<&Selected> = selected.iter().collect();
    let subject = if review.object().is_some() { Subject::Object } else { Subject::OldObject };
    let outcomes = evaluation.run(&all, subject);
    let kind = review.kind.group_kind();
    let template = registry.workloads().template(&kind);
    let case = Case { review, selected: &selected, outcomes: &outcomes, template, now: Moment::now() };
    let at = |places: &[usize]| places.iter().map(|&place| &selected[place]).collect::<Vec<_>>();
    let mut known = Facts::default();
    let mut look = Look::new(context, review, deadline);
    loop {
        let need = match decide(&case, &known) {
            Decision::Verdict(mut verdict) => {
                verdict.recourse = registry.recourse(review, &verdict.grounds);
                return verdict;
            }
            Decision::Needs(need) => need,
        };
        match need {
            Need::OldObject(open) => {
                let judgements = evaluation.run(&at(&open), Subject::OldObject);
                known.old = Some(open.into_iter().zip(judgements).collect());
            }
            Need::Again(open) => {
                let judgements = match look.anew() {
                    Some(anew) => Evaluation::new(registry, review, &anew, deadline).run(&at(&open), subject),
                    None => Vec::new(),
                };
                known.again = Some(open.into_iter().zip(judgements).collect());
            }
            Need::Revisions => known.revisions = Some(look.revisions()),
            Need::Owner(owner) => known.owner = Some(look.owner(&owner)),
            Need::Terminating => known.terminating = Some(look.terminating()),
        }
    }
}
