use plimsoll_sdk::kind::{SCALABLE, long_running};
use std::collections::BTreeSet;

use plimsoll_sdk::affinity::{Term, anti_affinity};
use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::selector;

/// Spread constraints and anti-affinity terms that count other Pods than their own.
///
/// ## What it finds
/// - `error`: a `topologySpreadConstraints` item whose `labelSelector` is missing, or does not match the labels of its
///   own Pods. All of these Pods may then run on one node.
/// - `warning`: a `podAntiAffinity` that was written for its own Pods but selects none of them. One of its terms has
///   the name of the workload, or a label value of its Pods, under a key that the Pods do not have.
///
/// A term may select other Pods on purpose, to keep away from them. So the policy accepts any other term that selects
/// other Pods. `missing-spread` reports what does not spread the Pods. For `podAntiAffinity`, the policy also skips:
///
/// - a term whose selector matches another workload of the namespace;
/// - a term that may look into other namespaces;
/// - a preferred term with a `weight` below 50;
/// - a workload with `topologySpreadConstraints`.
///
/// The policy skips a workload with a single Pod, unless an autoscaler may make it larger. It reports the problem at
/// the object that is applied last: the workload, or the autoscaler at its `scaleTargetRef`. `plimsoll check` reports
/// it once for a set.
///
/// ## Why
/// Usually the labels of the pod template were renamed, or the selector was copied from a chart. The scheduler counts
/// the Pods that the selector matches. It finds none anywhere, so it accepts any node. If that node fails, the whole
/// workload fails.
///
/// ## What to write
/// The workload's own selector. `--fix=unsafe` writes it in constraints:
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
/// If not all workloads are known, the policy assumes that no other workload has the labels that a term selects.
#[policy(
    on = LongRunning, kinds = [Autoscalers],
    severity = Error, since = "0.1.0",
    refines = [LongRunning, Autoscalers, "batch/Job", "batch/CronJob"],
    edits = ["{template}/spec/topologySpreadConstraints/*/labelSelector"],
    default = Warn,
    reads = [Workloads, Autoscalers],
    covers = ["avail-spread-self: only constraints have a fix, not anti-affinity"]
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
    // The selector of a ReplicationController is a plain map, like that of a Service, and no LabelSelector.
    let own =
        review.at("/spec/selector").node().filter(|own| own.len() > 0 && !review.is(Kind::REPLICATION_CONTROLLER));
    let own = own.filter(|own| selector::matches(*own, labels).is_yes()).and_then(Value::copy);
    // Each fix carries a copy of the selector.
    let own = own.filter(|own| own.to_document().len() <= MAX_SELECTOR);
    for constraint in template.spec().at("/topologySpreadConstraints").items() {
        let at = constraint.at("/labelSelector");
        let is_own = match at.node() {
            Some(node) => selector::matches(node, labels),
            None if at.is_absent() => selector::Match::No,
            None => continue,
        };
        if is_own != selector::Match::No {
            continue;
        }
        let Some(key) = constraint.at("/topologyKey").as_str() else { continue };
        let what = match at.is_absent() {
            true => "has no labelSelector",
            false => "has a labelSelector that does not match these Pods",
        };
        let message = format!("the constraint on {key} {what}: it does not spread these Pods");
        let finding = findings.error(&at, message, "set labelSelector to the selector of this workload");
        if let Some(own) = own.clone() {
            let fix = Fix::changing("Set labelSelector to the selector of the workload");
            finding.fix(if at.exists() { fix.replace(&at, own) } else { fix.add(&at, own) });
        }
    }
    keeps_apart(review, labels, findings);
}

/// Maximum size in bytes of a selector that a fix writes.
const MAX_SELECTOR: usize = 2048;

/// Whether the workload has at most one Pod, so there is nothing to spread.
fn is_single(review: &Review<'_>) -> bool {
    let Some(kind) = SCALABLE.into_iter().find(|kind| review.is(*kind)) else { return false };
    let replicas = review.at("/spec/replicas");
    let is_one = replicas.is_absent() || matches!(replicas.as_i64(), Some(0 | 1));
    let (bounds, is_complete) = bounds(review, kind, review.name());
    is_one && is_complete && bounds.iter().all(|bounds| bounds.most == Some(1))
}

/// Minimum weight of a preferred term that is meant to spread Pods. A lower weight only prefers other neighbours.
const LEAST_WEIGHT: i64 = 50;

fn keeps_apart<'a>(review: &Review<'a>, labels: Option<Node<'a>>, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let terms: Vec<_> = anti_affinity(template).collect();
    let selects_own = |term: &Term<'_>| {
        let at = term.at.at("/labelSelector");
        // A term without a selector selects no Pods.
        at.node().map_or(!at.is_absent(), |node| selector::matches(node, labels) != selector::Match::No)
    };
    // Judge the terms only if each of them clearly selects none of these Pods.
    if template.spec().at("/topologySpreadConstraints").has_content() || terms.iter().any(selects_own) {
        return;
    }
    let names = own_names(review, labels);
    let mut suspects = terms.iter().filter(|term| {
        term.weight.is_none_or(|weight| weight >= LEAST_WEIGHT)
            && term.looks_into(review.namespace()) == Knowledge::Yes
            && means_own(&names, &term.at.at("/labelSelector"), labels)
    });
    // Each question to the host is a search, so only the first of these terms is checked.
    let Some(Term { at: term, .. }) = suspects.next() else { return };
    match are_there(review, term) {
        Knowledge::Yes => return,
        Knowledge::Unknown => findings.assume("no other Pods have the labels that podAntiAffinity selects"),
        Knowledge::No => {}
    }
    let message = "podAntiAffinity selects labels that these Pods do not have: it does not spread these Pods";
    let help = "set labelSelector of the term to the selector of this workload";
    findings.warning(&term.at("/labelSelector"), message, help);
}

/// The names of these Pods: the name of their workload, and the values of their labels.
fn own_names<'a>(review: &Review<'a>, labels: Option<Node<'a>>) -> BTreeSet<&'a str> {
    let values = labels.into_iter().flat_map(Node::members).filter_map(|(_, value)| value.as_str());
    values.chain([review.name()]).filter(|name| !name.is_empty()).collect()
}

/// Whether a selector that does not select these Pods was written for them. Each of its labels must be one of theirs,
/// or have one of their names under a key that they do not have. Any other selector may keep away from other Pods on
/// purpose.
fn means_own(names: &BTreeSet<&str>, selector: &Cursor<'_>, labels: Option<Node<'_>>) -> bool {
    let of_labels = selector.at("/matchLabels").members().map(|(key, value)| (Some(key), value.as_str()));
    let of_expressions = selector.at("/matchExpressions").items().map(|item| {
        let values = item.at("/values");
        let only = values.item(0).filter(|_| values.item(1).is_none() && item.at("/operator").as_str() == Some("In"));
        (item.at("/key").as_str(), only.and_then(|value| value.as_str()))
    });
    let mut written = of_labels.chain(of_expressions).peekable();
    written.peek().is_some()
        && written.all(|(key, value)| {
            let Some((key, value)) = key.zip(value) else { return false };
            match labels.and_then(|labels| labels.get(key)) {
                Some(own) => own.as_str() == Some(value),
                None => names.contains(value),
            }
        })
}

/// Whether another workload of the namespace has Pods that this term selects.
fn are_there(review: &Review<'_>, term: &Cursor<'_>) -> Knowledge {
    let Some(selector) = term.at("/labelSelector").node().map(Node::to_document) else { return Knowledge::No };
    let kinds: BTreeSet<Kind<'_>> = long_running(review).chain([Kind::JOB, Kind::CRON_JOB]).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    let answers = review.selected_by_each(&kinds, &selector);
    if answers.iter().any(|answer| answer.nodes().next().is_some()) {
        return Knowledge::Yes;
    }
    if answers.iter().all(|answer| answer.complete) { Knowledge::No } else { Knowledge::Unknown }
}
