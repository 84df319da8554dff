//! Custom resources from which a controller may make workloads, Services and similar objects. The files don't show
//! them.

use crate::registry::{Workloads, is_group_of_kubernetes};

/// Groups whose objects only configure something and run nothing.
const QUIET: [&str; 27] = [
    "acme.cert-manager.io",
    "autoscaling.k8s.io",
    "bitnami.com",
    "cert-manager.io",
    "cilium.io",
    "config.gatekeeper.sh",
    "constraints.gatekeeper.sh",
    "crd.projectcalico.org",
    "external-secrets.io",
    "gateway.networking.k8s.io",
    "image.toolkit.fluxcd.io",
    "kustomize.config.k8s.io",
    "kyverno.io",
    "metrics.k8s.io",
    "monitoring.googleapis.com",
    "networking.istio.io",
    "notification.toolkit.fluxcd.io",
    "plimsoll.dev",
    "policies.kyverno.io",
    "policy.linkerd.io",
    "projectcalico.org",
    "secrets-store.csi.x-k8s.io",
    "security.istio.io",
    "snapshot.storage.k8s.io",
    "source.toolkit.fluxcd.io",
    "templates.gatekeeper.sh",
    "traefik.io",
];

/// Single kinds that run nothing, in groups with other kinds that do.
const QUIET_KINDS: [&str; 15] = [
    "argoproj.io/AnalysisTemplate",
    "argoproj.io/AppProject",
    "argoproj.io/ClusterAnalysisTemplate",
    "kafka.strimzi.io/KafkaTopic",
    "kafka.strimzi.io/KafkaUser",
    "keda.sh/ClusterTriggerAuthentication",
    "keda.sh/ScaledObject",
    "keda.sh/TriggerAuthentication",
    "monitoring.coreos.com/AlertmanagerConfig",
    "monitoring.coreos.com/PodMonitor",
    "monitoring.coreos.com/Probe",
    "monitoring.coreos.com/PrometheusRule",
    "monitoring.coreos.com/ScrapeConfig",
    "monitoring.coreos.com/ServiceMonitor",
    "telemetry.istio.io/Telemetry",
];

/// Whether a controller may make workloads from objects of this kind (`group/Kind`). Kinds that policies know are
/// excluded.
pub(super) fn is_maker(kind: &str, workloads: &Workloads) -> bool {
    let group = kind.split_once('/').map_or("", |(group, _)| group);
    // For Kubernetes' own kinds, all resulting objects are known.
    !is_group_of_kubernetes(group)
        && !QUIET.contains(&group)
        && !QUIET_KINDS.contains(&kind)
        && !workloads.is_workload(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_resources_but_those_that_run_nothing() {
        let workloads = Workloads::default();
        for (kind, makes) in [
            ("monitoring.coreos.com/Alertmanager", true),
            ("helm.toolkit.fluxcd.io/HelmRelease", true),
            ("leaderworkerset.x-k8s.io/LeaderWorkerSet", true),
            ("monitoring.coreos.com/ServiceMonitor", false),
            ("argoproj.io/Rollout", false),
            ("networking.k8s.io/Ingress", false),
            ("/Service", false),
        ] {
            assert_eq!(is_maker(kind, &workloads), makes, "{kind}");
        }
    }
}
