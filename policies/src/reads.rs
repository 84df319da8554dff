//! What these policies read of other objects. The host keeps no more of them, and shows no more. Of the object that it
//! judges a policy sees everything.
//!
//! A pointer that is missing here reads as if nobody had written the field: the cases of a policy run natively with whole
//! objects and as WebAssembly with these parts, and both have to say the same.

use plimsoll_sdk::metadata::FURTHER;

/// How many Pods there are and what is asked for them, how they are replaced, when they are ready, where they listen, what
/// they mount, what keeps them apart, and whether they are protected.
const WORKLOAD: &[&str] = &[
    "/metadata/annotations/plimsoll.dev~1protect",
    "/spec/replicas",
    "/spec/strategy",
    "/spec/workloadRef",
    "/spec/updateStrategy",
    "/spec/minReadySeconds",
    "{template}/metadata/annotations/cluster-autoscaler.kubernetes.io~1safe-to-evict",
    "{template}/metadata/annotations/inject.istio.io~1templates",
    "{template}/metadata/annotations/karpenter.sh~1do-not-disrupt",
    "{template}/metadata/annotations/karpenter.sh~1do-not-evict",
    "{template}/metadata/annotations/prometheus.io~1port",
    "{template}/metadata/annotations/prometheus.io~1scrape",
    "{template}/metadata/annotations/sidecar.istio.io~1inject",
    "{template}/spec/containers/*/image",
    "{template}/spec/containers/*/lifecycle/preStop",
    "{template}/spec/containers/*/name",
    "{template}/spec/containers/*/ports",
    "{template}/spec/containers/*/readinessProbe",
    "{template}/spec/containers/*/resources",
    "{template}/spec/hostNetwork",
    "{template}/spec/initContainers/*/image",
    "{template}/spec/initContainers/*/name",
    "{template}/spec/initContainers/*/ports",
    "{template}/spec/initContainers/*/readinessProbe",
    "{template}/spec/initContainers/*/resources",
    "{template}/spec/initContainers/*/restartPolicy",
    "{template}/spec/resources",
    "{template}/spec/priorityClassName",
    "{template}/spec/volumes/*/persistentVolumeClaim",
    "{template}/spec/affinity/podAffinity",
    "{template}/spec/affinity/podAntiAffinity",
    "{template}/spec/topologySpreadConstraints",
    "{template}/spec/nodeName",
    "{template}/spec/nodeSelector",
];

pub(crate) const READS: &[(&str, &[&str])] = &[
    ("apps/Deployment", WORKLOAD),
    ("apps/StatefulSet", WORKLOAD),
    ("apps/DaemonSet", WORKLOAD),
    ("apps/ReplicaSet", WORKLOAD),
    ("/ReplicationController", WORKLOAD),
    ("argoproj.io/Rollout", WORKLOAD),
    ("batch/Job", WORKLOAD),
    ("batch/CronJob", WORKLOAD),
    (FURTHER, WORKLOAD),
    ("policy/PodDisruptionBudget", &["/spec/minAvailable", "/spec/maxUnavailable"]),
    (
        "autoscaling/HorizontalPodAutoscaler",
        &[
            "/metadata/annotations/autoscaling.alpha.kubernetes.io~1metrics",
            "/spec/behavior/scaleUp/tolerance",
            "/spec/maxReplicas",
            "/spec/metrics",
            "/spec/minReplicas",
            "/spec/scaleTargetRef",
            "/spec/targetCPUUtilizationPercentage",
        ],
    ),
    (
        "keda.sh/ScaledObject",
        &[
            "/metadata/annotations/autoscaling.keda.sh~1paused",
            "/metadata/annotations/autoscaling.keda.sh~1paused-replicas",
            "/metadata/annotations/scaledobject.keda.sh~1transfer-hpa-ownership",
            "/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleUp/tolerance",
            "/spec/advanced/horizontalPodAutoscalerConfig/name",
            "/spec/maxReplicaCount",
            "/spec/minReplicaCount",
            "/spec/scaleTargetRef",
            "/spec/triggers",
        ],
    ),
    ("autoscaling.k8s.io/VerticalPodAutoscaler", &["/spec/resourcePolicy", "/spec/updatePolicy"]),
    (
        "/Service",
        &[
            "/metadata/annotations/prometheus.io~1port",
            "/metadata/annotations/prometheus.io~1scrape",
            "/spec/ports",
            "/spec/publishNotReadyAddresses",
            "/spec/type",
        ],
    ),
    ("/LimitRange", &["/spec/limits"]),
    ("/ResourceQuota", &["/spec/hard", "/spec/scopes", "/spec/scopeSelector"]),
    (
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
    (
        "storage.k8s.io/StorageClass",
        &[
            "/metadata/annotations/storageclass.beta.kubernetes.io~1is-default-class",
            "/metadata/annotations/storageclass.kubernetes.io~1is-default-class",
            "/provisioner",
            "/volumeBindingMode",
        ],
    ),
    (
        "/PersistentVolume",
        &[
            "/spec/awsElasticBlockStore/volumeID",
            "/spec/azureDisk/diskName",
            "/spec/cinder/volumeID",
            "/spec/claimRef/name",
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
    ("/ConfigMap", &[]),
];
