//! The driver between registry, engine and decision: everything that `serve` and `check` do with one review.

mod look;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use plimsoll_sdk::findings::MAX_FINDINGS;
use plimsoll_sdk::metadata;
use serde_json::Value;

use crate::admission::decide::{
    Case, Decision, Judgement, Known, Looked, Need, decide, is_revision, is_system_deletion, may_roll_back, misused,
};
use crate::admission::edit::Edit;
use crate::admission::patch::{Lost, Untouched, additions, checked_patch, may_mutate};
use crate::admission::{Review, Verdict};
use crate::context::{Context, Surrounded, pinned};
use crate::engine::{Call, Failure, Finding, Input, Outcome, Place, Session, Subject};
use crate::moment::Moment;
use crate::registry::{MAX_TEMPLATES, Policy, Registry, Selected};
use look::Look;

/// Mutation ends after this many rounds, whether or not it has converged.
const MAX_ROUNDS: usize = 3;

/// What the webhook makes of an object.
#[derive(Debug)]
pub struct Mutation {
    /// From the object as received to the object as completed; empty where nothing is added.
    pub patch: json_patch::Patch,
    /// The completed object; none where nothing is added.
    pub object: Option<Value>,
    /// Each addition and the policy it comes from.
    pub added: Vec<(Arc<Policy>, Edit)>,
    /// Additions that lost against another policy's.
    pub lost: Vec<Lost>,
    /// Policies that could not judge in one of the rounds; they add nothing.
    pub failed: Vec<(Arc<Policy>, Failure)>,
    /// Why nothing was added, where that has a reason.
    pub untouched: Option<Reason>,
}

/// Why an object was not completed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The hard rules: what is never mutated.
    Rule(Untouched),
    /// No policy that applies is allowed to.
    NoPolicy,
    /// After three rounds there was still something to add.
    NoConvergence,
    /// Our own check of the patch found a difference.
    BadPatch,
    /// The workload goes back to a template that it has had, which is to be the same again.
    Rollback,
    /// Whether it goes back to one could not be found out in time.
    MaybeRollback,
}

/// Judges a review: the policies that apply, their outcomes, the decision.
pub fn validate(registry: &Registry, review: &Arc<Review>, context: &Arc<dyn Context>, deadline: Instant) -> Verdict {
    if is_system_deletion(review) {
        return Verdict::default();
    }
    let selected = registry.select(review);
    if selected.is_empty() {
        // In the cluster nobody is asked about most of these objects. Files say the same of all.
        let template = registry.workloads().template(&review.kind.group_kind());
        let unused = if review.is_from_file() { misused(review, template) } else { Vec::new() };
        return Verdict { unused, ..Verdict::default() };
    }
    let context = &pinned(context, review);
    let mut evaluation = Evaluation::new(registry, review, context, deadline);
    let all: Vec<usize> = (0..selected.len()).collect();
    let subject = if review.object().is_some() { Subject::Object } else { Subject::OldObject };
    let outcomes = evaluation.run(&selected, &all, subject);
    let kind = review.kind.group_kind();
    let template = registry.workloads().template(&kind);
    let case = Case { review, selected: &selected, outcomes: &outcomes, template, now: Moment::now() };
    let mut known = Known::default();
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
                let judgements = evaluation.run(&selected, &open, Subject::OldObject);
                known.old = Some(open.into_iter().zip(judgements).collect());
            }
            Need::Again(open) => {
                let judgements = match look.anew() {
                    Some(anew) => Evaluation::new(registry, review, &anew, deadline).run(&selected, &open, subject),
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

/// Completes an object with what the PolicySets allow to be added.
pub fn mutate(registry: &Registry, review: &Arc<Review>, context: &Arc<dyn Context>, deadline: Instant) -> Mutation {
    let nothing = |reason| Mutation {
        patch: json_patch::Patch(Vec::new()),
        object: None,
        added: Vec::new(),
        lost: Vec::new(),
        failed: Vec::new(),
        untouched: Some(reason),
    };
    if let Err(rule) = may_mutate(review, registry.workloads()) {
        return nothing(Reason::Rule(rule));
    }
    let mut selected = registry.select(review);
    selected.retain(|selected| selected.mutate);
    if selected.is_empty() {
        return nothing(Reason::NoPolicy);
    }
    let context = &pinned(context, review);
    let all: Vec<usize> = (0..selected.len()).collect();
    let mut current = Arc::clone(review);
    let mut object: Option<Value> = None;
    let (mut added, mut lost, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let now = Moment::now();
    for _ in 0..MAX_ROUNDS {
        let mut evaluation = Evaluation::new(registry, &current, context, deadline);
        let outcomes = evaluation.run(&selected, &all, Subject::Object);
        failed = failures(failed, &selected, &outcomes);
        let judged =
            selected.iter().zip(&outcomes).filter_map(|(selected, outcome)| Some((selected, outcome.as_ref().ok()?)));
        let round = additions(&current, evaluation.surrounded.authorship(), judged, now);
        lost.extend(round.lost);
        if round.edits.is_empty() {
            return Mutation { failed, ..finish(review, added, lost) };
        }
        if added.is_empty()
            && let Some(reason) = rolls_back(registry, review, context, deadline)
        {
            return Mutation { failed, ..nothing(reason) };
        }
        let before = match object.take().or_else(|| value(review)) {
            Some(before) => before,
            None => return nothing(Reason::BadPatch),
        };
        let edits: Vec<Edit> = round.edits.iter().map(|(_, edit)| edit.clone()).collect();
        let Some((_, after)) = checked_patch(&before, &edits) else { return nothing(Reason::BadPatch) };
        let Some(next) = current.with_object(&after) else { return nothing(Reason::BadPatch) };
        current = Arc::new(next);
        object = Some(after);
        added.extend(round.edits);
    }
    Mutation { failed, ..nothing(Reason::NoConvergence) }
}

/// Why an update is not completed, where it may be a rollback. Whatever was added to that would make another revision of
/// it, and policies would judge what the author did not send.
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

/// Each policy once, with the first thing that went wrong.
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

fn finish(review: &Review, added: Vec<(Arc<Policy>, Edit)>, lost: Vec<Lost>) -> Mutation {
    let unchanged = json_patch::Patch(Vec::new());
    if added.is_empty() {
        return Mutation { patch: unchanged, object: None, added, lost, failed: Vec::new(), untouched: None };
    }
    let edits: Vec<Edit> = added.iter().map(|(_, edit)| edit.clone()).collect();
    match value(review).and_then(|object| checked_patch(&object, &edits)) {
        Some((patch, object)) => {
            Mutation { patch, object: Some(object), added, lost, failed: Vec::new(), untouched: None }
        }
        None => Mutation {
            patch: unchanged,
            object: None,
            added: Vec::new(),
            lost,
            failed: Vec::new(),
            untouched: Some(Reason::BadPatch),
        },
    }
}

fn value(review: &Review) -> Option<Value> {
    serde_json::to_value(review.object()?).ok()
}

/// One review on the bundles of a registry: one session each, kept for the old object.
struct Evaluation<'a> {
    registry: &'a Registry,
    review: &'a Review,
    surrounded: Arc<Surrounded>,
    deadline: Instant,
    sessions: HashMap<usize, Session>,
}

impl<'a> Evaluation<'a> {
    fn new(registry: &'a Registry, review: &'a Arc<Review>, context: &Arc<dyn Context>, deadline: Instant) -> Self {
        Self {
            registry,
            review,
            surrounded: Arc::new(
                Surrounded::new(Arc::clone(review), Arc::clone(context)).knowing(registry.workloads()),
            ),
            deadline,
            sessions: HashMap::new(),
        }
    }

    /// The outcomes of these of the selected policies, in the same order; one call for each bundle.
    fn run(&mut self, selected: &[Selected], which: &[usize], subject: Subject) -> Vec<Judgement> {
        let mut outcomes: Vec<Option<Judgement>> = which.iter().map(|_| None).collect();
        let object = if subject == Subject::OldObject { self.review.old_object() } else { self.review.object() };
        let Some(environments) = self.registry.environments(self.review, object) else {
            let reason = format!("the object has more than {MAX_TEMPLATES} pod templates");
            return which.iter().map(|_| Err(Failure::Policy(reason.clone()))).collect();
        };
        let kind = self.review.kind.group_kind();
        let lacking = self.registry.lacks_template(&kind, object);
        let asked = |bundle: usize| which.iter().any(|&index| selected[index].policy.bundle == bundle);
        let mut left = u32::try_from((0..self.registry.bundles().len()).filter(|&bundle| asked(bundle)).count())
            .unwrap_or(u32::MAX);
        for (bundle, loaded) in self.registry.bundles().iter().enumerate() {
            let places: Vec<usize> =
                (0..which.len()).filter(|&place| selected[which[place]].policy.bundle == bundle).collect();
            if places.is_empty() {
                continue;
            }
            let calls: Vec<Call<'_>> = places
                .iter()
                .map(|&place| &selected[which[place]])
                .map(|selected| Call { policy: selected.policy.index, settings: &selected.settings })
                .collect();
            let surroundings = Arc::clone(&self.surrounded);
            let session = self
                .sessions
                .entry(bundle)
                .or_insert_with(|| Session::new(loaded.clone(), surroundings, self.deadline));
            // What a bundle leaves of its share is the others'; what it uses up is its own.
            let now = Instant::now();
            session.end_at(now + self.deadline.saturating_duration_since(now) / left.max(1));
            session.share(environments.len());
            left = left.saturating_sub(1);
            let mut judgements: Vec<Judgement> = Vec::new();
            let mut seen: Vec<HashSet<(Place, String)>> = vec![HashSet::new(); calls.len()];
            for environment in &environments {
                let input = Input { environment, review: self.review.document(), subject };
                let next = session.evaluate(&input, &calls);
                judgements = match judgements.is_empty() {
                    true => next,
                    false => {
                        let both = judgements.into_iter().zip(next).zip(&mut seen);
                        both.map(|((one, other), seen)| joined(one, other, seen)).collect()
                    }
                };
                if judgements.iter().all(Result::is_err) {
                    break;
                }
            }
            let checked = places.iter().zip(judgements).map(|(&place, judgement)| {
                let policy = &selected[which[place]].policy;
                let judgement = judgement.and_then(|outcome| declared(policy, self.registry, self.review, outcome));
                without_template(policy, self.registry, &kind, lacking.as_deref(), judgement)
            });
            if places.len() == which.len() {
                return checked.collect();
            }
            let checked: Vec<Judgement> = checked.collect();
            for (place, judgement) in places.into_iter().zip(checked) {
                outcomes[place] = Some(judgement);
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(Failure::Deadline))).collect()
    }
}

/// What a policy says of several pod templates of one object. What it says of the object itself it says for each. `seen` are
/// the findings so far.
fn joined(one: Judgement, other: Judgement, seen: &mut HashSet<(Place, String)>) -> Judgement {
    let known = |finding: &Finding| (finding.at.clone(), finding.message.clone());
    match (one?, other?) {
        (Outcome::Evaluated(mut one), Outcome::Evaluated(other)) => {
            if seen.is_empty() {
                seen.extend(one.findings.iter().map(known));
            }
            let new: Vec<Finding> = other.findings.into_iter().filter(|finding| seen.insert(known(finding))).collect();
            let room = MAX_FINDINGS.saturating_sub(one.findings.len());
            let cut = u32::try_from(new.len().saturating_sub(room)).unwrap_or(u32::MAX);
            one.findings.extend(new.into_iter().take(room));
            let new: Vec<String> = other.assumptions.into_iter().filter(|it| !one.assumptions.contains(it)).collect();
            one.assumptions.extend(new);
            one.more = one.more.saturating_add(other.more).saturating_add(cut);
            Ok(Outcome::Evaluated(one))
        }
        (Outcome::Skipped(reason), Outcome::Evaluated(mut report))
        | (Outcome::Evaluated(mut report), Outcome::Skipped(reason))
            if !report.findings.is_empty() =>
        {
            report.assumptions.push(format!("nothing is wrong with another pod template, of which it says: {reason}"));
            Ok(Outcome::Evaluated(report))
        }
        (skipped @ Outcome::Skipped(_), _) | (_, skipped) => Ok(skipped),
    }
}

/// A policy that looks at pod templates and finds nothing has not judged an object whose template is not where the
/// configuration says. What it finds of the object itself stays.
fn without_template(
    policy: &Policy,
    registry: &Registry,
    kind: &str,
    lacking: Option<&str>,
    judgement: Judgement,
) -> Judgement {
    let Some(reason) = lacking else { return judgement };
    let is_silent = matches!(&judgement, Ok(Outcome::Evaluated(report)) if report.findings.is_empty());
    let on = &policy.metadata.on;
    let is_named = on.kinds.iter().any(|known| known == kind || known == metadata::ANY);
    match is_silent && !is_named && registry.workloads().match_on(on, kind) {
        true => Ok(Outcome::Skipped(reason.to_owned())),
        false => judgement,
    }
}

/// Refuses an outcome beyond what the policy declared: a higher severity, an edit of another pointer.
fn declared(policy: &Policy, registry: &Registry, review: &Review, outcome: Outcome) -> Judgement {
    let Outcome::Evaluated(report) = &outcome else { return Ok(outcome) };
    if report.findings.iter().any(|finding| finding.severity > policy.metadata.severity) {
        return Err(Failure::Contract("a finding more severe than the policy declares".to_owned()));
    }
    let mut edits =
        report.findings.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| &fix.edits).peekable();
    // Most outcomes have none: those are not worth a look at the kind.
    if edits.peek().is_none() {
        return Ok(outcome);
    }
    let kind = review.kind.group_kind();
    let templates = registry.workloads().templates(&kind);
    let is_declared = |pattern: &str, pointer: &str| match pattern.strip_prefix("{template}") {
        Some(below) if templates.is_empty() => covers(below, pointer),
        Some(below) => templates.iter().any(|template| covers(&format!("{template}{below}"), pointer)),
        None => covers(pattern, pointer),
    };
    for edit in edits {
        if !policy.metadata.edits.iter().any(|pattern| is_declared(pattern, edit.pointer())) {
            return Err(Failure::undeclared(edit.pointer()));
        }
    }
    Ok(outcome)
}

/// Whether a declared pattern covers a pointer: `*` stands for one segment.
fn covers(pattern: &str, pointer: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('/'), pointer.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}
