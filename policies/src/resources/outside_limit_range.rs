use std::collections::{BTreeMap, BTreeSet};

use plimsoll_sdk::disruption::name;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::quantity::ratio_exceeds;
use plimsoll_sdk::resources::{Resources as _, Side, filled, pod_total};

/// Workloads whose Pods a LimitRange forbids.
///
/// ## What it finds
/// `error`: a container, a native sidecar, an init container, or the Pod as a whole is outside the range that a
/// LimitRange of the namespace allows:
///
/// - A container requests less than `min`, or its limit is above `max`, or its limit is more than
///   `maxLimitRequestRatio` times the request.
/// - A container requests more than the limit that the LimitRange fills in if none is written.
/// - For an item of `type: Pod`, the sum over the Pod is outside the range. Or the Pod has no limit although the item
///   has a `max`, or no request although the item has a `min`.
///
/// Requests and limits count as they take effect: a LimitRange fills in missing values, and a limit is copied to a
/// missing request.
///
/// ## Why
/// The API server accepts the Deployment, and rejects each of its Pods: "forbidden: maximum memory usage per Container
/// is 1Gi, but limit is 2Gi". `kubectl apply` reports success, but the rollout never starts. Only an event of the
/// ReplicaSet says why.
///
/// ## What to write
/// Requests and limits within the range, or a different range.
///
/// ## Assumptions
/// If the LimitRanges of the namespace are not known, nothing is judged.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no running Pod, and fills in missing values only for Pods
/// that are created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a
/// whole.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", requires = ["/LimitRange"],
    default = Deny(CannotWork),
    reads = [LimitRanges],
    covers = ["res-limitrange-violation: found at workloads, not at the LimitRange"]
)]
pub fn outside_limit_range(review: &Review, findings: &mut Findings) {
    let ranges = review.limit_ranges();
    if ranges.nodes().next().is_none() && !ranges.complete {
        return findings.skip("the LimitRanges of the namespace are not known");
    }
    let of_containers = read(ranges.nodes(), "Container");
    // Resources for which a container without any values of its own breaks a LimitRange.
    let of_filled: Vec<_> =
        of_containers.iter().filter(|(resource, bounds)| bounds.break_filled(review, resource)).collect();
    let containers = review.containers().iter().filter(|container| container.class() != Class::Ephemeral);
    for container in containers.filter(|_| !of_containers.is_empty()) {
        let mut stated = BTreeSet::new();
        for list in ["/resources/requests", "/resources/limits"] {
            stated.extend(container.at(list).members().map(|(resource, _)| resource));
        }
        for resource in &stated {
            if let Some(bounds) = of_containers.get(resource) {
                bounds.of_container(review, container, resource, findings);
            }
        }
        for (resource, bounds) in of_filled.iter().filter(|(resource, _)| !stated.contains(**resource)) {
            if findings.is_full() {
                break;
            }
            bounds.of_container(review, container, resource, findings);
        }
    }
    let of_pods = read(ranges.nodes(), "Pod");
    if of_pods.len() > MAX_RESOURCES {
        findings.assume("the Pod is within what LimitRanges say of further resources");
    }
    for (resource, bounds) in of_pods.into_iter().take(MAX_RESOURCES) {
        bounds.of_pod(review, resource, findings);
    }
}

/// Maximum number of resources whose sum over a Pod is compared with LimitRanges.
const MAX_RESOURCES: usize = 6;

/// An amount, and the LimitRange that sets it.
#[derive(Clone, Copy)]
struct Bound<'a> {
    amount: Quantity,
    range: &'a str,
}

impl std::fmt::Display for Bound<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LimitRange {}", self.range)
    }
}

/// Bounds of one resource over all LimitRanges; the strictest bound counts.
#[derive(Default)]
struct Bounds<'a> {
    min: Option<Bound<'a>>,
    max: Option<Bound<'a>>,
    /// The first default, which is filled in.
    default: Option<Bound<'a>>,
    ratio: Option<Bound<'a>>,
}

/// Reads the bounds of each resource.
fn read<'a>(ranges: impl Iterator<Item = Node<'a>>, of: &str) -> BTreeMap<&'a str, Bounds<'a>> {
    let mut all: BTreeMap<_, Bounds<'a>> = BTreeMap::new();
    for range in ranges {
        let items = range.at("/spec/limits").into_iter().flat_map(Node::items);
        for item in items.filter(|item| item.get("type").and_then(Node::as_str) == Some(of)) {
            let range = name(range);
            let list = |list: &str| item.get(list).into_iter().flat_map(Node::members);
            let amounts =
                |of: &str| list(of).filter_map(|(resource, value)| Some((resource, Quantity::from_node(value)?)));
            for (resource, amount) in amounts("min") {
                let min = &mut all.entry(resource).or_default().min;
                *min = min.filter(|known| known.amount >= amount).or(Some(Bound { amount, range }));
            }
            for (resource, amount) in amounts("max") {
                let max = &mut all.entry(resource).or_default().max;
                *max = max.filter(|known| known.amount <= amount).or(Some(Bound { amount, range }));
            }
            for (resource, amount) in amounts("default") {
                all.entry(resource).or_default().default.get_or_insert(Bound { amount, range });
            }
            for (resource, amount) in amounts("maxLimitRequestRatio") {
                let ratio = &mut all.entry(resource).or_default().ratio;
                *ratio = ratio.filter(|known| known.amount <= amount).or(Some(Bound { amount, range }));
            }
        }
    }
    all
}

impl Bounds<'_> {
    /// Whether the values that LimitRanges fill in break a LimitRange themselves. Each of two LimitRanges may be sound
    /// alone.
    fn break_filled(&self, review: &Review<'_>, resource: &str) -> bool {
        let (request, limit) = filled(review, resource);
        let exceeds = |amount: Option<Quantity>| amount.zip(self.max).is_some_and(|(amount, max)| amount > max.amount);
        request.zip(self.min).is_some_and(|(request, min)| request < min.amount)
            || exceeds(limit)
            || exceeds(request)
            || request.zip(self.default).is_some_and(|(request, default)| request > default.amount)
            || request
                .zip(limit)
                .zip(self.ratio)
                .is_some_and(|((request, limit), ratio)| ratio_exceeds(limit, request, ratio.amount))
    }

    fn of_container(&self, review: &Review<'_>, container: &Container<'_>, resource: &str, findings: &mut Findings) {
        let who = container.describe();
        let (request, limit) = (container.requested(review, resource), container.limit(review, resource));
        let (request_at, limit_at) = (container.request_at(resource), container.limit_at(resource));
        if let Some((own, bound)) = request.zip(self.min).filter(|(own, min)| *own < min.amount) {
            let min = bound.amount;
            let message = format!("{who} requests {own} of {resource}, and {bound} asks for {min} at least");
            report(findings, &request_at, message, format!("write resources.requests.{resource}: {min}, or more"));
        }
        if let Some((own, bound)) = limit.zip(self.max).filter(|(own, max)| *own > max.amount) {
            let max = bound.amount;
            let message = format!("the {resource} limit of {who} is {own}, and {bound} allows {max}");
            report(findings, &limit_at, message, format!("write a limit of {max}, or less"));
        } else if let Some((own, bound)) = request.zip(self.max).filter(|(own, max)| *own > max.amount) {
            let max = bound.amount;
            let message = format!("{who} requests {own} of {resource}, and {bound} allows {max}");
            report(findings, &request_at, message, format!("request {max}, or less"));
        }
        let is_filled = |bound: &Bound<'_>| !limit_at.exists() && limit == Some(bound.amount);
        let default = self.default.filter(is_filled);
        if let Some((own, bound)) = request.zip(default).filter(|(own, default)| *own > default.amount) {
            let default = bound.amount;
            let message = format!("{who} requests {own} of {resource}, and {bound} fills in a limit of {default}");
            report(findings, &limit_at, message, format!("write resources.limits.{resource}: {own}, or more"));
        }
        if let Some(((request, limit), bound)) = request.zip(limit).zip(self.ratio)
            && ratio_exceeds(limit, request, bound.amount)
        {
            let message = format!(
                "the {resource} limit of {who}, {limit}, is more than {} times the request {request}: {bound} allows no more",
                bound.amount
            );
            report(findings, &limit_at, message, "raise the request, or lower the limit");
        }
    }

    fn of_pod(&self, review: &Review<'_>, resource: &str, findings: &mut Findings) {
        let Some(template) = review.template() else { return };
        let at = template.spec().at("/containers");
        let total = |side| pod_total(review, template, resource, side).and_then(|total| total.sum);
        let (request, limit) = (total(Side::Request), total(Side::Limit));
        let help = |min: Quantity| format!("request {min} of {resource}, or more, in all");
        match (request, self.min) {
            (Some(sum), Some(bound)) if sum < bound.amount => {
                let min = bound.amount;
                let message = format!("the Pod requests {sum} of {resource}, and {bound} asks for {min} at least");
                report(findings, &at, message, help(min));
            }
            (None, Some(bound)) => {
                let min = bound.amount;
                let message = format!("the Pod has no request for {resource}, and {bound} asks for {min} at least");
                report(findings, &at, message, help(min));
            }
            _ => {}
        }
        match (limit, self.max) {
            (Some(sum), Some(bound)) if sum > bound.amount => {
                let max = bound.amount;
                let message = format!("the {resource} limits of the Pod come to {sum}, and {bound} allows {max}");
                report(findings, &at, message, format!("write limits of {max}, or less, in all"));
            }
            (None, Some(bound)) => {
                let max = bound.amount;
                let message = format!("the Pod has no limit for {resource}, and {bound} asks for one up to {max}");
                report(findings, &at, message, format!("write resources.limits.{resource} in the containers"));
            }
            _ => {}
        }
        if let Some(((request, limit), bound)) = request.zip(limit).zip(self.ratio)
            && ratio_exceeds(limit, request, bound.amount)
        {
            let message = format!(
                "the {resource} limits of the Pod, {limit}, are more than {} times the requests {request}: {bound} allows no \
                 more",
                bound.amount
            );
            report(findings, &at, message, "raise the requests, or lower the limits");
        }
    }
}

fn report(findings: &mut Findings, at: &Cursor<'_>, message: String, help: impl Into<String>) {
    findings.error(at, format!("{message}: no Pod can be made"), help);
}
