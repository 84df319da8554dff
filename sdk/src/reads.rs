//! What the SDK's own searches read of other objects, by group: the words of `reads = […]` in `#[policy]`.
//!
//! A pointer that is missing here reads as if nobody had written the field. The cases of a policy run natively with whole objects
//! and as WebAssembly with these parts, and both have to say the same.

use crate::metadata::{FURTHER, is_same};

/// Something of other objects that a policy reads. Pointers are written as in [`crate::metadata::Bundle::reads`].
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// Of the objects of this `group/Kind`.
    Of(&'static str, &'static [&'static str]),
    /// Of every workload, those of kinds included that a configuration brings.
    OfWorkloads(&'static [&'static str]),
}

/// All that a policy reads of other objects. Names, labels and owners, selectors and the labels of pod templates are always shown.
#[derive(Clone, Copy, Debug)]
pub struct Reads(pub &'static [&'static [Read]]);

impl Reads {
    /// Pointers of a `group/Kind` that it reads, or of [`FURTHER`] workloads; none: it says nothing of the kind.
    pub fn of(self, kind: &str) -> Option<Vec<&'static str>> {
        let is_workload = kind == FURTHER || WORKLOAD_KINDS.contains(&kind);
        let of_kind = |read: &Read| match *read {
            Read::Of(known, pointers) => (known == kind).then_some(pointers),
            Read::OfWorkloads(pointers) => is_workload.then_some(pointers),
        };
        let said: Vec<_> = self.0.iter().copied().flatten().filter_map(of_kind).collect();
        (!said.is_empty()).then(|| said.concat())
    }

    /// Whether it says something of a `group/Kind`. `#[policy]` asks this when a policy is compiled.
    pub const fn speak_of(self, kind: &str) -> bool {
        let (kind, mut is_workload, mut number) = (kind.as_bytes(), false, 0);
        while number < WORKLOAD_KINDS.len() {
            is_workload |= is_same(WORKLOAD_KINDS[number].as_bytes(), kind);
            number += 1;
        }
        let mut group = 0;
        while group < self.0.len() {
            let mut index = 0;
            while index < self.0[group].len() {
                let speaks = match self.0[group][index] {
                    Read::Of(known, _) => is_same(known.as_bytes(), kind),
                    Read::OfWorkloads(_) => is_workload,
                };
                if speaks {
                    return true;
                }
                index += 1;
            }
            group += 1;
        }
        false
    }
}

/// The kinds of [`Read::OfWorkloads`] that policies ask for by name.
pub(crate) const WORKLOAD_KINDS: [&str; 8] = [
    "apps/Deployment",
    "apps/StatefulSet",
    "apps/DaemonSet",
    "apps/ReplicaSet",
    "/ReplicationController",
    "argoproj.io/Rollout",
    "batch/Job",
    "batch/CronJob",
];

/// `Workloads`: how many Pods there are and what is asked for them, how they are replaced, when they are ready, where they
/// listen, what they mount, what keeps them apart, and whether they are protected.
pub const WORKLOADS: &[Read] = &[Read::OfWorkloads(&[
    "/metadata/annotations/plimsoll.dev~1protect",
    "/spec/replicas",
    "/spec/strategy",
    "/spec/workloadRef",
    "/spec/updateStrategy",
    "/spec/minReadySeconds",
    "{template}/metadata/annotations/inject.istio.io~1templates",
    "{template}/metadata/annotations/prometheus.io~1port",
    "{template}/metadata/annotations/prometheus.io~1scrape",
    "{template}/metadata/annotations/sidecar.istio.io~1inject",
    "{template}/spec/containers/*/image",
    "{template}/spec/containers/*/lifecycle/preStop",
    "{template}/spec/containers/*/livenessProbe",
    "{template}/spec/containers/*/name",
    "{template}/spec/containers/*/ports",
    "{template}/spec/containers/*/readinessProbe",
    "{template}/spec/containers/*/resources",
    "{template}/spec/containers/*/startupProbe",
    "{template}/spec/hostNetwork",
    "{template}/spec/initContainers/*/image",
    "{template}/spec/initContainers/*/livenessProbe",
    "{template}/spec/initContainers/*/name",
    "{template}/spec/initContainers/*/ports",
    "{template}/spec/initContainers/*/readinessProbe",
    "{template}/spec/initContainers/*/resources",
    "{template}/spec/initContainers/*/restartPolicy",
    "{template}/spec/initContainers/*/startupProbe",
    "{template}/spec/resources",
    "{template}/spec/priorityClassName",
    "{template}/spec/volumes/*/persistentVolumeClaim",
    "{template}/spec/affinity/nodeAffinity",
    "{template}/spec/affinity/podAffinity",
    "{template}/spec/affinity/podAntiAffinity",
    "{template}/spec/topologySpreadConstraints",
    "{template}/spec/nodeName",
    "{template}/spec/nodeSelector",
])];

/// `DisruptionBudgets`: how many Pods may be away.
pub const DISRUPTION_BUDGETS: &[Read] =
    &[Read::Of("policy/PodDisruptionBudget", &["/spec/minAvailable", "/spec/maxUnavailable"])];

/// `Autoscalers`: what is scaled, between which bounds, and by which metrics.
pub const AUTOSCALERS: &[Read] = &[
    Read::Of(
        "autoscaling/HorizontalPodAutoscaler",
        &[
            "/metadata/annotations/autoscaling.alpha.kubernetes.io~1metrics",
            "/spec/maxReplicas",
            "/spec/metrics",
            "/spec/minReplicas",
            "/spec/scaleTargetRef",
            "/spec/targetCPUUtilizationPercentage",
        ],
    ),
    Read::Of(
        "keda.sh/ScaledObject",
        &[
            "/metadata/annotations/autoscaling.keda.sh~1paused",
            "/metadata/annotations/autoscaling.keda.sh~1paused-replicas",
            "/metadata/annotations/scaledobject.keda.sh~1transfer-hpa-ownership",
            "/spec/advanced/horizontalPodAutoscalerConfig/name",
            "/spec/maxReplicaCount",
            "/spec/minReplicaCount",
            "/spec/scaleTargetRef",
            "/spec/triggers",
        ],
    ),
];

/// `VerticalAutoscalers`: which requests are changed.
pub const VERTICAL_AUTOSCALERS: &[Read] =
    &[Read::Of("autoscaling.k8s.io/VerticalPodAutoscaler", &["/spec/resourcePolicy", "/spec/updatePolicy"])];

/// `Services`: which ports are reached, and by whom.
pub const SERVICES: &[Read] = &[
    Read::Of(
        "/Service",
        &[
            "/metadata/annotations/prometheus.io~1port",
            "/metadata/annotations/prometheus.io~1scrape",
            "/spec/ports",
            "/spec/publishNotReadyAddresses",
            "/spec/type",
        ],
    ),
    Read::Of("monitoring.coreos.com/ServiceMonitor", &["/spec/endpoints/*/port", "/spec/endpoints/*/targetPort"]),
    Read::Of(
        "monitoring.coreos.com/PodMonitor",
        &[
            "/spec/podMetricsEndpoints/*/port",
            "/spec/podMetricsEndpoints/*/portNumber",
            "/spec/podMetricsEndpoints/*/targetPort",
        ],
    ),
];

/// `LimitRanges`: what containers get that ask for nothing.
pub const LIMIT_RANGES: &[Read] = &[Read::Of("/LimitRange", &["/spec/limits"])];

/// `Storage`: how a volume is mounted, and by how many Pods at once.
pub const STORAGE: &[Read] = &[
    Read::OfWorkloads(&["/spec/volumeClaimTemplates/*/metadata/name", "{template}/spec/volumes/*/name"]),
    Read::Of(
        "/PersistentVolumeClaim",
        &[
            "/metadata/annotations/volume.beta.kubernetes.io~1storage-class",
            "/metadata/annotations/volume.beta.kubernetes.io~1storage-provisioner",
            "/metadata/annotations/volume.kubernetes.io~1storage-provisioner",
            "/spec/accessModes",
            "/spec/storageClassName",
            "/spec/volumeName",
        ],
    ),
    Read::Of(
        "storage.k8s.io/StorageClass",
        &[
            "/metadata/annotations/storageclass.beta.kubernetes.io~1is-default-class",
            "/metadata/annotations/storageclass.kubernetes.io~1is-default-class",
            "/provisioner",
            "/volumeBindingMode",
        ],
    ),
    Read::Of(
        "/PersistentVolume",
        &[
            "/spec/awsElasticBlockStore/volumeID",
            "/spec/azureDisk/diskName",
            "/spec/cinder/volumeID",
            "/spec/claimRef/name",
            "/spec/claimRef/namespace",
            "/spec/csi/driver",
            "/spec/fc",
            "/spec/gcePersistentDisk/pdName",
            "/spec/hostPath/path",
            "/spec/iscsi/iqn",
            "/spec/local/path",
            "/spec/nfs/server",
            "/spec/rbd/image",
            "/spec/storageClassName",
            "/spec/vsphereVolume/volumePath",
        ],
    ),
];
