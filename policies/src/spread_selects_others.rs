use plimsoll_sdk::prelude::*;
use plimsoll_sdk::selector;

/// Pods that are spread by counting other Pods.
///
/// ## What it finds
/// `error`: a `topologySpreadConstraints` item, or a term of `podAntiAffinity`, whose `labelSelector` does not match the
/// labels of the Pods themselves, so that these may all lie on one node. In `podAntiAffinity` it is only found where no
/// term selects the Pods themselves, for keeping away from somebody else's is a use of its own; and a constraint without a
/// selector is found, for it counts nothing.
///
/// ## Why
/// The labels of the pod template were renamed, or a chart's selector was copied. The scheduler counts the Pods that the
/// selector matches, finds none anywhere, and is content with any node. One node down is then all of the workload down.
///
/// ## What to write
/// The workload's own selector; `--fix=unsafe` writes it in constraints:
///
/// ```yaml
/// topologySpreadConstraints:
///   - topologyKey: kubernetes.io/hostname
///     maxSkew: 1
///     whenUnsatisfiable: ScheduleAnyway
///     labelSelector: {matchLabels: {app: shop}}
/// ```
#[policy(
    category = "availability", on = LongRunning, severity = Error, since = "0.1.0",
    edits = ["{template}/spec/topologySpreadConstraints/*/labelSelector"]
)]
pub fn spread_selects_others(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let labels = template.labels();
    // A Service's kind of selector is no LabelSelector.
    let own = review.at("spec/selector").node().filter(|own| own.len() > 0 && !review.is("/ReplicationController"));
    let own = own.filter(|own| selector::matches(*own, labels).is_yes()).and_then(Value::copy);
    // Each fix has a copy of it.
    let own = own.filter(|own| own.to_document().len() <= MAX_SELECTOR);
    for constraint in template.spec().at("topologySpreadConstraints").items() {
        let at = constraint.at("labelSelector");
        let is_own = match at.node() {
            Some(node) => selector::matches(node, labels),
            None if at.is_absent() => selector::Match::No,
            None => continue,
        };
        if is_own != selector::Match::No {
            continue;
        }
        let Some(key) = constraint.at("topologyKey").as_str() else { continue };
        let message = format!("the constraint on {key} selects other Pods than these, so it does not spread them");
        let finding = findings.error(&at, message, "write the selector of this workload in labelSelector");
        if let Some(own) = own.clone() {
            let fix = Fix::changing("spread the Pods of this workload");
            finding.fix(if at.exists() { fix.replace(&at, own) } else { fix.add(&at, own) });
        }
    }
    keeps_apart(review, labels, findings);
}

/// Maximum size in bytes of a selector that a fix writes.
const MAX_SELECTOR: usize = 2048;

fn keeps_apart(review: &Review<'_>, labels: Option<Node<'_>>, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let apart = template.spec().at("affinity/podAntiAffinity");
    let required = apart.at("requiredDuringSchedulingIgnoredDuringExecution").items();
    let preferred = apart.at("preferredDuringSchedulingIgnoredDuringExecution").items();
    let terms: Vec<_> = required.chain(preferred.map(|term| term.at("podAffinityTerm"))).collect();
    let matches = |term: &Cursor<'_>| term.at("labelSelector").node().map(|node| selector::matches(node, labels));
    // Anything but a clear no is left alone.
    if terms.is_empty() || !terms.iter().all(|term| matches(term) == Some(selector::Match::No)) {
        return;
    }
    // Who keeps away from what another label names means that.
    let keys = |term: &Cursor<'_>| {
        let selector = term.at("labelSelector");
        let written = selector.at("matchLabels").members().map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
        let listed = selector.at("matchExpressions").items();
        written
            .into_iter()
            .chain(listed.filter_map(|item| item.at("key").as_str().map(str::to_owned)))
            .collect::<Vec<_>>()
    };
    let has = |key: &String| labels.is_some_and(|labels| labels.get(key).is_some());
    if let Some(term) = terms.iter().find(|term| !keys(term).iter().any(has)) {
        let message = "podAntiAffinity selects Pods by labels that these have not, so it does not spread them";
        let help = "write the selector of this workload in labelSelector";
        findings.error(&term.at("labelSelector"), message, help);
    }
}
