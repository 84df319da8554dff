//! The requests that the containers of a workload need, for policies that judge one side of a container's resources.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Request, Resources as _, least_request, limit_ranges_unknown};

use crate::resources::missing_resource_requests::Settings;

/// The requests that containers need.
pub(crate) struct Requests {
    /// CPU, then memory.
    pub(crate) resources: [Resource; 2],
    /// Whether the long-running containers together request so much that an init container needs no request of its own.
    are_reserved: [bool; 2],
    /// Whether the Pods run to completion: those of Jobs (also as hooks of Helm), and those that a person starts by
    /// hand.
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

    /// Text about an effective request that is missing, or too small to count.
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
                format!("gets a request of {amount} of {label} from a LimitRange (less than the {least} that counts)")
            }
            Request::CopiedFromLimit(_) => {
                format!("requests {amount} of {label} (the copy of its limit, less than the {least} that counts)")
            }
            _ => format!("requests {amount} of {label} (less than the {least} that counts)"),
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
