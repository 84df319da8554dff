//! Custom resources of which a controller may make workloads, Services and the like, which nobody can know from files.

use crate::registry::Workloads;

/// Groups of Kubernetes itself. Of its objects all that is made is known.
const BUILTIN: [&str; 24] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "autoscaling.k8s.io",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Groups whose objects configure something and run nothing.
const QUIET: [&str; 26] = [
    "acme.cert-manager.io",
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

/// The same of single kinds, whose group has others that run something.
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

/// Whether a controller may make workloads of objects of this kind (`group/Kind`), other than those that policies know.
pub(super) fn is_maker(kind: &str, workloads: &Workloads) -> bool {
    let group = kind.split_once('/').map_or("", |(group, _)| group);
    !BUILTIN.contains(&group)
        && !QUIET.contains(&group)
        && !QUIET_KINDS.contains(&kind)
        && workloads.template(kind).is_none()
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
