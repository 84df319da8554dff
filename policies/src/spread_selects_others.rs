use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::disruption::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::selector;

/// Pods that are spread by counting other Pods.
///
/// ## What it finds
/// - `error`: a `topologySpreadConstraints` item whose `labelSelector` does not match the labels of the Pods themselves, or
///   that has none, so that these may all lie on one node.
/// - `warning`: `podAntiAffinity` of which no term selects the Pods themselves, and of which one selects by labels that
///   these have not.
///
/// Keeping away from other Pods is a use of its own. A term of `podAntiAffinity` is left out where its selector matches
/// another workload of the namespace, where it looks into other namespaces, and where it is a preference with a `weight`
/// below 50.
///
/// A workload of a single Pod is left out, unless an autoscaler may make it larger. It is found whichever object comes last:
/// at the workload, or at the target of the autoscaler. `plimsoll check` says it once for a set.
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
///
/// ## Assumptions
/// Where not all workloads are known, no other one has the labels that a term selects.
#[policy(
    category = "availability", on = LongRunning, kinds = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"],
    severity = Error, since = "0.1.0",
    refines = [
        "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "apps/Deployment", "apps/StatefulSet",
        "apps/DaemonSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout", "batch/Job",
        "batch/CronJob"
    ],
    edits = ["{template}/spec/topologySpreadConstraints/*/labelSelector"]
)]
pub fn spread_selects_others(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &[], spread_selects_others) {
        return;
    }
    let Some(template) = review.template() else { return };
    if is_single(review) {
        return;
    }
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

/// Whether there is nothing to spread.
fn is_single(review: &Review<'_>) -> bool {
    let Some(kind) = SCALABLE.into_iter().find(|kind| review.is(kind)) else { return false };
    let replicas = review.at("spec/replicas");
    let is_one = replicas.is_absent() || matches!(replicas.as_i64(), Some(0 | 1));
    let (bounds, is_complete) = bounds(review, kind, review.name());
    is_one && is_complete && bounds.iter().all(|bounds| bounds.most == Some(1))
}

/// Smallest weight of a preference by which an author means to spread Pods. A lower one only prefers other neighbours.
const LEAST_WEIGHT: i64 = 50;

fn keeps_apart(review: &Review<'_>, labels: Option<Node<'_>>, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let apart = template.spec().at("affinity/podAntiAffinity");
    let required = apart.at("requiredDuringSchedulingIgnoredDuringExecution").items().map(|term| (term, LEAST_WEIGHT));
    let preferred = apart.at("preferredDuringSchedulingIgnoredDuringExecution").items();
    let preferred = preferred.map(|term| (term.at("podAffinityTerm"), term.at("weight").as_i64().unwrap_or(0)));
    let terms: Vec<_> = required.chain(preferred).collect();
    let matches = |term: &Cursor<'_>| term.at("labelSelector").node().map(|node| selector::matches(node, labels));
    // Anything but a clear no is left alone.
    if terms.is_empty() || !terms.iter().all(|(term, _)| matches(term) == Some(selector::Match::No)) {
        return;
    }
    // An author who keeps away from what another label names means that.
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
    let looks_elsewhere =
        |term: &Cursor<'_>| term.at("namespaces").has_content() || term.at("namespaceSelector").exists();
    let mut suspects = terms
        .iter()
        .filter(|(term, weight)| *weight >= LEAST_WEIGHT && !keys(term).iter().any(has) && !looks_elsewhere(term));
    // Each question to the host is a search, so only the first term is asked about.
    let Some((term, _)) = suspects.next() else { return };
    match are_there(review, term) {
        Knowledge::Yes => return,
        Knowledge::Unknown => findings.assume("no other Pods have the labels that podAntiAffinity selects"),
        Knowledge::No => {}
    }
    let message = "podAntiAffinity selects labels that these Pods do not have, so it does not spread them";
    let help = "write the selector of this workload in labelSelector";
    findings.warning(&term.at("labelSelector"), message, help);
}

/// Whether another workload of the namespace has Pods that this term selects.
fn are_there(review: &Review<'_>, term: &Cursor<'_>) -> Knowledge {
    let Some(selector) = term.at("labelSelector").node().map(Node::to_document) else { return Knowledge::No };
    let further = review.further_workloads().map(|(kind, _)| kind);
    let mut kinds: Vec<&str> = SCALABLE.into_iter().chain(["apps/DaemonSet", "batch/Job", "batch/CronJob"]).collect();
    let own = kinds.clone();
    kinds.extend(further.filter(|kind| !own.contains(kind)));
    let answers = review.selected_by_each(&kinds, &selector);
    if answers.iter().any(|answer| answer.nodes().next().is_some()) {
        return Knowledge::Yes;
    }
    if answers.iter().all(|answer| answer.complete) { Knowledge::No } else { Knowledge::Unknown }
}
