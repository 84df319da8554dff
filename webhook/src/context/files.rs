//! The context of one check: the objects of its own input.

use plimsoll_flat::Node;
use plimsoll_sdk::selector;

use super::{Context, MAX_DOCUMENTS};
use crate::admission::Kind;
use crate::engine::Answer;
use crate::registry::Workloads;

/// The objects of a set of files. Closed: what is not among them does not exist. Open: it may exist elsewhere.
#[derive(Debug)]
pub struct Files {
    closed: bool,
    objects: Vec<Object>,
    workloads: Workloads,
}

#[derive(Debug)]
struct Object {
    namespace: String,
    kind: String,
    name: String,
    document: Vec<u8>,
}

impl Files {
    /// An input without objects as yet.
    pub fn new(closed: bool, workloads: Workloads) -> Self {
        Self { closed, objects: Vec::new(), workloads }
    }

    /// Adds an object of the input; one without a kind or name is no object that anything could refer to.
    pub fn add(&mut self, object: &serde_json::Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let kind = Kind::from_api_version(text("/apiVersion"), text("/kind"));
        if let Ok(document) = plimsoll_flat::to_document(object) {
            self.objects.push(Object {
                namespace: text("/metadata/namespace").to_owned(),
                name: text("/metadata/name").to_owned(),
                kind: kind.group_kind(),
                document,
            });
        }
    }

    fn answer(&self, namespace: &str, kind: &str, matches: impl Fn(&Object, Node<'_>) -> bool) -> Answer {
        let mut answer = Answer { documents: Vec::new(), complete: self.closed };
        for object in self.objects.iter().filter(|object| object.kind == kind && object.namespace == namespace) {
            let Ok(node) = Node::root(&object.document) else { continue };
            if !matches(object, node) {
                continue;
            }
            if answer.documents.len() == MAX_DOCUMENTS {
                answer.complete = false;
                break;
            }
            answer.documents.push(object.document.clone());
        }
        answer
    }
}

impl Context for Files {
    fn get(&self, namespace: &str, kind: &str, name: &str) -> Answer {
        self.answer(namespace, kind, |object, _| object.name == name)
    }

    fn selecting(&self, namespace: &str, kind: &str, labels: Node<'_>) -> Answer {
        self.answer(namespace, kind, |_, node| selects(kind, node, labels))
    }

    fn selected_by(&self, namespace: &str, kind: &str, selector: Node<'_>) -> Answer {
        let template = self.workloads.template(kind);
        self.answer(namespace, kind, |_, node| {
            let labels = template.and_then(|template| node.at(&format!("{template}/metadata/labels")));
            labels.is_some_and(|labels| selector::matches(selector, labels).is_yes())
        })
    }

    fn referring(&self, namespace: &str, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        self.answer(namespace, kind, |_, node| refers(kind, node, ref_kind, ref_name))
    }

    fn listing(&self, namespace: &str, kind: &str) -> Answer {
        self.answer(namespace, kind, |_, _| true)
    }
}

/// Whether the object's own selector matches these labels. A Service's is a plain map; without one it selects nothing.
fn selects(kind: &str, object: Node<'_>, labels: Node<'_>) -> bool {
    match kind {
        "/Service" => object
            .at("/spec/selector")
            .is_some_and(|selector| selector.len() > 0 && selector::matches_map(selector, labels)),
        "networking.k8s.io/NetworkPolicy" => {
            object.at("/spec/podSelector").is_some_and(|selector| selector::matches(selector, labels).is_yes())
        }
        _ => object
            .at("/spec/selector")
            .is_some_and(|selector| !selector.is_null() && selector::matches(selector, labels).is_yes()),
    }
}

/// Whether an object refers to another: the table of references per kind.
fn refers(kind: &str, object: Node<'_>, ref_kind: &str, ref_name: &str) -> bool {
    let text = |node: Node<'_>, name: &str| node.get(name).and_then(Node::as_str).unwrap_or_default().to_owned();
    let scale_target = |pointer: &str| {
        object.at(pointer).is_some_and(|target| {
            let target_kind = Kind::from_api_version(&text(target, "apiVersion"), &text(target, "kind"));
            target_kind.group_kind() == ref_kind && text(target, "name") == ref_name
        })
    };
    match kind {
        "autoscaling/HorizontalPodAutoscaler" => scale_target("/spec/scaleTargetRef"),
        "keda.sh/ScaledObject" => {
            // KEDA's own default is a Deployment.
            let target = object.at("/spec/scaleTargetRef");
            let kind = target.map(|target| text(target, "kind")).filter(|kind| !kind.is_empty());
            match kind {
                Some(_) => scale_target("/spec/scaleTargetRef"),
                None => ref_kind == "apps/Deployment" && target.is_some_and(|target| text(target, "name") == ref_name),
            }
        }
        "rbac.authorization.k8s.io/RoleBinding" | "rbac.authorization.k8s.io/ClusterRoleBinding" => object
            .get("subjects")
            .into_iter()
            .flat_map(Node::items)
            .any(|subject| ref_kind == format!("/{}", text(subject, "kind")) && text(subject, "name") == ref_name),
        "networking.k8s.io/Ingress" => {
            let mut names = Vec::new();
            services(object, &mut names);
            ref_kind == "/Service" && names.iter().any(|name| name == ref_name)
        }
        _ => object
            .at("/spec/template/spec/volumes")
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|volume| volume.at("/persistentVolumeClaim/claimName")?.as_str())
            .any(|claim| ref_kind == "/PersistentVolumeClaim" && claim == ref_name),
    }
}

/// The Services that an Ingress names as backends.
fn services(ingress: Node<'_>, names: &mut Vec<String>) {
    let backend = |node: Option<Node<'_>>, names: &mut Vec<String>| {
        if let Some(name) = node.and_then(|node| node.at("/service/name")).and_then(Node::as_str) {
            names.push(name.to_owned());
        }
    };
    backend(ingress.at("/spec/defaultBackend"), names);
    for rule in ingress.at("/spec/rules").into_iter().flat_map(Node::items) {
        for path in rule.at("/http/paths").into_iter().flat_map(Node::items) {
            backend(path.get("backend"), names);
        }
    }
}
