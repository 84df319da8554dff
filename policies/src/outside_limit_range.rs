use plimsoll_sdk::disruption::name;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::quantity::ratio_exceeds;
use plimsoll_sdk::resources::{Resources as _, Side, pod_total};

/// Workloads of which no Pod may be made, because a LimitRange forbids it.
///
/// ## What it finds
/// `error`: a container or native sidecar or init container, or the Pod as a whole, that is outside of what a LimitRange of
/// the namespace allows:
///
/// - it requests less than `min`, or its limit is above `max`, or its limit is more than `maxLimitRequestRatio` times the
///   request;
/// - it requests more than the limit that the LimitRange fills in where none is written;
/// - the Pods' sum is outside of an item of `type: Pod`, or has no limit where this has a `max`.
///
/// Requests and limits count as they take effect: what nobody wrote a LimitRange fills in, and a limit is copied to where
/// the request is missing.
///
/// ## Why
/// The API server accepts the Deployment, and refuses each of its Pods: "forbidden: maximum memory usage per Container is
/// 1Gi, but limit is 2Gi". `kubectl apply` reports success, the rollout never starts, and only an event of the ReplicaSet
/// says why.
///
/// ## What to write
/// Requests and limits within the range, or another range.
///
/// ## Assumptions
/// Where the LimitRanges of the namespace are not known, nothing is judged.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no Pod that runs, and fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
#[policy(
    category = "resources", on = Workloads, severity = Error, since = "0.1.0", requires = ["/LimitRange"]
)]
pub fn outside_limit_range(review: &Review, findings: &mut Findings) {
    let ranges = review.limit_ranges();
    if ranges.nodes().next().is_none() && !ranges.complete {
        return findings.skip("the LimitRanges of the namespace are not known");
    }
    for range in ranges.nodes() {
        for item in range.at("/spec/limits").into_iter().flat_map(Node::items) {
            let item = Item { range: name(range), item };
            match item.item.get("type").and_then(Node::as_str) {
                Some("Container") => {
                    let containers =
                        review.containers().iter().filter(|container| container.class() != Class::Ephemeral);
                    containers.for_each(|container| item.of_container(review, container, findings));
                }
                Some("Pod") => item.of_pod(review, findings),
                _ => {}
            }
        }
    }
}

/// One item of a LimitRange.
struct Item<'a> {
    range: &'a str,
    item: Node<'a>,
}

impl<'a> Item<'a> {
    /// What stands in one of its lists.
    fn list(&self, list: &str) -> impl Iterator<Item = (&'a str, Quantity)> + use<'a> {
        let members = self.item.get(list).into_iter().flat_map(Node::members);
        members.filter_map(|(resource, value)| Some((resource, Quantity::from_node(value)?)))
    }

    fn of_container(&self, review: &Review<'_>, container: &Container<'_>, findings: &mut Findings) {
        let who = container.describe();
        let request = |resource| container.request(review, resource).quantity();
        let limit = |resource| container.limit(review, resource);
        for (resource, min) in self.list("min") {
            if let Some(own) = request(resource).filter(|own| *own < min) {
                let message =
                    format!("{who} requests {own} of {resource}, and {} asks for {min} at least", self.name());
                let help = format!("write resources.requests.{resource}: {min}, or more");
                self.report(findings, &container.request_at(resource), message, help);
            }
        }
        for (resource, max) in self.list("max") {
            if let Some(own) = limit(resource).filter(|own| *own > max) {
                let message = format!("the {resource} limit of {who} is {own}, and {} allows {max}", self.name());
                self.report(
                    findings,
                    &container.limit_at(resource),
                    message,
                    format!("write a limit of {max}, or less"),
                );
            } else if let Some(own) = request(resource).filter(|own| *own > max) {
                let message = format!("{who} requests {own} of {resource}, and {} allows {max}", self.name());
                self.report(findings, &container.request_at(resource), message, format!("request {max}, or less"));
            }
        }
        for (resource, default) in self.list("default") {
            let own = request(resource).filter(|own| *own > default && !container.limit_at(resource).exists());
            if let Some(own) = own.filter(|_| limit(resource) == Some(default)) {
                let message =
                    format!("{who} requests {own} of {resource}, and {} fills in a limit of {default}", self.name());
                self.report(
                    findings,
                    &container.limit_at(resource),
                    message,
                    format!("write resources.limits.{resource}: {own}, or more"),
                );
            }
        }
        for (resource, ratio) in self.list("maxLimitRequestRatio") {
            let (Some(request), Some(limit)) = (request(resource), limit(resource)) else { continue };
            if ratio_exceeds(limit, request, ratio) {
                let message = format!(
                    "the {resource} limit of {who}, {limit}, is more than {ratio} times the request {request}: {} allows \
                     no more",
                    self.name()
                );
                self.report(findings, &container.limit_at(resource), message, "raise the request, or lower the limit");
            }
        }
    }

    fn of_pod(&self, review: &Review<'_>, findings: &mut Findings) {
        let Some(template) = review.template() else { return };
        let at = template.spec().at("containers");
        let total = |resource, side| pod_total(review, template, resource, side).and_then(|total| total.sum);
        for (resource, min) in self.list("min") {
            if let Some(sum) = total(resource, Side::Request).filter(|sum| *sum < min) {
                let message =
                    format!("the Pod requests {sum} of {resource}, and {} asks for {min} at least", self.name());
                self.report(findings, &at, message, format!("request {min} of {resource}, or more, in all"));
            }
        }
        for (resource, max) in self.list("max") {
            match total(resource, Side::Limit) {
                Some(sum) if sum > max => {
                    let message =
                        format!("the {resource} limits of the Pod come to {sum}, and {} allows {max}", self.name());
                    self.report(findings, &at, message, format!("write limits of {max}, or less, in all"));
                }
                Some(_) => {}
                None => {
                    let message =
                        format!("the Pod has no limit for {resource}, and {} asks for one up to {max}", self.name());
                    self.report(findings, &at, message, format!("write resources.limits.{resource} in the containers"));
                }
            }
        }
        for (resource, ratio) in self.list("maxLimitRequestRatio") {
            let (Some(request), Some(limit)) = (total(resource, Side::Request), total(resource, Side::Limit)) else {
                continue;
            };
            if ratio_exceeds(limit, request, ratio) {
                let message = format!(
                    "the {resource} limits of the Pod, {limit}, are more than {ratio} times the requests {request}: {} \
                     allows no more",
                    self.name()
                );
                self.report(findings, &at, message, "raise the requests, or lower the limits");
            }
        }
    }

    fn name(&self) -> String {
        format!("LimitRange {}", self.range)
    }

    fn report(&self, findings: &mut Findings, at: &Cursor<'_>, message: String, help: impl Into<String>) {
        findings.error(at, format!("{message}: no Pod can be made"), help);
    }
}
