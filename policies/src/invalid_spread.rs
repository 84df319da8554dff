use std::collections::BTreeSet;

use plimsoll_sdk::flat::Kind;
use plimsoll_sdk::prelude::*;

/// Spread constraints that the API server refuses.
///
/// ## What it finds
/// `error`, over files, for in the cluster the API server says it itself: a `topologySpreadConstraints` item
///
/// - with a `maxSkew` or `minDomains` below 1, or without `maxSkew`;
/// - without `topologyKey`, or with a `whenUnsatisfiable` that is neither `DoNotSchedule` nor `ScheduleAnyway`;
/// - with `minDomains` and `ScheduleAnyway`: only what must be spread has a minimum;
/// - with `matchLabelKeys` and no `labelSelector`, or a key in both;
/// - of the same `topologyKey` and `whenUnsatisfiable` as an earlier one.
///
/// ## Why
/// The schema of the API allows all of it, so most checkers do. The API server refuses the whole workload when it is
/// applied.
///
/// ## What to write
/// ```yaml
/// topologySpreadConstraints:
///   - topologyKey: kubernetes.io/hostname
///     maxSkew: 1
///     whenUnsatisfiable: ScheduleAnyway
///     labelSelector: {matchLabels: {app: shop}}
/// ```
#[policy(category = "availability", on = Workloads, severity = Error, since = "0.1.0", stage = Source)]
pub fn invalid_spread(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let mut earlier: BTreeSet<(&str, &str)> = BTreeSet::new();
    for constraint in template.spec().at("topologySpreadConstraints").items() {
        if constraint.node().is_none_or(|node| node.kind() != Kind::Object) {
            continue;
        }
        of_counts(&constraint, findings);
        of_keys(&constraint, findings);
        let (topology, unsatisfiable) = (constraint.at("topologyKey"), constraint.at("whenUnsatisfiable"));
        if topology.is_absent() || topology.as_str() == Some("") {
            findings.error(&topology, "there is no topologyKey", "write topologyKey: kubernetes.io/hostname");
        }
        let help = "write whenUnsatisfiable: ScheduleAnyway, or DoNotSchedule";
        match unsatisfiable.as_str() {
            Some("DoNotSchedule" | "ScheduleAnyway") => {}
            Some(other) => {
                findings.error(&unsatisfiable, format!("{other:?} is no answer to whenUnsatisfiable"), help);
            }
            None if unsatisfiable.is_absent() => {
                findings.error(&unsatisfiable, "there is no whenUnsatisfiable", help);
            }
            None => {}
        }
        if let Some(pair) = topology.as_str().zip(unsatisfiable.as_str())
            && !earlier.insert(pair)
        {
            let message = format!("there is a constraint on {} with {} already", pair.0, pair.1);
            findings.error(&topology, message, "keep one of the two");
        }
    }
}

fn of_counts(constraint: &Cursor<'_>, findings: &mut Findings) {
    let (skew, domains) = (constraint.at("maxSkew"), constraint.at("minDomains"));
    if skew.is_absent() {
        findings.error(&skew, "there is no maxSkew", "write maxSkew: 1");
    } else if let Some(value) = skew.as_i64().filter(|value| *value < 1) {
        findings.error(
            &skew,
            format!("maxSkew {value}: a difference of at least 1 must be allowed"),
            "write maxSkew: 1",
        );
    }
    let Some(value) = domains.as_i64() else { return };
    if value < 1 {
        findings.error(
            &domains,
            format!("minDomains {value} is less than 1"),
            "take minDomains out, or write 1 or more",
        );
    } else if constraint.at("whenUnsatisfiable").as_str() == Some("ScheduleAnyway") {
        let message = format!("minDomains {value} with ScheduleAnyway: only what must be spread has a minimum");
        findings.error(&domains, message, "take minDomains out, or write whenUnsatisfiable: DoNotSchedule");
    }
}

fn of_keys(constraint: &Cursor<'_>, findings: &mut Findings) {
    let (selector, keys) = (constraint.at("labelSelector"), constraint.at("matchLabelKeys"));
    if keys.has_content() && selector.is_absent() {
        let message = "matchLabelKeys without labelSelector, which it narrows";
        findings.error(&keys, message, "write labelSelector: the selector of the workload");
        return;
    }
    let expressions = selector.at("matchExpressions").items();
    let listed: BTreeSet<&str> = expressions.filter_map(|item| item.at("key").as_str()).collect();
    let labels = selector.at("matchLabels");
    for key in keys.items() {
        let Some(name) = key.as_str() else { continue };
        if labels.key(name).exists() || listed.contains(name) {
            let message = format!("the label {name} stands in matchLabelKeys and in labelSelector");
            findings.error(&key, message, "take it out of one of them");
        }
    }
}
