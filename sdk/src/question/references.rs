//! Which objects refer to which others: the table of references, by kind.

use plimsoll_flat::Node;

use super::{Shape, templates};
use crate::kind::Kind;
use crate::monitors::MONITORS;

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
const OF_POD_SPEC: [(&str, &str); 2] =
    [("/priorityClassName", "scheduling.k8s.io/PriorityClass"), ("/runtimeClassName", "node.k8s.io/RuntimeClass")];

/// References of volumes: pointer in a volume or in a source of a projected volume, kind.
const OF_VOLUME: [(&str, &str); 5] = [
    ("/persistentVolumeClaim/claimName", "/PersistentVolumeClaim"),
    ("/configMap/name", "/ConfigMap"),
    ("/secret/secretName", "/Secret"),
    // In a projected volume, the member is called `name`.
    ("/secret/name", "/Secret"),
    ("/csi/nodePublishSecretRef/name", "/Secret"),
];

/// Fields that contain names: kind, pointer, kind of the named objects.
const BY_POINTER: [(&str, &str, &str); 9] = [
    ("apps/StatefulSet", "/spec/serviceName", "/Service"),
    ("argoproj.io/Rollout", "/spec/strategy/blueGreen/activeService", "/Service"),
    ("argoproj.io/Rollout", "/spec/strategy/blueGreen/previewService", "/Service"),
    ("argoproj.io/Rollout", "/spec/strategy/canary/canaryService", "/Service"),
    ("argoproj.io/Rollout", "/spec/strategy/canary/stableService", "/Service"),
    ("networking.k8s.io/Ingress", "/spec/ingressClassName", "networking.k8s.io/IngressClass"),
    ("/PersistentVolumeClaim", "/spec/volumeName", "/PersistentVolume"),
    ("/PersistentVolumeClaim", "/spec/storageClassName", "storage.k8s.io/StorageClass"),
    ("discovery.k8s.io/EndpointSlice", "/metadata/labels/kubernetes.io~1service-name", "/Service"),
];

/// Fields that name an object by `apiVersion`, `kind` and `name`, with the defaults for the first two.
const TARGETS: [(&str, &str, &str, &str); 4] = [
    ("autoscaling/HorizontalPodAutoscaler", "/spec/scaleTargetRef", "", ""),
    ("autoscaling.k8s.io/VerticalPodAutoscaler", "/spec/targetRef", "", ""),
    ("keda.sh/ScaledObject", "/spec/scaleTargetRef", "apps/v1", "Deployment"),
    ("argoproj.io/Rollout", "/spec/workloadRef", "", ""),
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
    for (_, pointer, kind) in BY_POINTER.iter().filter(|(of, ..)| *of == shape.kind) {
        named(object.at(pointer), kind, found);
    }
    for (_, pointer, version, kind) in TARGETS.iter().filter(|(of, ..)| *of == shape.kind) {
        if let Some(target) = object.at(pointer) {
            let or = |member: &str, default| text(target, member).filter(|text| !text.is_empty()).unwrap_or(default);
            let group = or("apiVersion", version).split_once('/').map_or("", |(group, _)| group);
            let kind = format!("{group}/{}", or("kind", kind));
            named(target.get("name"), &kind, found);
        }
    }
    match shape.kind {
        "networking.k8s.io/Ingress" => ingress(object, found),
        "rbac.authorization.k8s.io/RoleBinding" | "rbac.authorization.k8s.io/ClusterRoleBinding" => {
            binding(object, found);
        }
        kind if kind.starts_with("gateway.networking.k8s.io/") => route(object, found),
        kind if names_namespaces(kind) => monitor(object, found),
        _ => {}
    }
    templates(shape, object).filter_map(|template| template.get("spec")).for_each(|spec| pod(spec, found));
}

fn text<'a>(node: Node<'a>, member: &str) -> Option<&'a str> {
    node.get(member).and_then(Node::as_str)
}

fn named(name: Option<Node<'_>>, kind: &str, found: &mut dyn FnMut(Reference<'_>)) {
    if let Some(name) = name.and_then(Node::as_str).filter(|name| !name.is_empty()) {
        found(Reference { kind, name, namespace: None });
    }
}

/// The items of a list at a pointer.
fn items<'a>(node: Node<'a>, pointer: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
    node.at(pointer).into_iter().flat_map(Node::items)
}

fn ingress(object: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    named(object.at("/spec/defaultBackend/service/name"), "/Service", found);
    for path in items(object, "/spec/rules").flat_map(|rule| items(rule, "/http/paths")) {
        named(path.at("/backend/service/name"), "/Service", found);
    }
    for tls in items(object, "/spec/tls") {
        named(tls.get("secretName"), "/Secret", found);
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
        found(Reference { kind: &format!("/{kind}"), name, namespace });
    }
    if let Some(kind) = object.at("/roleRef/kind").and_then(Node::as_str) {
        named(object.at("/roleRef/name"), &format!("rbac.authorization.k8s.io/{kind}"), found);
    }
}

/// The backends and Gateways of an HTTPRoute or a similar route. Backends are Services of its own namespace by default.
fn route(object: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    let mut reference = |node: Node<'_>, group, kind| {
        let (group, kind) = (text(node, "group").unwrap_or(group), text(node, "kind").unwrap_or(kind));
        if let Some(name) = text(node, "name") {
            found(Reference { kind: &format!("{group}/{kind}"), name, namespace: text(node, "namespace") });
        }
    };
    for backend in items(object, "/spec/rules").flat_map(|rule| items(rule, "/backendRefs")) {
        reference(backend, "", "Service");
    }
    for parent in items(object, "/spec/parentRefs") {
        reference(parent, "gateway.networking.k8s.io", "Gateway");
    }
}

fn pod(spec: Node<'_>, found: &mut dyn FnMut(Reference<'_>)) {
    for (pointer, kind) in OF_POD_SPEC {
        named(spec.at(pointer), kind, found);
    }
    // A Pod without a service account runs as this one.
    let account = text(spec, "serviceAccountName").filter(|name| !name.is_empty()).unwrap_or("default");
    found(Reference { kind: "/ServiceAccount", name: account, namespace: None });
    for secret in items(spec, "/imagePullSecrets") {
        named(secret.get("name"), "/Secret", found);
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
            named(source.at("/configMapRef/name"), "/ConfigMap", found);
            named(source.at("/secretRef/name"), "/Secret", found);
        }
        for variable in items(container, "/env") {
            named(variable.at("/valueFrom/configMapKeyRef/name"), "/ConfigMap", found);
            named(variable.at("/valueFrom/secretKeyRef/name"), "/Secret", found);
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
        let own = TEMPLATES.iter().filter(|(of, ..)| *of == kind);
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
