use plimsoll_sdk::prelude::*;

/// Objects that one folder declares twice, with different content.
///
/// ## What it finds
/// `warning`, over files: another document of the same folder declares the same object with different content. A
/// cluster holds one object of a group, kind, namespace and name. The finding appears at the last document, in the
/// order in which `kubectl apply` reads them.
///
/// The same object in two folders is no finding: one folder for each environment, or for each cluster, is usual. Two
/// documents with the same content are no finding either.
///
/// ## Why
/// `kubectl apply` applies one document after the other, so the last one counts. The content of the others is lost, and
/// each run of the pipeline rolls out both.
///
/// ## What to write
/// One of the documents, or another name.
#[policy(
    on = Workloads,
    kinds = [Autoscalers, Storage, "/ConfigMap", "/LimitRange", "/Namespace", "/ResourceQuota", "/Secret", "/Service", "/ServiceAccount", "networking.k8s.io/Ingress", "networking.k8s.io/NetworkPolicy", "policy/PodDisruptionBudget", "rbac.authorization.k8s.io/ClusterRole", "rbac.authorization.k8s.io/ClusterRoleBinding", "rbac.authorization.k8s.io/Role", "rbac.authorization.k8s.io/RoleBinding", "scheduling.k8s.io/PriorityClass"],
    severity = Warning, since = "0.1.0", stage = Source,
    covers = ["object-declared-twice: no check of the catalogue; within one folder, and only over files"]
)]
pub fn declared_twice(review: &Review, findings: &mut Findings) {
    let places: Vec<&str> = review.declarations().collect();
    if places.is_empty() {
        return;
    }
    let message = format!(
        "{} {} is declared twice with different content, here and in {}: the one that is applied last counts",
        review.kind(),
        review.name(),
        places.join(", ")
    );
    findings.warning(
        &review.at("/metadata/name"),
        message,
        "remove one of the documents, or rename one of the objects",
    );
}
