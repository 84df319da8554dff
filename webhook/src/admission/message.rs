//! The texts for people: the denial, the warnings, and the causes of the denial.

mod ending;
mod fit;
mod group;
mod place;

use plimsoll_flat::Node;
use plimsoll_sdk::kind::SCALABLE;

use super::decide::named_path;
use super::verdict::{Failed, Judged, Verdict};
use crate::model::{Action, Operation, Review};
use crate::printed;
use crate::registry::plural;
use ending::ending;
use fit::{MOST, Reason, bullets};
use group::Group;

/// Maximum number of characters of a warning. The API server cuts every warning to 256 characters if all of them
/// together have more than 4,096. Plimsoll's warnings stay below.
const MAX_WARNING: usize = 120;
/// Maximum number of warnings. The rest are counted.
const MAX_WARNINGS: usize = 10;
/// Maximum number of characters of a denial. kubectl prints it as one text, and a person reads it during a deployment.
const MAX_MESSAGE: usize = 1000;
/// Maximum number of characters of an object's name.
const MAX_NAME: usize = 120;
/// Maximum number of characters of a kind or resource.
const MAX_KIND: usize = 63;

/// The message of a denial: the rejected object, a bullet for each reason, most severe first, and the next step.
/// Warnings are not part of it, because the API server gets them separately.
pub fn denial(review: &Review, verdict: &Verdict) -> String {
    let object = review.subject();
    let denying = verdict.denying().map(|Judged { policy, finding, .. }| (&*policy.id, finding));
    let (mut groups, unread) = Group::all(denying, object);
    let failed = verdict.failed.iter().filter(|failed| failed.action == Action::Deny);
    groups.extend(failed.map(|failed| Group::alone(&failed.policy.id, failure(failed), LOG)));
    let ids: Vec<&str> = groups.iter().map(|group| group.id).collect();
    let reasons: Vec<Reason> = groups.iter().take(MOST).map(Group::reason).collect();
    let cut = verdict.more.iter().filter(|(policy, _)| ids.contains(&policy.id.as_str()));
    let cut: Vec<(&str, usize)> = cut.map(|(policy, more)| (policy.id.as_str(), number(*more))).collect();
    let summary = printed::line(&summary(review, ids.len(), !cut.is_empty() || !unread.is_empty())).into_owned();
    let ending = printed::line(&ending(review, verdict)).into_owned();
    // All other groups are only counted.
    let others = groups.iter().skip(MOST).map(|group| (group.id, group.size()));
    let others: Vec<_> = others.chain(unread.into_iter().map(|id| (id, 1))).chain(cut).collect();
    let room = MAX_MESSAGE.saturating_sub(length(&summary) + length(&ending) + 1);
    let bullets = bullets(&reasons, &others, room);
    [summary].into_iter().chain(bullets).chain([ending]).collect::<Vec<_>>().join("\n")
}

/// `Deployment web is refused, for 2 reasons:`
fn summary(review: &Review, reasons: usize, is_cut: bool) -> String {
    let subject = describe(review);
    match reasons {
        _ if is_cut => format!("{subject} is refused, for more than {reasons} reasons:"),
        0 | 1 => format!("{subject} is refused:"),
        _ => format!("{subject} is refused, for {reasons} reasons:"),
    }
}

/// The warnings of a review, whether it is denied or not: at most ten, the rest counted.
pub fn warnings(review: &Review, verdict: &Verdict) -> Vec<String> {
    let object = review.subject();
    let findings =
        verdict.judged.iter().filter(|judged| judged.action == Action::Warn).map(|judged| warning(judged, object));
    let failures = verdict
        .failed
        .iter()
        .filter(|failed| failed.action == Action::Warn)
        .map(|failed| format!("{}: {} → {LOG}", failed.policy.id, failure(failed)));
    let mut warnings: Vec<String> = findings
        .chain(failures)
        .chain(mistakes(verdict))
        .map(|text| shorten(&printed::line(&text), MAX_WARNING))
        .collect();
    let cut = more(verdict);
    if !warnings.is_empty() && warnings.len() + cut > MAX_WARNINGS {
        let shown = warnings.len().min(MAX_WARNINGS - 1);
        let more = warnings.len() - shown + cut;
        warnings.truncate(shown);
        warnings.push(format!("+{more} more: run plimsoll check"));
    }
    warnings
}

/// Plimsoll's annotations and labels that can't have the effect that their author wants.
fn mistakes(verdict: &Verdict) -> impl Iterator<Item = String> {
    let mistakes = verdict.unused.iter().filter_map(|unused| Some((&unused.name, unused.warning.as_ref()?)));
    mistakes.map(|(name, warning)| format!("{name} {warning}"))
}

/// Findings that the engine counted and cut before the decision.
fn more(verdict: &Verdict) -> usize {
    verdict.more.iter().map(|(_, more)| number(*more)).fold(0, usize::saturating_add)
}

fn number(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// One cause of a denial, for programs (`status.details.causes`): the policy, the path, the message.
pub fn causes(review: &Review, verdict: &Verdict) -> Vec<(String, String, String)> {
    let object = review.subject();
    let findings = verdict.judged.iter().filter(|judged| judged.action == Action::Deny).map(|judged| {
        (judged.policy.id.clone(), printed::line(&path(judged, object)).into_owned(), judged.finding.message.clone())
    });
    let failures = verdict
        .failed
        .iter()
        .filter(|failed| failed.action == Action::Deny)
        .map(|failed| (failed.policy.id.clone(), String::new(), format!("{} → {LOG}", failure(failed))));
    findings.chain(failures).collect()
}

/// As much as fits of the policy, the path, the fault and the help. The message names the container, so the path is cut
/// first, then the help.
fn warning(judged: &Judged, object: Option<Node<'_>>) -> String {
    let (id, finding) = (&judged.policy.id, &judged.finding);
    let whole = format!("{id}: {}", line(judged, object));
    let without_path = format!("{id}: {} → {}", finding.message, finding.help);
    let without_help = format!("{id}: {}", finding.message);
    let fits = |text: &String| text.chars().count() <= MAX_WARNING;
    [whole, without_path].into_iter().find(fits).unwrap_or(without_help)
}

/// `path: what is wrong → what to write`.
fn line(judged: &Judged, object: Option<Node<'_>>) -> String {
    let finding = &judged.finding;
    let help = if finding.help.is_empty() { String::new() } else { format!(" → {}", finding.help) };
    format!("{}: {}{help}", path(judged, object), finding.message)
}

fn path(judged: &Judged, object: Option<Node<'_>>) -> String {
    let path = named_path(object, &judged.finding.at.full());
    if path.is_empty() { "object".to_owned() } else { path }
}

fn failure(failed: &Failed) -> String {
    format!("could not be judged: {}", failed.failure)
}

/// Help for a policy that failed.
const LOG: &str = "see the log of plimsoll, or its PolicySet's onError";

fn describe(review: &Review) -> String {
    let generated = review.subject().and_then(|object| object.get("metadata")?.get("generateName")?.as_str());
    let name = match generated {
        _ if !review.name.is_empty() => shorten(&review.name, MAX_NAME),
        Some(prefix) if !prefix.is_empty() => format!("{}… (name to be generated)", shorten(prefix, MAX_NAME)),
        _ => "(name to be generated)".to_owned(),
    };
    let kind = shorten(&review.kind.kind, MAX_KIND);
    if review.subresource == "scale" {
        let mut kinds = SCALABLE.into_iter().map(|kind| (kind.group(), kind.name()));
        let scaled = kinds.find(|(group, kind)| plural(group, kind) == review.resource).map(|(_, kind)| kind);
        return format!("Scaling of {} {name}", shorten(scaled.unwrap_or(&review.resource), MAX_KIND));
    }
    if review.operation == Operation::Delete {
        return format!("Deletion of {kind} {name}");
    }
    format!("{kind} {name}")
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Cuts a text to at most `most` characters. Cuts between words if that loses little.
fn shorten(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    let at_word = kept.rfind(' ').filter(|at| length(&kept[..*at]) * 4 >= most * 3);
    let kept = at_word.map_or(kept.as_str(), |at| kept[..at].trim_end_matches([',', ';', ':', ' ']));
    format!("{kept}…")
}

#[cfg(test)]
#[path = "message/tests.rs"]
pub(super) mod tests;
