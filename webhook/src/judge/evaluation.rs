//! The outcomes of the policies that apply. It opens one session for each bundle and checks the results.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use plimsoll_sdk::findings::MAX_FINDINGS;
use plimsoll_sdk::metadata;
use plimsoll_sdk::question::MAX_TEMPLATES;

use crate::admission::authored::Authorship;
use crate::admission::decide::Judgement;
use crate::context::{Context, Surrounded};
use crate::engine::{Call, Input, Session};
use crate::model::{Failure, Finding, Outcome, Place, Review, Subject};
use crate::registry::{Environments, Policy, Registry, Selected};

/// One review on the bundles of a registry. Each session is kept for the old object.
pub(super) struct Evaluation<'a> {
    registry: &'a Registry,
    review: &'a Review,
    surrounded: Arc<Surrounded>,
    deadline: Instant,
    sessions: HashMap<usize, Session>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        review: &'a Arc<Review>,
        context: &Arc<dyn Context>,
        deadline: Instant,
    ) -> Self {
        let surrounded = Surrounded::new(Arc::clone(review), Arc::clone(context)).knowing(registry.workloads());
        Self { registry, review, surrounded: Arc::new(surrounded), deadline, sessions: HashMap::new() }
    }

    /// Tells which fields the author of the review wrote.
    pub(super) fn authorship(&self) -> &Authorship {
        self.surrounded.authorship()
    }

    /// The outcomes of these policies, in the same order, with one call for each bundle. The policies of a bundle must
    /// be next to each other.
    pub(super) fn run(&mut self, selected: &[&Selected], subject: Subject) -> Vec<Judgement> {
        let object = if subject == Subject::OldObject { self.review.old_object() } else { self.review.object() };
        let Some(Environments { each: environments, lacks_template }) = self.registry.environments(self.review, object)
        else {
            let reason = format!("the object has more than {MAX_TEMPLATES} pod templates");
            return selected.iter().map(|_| Err(Failure::Policy(reason.clone()))).collect();
        };
        let lacking = Lacking { kind: self.review.kind.group_kind(), reason: lacks_template };
        let batches: Vec<_> = selected.chunk_by(|one, next| one.policy.bundle == next.policy.bundle).collect();
        let count = u32::try_from(batches.len()).unwrap_or(u32::MAX);
        let judged = batches.into_iter().zip((1..=count).rev()).flat_map(|(batch, left)| {
            // A bundle that needs less than its share leaves the rest to the others. A bundle that needs more takes
            // nothing from them.
            let now = Instant::now();
            let end = now + self.deadline.saturating_duration_since(now) / left;
            self.batch(batch, &environments, end, subject, &lacking)
        });
        judged.collect()
    }

    /// The outcomes of policies of one bundle: one call for each pod template.
    fn batch(
        &mut self,
        selected: &[&Selected],
        environments: &[Arc<[u8]>],
        end: Instant,
        subject: Subject,
        lacking: &Lacking,
    ) -> Vec<Judgement> {
        let Some(first) = selected.first() else { return Vec::new() };
        let session = self.sessions.entry(first.policy.bundle).or_insert_with_key(|bundle| {
            let surroundings = Arc::clone(&self.surrounded);
            Session::new(self.registry.bundles()[*bundle].clone(), surroundings, self.deadline)
        });
        session.end_at(end);
        session.share(environments.len());
        let calls: Vec<Call<'_>> = selected
            .iter()
            .map(|selected| Call { policy: selected.policy.index, settings: &selected.settings })
            .collect();
        let mut judgements: Vec<Judgement> = Vec::new();
        let mut seen: Vec<HashSet<(Place, String)>> = vec![HashSet::new(); calls.len()];
        for environment in environments {
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
        let checked = selected.iter().zip(judgements).map(|(selected, judgement)| {
            let policy = &selected.policy;
            let judgement = judgement.and_then(|outcome| declared(policy, self.registry, self.review, outcome));
            lacking.skip(policy, self.registry, judgement)
        });
        checked.collect()
    }
}

/// Joins a policy's outcomes for two pod templates of one object. Findings about the object itself occur in both, and
/// are kept once. `seen` holds the findings so far.
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

/// Tells whether an object has no pod template at the places that the configuration names for its kind.
struct Lacking {
    kind: String,
    /// The pointers that match nothing.
    reason: Option<String>,
}

impl Lacking {
    /// Marks a policy as skipped if it looks at pod templates, found nothing, and the object has no template. Findings
    /// about the object itself stay.
    fn skip(&self, policy: &Policy, registry: &Registry, judgement: Judgement) -> Judgement {
        let Some(reason) = &self.reason else { return judgement };
        let is_silent = matches!(&judgement, Ok(Outcome::Evaluated(report)) if report.findings.is_empty());
        let on = &policy.metadata.on;
        let is_named = on.kinds.iter().any(|known| *known == self.kind || known == metadata::ANY);
        match is_silent && !is_named && registry.workloads().match_on(on, &self.kind) {
            true => Ok(Outcome::Skipped(reason.clone())),
            false => judgement,
        }
    }
}

/// Rejects an outcome that exceeds the policy's declaration: a higher severity, or an edit of another pointer.
fn declared(policy: &Policy, registry: &Registry, review: &Review, outcome: Outcome) -> Judgement {
    let Outcome::Evaluated(report) = &outcome else { return Ok(outcome) };
    if report.findings.iter().any(|finding| finding.severity > policy.metadata.severity) {
        return Err(Failure::Contract("a finding more severe than the policy declares".to_owned()));
    }
    let mut edits =
        report.findings.iter().filter_map(|finding| finding.fix.as_ref()).flat_map(|fix| &fix.edits).peekable();
    // Most outcomes have no edits, so the kind is not looked up for them.
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

/// Whether a declared pattern covers a pointer. `*` matches one segment.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_covers_one_segment() {
        for (pattern, pointer) in [("/spec/replicas", "/spec/replicas"), ("/spec/*/name", "/spec/0/name")] {
            assert!(covers(pattern, pointer), "{pattern} {pointer}");
        }
        for (pattern, pointer) in
            [("/spec/*", "/spec"), ("/spec/*", "/spec/a/b"), ("/spec/*/name", "/spec/0/image"), ("/spec", "/spec/a")]
        {
            assert!(!covers(pattern, pointer), "{pattern} {pointer}");
        }
    }
}
