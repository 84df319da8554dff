//! From what the policies returned to what is done: a pure function.

use std::collections::HashMap;
use std::sync::Arc;

use plimsoll_flat::{Kind, Node};
use plimsoll_sdk::metadata::Judges;

use super::authored::identity;
use super::review::Review;
use super::verdict::{Action, Failed, Judged, Spared, Verdict};
use crate::engine::{Failure, Finding, Outcome};
use crate::registry::{Mode, Selected};

/// What one policy made of one object.
pub type Judgement = Result<Outcome, Failure>;

/// The verdict, or what is still needed to reach it.
#[derive(Debug)]
pub enum Decision {
    /// Nothing is open.
    Verdict(Verdict),
    /// There is a Deny that the old object may excuse: evaluate these of the selected policies on it.
    NeedsOldObject(Vec<usize>),
}

/// Decides on one review. `outcomes` are in the order of `selected`; `old` holds those of the old object, by their
/// place in `selected`, as far as an earlier decision asked for them.
pub fn decide(
    review: &Review,
    selected: &[Selected],
    outcomes: &[Judgement],
    old: Option<&HashMap<usize, Judgement>>,
) -> Decision {
    let mut verdict = Verdict::default();
    let mut open = Vec::new();
    let object = review.object();
    for (index, (selected, outcome)) in selected.iter().zip(outcomes).enumerate() {
        let policy = &selected.policy;
        let report = match outcome {
            Ok(Outcome::Evaluated(report)) => report,
            Ok(Outcome::Skipped(reason)) => {
                verdict.skipped.push((Arc::clone(policy), reason.clone()));
                continue;
            }
            Err(failure) => {
                let uncapped = selected.on_error;
                let action = uncapped.min(selected.mode.cap());
                verdict.failed.push(Failed { policy: Arc::clone(policy), failure: failure.clone(), action, uncapped });
                continue;
            }
        };
        for text in &report.assumptions {
            verdict.assumed.push((Arc::clone(policy), text.clone()));
        }
        if report.more > 0 {
            verdict.more.push((Arc::clone(policy), report.more));
        }
        for finding in &report.findings {
            let mut judged = judge(selected, finding, object);
            if judged.action == Action::Off {
                continue;
            }
            if judged.action == Action::Deny && ratchets(review, selected) {
                match old.map(|old| old.get(&index)) {
                    None => open.push(index),
                    Some(known) => {
                        if known.is_some_and(|known| excuses(known, &judged, review)) {
                            judged.action = Action::Warn;
                            judged.spared = Some(Spared::Ratchet);
                        }
                    }
                }
            }
            verdict.judged.push(judged);
        }
    }
    if !open.is_empty() {
        open.dedup();
        return Decision::NeedsOldObject(open);
    }
    merge(&mut verdict.judged);
    Decision::Verdict(verdict)
}

fn judge(selected: &Selected, finding: &Finding, object: Option<Node<'_>>) -> Judged {
    let uncapped = selected.actions.of(finding.severity);
    let mut action = uncapped;
    let mut spared = None;
    if selected.is_new(finding.since.as_deref()) && action > Action::Audit {
        action = Action::Audit;
        spared = Some(Spared::New);
    }
    if action > selected.mode.cap() {
        action = selected.mode.cap();
        spared = Some(Spared::Observed);
    }
    Judged {
        key: key(&selected.policy.id, finding, object),
        policy: Arc::clone(&selected.policy),
        finding: finding.clone(),
        action,
        uncapped,
        spared,
    }
}

/// Transitions are judged by what changes, so an old violation excuses nothing; companions go by age.
fn ratchets(review: &Review, selected: &Selected) -> bool {
    review.old_object().is_some() && review.object().is_some() && selected.policy.judges == Judges::State
}

/// A Deny is excused exactly if the old object has a finding of the same key and the judged values are equal.
fn excuses(old: &Judgement, judged: &Judged, review: &Review) -> bool {
    let (Ok(Outcome::Evaluated(report)), Some(old_object), Some(object)) = (old, review.old_object(), review.object())
    else {
        return false;
    };
    report.findings.iter().any(|finding| {
        key(&judged.policy.id, finding, Some(old_object)) == judged.key
            && finding.severity >= judged.finding.severity
            && values(finding, old_object) == values(&judged.finding, object)
    })
}

fn values<'a>(finding: &Finding, object: Node<'a>) -> Vec<Option<Node<'a>>> {
    let own = finding.at.full();
    let about = if finding.about.is_empty() { std::slice::from_ref(&own) } else { finding.about.as_slice() };
    about.iter().map(|pointer| object.at(pointer)).collect()
}

/// Policy, related object and place; list items are named by their merge key, so that reordering changes nothing.
pub fn key(policy: &str, finding: &Finding, object: Option<Node<'_>>) -> String {
    format!("{policy} {} {}", finding.related.as_deref().unwrap_or_default(), named_path(object, &finding.at.full()))
}

/// A pointer as people read it: `spec.containers[app].image`, list items by their merge key where they have one.
pub fn named_path(object: Option<Node<'_>>, pointer: &str) -> String {
    let mut path = String::with_capacity(pointer.len());
    let mut node = object;
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        match node.filter(|node| node.kind() == Kind::Array) {
            Some(list) => {
                let item = name.parse().ok().and_then(|index| list.item(index));
                match item.and_then(|item| Some((identity(item)?, item))) {
                    Some(((_, id), item)) => {
                        path.push('[');
                        path.push_str(&id.as_str().map_or_else(|| id.to_json(), str::to_owned));
                        // A port is known by its number and protocol.
                        if let Some(protocol) =
                            item.get("protocol").and_then(Node::as_str).filter(|text| *text != "TCP")
                        {
                            path.push('/');
                            path.push_str(protocol);
                        }
                        path.push(']');
                    }
                    None => {
                        path.push('[');
                        path.push_str(&name);
                        path.push(']');
                    }
                }
                node = item;
            }
            None => {
                let plain = !name.is_empty() && !name.contains(['.', '/', '[', ']', ' ']);
                if plain {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&name);
                } else {
                    path.push('[');
                    path.push_str(&name);
                    path.push(']');
                }
                node = node.and_then(|node| node.get(&name));
            }
        }
    }
    path
}

/// The same finding of two PolicySets is one, with the strictest action. Then most severe first; what is equally
/// severe keeps the order of the catalogue and of the object.
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
    merged.sort_by_key(|judged| std::cmp::Reverse((judged.action, judged.finding.severity)));
    *judged = merged;
}

impl Mode {
    /// The strictest action that the mode lets pass.
    pub fn cap(self) -> Action {
        match self {
            Mode::Off => Action::Off,
            Mode::Observe => Action::Warn,
            Mode::Enforce => Action::Deny,
        }
    }
}
