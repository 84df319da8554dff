use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Request, Resources, least_request, limit_ranges_unknown};

/// Settings of `missing-resource-requests`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// CPU request written where there is neither request nor limit; 0 writes none.
    #[settings(default = "100m")]
    cpu: Quantity,
    /// Memory request written where there is neither request nor limit; 0 writes none.
    #[settings(default = "128Mi")]
    memory: Quantity,
    /// Where only a CPU limit stands, the request written is the limit divided by this. 1 leaves the copy of the limit.
    #[settings(default = "10")]
    cpu_ratio: Quantity,
    /// Where only a memory limit stands, the request written is the limit divided by this. 1 leaves the copy of the limit.
    #[settings(default = "4")]
    memory_ratio: Quantity,
}

/// Containers that reserve nothing.
///
/// ## What it finds
/// App containers, native sidecars and init containers, in workloads of every kind, without an effective request for
/// memory (`error`) or CPU (`warning`); a request of 0 is none. Both are warnings in a Pod by itself that ends by itself
/// (`restartPolicy` `Never` or `OnFailure`), as `kubectl run --rm` makes it for a smoke test. What takes effect where no request is stated:
///
/// 1. the container's limit, which the API server copies. That is recorded as `info`: the container reserves all that it
///    may ever use, and perhaps nobody meant that;
/// 2. the default of a LimitRange of the namespace: no finding;
/// 3. the `resources` of the Pod as a whole (from Kubernetes 1.34): no finding.
///
/// ## Why
/// The scheduler places a Pod by its requests. One that requests nothing fits everywhere, so nodes are filled beyond what
/// they have. When memory runs out there, Pods without a request are evicted first; when CPU time does, they get what
/// is left. An autoscaler that goes by utilisation cannot work at all without requests.
///
/// ## What to write
/// What the container needs in normal operation:
///
/// ```yaml
/// resources:
///   requests: {cpu: 100m, memory: 128Mi}
///   limits: {memory: 512Mi}
/// ```
///
/// `--fix=hardening`, and the webhook where `mutate` is on, write a request in the place of the copy of a limit: the limit
/// divided by `cpuRatio` or `memoryRatio`, but no less than LimitRanges demand. This lowers what is reserved. Where there
/// is no limit either, `--fix=unsafe` (and the webhook) writes the settings' `cpu` and `memory`.
///
/// ## Settings
/// `cpu` and `memory` are Kubernetes quantities, `cpuRatio` and `memoryRatio` numbers such as `"4"` or `"2.5"`.
///
/// ## Assumptions
/// Where the LimitRanges of the namespace are not known, none is assumed to fill in requests, and nothing is written.
/// Where a Pod's request equals its limit and nobody can tell who wrote it, its author is assumed to have done so.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no Pod that runs, and fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
#[policy(
    category = "resources", on = Workloads, severity = Error, since = "0.1.0", refines = ["/LimitRange"],
    subresources = ["resize"],
    edits = [
        "{template}/spec/containers/*/resources/requests/cpu",
        "{template}/spec/containers/*/resources/requests/memory",
        "{template}/spec/initContainers/*/resources/requests/cpu",
        "{template}/spec/initContainers/*/resources/requests/memory",
    ]
)]
pub fn missing_resource_requests(review: &Review, settings: &Settings, findings: &mut Findings) {
    let memory = Resource {
        name: "memory",
        severity: if is_errand(review) { Severity::Warning } else { Severity::Error },
        harm: "so it is placed as if it used none and evicted first",
        default: settings.memory,
        ratio: settings.memory_ratio,
    };
    let cpu = Resource {
        name: "cpu",
        severity: Severity::Warning,
        harm: "so it gets what others leave",
        default: settings.cpu,
        ratio: settings.cpu_ratio,
    };
    for container in review.containers().iter().filter(|container| container.class() != Class::Ephemeral) {
        for resource in [&cpu, &memory] {
            let request = container.request(review, resource.name);
            let is_zero = request.quantity().is_some_and(Quantity::is_zero);
            match request {
                Request::Missing => resource.missing(review, container, "has no request for", findings),
                _ if is_zero => resource.missing(review, container, "requests 0", findings),
                Request::CopiedFromLimit(limit) => resource.copied(review, container, limit, findings),
                Request::PerhapsCopied(_) => findings.assume("requests that equal the limits were written"),
                _ => {}
            }
        }
    }
}

/// Somebody looks after something by hand: there is no manifest that could say what it needs.
fn is_errand(review: &Review<'_>) -> bool {
    review.is("/Pod") && matches!(review.at("spec/restartPolicy").as_str(), Some("Never" | "OnFailure"))
}

struct Resource {
    name: &'static str,
    severity: Severity,
    harm: &'static str,
    default: Quantity,
    ratio: Quantity,
}

impl Resource {
    /// The effective request is none, or 0.
    fn missing(&self, review: &Review<'_>, container: &Container<'_>, what: &str, findings: &mut Findings) {
        let name = self.name;
        let (at, limit_at) = (container.request_at(name), container.limit_at(name));
        let is_unknown = limit_ranges_unknown(review);
        if is_unknown && !at.exists() {
            findings.assume("no LimitRange fills in requests");
        }
        let finding = findings.report(
            self.severity,
            &at,
            format!("{} {what} {name}, {}", container.describe(), self.harm),
            format!("write resources.requests.{name}: what it needs in normal operation"),
        );
        finding.about(&limit_at);
        let limit = container.limit(review, name);
        let value = match limit {
            // What replaces a 0 beside a limit must not be far below it.
            Some(limit) => least_request(review, name, limit, self.ratio),
            None => Some(self.default),
        };
        // A limit of 0 leaves no room for a request, nor does what the Pod requests as a whole.
        let is_capped = container.pod("resources/requests").key(name).exists();
        if let Some(value) = value.filter(|value| !is_unknown && !is_capped && *value > Quantity::ZERO) {
            let fix = Fix::changing(format!("request {value} of {name} for {}", container.describe()));
            finding.fix(if at.exists() { fix.replace(&at, value) } else { fix.add(&at, value) });
        }
    }

    /// Only a limit is stated.
    fn copied(&self, review: &Review<'_>, container: &Container<'_>, limit: Quantity, findings: &mut Findings) {
        let name = self.name;
        let Some(value) = least_request(review, name, limit, self.ratio).filter(|value| *value < limit) else {
            return;
        };
        let at = container.request_at(name);
        let finding = findings.info(
            &at,
            format!("{}: the {name} request is only a copy of the limit {limit}", container.describe()),
            format!(
                "write resources.requests.{name}: what it needs in normal operation, such as {value}; or {limit} where \
                 all of it is to be reserved"
            ),
        );
        finding.about(&container.limit_at(name));
        if !limit_ranges_unknown(review) {
            let title = format!("request {value} of {name}: lowers the reservation from {limit}, the copied limit");
            finding.fix(Fix::hardening(title).add(&at, value));
        }
    }
}
