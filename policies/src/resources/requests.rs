//! The requests that the containers of a workload need. `missing-resource-requests` reports them, and
//! `missing-memory-limit` leaves its containers to that finding.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Request, Resources as _, Side, least_request, limit_ranges_unknown, pod_total};

use crate::resources::missing_resource_requests::Settings;

/// The requests that containers need.
pub(crate) struct Requests {
    /// CPU, then memory.
    pub(crate) resources: [Resource; 2],
    /// Whether the long-running containers together request so much that an init container needs no request of its own.
    are_reserved: [bool; 2],
    /// Whether the Pods run to completion: those of Jobs (also as hooks of Helm), and those that a user starts by hand.
    pub(crate) end: bool,
}

impl Requests {
    pub(crate) fn of(review: &Review<'_>, settings: &Settings) -> Self {
        let of_pod = review.template().map(|template| template.spec().at("/restartPolicy"));
        let end = of_pod.is_some_and(|policy| matches!(policy.as_str(), Some("Never" | "OnFailure")));
        let severity = |severity| if end { Severity::Info } else { severity };
        let cpu = Resource {
            name: "cpu",
            label: "CPU",
            severity: severity(Severity::Warning),
            default: settings.cpu,
            least: settings.least_cpu,
            ratio: settings.cpu_ratio,
        };
        let memory = Resource {
            name: "memory",
            label: "memory",
            severity: severity(Severity::Error),
            default: settings.memory,
            least: settings.least_memory,
            ratio: settings.memory_ratio,
        };
        let are_reserved = [cpu.is_reserved(review), memory.is_reserved(review)];
        Self { resources: [cpu, memory], are_reserved, end }
    }

    /// Whether the container has a finding here for a missing request.
    pub(crate) fn are_lacking(&self, review: &Review<'_>, container: &Container<'_>) -> bool {
        self.asked(container).any(|(_, resource)| resource.lack(container.request(review, resource.name)).is_some())
    }

    /// The resources for which the container itself needs a request.
    pub(crate) fn asked<'s>(
        &'s self,
        container: &Container<'_>,
    ) -> impl Iterator<Item = (usize, &'s Resource)> + use<'s> {
        let is_init = container.class() == Class::Init;
        self.resources.iter().enumerate().filter(move |(index, _)| !(is_init && self.are_reserved[*index]))
    }
}

/// A resource, and the settings for it.
pub(crate) struct Resource {
    /// Name in the API.
    pub(crate) name: &'static str,
    /// Name in messages.
    pub(crate) label: &'static str,
    pub(crate) severity: Severity,
    pub(crate) least: Quantity,
    pub(crate) ratio: Quantity,
    default: Quantity,
}

impl Resource {
    fn is_reserved(&self, review: &Review<'_>) -> bool {
        let running = review.containers().iter().filter(|container| container.class().runs_on());
        let amounts = running.filter_map(|container| container.requested(review, self.name));
        let sum = amounts.fold(Quantity::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(sum));
        sum > Quantity::ZERO && sum >= self.least
    }

    /// Describes an effective request that is missing, or too small to count.
    pub(crate) fn lack(&self, request: Request) -> Option<String> {
        let Self { name, label, least, .. } = self;
        let Some(amount) = request.quantity() else {
            return (request == Request::Missing).then(|| format!("has no {label} request"));
        };
        // The API server stores CPU in thousandths, rounded up.
        let is_rounded = *name == "cpu" && amount.milli() < 1_000;
        let amount = if is_rounded { Quantity::from_milli(amount.milli()) } else { amount };
        if !amount.is_zero() && amount >= *least {
            return None;
        }
        Some(match request {
            _ if amount.is_zero() => format!("requests 0 {label}"),
            Request::FromLimitRange(_) => {
                format!("gets a {label} request of {amount} from a LimitRange (less than the minimum of {least})")
            }
            Request::CopiedFromLimit(_) => {
                format!("requests {amount} of {label} (a copy of its limit, less than the minimum of {least})")
            }
            _ => format!("requests {amount} of {label} (less than the minimum of {least})"),
        })
    }

    /// The request to write. None if the LimitRanges are unknown, or if no value that counts fits.
    pub(crate) fn value(&self, review: &Review<'_>, container: &Container<'_>) -> Option<Quantity> {
        self.proposed(review, container).filter(|_| !limit_ranges_unknown(review))
    }

    /// The request to propose. None if no value that counts fits.
    pub(crate) fn proposed(&self, review: &Review<'_>, container: &Container<'_>) -> Option<Quantity> {
        // A value that replaces a 0 beside a limit must not be far below the limit.
        let value = match container.limit(review, self.name) {
            Some(limit) => least_request(review, self.name, limit, self.ratio),
            None => Some(self.default),
        };
        // A limit of 0 leaves no room for a request. A request of the Pod as a whole leaves none either.
        let is_capped = container.pod("/resources/requests").key(self.name).exists();
        let is_enough = |value: &Quantity| *value > Quantity::ZERO && *value >= self.least;
        value.filter(|value| !is_capped && is_enough(value))
    }
}

/// Proposes amounts without a finding of another policy: `excessive-memory-ratio` reports a request far below a limit.
pub(crate) fn help(
    review: &Review<'_>,
    container: &Container<'_>,
    lacking: &[(&Resource, String)],
    is_unlimited: bool,
) -> String {
    let amount = |resource: &Resource| resource.proposed(review, container);
    let names = |(resource, _): &(&Resource, String)| match amount(resource) {
        Some(amount) => format!("resources.requests.{}: {amount}", resource.name),
        None => format!("resources.requests.{}", resource.name),
    };
    let mut names: Vec<_> = lacking.iter().map(names).collect();
    if is_unlimited {
        let of_memory = |(resource, _): &&(&Resource, String)| resource.name == "memory";
        let request = match lacking.iter().find(of_memory) {
            Some((resource, _)) => amount(resource),
            None => container.requested(review, "memory"),
        };
        names.push(match request.and_then(|request| request.checked_mul(LIMIT_RATIO)) {
            Some(limit) => format!("resources.limits.memory: {limit}"),
            None => "resources.limits.memory".to_owned(),
        });
    }
    let list = match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    };
    format!("write {list}, adjusted to what the container needs in normal operation")
}

/// Ratio of memory limit to request in a proposed help.
const LIMIT_RATIO: i64 = 4;

/// Judges the request of the Pod as a whole, on which `relying` containers rely.
pub(crate) fn of_pod(resource: &Resource, review: &Review<'_>, relying: i64, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let total = pod_total(review, template, resource.name, Side::Request).and_then(|total| total.sum);
    let (Some(amount), Some(least)) = (total, resource.least.checked_mul(relying)) else { return };
    if amount >= least {
        return;
    }
    let (name, of_pod) = (resource.name, template.spec().at("/resources"));
    let noun = if relying == 1 { "container" } else { "containers" };
    let harm = if name == "cpu" { "it gets only the CPU time that others leave" } else { "it is evicted first" };
    let message = format!(
        "the Pod as a whole requests {amount} of {} for {relying} {noun}, less than the minimum of {least}: {harm}",
        resource.label
    );
    // A limit of the Pod as a whole must not be many times its request.
    let limit = of_pod.at("/limits").key(name).node().and_then(Quantity::from_node);
    let by_limit = limit.and_then(|limit| least_request(review, name, limit, resource.ratio));
    let wanted = by_limit.map_or(least, |by_limit| by_limit.max(least));
    let help = format!(
        "raise resources.requests.{name} of the pod spec to {wanted} or more, the sum that its containers need"
    );
    let finding = findings.report(resource.severity, &of_pod.at("/requests").key(name), message, help);
    finding.about(&of_pod.at("/limits").key(name));
}

/// Reports a container that states only a limit.
pub(crate) fn copied(
    resource: &Resource,
    review: &Review<'_>,
    container: &Container<'_>,
    limit: Quantity,
    findings: &mut Findings,
) {
    let name = resource.name;
    let Some(value) = least_request(review, name, limit, resource.ratio).filter(|value| *value < limit) else {
        return;
    };
    let at = container.request_at(name);
    let finding = findings.info(
        &at,
        format!(
            "{}: the {} request is only a copy of the limit {limit}, so the node reserves all that it may use",
            container.describe(),
            resource.label
        ),
        format!(
            "write resources.requests.{name}: {value}, adjusted to what the container needs in normal operation; or \
             {limit}, to reserve all that it may use"
        ),
    );
    finding.about(&container.limit_at(name));
    if !limit_ranges_unknown(review) {
        let title = format!("Set resources.requests.{name} to {value} instead of {limit}, the copied limit");
        // The fix also changes the quality of service, and the base of the utilisation.
        finding.fix(Fix::changing(title).add(&at, value));
    }
}
