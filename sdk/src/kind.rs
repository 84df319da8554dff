//! Kinds of objects, and the two kinds that scale workloads.

use std::fmt;

use plimsoll_flat::Node;

use crate::review::Review;

/// A kind of objects, `group/Kind`: `apps/Deployment`, and `/Pod` in the core group.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Kind<'a>(&'a str);

impl Kind<'static> {
    pub const CONFIG_MAP: Self = Self::new("/ConfigMap");
    pub const CONTROLLER_REVISION: Self = Self::new("apps/ControllerRevision");
    pub const CRON_JOB: Self = Self::new("batch/CronJob");
    pub const DAEMON_SET: Self = Self::new("apps/DaemonSet");
    pub const DEPLOYMENT: Self = Self::new("apps/Deployment");
    pub const HORIZONTAL_POD_AUTOSCALER: Self = Self::new("autoscaling/HorizontalPodAutoscaler");
    pub const JOB: Self = Self::new("batch/Job");
    pub const LIMIT_RANGE: Self = Self::new("/LimitRange");
    pub const NAMESPACE: Self = Self::new("/Namespace");
    pub const PERSISTENT_VOLUME: Self = Self::new("/PersistentVolume");
    pub const PERSISTENT_VOLUME_CLAIM: Self = Self::new("/PersistentVolumeClaim");
    pub const POD: Self = Self::new("/Pod");
    pub const POD_DISRUPTION_BUDGET: Self = Self::new("policy/PodDisruptionBudget");
    /// Of the Prometheus operator.
    pub const POD_MONITOR: Self = Self::new("monitoring.coreos.com/PodMonitor");
    pub const REPLICA_SET: Self = Self::new("apps/ReplicaSet");
    pub const REPLICATION_CONTROLLER: Self = Self::new("/ReplicationController");
    pub const RESOURCE_QUOTA: Self = Self::new("/ResourceQuota");
    /// Of Argo Rollouts.
    pub const ROLLOUT: Self = Self::new("argoproj.io/Rollout");
    /// Of KEDA.
    pub const SCALED_OBJECT: Self = Self::new("keda.sh/ScaledObject");
    pub const SERVICE: Self = Self::new("/Service");
    /// Of the Prometheus operator.
    pub const SERVICE_MONITOR: Self = Self::new("monitoring.coreos.com/ServiceMonitor");
    pub const STATEFUL_SET: Self = Self::new("apps/StatefulSet");
    pub const STORAGE_CLASS: Self = Self::new("storage.k8s.io/StorageClass");
    pub const VERTICAL_POD_AUTOSCALER: Self = Self::new("autoscaling.k8s.io/VerticalPodAutoscaler");

    /// A kind that a policy names. In a constant, a wrong one does not compile.
    ///
    /// # Panics
    /// If it is not `group/Kind`, with nothing before the slash in the core group.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        assert!(is_kind(text.as_bytes()), "write a kind as `group/Kind`, such as `apps/Deployment` or `/Pod`");
        Self(text)
    }
}

impl<'a> Kind<'a> {
    /// A kind that an object or the configuration names, `group/Kind`; none if it is not written so.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        is_kind(text.as_bytes()).then_some(Self(text))
    }

    /// `group/Kind`
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The group; empty for the core group.
    #[must_use]
    pub fn group(self) -> &'a str {
        self.0.split_once('/').map_or("", |(group, _)| group)
    }

    /// The kind without its group, as a message names it: `Deployment`.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.0.split_once('/').map_or(self.0, |(_, name)| name)
    }
}

/// A kind as an object names it, right or wrong.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct OwnedKind(String);

impl OwnedKind {
    /// The kind of an `apiVersion` and a `kind`.
    #[must_use]
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self::in_group(api_version.split_once('/').map_or("", |(group, _)| group), kind)
    }

    /// The kind of this name in a group.
    #[must_use]
    pub fn in_group(group: &str, kind: &str) -> Self {
        Self([group, "/", kind].concat())
    }

    /// The same, borrowed.
    #[must_use]
    pub fn get(&self) -> Kind<'_> {
        Kind(&self.0)
    }

    /// The kind without its group.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get().name()
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.get().group()
    }
}

impl From<Kind<'_>> for OwnedKind {
    fn from(kind: Kind<'_>) -> Self {
        Self(kind.0.to_owned())
    }
}

impl PartialEq<Kind<'_>> for OwnedKind {
    fn eq(&self, other: &Kind<'_>) -> bool {
        self.0 == other.0
    }
}

impl PartialEq<OwnedKind> for Kind<'_> {
    fn eq(&self, other: &OwnedKind) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Kind<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Kinds with a `scale`, whose number of Pods a controller can know: every kind with `replicas`.
pub const SCALABLE: [Kind<'static>; 5] =
    [Kind::DEPLOYMENT, Kind::STATEFUL_SET, Kind::REPLICA_SET, Kind::REPLICATION_CONTROLLER, Kind::ROLLOUT];

/// Kinds with a pod template whose Pods run on: those with a `scale`, and DaemonSets.
pub const LONG_RUNNING: [Kind<'static>; 6] = [
    Kind::DEPLOYMENT,
    Kind::STATEFUL_SET,
    Kind::REPLICA_SET,
    Kind::REPLICATION_CONTROLLER,
    Kind::ROLLOUT,
    Kind::DAEMON_SET,
];

/// The same, and those that the configuration brought.
pub fn long_running<'a>(review: &Review<'a>) -> impl Iterator<Item = Kind<'a>> {
    let further = review.further_workloads().map(|(kind, _)| kind).filter(|kind| !LONG_RUNNING.contains(kind));
    LONG_RUNNING.into_iter().chain(further)
}

/// What scales a workload by what it measures.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Autoscaler {
    /// A HorizontalPodAutoscaler.
    Horizontal,
    /// A ScaledObject of KEDA. In a cluster each of them has a HorizontalPodAutoscaler too, so that those say enough where
    /// ScaledObjects can't be read.
    Keda,
}

impl Autoscaler {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Horizontal, Self::Keda];

    /// What the reviewed object is; none if it is no autoscaler.
    #[must_use]
    pub fn of(review: &Review<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|scaler| review.is(scaler.kind()))
    }

    /// The kind of its objects.
    #[must_use]
    pub const fn kind(self) -> Kind<'static> {
        match self {
            Self::Horizontal => Kind::HORIZONTAL_POD_AUTOSCALER,
            Self::Keda => Kind::SCALED_OBJECT,
        }
    }

    /// The pointer to the fewest Pods.
    #[must_use]
    pub const fn min(self) -> &'static str {
        match self {
            Self::Horizontal => "/spec/minReplicas",
            Self::Keda => "/spec/minReplicaCount",
        }
    }

    /// The pointer to the most Pods.
    #[must_use]
    pub const fn max(self) -> &'static str {
        match self {
            Self::Horizontal => "/spec/maxReplicas",
            Self::Keda => "/spec/maxReplicaCount",
        }
    }

    /// The pointer to the list of what it measures.
    #[must_use]
    pub const fn metrics(self) -> &'static str {
        match self {
            Self::Horizontal => "/spec/metrics",
            Self::Keda => "/spec/triggers",
        }
    }

    /// The pointer to the speeds of scaling, which KEDA passes on.
    #[must_use]
    pub const fn behavior(self) -> &'static str {
        match self {
            Self::Horizontal => "/spec/behavior",
            Self::Keda => "/spec/advanced/horizontalPodAutoscalerConfig/behavior",
        }
    }

    /// Whether nothing scales by another object of this sort, after an answer of the host that is complete or not. What KEDA
    /// makes of a ScaledObject says the same as that.
    #[must_use]
    pub fn is_known(self, complete: bool) -> bool {
        complete || self == Self::Keda
    }

    /// `HorizontalPodAutoscaler shop`
    #[must_use]
    pub fn describe(self, object: Node<'_>) -> String {
        format!("{} {}", self.kind().name(), crate::disruption::name(object))
    }
}

/// Whether this is `group/Kind`: a domain name or nothing, and a word that begins with a capital letter.
const fn is_kind(text: &[u8]) -> bool {
    let mut slash = None;
    let mut index = 0;
    while index < text.len() {
        let is_allowed = match (text[index], slash) {
            (b'/', None) => {
                slash = Some(index);
                true
            }
            (b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-', None) => true,
            (byte, Some(slash)) if index == slash + 1 => byte.is_ascii_uppercase(),
            (byte, Some(_)) => byte.is_ascii_alphanumeric(),
            (_, None) => false,
        };
        if !is_allowed {
            return false;
        }
        index += 1;
    }
    matches!(slash, Some(slash) if slash + 1 < text.len())
}

#[cfg(test)]
mod tests {
    use super::{Autoscaler, Kind, is_kind};

    #[test]
    fn kinds_are_a_group_and_a_word() {
        for kind in ["/Pod", "apps/Deployment", "monitoring.coreos.com/PodMonitor", "a-b.c/V1Thing"] {
            assert!(is_kind(kind.as_bytes()), "{kind}");
        }
        for other in
            ["", "/", "Pod", "pod", "/pod", "apps/", "apps/v1/Deployment", "apps/Deploy ment", "Apps/Deployment"]
        {
            assert!(!is_kind(other.as_bytes()) && Kind::parse(other).is_none(), "{other}");
        }
        assert_eq!((Kind::POD.group(), Kind::POD.name()), ("", "Pod"));
        assert_eq!((Kind::ROLLOUT.group(), Kind::ROLLOUT.name()), ("argoproj.io", "Rollout"));
    }

    #[test]
    fn what_keda_has_is_known_by_its_autoscalers() {
        assert!(!Autoscaler::Horizontal.is_known(false) && Autoscaler::Keda.is_known(false));
    }
}
