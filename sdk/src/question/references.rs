//! Which objects refer to which others: the table of references, by kind.

use plimsoll_flat::Node;

use super::{Shape, templates};
use crate::kind::{Kind, OwnedKind};
use crate::monitors::MONITORS;

const SECRET: Kind<'static> = Kind::new("/Secret");
const INGRESS: Kind<'static> = Kind::new("networking.k8s.io/Ingress");
const SERVICE_ACCOUNT: Kind<'static> = Kind::new("/ServiceAccount");
const ROLE_BINDING: Kind<'static> = Kind::new("rbac.authorization.k8s.io/RoleBinding");
const CLUSTER_ROLE_BINDING: Kind<'static> = Kind::new("rbac.authorization.k8s.io/ClusterRoleBinding");

/// Group of roles and their bindings.
const RBAC: &str = "rbac.authorization.k8s.io";

/// Group of Gateways and their routes.
const GATEWAY: &str = "gateway.networking.k8s.io";

/// A reference from one object to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reference<'a> {
    /// `group/Kind` of the other object.
    pub kind: &'a str,
    /// `metadata.name` of the other object.
    pub name: &'a str,
    /// Namespace of the other object, if the reference contains one. Otherwise it is the namespace of the object
    /// itself.
    pub namespace: Option<&'a str>,
}

impl Reference<'_> {
    /// Whether the reference can mean an object of this namespace.
    pub fn is_from(&self, namespace: &str) -> bool {
        self.namespace.is_none_or(|stated| stated == namespace)
    }
}

/// A [`Reference`] that owns its texts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Referred {
    /// As in [`Reference`].
    pub kind: Box<str>,
    /// As in [`Reference`].
    pub name: Box<str>,
    /// As in [`Reference`].
    pub namespace: Option<Box<str>>,
}

impl From<Reference<'_>> for Referred {
    fn from(reference: Reference<'_>) -> Self {
        let Reference { kind, name, namespace } = reference;
        Self { kind: kind.into(), name: name.into(), namespace: namespace.map(Into::into) }
    }
}

/// References of workloads and their parts: pointer in the pod spec, kind.
const OF_POD_SPEC: [(&str, Kind<'static>); 2] = [
    ("/priorityClassName", Kind::new("scheduling.k8s.io/PriorityClass")),
    ("/runtimeClassName", Kind::new("node.k8s.io/RuntimeClass")),
];

/// References of volumes: pointer in a volume or in a source of a projected volume, kind.
const OF_VOLUME: [(&str, Kind<'static>); 5] = [
    ("/persistentVolumeClaim/claimName", Kind::PERSISTENT_VOLUME_CLAIM),
    ("/configMap/name", Kind::CONFIG_MAP),
    ("/secret/secretName", SECRET),
    // In a projected volume, the member is called `name`.
    ("/secret/name", SECRET),
    ("/csi/nodePublishSecretRef/name", SECRET),
];

/// Fields that contain names: kind, pointer, kind of the named objects.
const BY_POINTER: [(Kind<'static>, &str, Kind<'static>); 9] = [
    (Kind::STATEFUL_SET, "/spec/serviceName", Kind::SERVICE),
    (Kind::ROLLOUT, "/spec/strategy/blueGreen/activeService", Kind::SERVICE),
    (Kind::ROLLOUT, "/spec/strategy/blueGreen/previewService", Kind::SERVICE),
    (Kind::ROLLOUT, "/spec/strategy/canary/canaryService", Kind::SERVICE),
    (Kind::ROLLOUT, "/spec/strategy/canary/stableService", Kind::SERVICE),
    (INGRESS, "/spec/ingressClassName", Kind::new("networking.k8s.io/IngressClass")),
    (Kind::PERSISTENT_VOLUME_CLAIM, "/spec/volumeName", Kind::PERSISTENT_VOLUME),
    (Kind::PERSISTENT_VOLUME_CLAIM, "/spec/storageClassName", Kind::STORAGE_CLASS),
    (Kind::new("discovery.k8s.io/EndpointSlice"), "/metadata/labels/kubernetes.io~1service-name", Kind::SERVICE),
];

/// Fields that name an object by `apiVersion`, `kind` and `name`, with the defaults for the first two.
const TARGETS: [(Kind<'static>, &str, &str, &str); 4] = [
    (Kind::HORIZONTAL_POD_AUTOSCALER, "/spec/scaleTargetRef", "", ""),
    (Kind::VERTICAL_POD_AUTOSCALER, "/spec/targetRef", "", ""),
    (Kind::SCALED_OBJECT, "/spec/scaleTargetRef", "apps/v1", "Deployment"),
    (Kind::ROLLOUT, "/spec/workloadRef", "", ""),
];

/// Stands for all Namespaces in a reference. No object has this name.
pub const EVERY: &str = "*";

/// Whether objects of this kind name Namespaces, so that they count in other namespaces, too.
pub fn names_namespaces(kind: &str) -> bool {
    MONITORS.iter().any(|monitor| monitor.as_str() == kind)
}

/// Name of an object in the list of all namespaces.
pub fn among_all(namespace: &str, name: &str) -> String {
    [namespace, "/", name].concat()
}

/// Calls `found` for each reference of an object. The same reference may come more than once.
pub fn each(shape: Shape<'_>, object: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    for (_, pointer, kind) in BY_POINTER.iter().filter(|(of, ..)| of.as_str() == shape.kind) {
        named(object.at(pointer), *kind, found);
    }
    for (_, pointer, version, kind) in TARGETS.iter().filter(|(of, ..)| of.as_str() == shape.kind) {
        if let Some(target) = object.at(pointer) {
            let or = |member: &str, default| text(target, member).filter(|text| !text.is_empty()).unwrap_or(default);
            let group = or("apiVersion", version).split_once('/').map_or("", |(group, _)| group);
            let kind = OwnedKind::in_group(group, or("kind", kind));
            named(target.get("name"), kind.get(), found);
        }
    }
    match Kind::parse(shape.kind) {
        Some(INGRESS) => ingress(object, found),
        Some(ROLE_BINDING | CLUSTER_ROLE_BINDING) => binding(object, found),
        Some(kind) if kind.group() == GATEWAY => route(object, found),
        Some(kind) if MONITORS.contains(&kind) => monitor(object, found),
        _ => {}
    }
    templates(shape, object).filter_map(|template| template.get("spec")).for_each(|spec| pod(spec, found));
}

fn text<'a>(node: Node<'a>, member: &str) -> Option<&'a str> {
    node.get(member).and_then(Node::as_str)
}

fn named(name: Option<Node<'_>>, kind: Kind<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    if let Some(name) = name.and_then(Node::as_str).filter(|name| !name.is_empty()) {
        found(Reference { kind: kind.as_str(), name, namespace: None });
    }
}

/// The items of a list at a pointer.
fn items<'a>(node: Node<'a>, pointer: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
    node.at(pointer).into_iter().flat_map(Node::items)
}

fn ingress(object: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    named(object.at("/spec/defaultBackend/service/name"), Kind::SERVICE, found);
    for path in items(object, "/spec/rules").flat_map(|rule| items(rule, "/http/paths")) {
        named(path.at("/backend/service/name"), Kind::SERVICE, found);
    }
    for tls in items(object, "/spec/tls") {
        named(tls.get("secretName"), SECRET, found);
    }
}

/// A monitor reads its own namespace, unless it names others.
fn monitor(object: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    let mut reads = |name| found(Reference { kind: Kind::NAMESPACE.as_str(), name, namespace: None });
    if object.at("/spec/namespaceSelector/any").and_then(Node::as_bool) == Some(true) {
        return reads(EVERY);
    }
    let mut named = items(object, "/spec/namespaceSelector/matchNames").filter_map(Node::as_str).peekable();
    if named.peek().is_none() {
        reads(object.at("/metadata/namespace").and_then(Node::as_str).unwrap_or_default());
    }
    named.for_each(reads);
}

/// The subjects and the role of a binding. Accounts of another namespace are different accounts.
fn binding(object: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    let own = object.at("/metadata/namespace").and_then(Node::as_str);
    for subject in items(object, "/subjects") {
        let Some((kind, name)) = text(subject, "kind").zip(text(subject, "name")) else { continue };
        let namespace = if kind == "ServiceAccount" { text(subject, "namespace").or(own) } else { None };
        found(Reference { kind: OwnedKind::in_group("", kind).get().as_str(), name, namespace });
    }
    if let Some(kind) = object.at("/roleRef/kind").and_then(Node::as_str) {
        named(object.at("/roleRef/name"), OwnedKind::in_group(RBAC, kind).get(), found);
    }
}

/// The backends and Gateways of an HTTPRoute or a similar route. Backends are Services of its own namespace by default.
fn route(object: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    let mut reference = |node: Node<'_>, group, kind| {
        let (group, kind) = (text(node, "group").unwrap_or(group), text(node, "kind").unwrap_or(kind));
        if let Some(name) = text(node, "name") {
            let kind = OwnedKind::in_group(group, kind);
            found(Reference { kind: kind.get().as_str(), name, namespace: text(node, "namespace") });
        }
    };
    for backend in items(object, "/spec/rules").flat_map(|rule| items(rule, "/backendRefs")) {
        reference(backend, "", "Service");
    }
    for parent in items(object, "/spec/parentRefs") {
        reference(parent, GATEWAY, "Gateway");
    }
}

fn pod(spec: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    for (pointer, kind) in OF_POD_SPEC {
        named(spec.at(pointer), kind, found);
    }
    // A Pod without a service account runs as this one.
    let account = text(spec, "serviceAccountName").filter(|name| !name.is_empty()).unwrap_or("default");
    found(Reference { kind: SERVICE_ACCOUNT.as_str(), name: account, namespace: None });
    for secret in items(spec, "/imagePullSecrets") {
        named(secret.get("name"), SECRET, found);
    }
    for volume in items(spec, "/volumes") {
        for source in std::iter::once(volume).chain(items(volume, "/projected/sources")) {
            for (pointer, kind) in OF_VOLUME {
                named(source.at(pointer), kind, found);
            }
        }
    }
    for container in
        ["/containers", "/initContainers", "/ephemeralContainers"].into_iter().flat_map(|it| items(spec, it))
    {
        for source in items(container, "/envFrom") {
            named(source.at("/configMapRef/name"), Kind::CONFIG_MAP, found);
            named(source.at("/secretRef/name"), SECRET, found);
        }
        for variable in items(container, "/env") {
            named(variable.at("/valueFrom/configMapKeyRef/name"), Kind::CONFIG_MAP, found);
            named(variable.at("/valueFrom/secretKeyRef/name"), SECRET, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::json;

    use super::super::{TEMPLATES, Template};
    use super::*;

    fn references(kind: &str, object: &str) -> Vec<String> {
        let document = json::from_json(object.as_bytes()).unwrap();
        let own = TEMPLATES.into_iter().filter(|(of, ..)| of.as_str() == kind);
        let templates: Vec<Template> = own.map(|(_, template, _)| Template::Borrowed(template)).collect();
        let shape = Shape { kind, templates: &templates };
        let mut found = Vec::new();
        each(shape, Node::root(&document).unwrap(), &mut |reference| {
            let namespace = reference.namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
            found.push(format!("{} {}{namespace}", reference.kind, reference.name));
        });
        found
    }

    #[test]
    fn of_each_kind() {
        for (kind, object, expected) in [
            (
                "autoscaling/HorizontalPodAutoscaler",
                r#"{"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}}"#,
                &["apps/Deployment a"][..],
            ),
            (
                "autoscaling/HorizontalPodAutoscaler",
                r#"{"spec": {"scaleTargetRef": {"apiVersion": "v1", "kind": "ReplicationController", "name": "a"}}}"#,
                &["/ReplicationController a"],
            ),
            ("keda.sh/ScaledObject", r#"{"spec": {"scaleTargetRef": {"name": "a"}}}"#, &["apps/Deployment a"]),
            (
                "keda.sh/ScaledObject",
                r#"{"spec": {"scaleTargetRef": {"kind": "StatefulSet", "name": "a"}}}"#,
                &["apps/StatefulSet a"],
            ),
            (
                "rbac.authorization.k8s.io/RoleBinding",
                r#"{"metadata": {"namespace": "n"}, "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [
                    {"kind": "ServiceAccount", "name": "a"}, {"kind": "ServiceAccount", "name": "b", "namespace": "m"},
                    {"kind": "User", "name": "c"}]}"#,
                &[
                    "/ServiceAccount a in n",
                    "/ServiceAccount b in m",
                    "/User c",
                    "rbac.authorization.k8s.io/ClusterRole r",
                ],
            ),
            (
                "networking.k8s.io/Ingress",
                r#"{"spec": {"ingressClassName": "c", "defaultBackend": {"service": {"name": "a"}}, "tls": [{"secretName": "s"}],
                    "rules": [{"http": {"paths": [{"backend": {"service": {"name": "b"}}}]}}, {}]}}"#,
                &["networking.k8s.io/IngressClass c", "/Service a", "/Service b", "/Secret s"],
            ),
            (
                "gateway.networking.k8s.io/HTTPRoute",
                r#"{"spec": {"parentRefs": [{"name": "g"}], "rules": [{"backendRefs": [{"name": "a"}, {"name": "b", "namespace": "m"}]}]}}"#,
                &["/Service a", "/Service b in m", "gateway.networking.k8s.io/Gateway g"],
            ),
            (
                "apps/StatefulSet",
                r#"{"spec": {"serviceName": "s", "template": {"spec": {
                    "serviceAccountName": "a", "priorityClassName": "p", "imagePullSecrets": [{"name": "i"}],
                    "volumes": [{"persistentVolumeClaim": {"claimName": "c"}}, {"configMap": {"name": "m"}}, {"emptyDir": {}},
                        {"projected": {"sources": [{"configMap": {"name": "n"}}, {"secret": {"name": "t"}}]}}],
                    "initContainers": [{"envFrom": [{"configMapRef": {"name": "e"}}, {"secretRef": {"name": "f"}}]}],
                    "containers": [{"env": [{"value": "x"}, {"valueFrom": {"secretKeyRef": {"name": "k"}}}]}]}}}}"#,
                &[
                    "/Service s",
                    "scheduling.k8s.io/PriorityClass p",
                    "/ServiceAccount a",
                    "/Secret i",
                    "/PersistentVolumeClaim c",
                    "/ConfigMap m",
                    "/ConfigMap n",
                    "/Secret t",
                    "/Secret k",
                    "/ConfigMap e",
                    "/Secret f",
                ],
            ),
            (
                "batch/CronJob",
                r#"{"spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}}}"#,
                &["/ServiceAccount default"],
            ),
            ("/Pod", r#"{"spec": {"serviceAccountName": ""}}"#, &["/ServiceAccount default"]),
            ("/Pod", r#"{"spec": "nothing"}"#, &["/ServiceAccount default"]),
            ("/Service", r#"{"spec": {"selector": {"app": "a"}}}"#, &[]),
            (
                "monitoring.coreos.com/ServiceMonitor",
                r#"{"metadata": {"namespace": "n"}, "spec": {}}"#,
                &["/Namespace n"],
            ),
            (
                "monitoring.coreos.com/PodMonitor",
                r#"{"metadata": {"namespace": "n"}, "spec": {"namespaceSelector": {"any": false, "matchNames": ["a", "b"]}}}"#,
                &["/Namespace a", "/Namespace b"],
            ),
            (
                "monitoring.coreos.com/PodMonitor",
                r#"{"metadata": {"namespace": "n"}, "spec": {"namespaceSelector": {"any": true, "matchNames": ["a"]}}}"#,
                &["/Namespace *"],
            ),
        ] {
            assert_eq!(references(kind, object), expected, "{kind} {object}");
        }
    }
}
