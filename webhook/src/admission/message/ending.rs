//! The last line of a denial: where to make the change, where to read more, and who can exempt the object.

use plimsoll_flat::Node;

use super::shorten;
use crate::admission::verdict::Verdict;
use crate::model::{Operation, Review};
use crate::registry::Recourse;

/// Maximum number of characters of a release's name; helm has the same limit.
const MAX_RELEASE: usize = 53;

/// Maximum number of characters of the name of a PolicySet or namespace.
const MAX_NAME: usize = 63;

/// Maximum number of PolicySets, contacts or namespaces that are named. The rest are counted.
const MOST: usize = 2;

/// The sentences that fit, in one line. No sentence advises a step that would have no effect.
pub(super) fn ending(review: &Review, verdict: &Verdict) -> String {
    let sentences = [source(review), explain(&verdict.recourse), Some(exempt(review, verdict))];
    sentences.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Where to make the change: in the owner for an object of a controller, in the chart for an object of helm. For a
/// deletion, neither applies.
fn source(review: &Review) -> Option<String> {
    if review.operation == Operation::Delete {
        return None;
    }
    let metadata = review.subject()?.get("metadata")?;
    let owners = metadata.get("ownerReferences").into_iter().flat_map(Node::items);
    let maker = owners.into_iter().find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true));
    if let Some(maker) = maker {
        let text = |name: &str, most| shorten(maker.get(name).and_then(Node::as_str).unwrap_or_default(), most);
        return Some(format!("{} {} made it: make the change there.", text("kind", MAX_NAME), text("name", MAX_NAME)));
    }
    let text = |place: &str, name: &str| metadata.get(place)?.get(name).and_then(Node::as_str);
    let release = text("annotations", "meta.helm.sh/release-name").filter(|release| !release.is_empty());
    let is_managed = text("labels", "app.kubernetes.io/managed-by").is_some_and(|by| by.eq_ignore_ascii_case("helm"));
    if release.is_none() && !is_managed && text("labels", "helm.sh/chart").is_none() {
        return None;
    }
    let release = release.map(|release| format!(" (release {})", shorten(release, MAX_RELEASE))).unwrap_or_default();
    Some(format!("Helm made it{release}: make the change in the chart's values."))
}

/// The pages of the policies that deny, if the binary contains them.
fn explain(recourse: &Recourse) -> Option<String> {
    match recourse.explained.as_slice() {
        [] => None,
        [only] => Some(format!("More: plimsoll explain {only}.")),
        [first, second] => Some(format!("More: plimsoll explain {first}, plimsoll explain {second}.")),
        _ => Some("More: plimsoll explain ID, for each ID.".to_owned()),
    }
}

fn exempt(review: &Review, verdict: &Verdict) -> String {
    let Recourse { contacts, sets, exemption_namespaces, self_exempt, .. } = &verdict.recourse;
    if !contacts.is_empty() {
        return format!("To be exempted, ask: {}", some(contacts, "and", usize::MAX));
    }
    // A deletion and a request to a subresource write no annotation.
    if *self_exempt && review.subresource.is_empty() && review.operation != Operation::Delete {
        let mut ids: Vec<&str> = verdict.denying().map(|judged| judged.policy.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let (id, each) = if let [id] = ids[..] { (id, "") } else { ("ID", ", for each ID") };
        return format!("To exempt it, annotate it with plimsoll.dev/ignore.{id}: \"the reason\"{each}.");
    }
    if !exemption_namespaces.is_empty() {
        let namespaces = some(exemption_namespaces, "or", MAX_NAME);
        return format!("The operators of Plimsoll can exempt it, by a PolicyExemption in the namespace {namespaces}.");
    }
    let denying = match sets.as_slice() {
        [] => String::new(),
        [set] => format!(": the ClusterPolicySet {} denies it", shorten(set, MAX_NAME)),
        sets => format!(": the ClusterPolicySets {} deny it", some(sets, "and", MAX_NAME)),
    };
    format!("To be exempted, ask the operators of Plimsoll{denying}.")
}

/// `a and b`, `a, b and 3 more`.
fn some(names: &[String], conjunction: &str, most: usize) -> String {
    let shown: Vec<String> = names.iter().take(MOST).map(|name| shorten(name, most)).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(&format!(" {conjunction} ")),
        more => format!("{} {conjunction} {more} more", shown.join(", ")),
    }
}
