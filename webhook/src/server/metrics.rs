//! The contents of `/metrics`. There are few labels: policies and fixed words, never a namespace or a name.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::{App, Webhook};
use crate::admission::Verdict;
use crate::admission::patch::Untouched;
use crate::certs;
use crate::context::{Knowing, Watched};
use crate::judge::{Mutation, Reason};
use crate::model::{Action, Failure};
use crate::registry::Policy;
use crate::serving::Part;
use crate::serving::health::State;

/// Buckets for the seconds of a review: from a fast review to the default timeout of the API server.
const BUCKETS: [f64; 18] = [
    25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The content type of [`Metrics::encode`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every counter of the server.
pub(super) struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    findings: Family<FindingLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    skipped: Family<PolicyLabel, Counter>,
    spared: Family<ReasonLabel, Counter>,
    silenced: Family<PolicyLabel, Counter>,
    additions: Family<PolicyLabel, Counter>,
    lost: Family<PolicyLabel, Counter>,
    untouched: Family<ReasonLabel, Counter>,
    conflicts: Counter,
    seconds: Family<WebhookLabel, Histogram, fn() -> Histogram>,
    evaluation: Family<WebhookLabel, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    rejections: Counter,
    dropped: Family<ReasonLabel, Counter>,
    build: Family<BuildLabels, Gauge>,
    configuration: Reloads,
    certificate: Reloads,
    certificate_end: Gauge,
    registered_by_another: Gauge,
    context: ContextMetrics,
    encoding: Mutex<()>,
}

/// The state of the other objects of the cluster.
struct ContextMetrics {
    objects: Family<KindLabel, Gauge>,
    bytes: Family<KindLabel, Gauge>,
    up_to_date: Family<KindLabel, Gauge>,
    failures: Family<KindLabel, Counter>,
}

/// State of a part that is replaced while the server runs.
struct Reloads {
    generation: Gauge,
    last_success: Gauge<f64, AtomicU64>,
    last_reload_successful: Gauge,
    failed: Counter,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReviewLabels {
    webhook: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct WebhookLabel {
    webhook: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct FindingLabels {
    policy: String,
    action: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct FailureLabels {
    policy: String,
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct PolicyLabel {
    policy: String,
}

/// A kind that policies declare. There are only a few.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabel {
    kind: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct BuildLabels {
    version: &'static str,
    bundle: String,
    digest: String,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("plimsoll");
        let new = &mut registry;
        Self {
            reviews: register(new, "reviews", "Requests to the webhook by what was answered", Family::default()),
            findings: register(new, "findings", "Findings by what was done about them", Family::default()),
            failures: register(new, "policy_failures", "Policies that could not judge", Family::default()),
            spared: register(
                new,
                "spared",
                "Findings and failures whose Deny was lowered, by reason",
                Family::default(),
            ),
            silenced: register(
                new,
                "findings_silenced",
                "Findings silenced by an annotation or a PolicyExemption",
                Family::default(),
            ),
            skipped: register(new, "policy_skipped", "Policies that lacked required context", Family::default()),
            additions: register(new, "mutation_additions", "Fields filled in", Family::default()),
            lost: register(new, "mutation_lost", "Additions that another policy's came before", Family::default()),
            untouched: register(new, "mutation_untouched", "Objects not completed, by the reason", Family::default()),
            conflicts: register(
                new,
                "mutation_conflicts",
                "Fields that two PolicySets fill in differently",
                Counter::default(),
            ),
            seconds: register(
                new,
                "review_duration_seconds",
                "From the request's head to its answer",
                Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            ),
            evaluation: register(
                new,
                "evaluation_duration_seconds",
                "Of that, the time on an evaluating thread",
                Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            ),
            registered_by_another: register(
                new,
                "registered_by_another",
                "1 while the API server asks another server, whose registration is in the place of ours",
                Gauge::default(),
            ),
            in_flight: register(new, "reviews_in_flight", "Requests that are being answered", Gauge::default()),
            rejections: register(new, "queue_rejections", "Requests that found no place in time", Counter::default()),
            dropped: register(
                new,
                "connections_dropped",
                "Connections that were closed before their client did, by reason",
                Family::default(),
            ),
            build: register(new, "build_info", "Version, and the bundles that are loaded", Family::default()),
            configuration: Reloads::new(new, "configuration"),
            certificate: Reloads::new(new, "certificate"),
            certificate_end: register(
                new,
                "certificate_expiry_timestamp_seconds",
                "When the certificate in use ends",
                Gauge::default(),
            ),
            context: ContextMetrics::new(new),
            encoding: Mutex::default(),
            registry,
        }
    }

    /// Counts an answered request.
    pub(super) fn reviewed(&self, webhook: Webhook, outcome: &'static str, took: Duration) {
        let webhook = webhook.as_str();
        self.reviews.get_or_create(&ReviewLabels { webhook, outcome }).inc();
        self.seconds.get_or_create(&WebhookLabel { webhook }).observe(took.as_secs_f64());
    }

    /// Records the time of one evaluation, also if the body could not be judged.
    pub(super) fn evaluated(&self, webhook: Webhook, took: Duration) {
        self.evaluation.get_or_create(&WebhookLabel { webhook: webhook.as_str() }).observe(took.as_secs_f64());
    }

    /// Counts a request that found no place in time.
    pub(super) fn rejected(&self) {
        self.rejections.inc();
    }

    /// Counts a connection that was closed before its client closed it.
    pub(super) fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a request as in flight until the guard is dropped, even if its client disconnects.
    pub(super) fn enter(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts the results of a validation.
    pub(super) fn validated(&self, verdict: &Verdict) {
        for judged in &verdict.judged {
            let labels = FindingLabels { policy: judged.policy.id.clone(), action: judged.action.as_str() };
            self.findings.get_or_create(&labels).inc();
        }
        let spared = verdict.judged.iter().map(|judged| (judged.spared, judged.uncapped));
        let failed = verdict.failed.iter().map(|failed| (failed.spared, failed.uncapped));
        for (why, _) in spared.chain(failed).filter(|(_, uncapped)| *uncapped == Action::Deny) {
            if let Some(why) = why {
                self.spared.get_or_create(&ReasonLabel { reason: why.as_str() }).inc();
            }
        }
        for (judged, _) in &verdict.silenced {
            self.silenced.get_or_create(&PolicyLabel { policy: judged.policy.id.clone() }).inc();
        }
        for failed in &verdict.failed {
            self.failed(&failed.policy, &failed.failure);
        }
        for (policy, _) in &verdict.skipped {
            self.skipped.get_or_create(&PolicyLabel { policy: policy.id.clone() }).inc();
        }
    }

    /// Logs only the first failure of each kind. Otherwise a policy that always fails would fill the log.
    fn failed(&self, policy: &Policy, failure: &Failure) {
        let labels = FailureLabels { policy: policy.id.clone(), kind: failure.kind() };
        if self.failures.get_or_create(&labels).inc() == 0 {
            tracing::warn!(
                policy = policy.id,
                kind = failure.kind(),
                reason = %failure,
                "a policy failed and counts as its PolicySet's onError; further failures of this kind are only counted"
            );
        }
    }

    /// Counts the results of a mutation.
    pub(super) fn mutated(&self, mutation: &Mutation) {
        for (policy, _) in &mutation.added {
            self.additions.get_or_create(&PolicyLabel { policy: policy.id.clone() }).inc();
        }
        for lost in &mutation.lost {
            self.lost.get_or_create(&PolicyLabel { policy: lost.policy.id.clone() }).inc();
        }
        for (policy, failure) in &mutation.failed {
            self.failed(policy, failure);
        }
        if let Some(reason) = mutation.untouched {
            self.untouched.get_or_create(&ReasonLabel { reason: reason_word(reason) }).inc();
        }
    }

    /// The text for Prometheus.
    ///
    /// # Errors
    /// Never, because it is written to memory.
    pub(super) fn encode(&self, app: &App) -> Result<String, fmt::Error> {
        // Gauges are cleared and set again, which two scrapes must not do at the same time.
        let _one = self.encoding.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = app.loaded.get();
        self.configuration.set(&app.health.of(Part::Configuration));
        self.certificate.set(&app.health.of(Part::Certificate));
        self.registered_by_another.set(app.health.is_registered_by_another().into());
        if let Some(end) = app.certificate.get().cert.first().and_then(|leaf| certs::not_after(leaf)) {
            self.certificate_end.set(end.unix_timestamp());
        }
        self.context.set(&loaded.context.watched());
        // The registry counts conflicts itself. After a reload it starts at zero, as Prometheus expects of a counter.
        self.conflicts.inner().store(loaded.registry.conflicts(), Ordering::Relaxed);
        self.build.clear();
        for bundle in loaded.registry.bundles() {
            let labels = BuildLabels {
                version: env!("CARGO_PKG_VERSION"),
                bundle: bundle.metadata().name.clone(),
                digest: bundle.digest().to_owned(),
            };
            self.build.get_or_create(&labels).set(1);
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl ContextMetrics {
    fn new(registry: &mut Registry) -> Self {
        Self {
            objects: register(registry, "context_objects", "Objects that policies may ask for", Family::default()),
            bytes: register(registry, "context_bytes", "What is kept of these objects", Family::default()),
            up_to_date: register(
                registry,
                "context_up_to_date",
                "0 while a kind is not listed yet, or known as it was last",
                Family::default(),
            ),
            failures: register(registry, "context_failures", "Lists and watches that failed", Family::default()),
        }
    }

    fn set(&self, watched: &[Watched]) {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.objects.clear();
        self.bytes.clear();
        self.up_to_date.clear();
        self.failures.clear();
        for Watched { kind, state, objects, bytes, failures, .. } in watched {
            let label = KindLabel { kind: kind.clone() };
            self.objects.get_or_create(&label).set(whole(*objects));
            self.bytes.get_or_create(&label).set(whole(*bytes));
            let known = matches!(state, Knowing::Current | Knowing::NotServed);
            self.up_to_date.get_or_create(&label).set(known.into());
            self.failures.get_or_create(&label).inner().store(*failures, Ordering::Relaxed);
        }
    }
}

impl Reloads {
    fn new(registry: &mut Registry, part: &str) -> Self {
        Self {
            generation: register(
                registry,
                &format!("{part}_generation"),
                "Versions taken over since the start, that of the start included",
                Gauge::default(),
            ),
            last_success: register(
                registry,
                &format!("{part}_last_success_timestamp_seconds"),
                "When the version in use was taken over",
                Gauge::default(),
            ),
            last_reload_successful: register(
                registry,
                &format!("{part}_last_reload_successful"),
                "0 while a newer version is refused",
                Gauge::default(),
            ),
            failed: register(
                registry,
                &format!("{part}_failed_reloads"),
                "Versions that were refused",
                Counter::default(),
            ),
        }
    }

    fn set(&self, state: &State) {
        self.generation.set(i64::try_from(state.generation).unwrap_or(i64::MAX));
        let since = state.last_success.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        self.last_success.set(since.unwrap_or_default().as_secs_f64());
        self.last_reload_successful.set(state.trouble.is_none().into());
        self.failed.inner().store(state.failures, Ordering::Relaxed);
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// See [`Metrics::enter`].
#[derive(Debug)]
pub(super) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Rule(Untouched::Operation) => "operation",
        Reason::Rule(Untouched::Subresource) => "subresource",
        Reason::Rule(Untouched::Owned) => "owned",
        Reason::Rule(Untouched::Deleting) => "deleting",
        Reason::Rule(Untouched::Mirror) => "mirror",
        Reason::Rule(Untouched::Unchanged) => "unchanged",
        Reason::NoPolicy => "no-policy",
        Reason::NoConvergence => "no-convergence",
        Reason::BadPatch => "bad-patch",
        Reason::Rollback => "rollback",
        Reason::MaybeRollback => "maybe-rollback",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Type, help and labels by name.
    type Table = BTreeMap<String, (String, String, Vec<String>)>;

    /// One sample of each metric.
    fn shown() -> Table {
        let metrics = Metrics::new();
        metrics.reviewed(Webhook::Validate, "allowed", Duration::from_millis(1));
        metrics.evaluated(Webhook::Validate, Duration::from_millis(1));
        metrics.findings.get_or_create(&FindingLabels { policy: "a".to_owned(), action: "Deny" }).inc();
        metrics.failures.get_or_create(&FailureLabels { policy: "a".to_owned(), kind: "trap" }).inc();
        for family in [&metrics.skipped, &metrics.additions, &metrics.lost, &metrics.silenced] {
            family.get_or_create(&PolicyLabel { policy: "a".to_owned() }).inc();
        }
        for family in [&metrics.untouched, &metrics.spared, &metrics.dropped] {
            family.get_or_create(&ReasonLabel { reason: "owned" }).inc();
        }
        metrics.context.set(&[Watched {
            kind: "Service".to_owned(),
            state: Knowing::Current,
            trouble: None,
            objects: 1,
            bytes: 1,
            failures: 0,
        }]);
        let build = BuildLabels { version: "0", bundle: "a".to_owned(), digest: "b".to_owned() };
        metrics.build.get_or_create(&build).set(1);
        let mut text = String::new();
        text::encode(&mut text, &metrics.registry).unwrap();
        let mut table = Table::new();
        let mut help = "";
        for line in text.lines() {
            let words: Vec<_> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", _, text] => help = text.trim_end_matches('.'),
                ["#", "TYPE", name, kind] => {
                    let suffix = if kind == "counter" { "_total" } else { "" };
                    table.insert(format!("{name}{suffix}"), (kind.to_owned(), help.to_owned(), Vec::new()));
                }
                [sample, _] if sample != "#" => {
                    let (name, labels) = sample.trim_end_matches('}').split_once('{').unwrap_or((sample, ""));
                    let name =
                        ["_sum", "_count", "_bucket"].iter().find_map(|it| name.strip_suffix(it)).unwrap_or(name);
                    let labels = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
                    table.get_mut(name).unwrap().2 = labels.filter(|label| label != "le").collect();
                }
                _ => {}
            }
        }
        table
    }

    /// The rows of docs/server.md.
    fn documented() -> Table {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/server.md");
        let text = fs::read_to_string(file).unwrap();
        let mut table = Table::new();
        for row in text.lines().filter(|line| line.starts_with("| `plimsoll_")) {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [name, kind, unit, labels, help] = cells[..] else { panic!("five cells are wanted: {row}") };
            let name = name.trim_matches('`').to_owned();
            assert_eq!(name.contains("_seconds"), unit == "seconds", "{row}");
            let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned());
            let labels = labels.filter(|label| !label.is_empty()).collect();
            table.insert(name, (kind.to_owned(), help.to_owned(), labels));
        }
        table
    }

    #[test]
    fn the_documentation_lists_every_metric() {
        assert_eq!(documented(), shown());
    }
}
