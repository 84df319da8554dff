use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Request, Resources, Side, least_request, limit_ranges_unknown, pod_total};

/// Settings of `missing-resource-requests`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// CPU request written where there is neither request nor limit; 0 writes none.
    #[settings(default = "100m")]
    cpu: Quantity,
    /// Memory request written where there is neither request nor limit; 0 writes none.
    #[settings(default = "128Mi")]
    memory: Quantity,
    /// Smallest CPU request that counts; 0 counts every request but 0.
    #[settings(default = "3m")]
    least_cpu: Quantity,
    /// Smallest memory request that counts; 0 counts every request but 0.
    #[settings(default = "1Mi")]
    least_memory: Quantity,
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
/// memory (`error`) or CPU (`warning`); a request of less than `leastMemory` or `leastCpu` is none. Both are `info` for Pods
/// that end by themselves (`restartPolicy` `Never` or `OnFailure`): Jobs, CronJobs, hooks of Helm, and what
/// `kubectl run --rm` makes for a smoke test.
///
/// An init container needs no request where the app containers and sidecars of its Pod request enough together. A Pod
/// requests the larger of what its init containers need one by one and what the others need together.
///
/// What takes effect where no request is stated:
///
/// 1. the container's limit, which the API server copies. That is recorded as `info`: the container reserves all that it
///    may ever use, and perhaps nobody meant that;
/// 2. the default of a LimitRange of the namespace: no finding;
/// 3. the `resources` of the Pod as a whole (from Kubernetes 1.34): no finding.
///
/// Each of them has to reach the smallest request that counts, too. Of a Pod as a whole this is so much for each container
/// without a request of its own; if it is less, that is one finding at the Pod.
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
/// `leastCpu` and `leastMemory` are the smallest requests that count. The API server rounds CPU up to thousandths, and the
/// kubelet gives up to 2m the same share as no request (`MinShares` of `pkg/kubelet/cm`). No program fits into less than 1Mi:
/// the smallest request for memory in the charts that Plimsoll is tested with is 10Mi. What is less is a slip (`128m` is an
/// eighth of a byte, and `128` are bytes), or a way around this policy.
///
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
        severity: if ends(review) { Severity::Info } else { Severity::Error },
        harm: "so it is placed as if it used none and evicted first",
        default: settings.memory,
        least: settings.least_memory,
        ratio: settings.memory_ratio,
    };
    let cpu = Resource {
        name: "cpu",
        severity: if ends(review) { Severity::Info } else { Severity::Warning },
        harm: "so it gets what others leave",
        default: settings.cpu,
        least: settings.least_cpu,
        ratio: settings.cpu_ratio,
    };
    let resources = [&cpu, &memory].map(|resource| (resource, resource.is_reserved(review)));
    // How many containers rely on what the Pod requests as a whole.
    let mut relying = [0_i64; 2];
    for container in review.containers().iter().filter(|container| container.class() != Class::Ephemeral) {
        for ((resource, is_reserved), relying) in resources.into_iter().zip(&mut relying) {
            if container.class() == Class::Init && is_reserved {
                continue;
            }
            let request = container.request(review, resource.name);
            let amount = request.quantity().map(|amount| resource.stored(amount));
            if let Some(amount) = amount.filter(|amount| amount.is_zero() || *amount < resource.least) {
                let phrase = resource.small(amount, request);
                resource.missing(review, container, &phrase, findings);
                continue;
            }
            match request {
                Request::Missing => {
                    resource.missing(review, container, &format!("has no request for {}", resource.name), findings)
                }
                Request::FromPod => *relying += i64::from(container.class().runs_on()),
                Request::CopiedFromLimit(limit) => resource.copied(review, container, limit, findings),
                Request::PerhapsCopied(_) => findings.assume("requests that equal the limits were written"),
                _ => {}
            }
        }
    }
    for (resource, relying) in [&cpu, &memory].into_iter().zip(relying).filter(|(_, relying)| *relying > 0) {
        resource.of_pod(review, relying, findings);
    }
}

/// Whether the Pods end by themselves: those of Jobs, hooks of Helm among them, and what people run by hand.
fn ends(review: &Review<'_>) -> bool {
    let policy = review.template().map(|template| template.spec().at("restartPolicy"));
    policy.is_some_and(|policy| matches!(policy.as_str(), Some("Never" | "OnFailure")))
}

struct Resource {
    name: &'static str,
    severity: Severity,
    harm: &'static str,
    default: Quantity,
    least: Quantity,
    ratio: Quantity,
}

impl Resource {
    /// Whether the containers that run on request so much together that an init container needs no request of its own.
    fn is_reserved(&self, review: &Review<'_>) -> bool {
        let running = review.containers().iter().filter(|container| container.class().runs_on());
        let amounts = running.filter_map(|container| container.requested(review, self.name));
        let sum = amounts.fold(Quantity::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(sum));
        sum > Quantity::ZERO && sum >= self.least
    }

    /// As the API server stores it: CPU in thousandths, rounded up.
    fn stored(&self, amount: Quantity) -> Quantity {
        if self.name == "cpu" && amount.milli() < 1_000 { Quantity::from_milli(amount.milli()) } else { amount }
    }

    /// A request that is there and does not count.
    fn small(&self, amount: Quantity, request: Request) -> String {
        let Self { name, least, .. } = self;
        match request {
            _ if amount.is_zero() => format!("requests 0 {name}"),
            Request::FromLimitRange(_) => {
                format!("gets a request of {amount} of {name} from a LimitRange, less than the {least} that counts")
            }
            Request::CopiedFromLimit(_) => {
                format!("requests {amount} of {name}, the copy of its limit, less than the {least} that counts")
            }
            _ => format!("requests {amount} of {name}, less than the {least} that counts"),
        }
    }

    /// The Pod as a whole has a request, on which so many containers rely.
    fn of_pod(&self, review: &Review<'_>, relying: i64, findings: &mut Findings) {
        let Some(template) = review.template() else { return };
        let total = pod_total(review, template, self.name, Side::Request).and_then(|total| total.sum);
        let (Some(amount), Some(least)) = (total, self.least.checked_mul(relying)) else { return };
        if amount >= least {
            return;
        }
        let (name, of_pod) = (self.name, template.spec().at("resources"));
        let noun = if relying == 1 { "container" } else { "containers" };
        let message = format!(
            "the Pod as a whole requests {amount} of {name} for {relying} {noun}, less than the {least} that counts, {}",
            self.harm
        );
        let help =
            format!("write {least} or more in resources.requests.{name} of the Pod: what its containers need together");
        let finding = findings.report(self.severity, &of_pod.at("requests").key(name), message, help);
        finding.about(&of_pod.at("limits").key(name));
    }

    /// The effective request is none, or too small to count. The phrase says which.
    fn missing(&self, review: &Review<'_>, container: &Container<'_>, phrase: &str, findings: &mut Findings) {
        let name = self.name;
        let (at, limit_at) = (container.request_at(name), container.limit_at(name));
        let is_unknown = limit_ranges_unknown(review);
        if is_unknown && !at.exists() {
            findings.assume("no LimitRange fills in requests");
        }
        let finding = findings.report(
            self.severity,
            &at,
            format!("{} {phrase}, {}", container.describe(), self.harm),
            format!("write resources.requests.{name}: what it needs in normal operation, {} or more", self.least),
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
        let is_enough = |value: &Quantity| *value > Quantity::ZERO && *value >= self.least;
        if let Some(value) = value.filter(|value| !is_unknown && !is_capped && is_enough(value)) {
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
