//! What people read: the denial, the warnings, and the causes beside them.

use plimsoll_flat::Node;

use super::decide::named_path;
use super::review::Review;
use super::verdict::{Action, Failed, Judged, Verdict};
use crate::printed;

/// The API server cuts every warning to 256 characters where all of them together pass 4,096; ours stay well below.
const MAX_WARNING: usize = 120;
/// More warnings than this are counted.
const MAX_WARNINGS: usize = 10;
/// A message names at most this many findings one by one; the others are counted.
const MAX_LINES: usize = 60;

/// The message of a denial: a summary, then a line for each finding, most severe first.
pub fn denial(review: &Review, verdict: &Verdict) -> String {
    let denying = count(verdict, Action::Deny);
    let warning = count(verdict, Action::Warn);
    let mut summary = format!("{} breaks {}", describe(review), plural(denying, "policy rule", "policy rules"));
    if warning > 0 {
        summary.push_str(&format!(", and {} only warned of", plural(warning, "more is", "more are")));
    }
    let mut lines = vec![summary + ":"];
    let object = review.subject();
    for judged in verdict.judged.iter().filter(|judged| judged.action >= Action::Warn) {
        let mark = if judged.action == Action::Deny { "" } else { " (warning)" };
        lines.push(format!("• {}  {}{mark}", judged.policy.id, line(judged, object)));
    }
    for failed in verdict.failed.iter().filter(|failed| failed.action >= Action::Warn) {
        let mark = if failed.action == Action::Deny { "" } else { " (warning)" };
        lines.push(format!("• {}  {}{mark}", failed.policy.id, failure(failed)));
    }
    if lines.len() > MAX_LINES + 1 {
        let cut = lines.len() - MAX_LINES - 1 + more(verdict);
        lines.truncate(MAX_LINES + 1);
        lines.push(format!("• and {cut} more: run plimsoll check"));
    } else {
        lines.extend(verdict.more.iter().map(|(policy, more)| format!("• {}  and {more} more", policy.id)));
    }
    lines.extend(mistakes(verdict).map(|mistake| format!("note: {mistake}")));
    // Names are the requester's. None of them may begin a line, or make kubectl's terminal do something.
    let lines: Vec<_> = lines.iter().map(|line| printed::line(line)).collect();
    lines.join("\n")
}

/// The warnings of a review that is allowed: at most ten, the rest counted. On a denial they stand in its message.
pub fn warnings(review: &Review, verdict: &Verdict) -> Vec<String> {
    if !verdict.allowed() {
        return Vec::new();
    }
    let object = review.subject();
    let findings =
        verdict.judged.iter().filter(|judged| judged.action == Action::Warn).map(|judged| warning(judged, object));
    let failures = verdict
        .failed
        .iter()
        .filter(|failed| failed.action == Action::Warn)
        .map(|failed| format!("{}: {}", failed.policy.id, failure(failed)));
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

/// Annotations and labels of Plimsoll's that cannot do what their author wants.
fn mistakes(verdict: &Verdict) -> impl Iterator<Item = String> {
    let mistakes = verdict.unused.iter().filter_map(|unused| Some((&unused.name, unused.warning.as_ref()?)));
    mistakes.map(|(name, warning)| format!("{name} {warning}"))
}

/// Findings that were counted and cut before anything was decided about them.
fn more(verdict: &Verdict) -> usize {
    verdict.more.iter().map(|(_, more)| usize::try_from(*more).unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
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
        .map(|failed| (failed.policy.id.clone(), String::new(), failure(failed)));
    findings.chain(failures).collect()
}

/// As much as fits of: policy, path, what is wrong, what to write. The message names the container, so the path goes
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
    format!("could not be judged: {} → see the log of plimsoll, or its PolicySet's onError", failed.failure)
}

fn count(verdict: &Verdict, action: Action) -> usize {
    verdict.judged.iter().filter(|judged| judged.action == action).count()
        + verdict.failed.iter().filter(|failed| failed.action == action).count()
}

fn describe(review: &Review) -> String {
    let name = if review.name.is_empty() { "(name to be generated)" } else { &review.name };
    match review.subresource.as_str() {
        "" => format!("{} {name}", review.kind.kind),
        // The kind of a subresource is another one's: `Scale` says nothing.
        subresource => format!("{}/{subresource} {name}", review.resource),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}
