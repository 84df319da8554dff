//! Maps kinds to resources: rules name `deployments`, and files say `Deployment`.

use std::borrow::Cow;

/// Kinds whose resource does not follow the rule of [`plural`].
const IRREGULAR: &[(&str, &str, &str)] = &[
    ("", "Endpoints", "endpoints"),
    ("gateway.networking.k8s.io", "Gateway", "gateways"),
    ("networking.istio.io", "Gateway", "gateways"),
];

/// Cluster-scoped kinds of Kubernetes and of common extensions. In files, every other kind counts as namespaced.
const CLUSTER_SCOPED: &[(&str, &[&str])] = &[
    ("", &["Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("gateway.networking.k8s.io", &["GatewayClass"]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("plimsoll.dev", &["ClusterPolicySet"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"]),
];

/// The resource of a kind, from the table. For other kinds it is guessed as in apimachinery
/// (`UnsafeGuessKindToResource`): lower case, then `s` becomes `ses`, `y` becomes `ies`, anything else gets an `s`.
pub(crate) fn plural(group: &str, kind: &str) -> Cow<'static, str> {
    if let Some((.., resource)) = IRREGULAR.iter().find(|(known, name, _)| *known == group && *name == kind) {
        return Cow::Borrowed(resource);
    }
    let mut resource = kind.to_lowercase();
    if resource.ends_with('s') {
        resource.push_str("es");
    } else if resource.ends_with('y') {
        resource.pop();
        resource.push_str("ies");
    } else {
        resource.push('s');
    }
    Cow::Owned(resource)
}

pub(super) fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    CLUSTER_SCOPED.iter().any(|(known, kinds)| *known == group && kinds.contains(&kind))
}

/// Whether the name is a kind instead of a resource. Resources are written in lower case.
pub(super) fn looks_like_kind(resource: &str) -> bool {
    resource.starts_with(|character: char| character.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The resources as `kubectl api-resources` shows them.
    #[test]
    fn plurals() {
        for (group, kind, resource) in [
            ("", "Pod", "pods"),
            ("", "Endpoints", "endpoints"),
            ("", "ReplicationController", "replicationcontrollers"),
            ("apps", "Deployment", "deployments"),
            ("argoproj.io", "Rollout", "rollouts"),
            ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
            ("batch", "CronJob", "cronjobs"),
            ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
            ("networking.k8s.io", "Ingress", "ingresses"),
            ("networking.k8s.io", "IngressClass", "ingressclasses"),
            ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
            ("networking.k8s.io", "IPAddress", "ipaddresses"),
            ("gateway.networking.k8s.io", "Gateway", "gateways"),
            ("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
            ("scheduling.k8s.io", "PriorityClass", "priorityclasses"),
        ] {
            assert_eq!(plural(group, kind), resource);
        }
    }

    #[test]
    fn scopes() {
        assert!(is_cluster_scoped("", "Namespace"));
        assert!(is_cluster_scoped("rbac.authorization.k8s.io", "ClusterRole"));
        assert!(!is_cluster_scoped("rbac.authorization.k8s.io", "Role"));
        assert!(!is_cluster_scoped("example.com", "Node"));
    }
}
