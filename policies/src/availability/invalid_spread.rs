use std::collections::{BTreeMap, BTreeSet};

use plimsoll_sdk::affinity::has_label;
use plimsoll_sdk::flat::Kind as Json;
use plimsoll_sdk::prelude::*;

/// Spread constraints and affinity terms that the API server rejects, in the workload or in each of its Pods.
///
/// ## What it finds
/// `error`: a `topologySpreadConstraints` item
///
/// - with a `maxSkew` or `minDomains` below 1, or without `maxSkew`;
/// - without `topologyKey`, or with a `whenUnsatisfiable` that is neither `DoNotSchedule` nor `ScheduleAnyway`;
/// - with `minDomains` and `ScheduleAnyway`, because only `DoNotSchedule` allows a minimum;
/// - with `matchLabelKeys` but no `labelSelector`;
/// - with the same `topologyKey` and `whenUnsatisfiable` as an earlier item.
///
/// `error`: a key that is in both `matchLabelKeys` and `labelSelector`, if the Pods have that label. This applies to
/// such an item, and to a term of `podAffinity` or `podAntiAffinity`.
///
/// ## Why
/// The schema of the API allows all of these values, and so do most checkers. The API server rejects the whole workload
/// when it is applied.
///
/// The last error is worse. From Kubernetes 1.34 (for affinity terms from 1.31), the API server accepts the workload.
/// For each new Pod, it adds the label's value to the selector, finds the key twice, and rejects the Pod. The workload
/// stays without Pods, and only its events say why.
///
/// ## What to write
/// ```yaml
/// topologySpreadConstraints:
///   - topologyKey: kubernetes.io/hostname
///     maxSkew: 1
///     whenUnsatisfiable: ScheduleAnyway
///     labelSelector: {matchLabels: {app: shop}}
///     matchLabelKeys: [pod-template-hash]
/// ```
#[policy(
    on = Workloads, severity = Error, since = "0.1.0",
    default = Deny(CannotWork),
    covers = ["avail-spread-invalid"]
)]
pub fn invalid_spread(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let mut earlier: BTreeSet<(&str, &str)> = BTreeSet::new();
    for constraint in template.spec().at("/topologySpreadConstraints").items() {
        if constraint.node().is_none_or(|node| node.kind() != Json::Object) {
            continue;
        }
        of_counts(&constraint, findings);
        let merges = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
        of_keys(review, &constraint, merges, findings);
        let (topology, unsatisfiable) = (constraint.at("/topologyKey"), constraint.at("/whenUnsatisfiable"));
        if topology.is_absent() || topology.as_str() == Some("") {
            let message = format!("the constraint has no topologyKey: {REJECTED}");
            findings.error(&topology, message, "write topologyKey: kubernetes.io/hostname");
        }
        let help = "write whenUnsatisfiable: ScheduleAnyway, or DoNotSchedule";
        match unsatisfiable.as_str() {
            Some("DoNotSchedule" | "ScheduleAnyway") => {}
            Some(other) => {
                findings.error(&unsatisfiable, format!("whenUnsatisfiable {other:?} is unknown: {REJECTED}"), help);
            }
            None if unsatisfiable.is_absent() => {
                let message = format!("the constraint has no whenUnsatisfiable: {REJECTED}");
                findings.error(&unsatisfiable, message, help);
            }
            None => {}
        }
        if let Some(pair) = topology.as_str().zip(unsatisfiable.as_str())
            && !earlier.insert(pair)
        {
            let message = format!("an earlier constraint also has topologyKey {} and {}: {REJECTED}", pair.0, pair.1);
            findings.error(&topology, message, "remove one of the two constraints");
        }
    }
    // Before Kubernetes 1.31, the API server drops `matchLabelKeys` and `mismatchLabelKeys` of affinity terms.
    if review.kubernetes_version().is_none_or(|version| version.at_least(1, 31)) {
        let affinity = template.spec().at("/affinity");
        for list in [affinity.at("/podAffinity"), affinity.at("/podAntiAffinity")] {
            let required = list.at("/requiredDuringSchedulingIgnoredDuringExecution").items();
            let preferred = list.at("/preferredDuringSchedulingIgnoredDuringExecution").items();
            for term in required.chain(preferred.map(|preference| preference.at("/podAffinityTerm"))) {
                of_keys(review, &term, true, findings);
            }
        }
    }
}

const REJECTED: &str = "the API server rejects it";

fn of_counts(constraint: &Cursor<'_>, findings: &mut Findings) {
    let (skew, domains) = (constraint.at("/maxSkew"), constraint.at("/minDomains"));
    if skew.is_absent() {
        findings.error(&skew, format!("the constraint has no maxSkew: {REJECTED}"), "write maxSkew: 1");
    } else if let Some(value) = skew.as_i64().filter(|value| *value < 1) {
        findings.error(&skew, format!("maxSkew {value} is less than 1: {REJECTED}"), "write maxSkew: 1");
    }
    let Some(value) = domains.as_i64() else { return };
    if value < 1 {
        findings.error(
            &domains,
            format!("minDomains {value} is less than 1: {REJECTED}"),
            "remove minDomains, or write 1 or more",
        );
    } else if constraint.at("/whenUnsatisfiable").as_str() == Some("ScheduleAnyway") {
        let message = format!("minDomains {value} is set without whenUnsatisfiable: DoNotSchedule: {REJECTED}");
        findings.error(&domains, message, "remove minDomains, or write whenUnsatisfiable: DoNotSchedule");
    }
}

/// `merges`: whether the API server adds the Pod's labels that `matchLabelKeys` names to the selector.
fn of_keys(review: &Review<'_>, holder: &Cursor<'_>, merges: bool, findings: &mut Findings) {
    let (selector, keys) = (holder.at("/labelSelector"), holder.at("/matchLabelKeys"));
    let mismatch = holder.at("/mismatchLabelKeys");
    if selector.is_absent() {
        for (name, keys) in [("matchLabelKeys", &keys), ("mismatchLabelKeys", &mismatch)] {
            if keys.has_content() {
                let message = format!("{name} is set without a labelSelector: {REJECTED}");
                findings.error(keys, message, "set labelSelector to the selector of the workload");
            }
        }
        return;
    }
    let labels = selector.at("/matchLabels");
    let others: BTreeSet<&str> = mismatch.items().filter_map(|key| key.as_str()).collect();
    let mut expressions: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for expression in selector.at("/matchExpressions").items() {
        let Some(key) = expression.at("/key").as_str() else { continue };
        let (times, merged) = expressions.entry(key).or_default();
        *times += 1;
        *merged |= is_merged(review, &expression);
    }
    for key in keys.items() {
        let Some(name) = key.as_str() else { continue };
        if others.contains(name) {
            let message = format!("the key {name} is in both matchLabelKeys and mismatchLabelKeys: {REJECTED}");
            findings.error(&key, message, format!("remove {name} from one of the two lists"));
        }
        let (times, merged) = expressions.get(name).copied().unwrap_or_default();
        let is_rejected = match (merges, times + usize::from(labels.key(name).exists())) {
            (_, 0) => false,
            (true, 1) => has_label(review, name) && !(review.is(Kind::POD) && merged),
            _ => true,
        };
        if is_rejected {
            let message =
                format!("the key {name} is in both matchLabelKeys and labelSelector: the API server rejects the Pods");
            findings.error(&key, message, format!("remove {name} from matchLabelKeys or from labelSelector"));
        }
    }
}

/// Whether the API server itself added this expression to a Pod.
fn is_merged(review: &Review<'_>, expression: &Cursor<'_>) -> bool {
    let own = expression.at("/key").as_str().and_then(|key| review.template()?.labels()?.get(key)?.as_str());
    let values = expression.at("/values");
    let only = values.item(0).filter(|_| values.item(1).is_none());
    own.is_some() && expression.at("/operator").as_str() == Some("In") && only.and_then(|it| it.as_str()) == own
}
