//! Turns the outcomes of the policies into a verdict. It is a pure function.
//!
//! Some facts are not in the review: the outcomes on the old object, earlier revisions, whether an owner exists.
//! `decide` names the fact that it needs. The driver (`judge`) fetches it and calls `decide` again. Each step only
//! lowers actions, and records the reason.

mod companion;
mod naming;
mod passage;
mod ratchet;
mod reserved;
mod rollback;
mod silence;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use plimsoll_flat::Node;
use plimsoll_sdk::metadata::Severity;

pub use companion::rests_on_absence;
pub use naming::{key, named_path};
pub use passage::{Owner, collectors, control_plane, is_system_deletion};
pub use reserved::misused;
pub use rollback::{Revision, is_revision, may_roll_back};

use super::verdict::{Failed, Judged, Verdict};
use crate::model::{Action, Failure, Finding, Moment, Operation, Outcome, Review, Spared};
use crate::registry::{Ground, Selected};
use passage::Passage;
pub(super) use silence::Annotations;

/// The result of one policy on one object.
pub type Judgement = Result<Outcome, Failure>;

/// The input of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The request.
    pub review: &'a Review,
    /// The policies that apply to the request.
    pub selected: &'a [Selected],
    /// The outcome of each selected policy, in the same order.
    pub outcomes: &'a [Judgement],
    /// The pointer to the pod template, for a kind that has one.
    pub template: Option<&'a str>,
    /// The time from which ages and expiries are counted.
    pub now: Moment,
}

/// Facts that earlier decisions on the same case needed.
#[derive(Debug, Default)]
pub struct Facts {
    /// Outcomes on the old object, by their place in `selected`.
    pub old: Option<HashMap<usize, Judgement>>,
    /// Outcomes of a second evaluation, with freshly read context.
    pub again: Option<HashMap<usize, Judgement>>,
    /// The earlier revisions of the workload.
    pub revisions: Option<Looked<Vec<Revision>>>,
    /// Whether the owner exists.
    pub owner: Option<Looked<()>>,
    /// Whether the namespace is being deleted.
    pub terminating: Option<Looked<bool>>,
}

/// The result of a look at the cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Looked<T> {
    /// The object exists.
    Found(T),
    /// The object does not exist.
    Absent,
    /// The answer did not come in time.
    Unknown,
}

/// The verdict, or the fact that is still needed to reach it.
#[derive(Debug)]
pub enum Decision {
    /// Nothing more is needed.
    Verdict(Verdict),
    /// A fact is needed first.
    Needs(Need),
}

/// A fact that is still needed. `decide` asks for it only if it could lower a Deny.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Need {
    /// The outcomes of these selected policies on the old object.
    OldObject(Vec<usize>),
    /// The outcomes of these selected policies on the object, with freshly read context.
    Again(Vec<usize>),
    /// The earlier revisions of the workload.
    Revisions,
    /// Whether this owner exists.
    Owner(Owner),
    /// Whether the review's namespace is being deleted.
    Terminating,
}

/// Decides on one review.
pub fn decide(case: &Case<'_>, known: &Facts) -> Decision {
    let mut draft = Draft::new(case);
    match draft.settle(case, known) {
        Some(need) => Decision::Needs(need),
        None => Decision::Verdict(draft.finish(case)),
    }
}

/// The verdict under construction.
struct Draft<'a> {
    verdict: Verdict,
    /// For each entry of `verdict.judged`, its place in `selected`.
    places: Vec<usize>,
    annotations: Annotations<'a>,
}

impl<'a> Draft<'a> {
    /// Decides what the review alone can decide.
    fn new(case: &Case<'a>) -> Self {
        let object = case.review.subject();
        let mut draft = Self { verdict: Verdict::default(), places: Vec::new(), annotations: Annotations::of(object) };
        let passage = Passage::of(case);
        for (place, (selected, outcome)) in case.selected.iter().zip(case.outcomes).enumerate() {
            let policy = &selected.policy;
            let report = match outcome {
                Ok(Outcome::Evaluated(report)) => report,
                Ok(Outcome::Skipped(reason)) => {
                    draft.verdict.skipped.push((Arc::clone(policy), reason.clone()));
                    continue;
                }
                Err(failure) => {
                    let mut failed = Failed::new(selected, failure.clone());
                    passage.iter().for_each(|passage| failed.lower(passage.most, passage.why));
                    draft.verdict.failed.push(failed);
                    continue;
                }
            };
            let assumed = report.assumptions.iter().map(|text| (Arc::clone(policy), text.clone()));
            draft.verdict.assumed.extend(assumed);
            if report.more > 0 {
                draft.verdict.more.push((Arc::clone(policy), report.more));
            }
            for finding in &report.findings {
                let Some(mut judged) = judge(case, selected, finding, object) else { continue };
                if let Some(silence) = draft.annotations.silence(selected, judged.uncapped, case.now) {
                    draft.verdict.silenced.push((judged, silence));
                    continue;
                }
                if let Some(passage) = passage.filter(|passage| passage.covers(&judged)) {
                    judged.lower(passage.most, passage.why);
                }
                draft.verdict.judged.push(judged);
                draft.places.push(place);
            }
        }
        draft
    }

    /// Decides what needs more than the review, cheapest first. Returns the fact that is still needed.
    fn settle(&mut self, case: &Case<'_>, known: &Facts) -> Option<Need> {
        if let Some(owner) = Owner::of(case.review) {
            match &known.owner {
                // The warnings would go to a controller, which shows them to no user. The owner got its own warnings.
                _ if !self.denies() => self.lower(Action::Audit, Spared::Owned),
                None => return Some(Need::Owner(owner)),
                Some(Looked::Found(())) => self.lower(Action::Audit, Spared::Owned),
                // A forged owner excuses nothing, and a slow API server forges none. The controller retries, and the
                // watch knows an existing owner as soon as the API server answers.
                Some(Looked::Absent | Looked::Unknown) => {}
            }
        }
        let ratcheted = self.denying(|judged, selected| ratchet::applies(case.review, selected, judged), case);
        if !ratcheted.is_empty() {
            let Some(old) = &known.old else { return Some(Need::OldObject(ratcheted)) };
            for (judged, place) in self.verdict.judged.iter_mut().zip(&self.places) {
                if judged.action == Action::Deny
                    && old.get(place).is_some_and(|old| ratchet::excuses(old, judged, case.review))
                {
                    judged.lower(Action::Warn, Spared::Ratchet);
                }
            }
        }
        if self.denies() && may_roll_back(case.review, case.template) {
            match &known.revisions {
                None => return Some(Need::Revisions),
                Some(Looked::Found(revisions)) => {
                    if let Some(rollback) = rollback::Rollback::of(case, revisions) {
                        for judged in self.verdict.judged.iter_mut().filter(|judged| rollback.excuses(judged)) {
                            judged.lower(Action::Warn, Spared::Rollback);
                        }
                        if rollback.is_all() {
                            self.lower(Action::Warn, Spared::Rollback);
                        }
                    }
                }
                // Nothing shows that this is a rollback.
                Some(Looked::Absent | Looked::Unknown) => {}
            }
        }
        let absent = self.denying(|judged, _| rests_on_absence(judged), case);
        if !absent.is_empty() && !case.review.is_from_file() {
            let Some(again) = &known.again else { return Some(Need::Again(absent)) };
            for (judged, place) in self.verdict.judged.iter_mut().zip(&self.places) {
                if rests_on_absence(judged) && companion::refutes(again.get(place), judged, case.review) {
                    judged.lower(Action::Warn, Spared::Unconfirmed);
                }
            }
        }
        if self.denies() && case.review.operation == Operation::Delete && !case.review.namespace.is_empty() {
            match &known.terminating {
                None => return Some(Need::Terminating),
                // If the answer is unknown, the denial stays. Otherwise a user could keep the API server busy to get a
                // deletion through.
                Some(Looked::Found(false) | Looked::Unknown) => {}
                Some(Looked::Found(true) | Looked::Absent) => self.lower(Action::Warn, Spared::Terminating),
            }
        }
        None
    }

    fn finish(self, case: &Case<'_>) -> Verdict {
        let mut verdict = self.verdict;
        let cannot = |id: &str| {
            let skipped = verdict.skipped.iter().any(|(policy, _)| policy.id == id);
            skipped || verdict.failed.iter().any(|failed| failed.policy.id == id)
        };
        verdict.unused = self.annotations.unused(|id| !cannot(id));
        verdict.unused.extend(misused(case.review, case.template));
        // A controller copies what its owner says, and the author of the owner was warned.
        if Owner::of(case.review).is_some() {
            verdict.unused.iter_mut().for_each(|unused| unused.warning = None);
        }
        if !verdict.allowed() {
            verdict.grounds = grounds(case, &verdict, &self.places);
        }
        merge(&mut verdict.judged);
        verdict
    }

    fn denies(&self) -> bool {
        !self.verdict.allowed()
    }

    /// The places in `selected` of the policies with a Deny for which `holds` is true, each once.
    fn denying(&self, holds: impl Fn(&Judged, &Selected) -> bool, case: &Case<'_>) -> Vec<usize> {
        let denied = self.verdict.judged.iter().zip(&self.places).filter(|(judged, _)| judged.action == Action::Deny);
        let mut places: Vec<usize> =
            denied.filter(|(judged, place)| holds(judged, &case.selected[**place])).map(|(_, place)| *place).collect();
        places.dedup();
        places
    }

    fn lower(&mut self, most: Action, why: Spared) {
        self.verdict.judged.iter_mut().for_each(|judged| judged.lower(most, why));
        self.verdict.failed.iter_mut().for_each(|failed| failed.lower(most, why));
    }
}

/// The reasons for the denial, most severe first, one for each call and severity. `places` are the places of the
/// findings in `selected`.
fn grounds(case: &Case<'_>, verdict: &Verdict, places: &[usize]) -> Vec<Ground> {
    let denied = verdict.judged.iter().zip(places).filter(|(judged, _)| judged.action == Action::Deny);
    let found: BTreeSet<_> = denied.map(|(judged, place)| (Reverse(judged.finding.severity), *place)).collect();
    let mut grounds: Vec<Ground> =
        found.into_iter().map(|(severity, place)| ground(&case.selected[place], Some(severity.0))).collect();
    // `verdict.failed` has one entry for each policy that failed, in the order of the policies.
    let failing = case.selected.iter().zip(case.outcomes).filter(|(_, outcome)| outcome.is_err());
    let denied = failing.zip(&verdict.failed).filter(|(_, failed)| failed.action == Action::Deny);
    grounds.extend(denied.map(|((selected, _), _)| ground(selected, None)));
    grounds
}

fn ground(selected: &Selected, severity: Option<Severity>) -> Ground {
    let Selected { policy, settings, as_of, .. } = selected;
    Ground { policy: Arc::clone(policy), settings: Arc::clone(settings), as_of: as_of.clone(), severity }
}

/// One finding with the action of the PolicySets. None if they set no action for it.
fn judge(case: &Case<'_>, selected: &Selected, finding: &Finding, object: Option<Node<'_>>) -> Option<Judged> {
    let uncapped = selected.actions.of(finding.severity);
    let mut judged = Judged {
        key: key(&selected.policy.id, finding, object),
        policy: Arc::clone(&selected.policy),
        finding: finding.clone(),
        action: uncapped,
        uncapped,
        spared: None,
    };
    if selected.is_new(finding.since.as_deref()) {
        judged.lower(Action::Audit, Spared::New);
    }
    selected.spared.iter().for_each(|why| judged.lower(Action::Warn, *why));
    companion::weigh(case, selected, &mut judged);
    (judged.action != Action::Off).then_some(judged)
}

/// Merges equal findings of two PolicySets into one, with the strictest action. Then sorts by severity, most severe
/// first. Findings of equal severity keep the order of the policies and of the object.
fn merge(judged: &mut Vec<Judged>) {
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    let mut merged: Vec<Judged> = Vec::with_capacity(judged.len());
    for item in judged.drain(..) {
        match seen.get(&(item.key.clone(), item.finding.message.clone())) {
            Some(&index) => {
                let known = &mut merged[index];
                known.uncapped = known.uncapped.max(item.uncapped);
                if item.action > known.action {
                    known.action = item.action;
                    known.spared = item.spared;
                }
            }
            None => {
                seen.insert((item.key.clone(), item.finding.message.clone()), merged.len());
                merged.push(item);
            }
        }
    }
    merged.sort_by_key(|judged| Reverse((judged.action, judged.finding.severity)));
    *judged = merged;
}
