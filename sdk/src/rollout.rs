//! How a workload replaces its Pods, with the defaults of the API server and the rounding of each controller.

use plimsoll_flat::{Kind as Json, Node};

use crate::affinity;
use crate::cursor::Cursor;
use crate::guest::Knowledge;
use crate::int_or_percent::{IntOrPercent, pods_at};
use crate::keda::Paused;
use crate::kind::{Autoscaler, Kind};
use crate::references::is_reviewed_handed_over;
use crate::review::Review;
use crate::rounding::Fenceposts;
use crate::services::{Scraped, are_only_scraped, carries_requests};
use crate::workload::{Container, Probe};

/// Default of `maxSurge` and `maxUnavailable`.
pub const DEFAULT: IntOrPercent = IntOrPercent::Percent(25);

/// The rollout parameters of a Deployment or an Argo Rollout (the same fields with the same defaults).
#[derive(Clone, Debug)]
pub struct Rollout<'a> {
    /// `replicas`; 1 if unset.
    pub replicas: i64,
    /// Place of `replicas`.
    pub replicas_at: Cursor<'a>,
    /// `maxSurge`; 25% if unset.
    pub max_surge: IntOrPercent,
    /// Place of `maxSurge`.
    pub max_surge_at: Cursor<'a>,
    /// `maxUnavailable`; 25% if unset.
    pub max_unavailable: IntOrPercent,
    /// Place of `maxUnavailable`.
    pub max_unavailable_at: Cursor<'a>,
}

impl<'a> Rollout<'a> {
    /// The parameters of a rolling update. `None` in these cases: another kind, another strategy, a value that the API
    /// server rejects, or a canary with traffic routing, whose stable Pods all stay until the end.
    ///
    /// A workload that an Argo Rollout takes over and scales down has 0 replicas. Both parameters may be 0, although
    /// the API server rejects that: see [`Rollout::is_stuck`].
    pub fn of(review: &Review<'a>) -> Option<Self> {
        let rollout = Self::read(group_kind(review)?, review.object())?;
        let is_handed_over = is_reviewed_handed_over(review);
        Some(if is_handed_over { Self { replicas: 0, ..rollout } } else { rollout })
    }

    /// The parameters of another object, of this `group/Kind`.
    pub fn read(kind: Kind<'_>, object: &Cursor<'a>) -> Option<Self> {
        let update = match kind {
            Kind::DEPLOYMENT => {
                let strategy = object.at("/spec/strategy");
                let kind = strategy.at("/type");
                let is_rolling = kind.is_absent() || matches!(kind.as_str(), Some("" | "RollingUpdate"));
                is_rolling.then(|| strategy.at("/rollingUpdate"))?
            }
            Kind::ROLLOUT => {
                let canary = object.at("/spec/strategy/canary");
                (canary.exists() && !canary.at("/trafficRouting").exists()).then_some(canary)?
            }
            _ => return None,
        };
        let count = |cursor: &Cursor<'_>| match cursor.node() {
            None if cursor.is_absent() => Some(DEFAULT),
            node => IntOrPercent::from_node(node?).filter(|count| !matches!(count, IntOrPercent::Int(..0))),
        };
        let replicas_at = object.at("/spec/replicas");
        let replicas = if replicas_at.is_absent() { Some(1) } else { replicas_at.as_i64() };
        let max_surge_at = update.at("/maxSurge");
        let max_unavailable_at = update.at("/maxUnavailable");
        Some(Self {
            replicas: replicas.filter(|replicas| (0..=i64::from(i32::MAX)).contains(replicas))?,
            max_surge: count(&max_surge_at)?,
            max_unavailable: count(&max_unavailable_at)
                .filter(|count| !matches!(count, IntOrPercent::Percent(101..)))?,
            replicas_at,
            max_surge_at,
            max_unavailable_at,
        })
    }

    /// Whether both parameters are 0 or `0%`. Then no Pod could ever be replaced, so the API server rejects it.
    pub fn is_stuck(&self) -> bool {
        let is_zero = |count| matches!(count, IntOrPercent::Int(0) | IntOrPercent::Percent(0));
        is_zero(self.max_surge) && is_zero(self.max_unavailable)
    }

    /// The parameters as numbers of Pods, for this number of replicas.
    pub fn fenceposts(&self, replicas: i64) -> Fenceposts {
        Fenceposts::of_deployment(replicas, self.max_surge, self.max_unavailable)
    }
}

/// A StatefulSet's rolling update that may take several Pods down at once.
#[derive(Clone, Debug)]
pub struct StatefulUpdate<'a> {
    /// Pods below this number keep their revision.
    pub partition: i64,
    /// `maxUnavailable`.
    pub max_unavailable: IntOrPercent,
    /// Place of `maxUnavailable`.
    pub at: Cursor<'a>,
    /// Whether this version of Kubernetes obeys `maxUnavailable` for certain.
    pub is_certain: bool,
}

impl<'a> StatefulUpdate<'a> {
    /// The update of the reviewed StatefulSet. `None` for another kind, another strategy, or without `maxUnavailable`.
    /// Also `None` if Kubernetes ignores `maxUnavailable`: before 1.37, except in 1.35.0 to 1.35.3 (the feature
    /// `MaxUnavailableStatefulSet`).
    pub fn of(review: &Review<'a>) -> Option<Self> {
        if !review.is(Kind::STATEFUL_SET) {
            return None;
        }
        let strategy = review.at("/spec/updateStrategy");
        let kind = strategy.at("/type");
        let at = strategy.at("/rollingUpdate/maxUnavailable");
        let is_rolling = kind.is_absent() || matches!(kind.as_str(), Some("" | "RollingUpdate"));
        let max_unavailable = IntOrPercent::from_node(at.node()?).filter(|_| is_rolling)?;
        let is_valid = matches!(max_unavailable, IntOrPercent::Int(1..) | IntOrPercent::Percent(1..=100));
        let is_certain = match review.kubernetes_version() {
            Some(version) if !version.at_least(1, 35) => return None,
            Some(version) if !version.at_least(1, 37) => match version.patch {
                _ if version.minor == 36 => return None,
                Some(4..) => return None,
                patch => patch.is_some(),
            },
            _ => true,
        };
        let partition = strategy.at("/rollingUpdate/partition").as_i64().unwrap_or(0).max(0);
        is_valid.then_some(Self { partition, max_unavailable, at, is_certain })
    }

    /// Number of Pods that the update takes down at once, if there are this many Pods.
    #[must_use]
    pub fn taken(&self, pods: i64) -> i64 {
        Fenceposts::of_stateful_set(pods, self.max_unavailable)
            .unavailable
            .min(pods.saturating_sub(self.partition).max(0))
    }
}

/// Kinds that replace their Pods by surge and unavailability.
pub const ROLLING: [Kind<'static>; 2] = [Kind::DEPLOYMENT, Kind::ROLLOUT];

/// The kinds that [`Rollout::of`] knows.
fn group_kind(review: &Review<'_>) -> Option<Kind<'static>> {
    ROLLING.into_iter().find(|kind| review.is(*kind))
}

/// The label that the controller gives to the Pods of one revision. `None` for kinds other than [`ROLLING`].
pub fn revision_label(review: &Review<'_>) -> Option<&'static str> {
    match group_kind(review)? {
        Kind::DEPLOYMENT => Some("pod-template-hash"),
        _ => Some("rollouts-pod-template-hash"),
    }
}

/// The required terms of `podAntiAffinity` that keep a new Pod away from all Pods of the workload, those of the old
/// revision included. So each Pod needs a domain, such as a node or a zone, of its own. Returns the `topologyKey` and
/// the term. Terms that may apply only to other namespaces are left out.
pub fn own_domains<'r, 'a>(review: &'r Review<'a>) -> impl Iterator<Item = (&'a str, Cursor<'a>)> + use<'r, 'a> {
    let template = revision_label(review).and(review.template());
    let required = template.into_iter().flat_map(affinity::anti_affinity).filter(|term| term.weight.is_none());
    let own = required.filter(|term| term.selects(review, affinity::Pods::Old) == Knowledge::Yes);
    own.filter_map(|term| Some((term.at.at("/topologyKey").as_str()?, term.at)))
}

/// Whether a new Pod must wait for the place of an old one: a port of the node, or a node or zone of its own.
#[must_use]
pub fn is_in_place(review: &Review<'_>) -> bool {
    review.template().is_some_and(|template| template.host_port().is_some()) || own_domains(review).next().is_some()
}

/// Whether a Service sends requests to these Pods. A Service for metrics does not count. The answer is unknown for a
/// Rollout if the object that `workloadRef` names is not known. Needs `/Service` and both
/// [`crate::monitors::MONITORS`] in `refines`.
pub fn is_served(review: &Review<'_>) -> Knowledge {
    if !review.has_template() {
        return Knowledge::Unknown;
    }
    let (services, scraped) = (review.services(), Scraped::of(review));
    match services.nodes().any(|service| carries_requests(service, &scraped)) {
        true if scraped.is_uncertain() => Knowledge::Unknown,
        true => Knowledge::Yes,
        false if services.complete || are_only_scraped(review) => Knowledge::No,
        false => Knowledge::Unknown,
    }
}

/// Number of Pods as a message says it: `3 replicas`, or `3 Pods at the autoscaler's minimum`.
#[must_use]
pub fn describe_count(pods: i64, is_minimum: bool) -> String {
    match (pods, is_minimum) {
        (1, false) => "1 replica".to_owned(),
        (_, false) => format!("{pods} replicas"),
        (1, true) => "1 Pod at the autoscaler's minimum".to_owned(),
        (_, true) => format!("{pods} Pods at the autoscaler's minimum"),
    }
}

/// The autoscalers of a workload.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// Minimum number of Pods while the workload has any. `None` if no autoscaler is known.
    pub floor: Option<i64>,
    /// Whether there are no other autoscalers.
    pub complete: bool,
}

/// The autoscalers of the reviewed Deployment or Rollout. Known ScaledObjects count, although KEDA also makes a
/// HorizontalPodAutoscaler for each of them in a cluster. Needs both kinds in `refines`.
pub fn autoscaler(review: &Review<'_>) -> Scaling {
    if group_kind(review).is_none() {
        return Scaling { floor: None, complete: false };
    }
    // An autoscaler with a value that the API server rejects scales nothing.
    let least = |object: Node<'_>, pointer: &str, unset: i64| Some(pods_at(object, pointer, unset)?.max(1));
    let [hpas, scaled] = Autoscaler::ALL.map(|scaler| review.scaled_by(scaler));
    let floor = hpas
        .nodes()
        .filter_map(|hpa| least(hpa, "/spec/minReplicas", 1))
        .chain(scaled.nodes().filter_map(|object| match Paused::of(object) {
            Some(Paused::At(pods)) => Some(pods),
            Some(Paused::Now) => None,
            None => least(object, "/spec/minReplicaCount", 0),
        }))
        .min();
    Scaling { floor, complete: hpas.complete && scaled.complete }
}

/// Maximum time in seconds until a Pod is ready by its probes, with the probe that takes this long and its container.
///
/// The time of a container is the window of its startupProbe (initialDelay + failureThreshold × period). Without a
/// startupProbe, it is initialDelay + successThreshold × period of its readinessProbe. The longest container counts.
pub fn time_to_ready<'r, 'a>(review: &'r Review<'a>) -> Option<(i64, Probe<'a>, &'r Container<'a>)> {
    review
        .containers()
        .iter()
        .filter(|container| container.class().runs_on())
        .filter_map(|container| {
            let is_object = |probe: &Probe<'_>| probe.cursor().node().is_some_and(|node| node.kind() == Json::Object);
            if let Some(startup) = container.probe("startupProbe").filter(is_object) {
                let window = startup.failure_threshold().saturating_mul(startup.period());
                return Some((startup.initial_delay().saturating_add(window), startup, container));
            }
            let readiness = container.probe("readinessProbe").filter(is_object)?;
            let window = readiness.period().saturating_mul(readiness.success_threshold());
            Some((readiness.initial_delay().saturating_add(window), readiness, container))
        })
        // If several are equally long, the first one counts.
        .reduce(|longest, next| if next.0 > longest.0 { next } else { longest })
}
