use std::collections::BTreeSet;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::quantity::ratio_exceeds;
use plimsoll_sdk::resources::{Resources as _, Side, pod_total};

use crate::resources::limit_range::{Bound, Bounds, read};

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
/// If the LimitRanges of the namespace are not known, the policy checks nothing.
///
/// ## Order
/// A LimitRange that is applied after the workload has no finding: it changes no running Pod, and fills in missing
/// values only for Pods that are created later. The next change of the workload is checked against the LimitRange.
/// `plimsoll check` looks at a set as a whole.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", requires = ["/LimitRange"],
    default = Deny(CannotWork),
    reads = [LimitRanges],
    covers = ["res-limitrange-violation: a finding at the workload, not at the LimitRange"]
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
        findings.assume("the Pod is within the LimitRanges for further resources");
    }
    for (resource, bounds) in of_pods.into_iter().take(MAX_RESOURCES) {
        bounds.of_pod(review, resource, findings);
    }
}

/// Maximum number of resources whose sum over a Pod is compared with LimitRanges.
const MAX_RESOURCES: usize = 6;

impl Bounds<'_> {
    fn of_container(&self, review: &Review<'_>, container: &Container<'_>, resource: &str, findings: &mut Findings) {
        let who = container.describe();
        let (request, limit) = (container.requested(review, resource), container.limit(review, resource));
        let (request_at, limit_at) = (container.request_at(resource), container.limit_at(resource));
        if let Some((own, bound)) = request.zip(self.min).filter(|(own, min)| *own < min.amount) {
            let min = bound.amount;
            let message = format!("{who} requests {own} of {resource}, but {bound} requires at least {min}");
            report(findings, &request_at, message, format!("write resources.requests.{resource}: {min} or more"));
        }
        if let Some((own, bound)) = limit.zip(self.max).filter(|(own, max)| *own > max.amount) {
            let max = bound.amount;
            let message = format!("the {resource} limit of {who} is {own}, but {bound} allows at most {max}");
            report(findings, &limit_at, message, format!("write resources.limits.{resource}: {max} or less"));
        } else if let Some((own, bound)) = request.zip(self.max).filter(|(own, max)| *own > max.amount) {
            let max = bound.amount;
            let message = format!("{who} requests {own} of {resource}, but {bound} allows at most {max}");
            report(findings, &request_at, message, format!("write resources.requests.{resource}: {max} or less"));
        }
        let is_filled = |bound: &Bound<'_>| !limit_at.exists() && limit == Some(bound.amount);
        let default = self.default.filter(is_filled);
        if let Some((own, bound)) = request.zip(default).filter(|(own, default)| *own > default.amount) {
            let default = bound.amount;
            let message = format!("{who} requests {own} of {resource}, but {bound} has a default limit of {default}");
            report(findings, &limit_at, message, format!("write resources.limits.{resource}: {own} or more"));
        }
        if let Some(((request, limit), bound)) = request.zip(limit).zip(self.ratio)
            && ratio_exceeds(limit, request, bound.amount)
        {
            let message = format!(
                "the {resource} limit {limit} of {who} is more than {} times the request {request}, the maximum of \
                 {bound}",
                bound.amount
            );
            report(findings, &limit_at, message, ratio_help(resource));
        }
    }

    fn of_pod(&self, review: &Review<'_>, resource: &str, findings: &mut Findings) {
        let Some(template) = review.template() else { return };
        let at = template.spec().at("/containers");
        let total = |side| pod_total(review, template, resource, side).and_then(|total| total.sum);
        let (request, limit) = (total(Side::Request), total(Side::Limit));
        let help =
            |min: Quantity| format!("raise resources.requests.{resource} of the containers to {min} or more in total");
        match (request, self.min) {
            (Some(sum), Some(bound)) if sum < bound.amount => {
                let min = bound.amount;
                let message = format!("the Pod requests {sum} of {resource}, but {bound} requires at least {min}");
                report(findings, &at, message, help(min));
            }
            (None, Some(bound)) => {
                let min = bound.amount;
                let message = format!("the Pod has no {resource} request, but {bound} requires at least {min}");
                report(findings, &at, message, help(min));
            }
            _ => {}
        }
        match (limit, self.max) {
            (Some(sum), Some(bound)) if sum > bound.amount => {
                let max = bound.amount;
                let message =
                    format!("the {resource} limits of the Pod add up to {sum}, but {bound} allows at most {max}");
                report(
                    findings,
                    &at,
                    message,
                    format!("lower resources.limits.{resource} of the containers to {max} or less in total"),
                );
            }
            (None, Some(bound)) => {
                let max = bound.amount;
                let message = format!("the Pod has no {resource} limit, but {bound} requires one of at most {max}");
                report(findings, &at, message, format!("write resources.limits.{resource} in the containers"));
            }
            _ => {}
        }
        if let Some(((request, limit), bound)) = request.zip(limit).zip(self.ratio)
            && ratio_exceeds(limit, request, bound.amount)
        {
            let message = format!(
                "the {resource} limits {limit} of the Pod are more than {} times the requests {request}, the maximum \
                 of {bound}",
                bound.amount
            );
            report(findings, &at, message, ratio_help(resource));
        }
    }
}

fn ratio_help(resource: &str) -> String {
    format!("raise resources.requests.{resource}, or lower resources.limits.{resource}")
}

fn report(findings: &mut Findings, at: &Cursor<'_>, message: String, help: String) {
    findings.error(at, format!("{message}: the API server rejects every Pod"), help);
}
