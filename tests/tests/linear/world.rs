//! Objects and contexts of any size, in which every object relates to every other.

use std::collections::BTreeSet;
use std::sync::Arc;

use plimsoll::context::files::{Files, Objects};
use plimsoll::context::{Context, MAX_BYTES, MAX_DOCUMENTS, Question};
use plimsoll::engine::Answer;
use plimsoll::registry::Registry;
use serde_json::{Map, Value, json};

use crate::Asked;

pub(crate) const NAMESPACE: &str = "shop";

/// Name of the reviewed object, to which others refer.
const NAME: &str = "w";

/// Size of an input.
pub(crate) struct Size {
    /// Number of containers, and of the items of other lists.
    pub(crate) object: usize,
    /// Number of documents of each kind.
    pub(crate) context: usize,
}

/// Ways to reach the limits of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// The maximum number of documents.
    ManySmall,
    /// Few documents with the same number of bytes.
    FewLarge,
    /// Many documents, and a budget that selects by a label of Pods only.
    Pinned,
}

/// The other objects of the namespace. All of them match the reviewed object.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) context: Arc<dyn Context>,
    pub(crate) files: Arc<Files>,
}

#[derive(Debug)]
struct Shared(Arc<Files>);

impl Context for Shared {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        self.0.answer(namespace, kind, question)
    }
}

impl World {
    /// Creates this many documents of each kind that policies declare.
    pub(crate) fn new(registry: &Registry, shape: Shape, count: usize) -> Self {
        let policies = registry.policies().map(|policy| &policy.metadata);
        let declared = policies.flat_map(|metadata| metadata.requires.iter().chain(&metadata.refines));
        let kinds: BTreeSet<String> = declared.cloned().collect();
        let mut objects = Objects::new(kinds.clone(), Arc::clone(registry.workloads()));
        let (documents, bytes) = match shape {
            Shape::ManySmall | Shape::Pinned => (count, MAX_BYTES / MAX_DOCUMENTS),
            Shape::FewLarge => (count / 32, MAX_BYTES / MAX_DOCUMENTS * 32),
        };
        for kind in &kinds {
            let size = |items: usize| document(kind, 1, items).to_string().len();
            // A selector becomes a question to the host, which may have at most 64 KiB.
            let (documents, bytes) = match (shape, kind.as_str()) {
                (Shape::FewLarge, "policy/PodDisruptionBudget") => (documents * 4, bytes / 4),
                _ => (documents, bytes),
            };
            let items = bytes * 3 / 4 * 100 / (size(100) - size(0));
            // For objects that refer to a workload, each kind of workload gets this many.
            let times = if REFERRING.contains(&kind.as_str()) { TARGETS.len() } else { 1 };
            for number in 0..documents * times {
                objects.add(&document(kind, number, items));
            }
        }
        let files = Arc::new(Files::new(true, Arc::new(objects)));
        Self { context: Arc::new(Shared(Arc::clone(&files))), files }
    }
}

const REFERRING: [&str; 3] =
    ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "autoscaling.k8s.io/VerticalPodAutoscaler"];

/// Targets of autoscalers: [`NAME`] of each kind, and other workloads.
const TARGETS: [(&str, &str, &str); 7] = [
    ("apps/v1", "Deployment", NAME),
    ("apps/v1", "StatefulSet", NAME),
    ("apps/v1", "ReplicaSet", NAME),
    ("v1", "ReplicationController", NAME),
    ("argoproj.io/v1alpha1", "Rollout", NAME),
    ("apps/v1", "Deployment", ""),
    ("apps/v1", "StatefulSet", ""),
];

fn api_version(kind: &str) -> (String, &str) {
    let (group, kind) = kind.split_once('/').unwrap();
    let version = match group {
        "" => "v1",
        "autoscaling" if kind == "HorizontalPodAutoscaler" => "autoscaling/v2",
        "argoproj.io" => "argoproj.io/v1alpha1",
        "keda.sh" => "keda.sh/v1alpha1",
        group => return (format!("{group}/v1"), kind),
    };
    (version.to_owned(), kind)
}

/// Another object of the namespace. `items` is the length of its lists.
fn document(kind: &str, number: usize, items: usize) -> Value {
    let (version, short) = api_version(kind);
    let list = |item: &dyn Fn(usize) -> Value| (0..items).map(item).collect::<Vec<_>>();
    let expressions = || list(&|item| json!({"key": format!("x{item}"), "operator": "NotIn", "values": ["a", "b"]}));
    let (of_version, of_kind, of_name) = TARGETS[number % TARGETS.len()];
    let of_name = if of_name.is_empty() { format!("o{number}") } else { of_name.to_owned() };
    let target = json!({"apiVersion": of_version, "kind": of_kind, "name": of_name});
    let spec = match short {
        "Service" => json!({"selector": {"app": NAME}, "ports": list(&|item| {
            let port = (number * items + item) % 30_000 + 1;
            let target = if item % 3 == 0 { json!(format!("p{}", port % 4000)) } else { json!(port) };
            json!({"name": format!("s{item}"), "port": port, "targetPort": target, "protocol": "TCP"})
        })}),
        "PodDisruptionBudget" => json!({"minAvailable": "100%",
            "selector": {"matchLabels": {"app": NAME}, "matchExpressions": expressions()}}),
        "HorizontalPodAutoscaler" => json!({"minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": target,
            "metrics": metrics(number * items, items)}),
        "ScaledObject" => json!({"minReplicaCount": 2, "maxReplicaCount": 9, "scaleTargetRef": target,
            "triggers": triggers(items)}),
        "VerticalPodAutoscaler" => json!({"targetRef": target, "resourcePolicy": {"containerPolicies":
            list(&|item| json!({"containerName": format!("c{item}"), "mode": "Off", "controlledResources": ["cpu"]}))}}),
        "ServiceMonitor" => json!({"selector": {"matchExpressions": expressions()},
            "endpoints": list(&|item| json!({"port": format!("s{item}"), "targetPort": format!("p{item}")}))}),
        "PodMonitor" => json!({"selector": {"matchLabels": {"app": NAME}, "matchExpressions": expressions()},
            "podMetricsEndpoints": list(&|item| json!({"port": format!("p{item}")}))}),
        "LimitRange" => json!({"limits": list(&|item| {
            let resource = format!("example.com/r{}", number * items + item);
            let amount = |base: usize| json!({"cpu": format!("{}m", base + number), &resource: base});
            match item % 3 {
                0 => json!({"type": "Pod", "min": amount(900_000)}),
                _ => json!({"type": "Container", "min": amount(20), "max": amount(9000), "default": amount(500),
                    "defaultRequest": amount(50), "maxLimitRequestRatio": {"cpu": "2"}}),
            }
        })}),
        "ResourceQuota" => {
            let hard: Map<_, _> = (0..items).map(|item| (format!("x{item}"), json!("1"))).collect();
            let mut hard = Value::Object(hard);
            for key in ["pods", "cpu", "memory", "requests.cpu", "limits.cpu", "limits.memory"] {
                hard[key] = json!("1");
            }
            let classes = list(&|item| json!(format!("class-{}", number * items + item + 1)));
            json!({"hard": hard, "scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": "NotIn", "values": classes},
                {"scopeName": "PriorityClass", "operator": "Exists"}]}})
        }
        "PersistentVolumeClaim" => json!({"accessModes": list(&|_| json!("ReadWriteMany"))}),
        "ConfigMap" => json!({}),
        // The size of an unknown kind comes from its labels.
        _ => workload(
            kind,
            &template(number, items),
            json!({"matchLabels": {"app": NAME}, "matchExpressions": expressions()}),
        ),
    };
    let name = match (short, number) {
        ("PersistentVolumeClaim", number) => format!("claim-{number}"),
        ("PodDisruptionBudget" | "Service" | "LimitRange" | "ResourceQuota", number) => format!("o{number}"),
        (_, 0) => NAME.to_owned(),
        (_, number) => format!("o{number}"),
    };
    let labels: Map<_, _> = (0..items).map(|item| (format!("example.com/l{item}"), json!("x"))).collect();
    let mut object = json!({"apiVersion": version, "kind": short,
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": format!("u{number}"), "labels": labels}, "spec": spec});
    if let Some((version, maker)) = maker(kind) {
        // Half of the objects name a missing owner, each a different one. Some name an existing owner.
        let owner = match number % 8 {
            0 | 2 | 4 | 6 => format!("missing-{number}"),
            1 => format!("o{number}"),
            _ => String::new(),
        };
        if !owner.is_empty() {
            object["metadata"]["ownerReferences"] = json!([{"apiVersion": version, "kind": maker, "name": owner,
                "uid": format!("u{number}"), "controller": true}]);
        }
    }
    if short == "PodDisruptionBudget" && number % 4 == 3 {
        // The label of a stand-in.
        object["metadata"]["labels"]["plimsoll.dev/stand-in"] = json!("");
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "u"}]);
        object["spec"].as_object_mut().unwrap().remove("minAvailable");
        object["spec"]["maxUnavailable"] = json!(1);
    }
    if short == "ReplicationController" {
        object["spec"]["selector"] = json!({"app": NAME});
    }
    object
}

/// The kind that creates objects of this kind.
fn maker(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "apps/ReplicaSet" => ("apps/v1", "Deployment"),
        "batch/Job" => ("batch/v1", "CronJob"),
        "autoscaling/HorizontalPodAutoscaler" => ("keda.sh/v1alpha1", "ScaledObject"),
        _ => return None,
    })
}

/// The template of another workload.
fn template(number: usize, items: usize) -> Value {
    let containers: Vec<_> = (0..items.div_ceil(4))
        .map(|item| {
            json!({"name": format!("c{item}"), "image": "shop:1",
            "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}})
        })
        .collect();
    let claims = 0..items.div_ceil(4);
    let volumes: Vec<_> = claims
        .map(
            |item| json!({"name": format!("v{item}"), "persistentVolumeClaim": {"claimName": format!("claim-{item}")}}),
        )
        .collect();
    json!({"metadata": {"labels": {"app": NAME, "number": number.to_string()}},
        "spec": {"containers": containers, "volumes": volumes, "priorityClassName": format!("class-{number}")}})
}

fn workload(kind: &str, template: &Value, selector: Value) -> Value {
    match kind {
        "/Pod" => template["spec"].clone(),
        "batch/CronJob" => json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}}),
        _ => json!({"replicas": 3, "selector": selector, "template": template}),
    }
}

fn metrics(first: usize, count: usize) -> Vec<Value> {
    let metric = |number: usize| {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        match number % 3 {
            0 => json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}),
            1 => {
                let source = json!({"name": "memory", "container": format!("c{number}"), "target": target});
                json!({"type": "ContainerResource", "containerResource": source})
            }
            _ => json!({"type": "Resource", "resource": {"name": format!("example.com/r{number}"), "target": target}}),
        }
    };
    (first..first + count).map(metric).collect()
}

fn triggers(count: usize) -> Vec<Value> {
    let trigger = |number: usize| {
        let kind = if number.is_multiple_of(2) { "cpu" } else { "memory" };
        json!({"type": kind, "metricType": "Utilization",
            "metadata": {"value": "80", "containerName": format!("c{number}")}})
    };
    (0..count).map(trigger).collect()
}

/// An AdmissionReview of an object with this many items in each list.
pub(crate) fn review(asked: &Asked, size: usize, shape: Shape) -> Vec<u8> {
    let (version, short) = api_version(&asked.kind);
    let group = asked.kind.split_once('/').unwrap().0;
    let resource = format!("{}s", short.to_lowercase());
    let name = if short == "PersistentVolumeClaim" { "claim-0" } else { NAME };
    let mut object = match asked.subresource.as_str() {
        "scale" => json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 0}}),
        part => object(&asked.kind, size, part == "ephemeralcontainers"),
    };
    if shape == Shape::Pinned && short == "PodDisruptionBudget" {
        let values: Vec<_> = (0..size).map(|item| json!(format!("o{item}-0"))).collect();
        let one = |values: Vec<Value>| json!({"key": "statefulset.kubernetes.io/pod-name", "operator": "In", "values": values});
        let each: Vec<_> = (0..size).map(|item| one(vec![json!(format!("o{item}-0")), json!("o1-0")])).collect();
        let expressions = [vec![one(values)], each].concat();
        object["spec"] =
            json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": NAME}, "matchExpressions": expressions}});
    }
    object["metadata"]["name"] = json!(name);
    object["metadata"]["namespace"] = json!(NAMESPACE);
    let mut old = object.clone();
    if asked.operation == "UPDATE" && old["spec"]["replicas"].is_number() {
        old["spec"]["replicas"] = json!(7);
    }
    let (object, old) = match asked.operation {
        "CREATE" => (object, Value::Null),
        "DELETE" => (Value::Null, old),
        _ => (object, old),
    };
    let version = version.rsplit('/').next().unwrap();
    let kind = match asked.subresource.as_str() {
        "scale" => json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}),
        _ => json!({"group": group, "version": version, "kind": short}),
    };
    let request = json!({
        "uid": "1", "operation": asked.operation, "name": name, "namespace": NAMESPACE, "kind": kind, "requestKind": kind,
        "resource": {"group": group, "version": version, "resource": resource}, "subResource": asked.subresource,
        "userInfo": {"username": "somebody"}, "object": object, "oldObject": old
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string().into_bytes()
}

fn object(kind: &str, size: usize, is_debugged: bool) -> Value {
    let (version, short) = api_version(kind);
    let list = |item: &dyn Fn(usize) -> Value| (0..size).map(item).collect::<Vec<_>>();
    let expressions = || list(&|item| json!({"key": format!("y{item}"), "operator": "NotIn", "values": ["a", "b"]}));
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME});
    let policies = || list(&|item| json!({"type": "Percent", "value": 100, "periodSeconds": item % 15 + 1}));
    let behavior = || json!({"scaleUp": {"policies": policies()}, "scaleDown": {"stabilizationWindowSeconds": 0, "policies": policies()}});
    let spec = match short {
        "Service" => json!({"selector": {"app": NAME}, "ports": list(&|item| {
            json!({"name": format!("p{item}"), "port": item + 1, "targetPort": format!("p{item}")})
        })}),
        "PodDisruptionBudget" => json!({"minAvailable": "100%",
            "selector": {"matchLabels": {"app": NAME}, "matchExpressions": expressions()}}),
        "HorizontalPodAutoscaler" => json!({"minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": target,
            "metrics": metrics(0, 3 * size), "behavior": behavior()}),
        "ScaledObject" => json!({"minReplicaCount": 2, "maxReplicaCount": 9, "scaleTargetRef": target,
            "triggers": triggers(3 * size), "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior()}}}),
        "VerticalPodAutoscaler" => json!({"targetRef": target, "resourcePolicy": {"containerPolicies":
            list(&|item| json!({"containerName": format!("c{item}"), "controlledResources": ["memory", "cpu"]}))}}),
        "PersistentVolumeClaim" => json!({"accessModes": list(&|_| json!("ReadWriteOnce"))}),
        _ => {
            let selector = json!({"matchLabels": {"app": NAME}, "matchExpressions": expressions()});
            workload(kind, &reviewed_template(kind, size, is_debugged), selector)
        }
    };
    let mut object = json!({"apiVersion": version, "kind": short, "metadata": {}, "spec": spec});
    match kind {
        "/Pod" => object["metadata"]["labels"] = reviewed_template(kind, size, false)["metadata"]["labels"].clone(),
        "/PodTemplate" => {
            object = json!({"apiVersion": "v1", "kind": short, "metadata": {}, "template": reviewed_template(kind, size, false)})
        }
        "/ReplicationController" => object["spec"]["selector"] = json!({"app": NAME}),
        "argoproj.io/Rollout" => {
            let steps = list(&|_| json!({"pause": {}}));
            object["spec"]["strategy"] =
                json!({"canary": {"maxSurge": "100%", "maxUnavailable": "50%", "steps": steps}});
        }
        "apps/Deployment" => {
            let update = json!({"maxSurge": "100%", "maxUnavailable": "50%"});
            object["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": update});
        }
        "apps/StatefulSet" => {
            object["spec"]["volumeClaimTemplates"] =
                Value::Array(list(&|item| json!({"metadata": {"name": format!("t{item}")}})));
        }
        _ => {}
    }
    object
}

fn reviewed_template(kind: &str, size: usize, is_debugged: bool) -> Value {
    let list = |count: usize, item: &dyn Fn(usize) -> Value| (0..count).map(item).collect::<Vec<_>>();
    let never = |item: usize| json!({"matchLabels": {format!("z{item}"): "a"}});
    let container = |number: usize| {
        // The first container has long lists too.
        let some = if number == 0 { size } else { 8 };
        let env = list(
            2 * some,
            &|item| json!({"name": format!("V{}", item / 2), "valueFrom": {"configMapKeyRef": {"name": format!("m{number}-{item}"), "key": "k"}}}),
        );
        let resources = match number % 4 {
            0 => json!({}),
            1 => json!({"requests": {"cpu": "1n", "memory": "1"}, "limits": {"memory": "1Gi"}}),
            _ => json!({"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "100m", "memory": "1Gi"}}),
        };
        let probe = json!({"httpGet": {"path": "/", "port": format!("p{}", number * 8)}});
        let mut container = json!({
            "name": format!("c{number}"), "image": "registry.example.com/shop:latest", "env": env, "resources": resources,
            "ports": list(some, &|item| json!({"name": format!("p{}", number * 8 + item), "containerPort": number * 8 + item + 1})),
            "volumeMounts": list(some, &|item| json!({"name": format!("v{}", 3 * number + item % 3), "subPath": "a", "mountPath": "/a"})),
            "command": ["sh", "-c", "sleep 1"], "livenessProbe": probe,
            "lifecycle": {"preStop": {"exec": {"command": ["sleep", "20"]}}, "postStart": {"tcpSocket": {"port": 1}}},
            "securityContext": {"capabilities": {"add": list(some, &|item| json!(format!("CAP_{item}")))}}
        });
        if number % 2 == 1 {
            container["readinessProbe"] = container["livenessProbe"].clone();
        }
        container
    };
    let inits = list(size, &|item| {
        let mut init = json!({"name": format!("i{item}"), "image": "registry.example.com/init", "resources": {}});
        if item % 2 == 0 {
            init["restartPolicy"] = json!("Always");
        }
        init
    });
    let volumes = list(3 * size, &|item| match item % 3 {
        0 => json!({"name": format!("v{item}"), "persistentVolumeClaim": {"claimName": format!("claim-{}", item / 3)}}),
        1 => json!({"name": format!("v{item}"), "configMap": {"name": format!("m{item}")}}),
        _ => json!({"name": format!("v{item}"), "image": {"reference": "registry.example.com/data:latest"}}),
    });
    let mut labels: Map<_, _> = (0..size).map(|item| (format!("example.com/l{item}"), json!("x"))).collect();
    labels.insert("app".to_owned(), json!(NAME));
    let mut spread = list(
        size,
        &|item| json!({"topologyKey": format!("t{}", item / 2), "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": never(item)}),
    );
    spread.push(json!({"topologyKey": "t", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "matchLabelKeys": list(size, &|item| json!(format!("k{item}"))),
        "labelSelector": {"matchExpressions": list(size, &|item| json!({"key": format!("y{item}"), "operator": "DoesNotExist"}))}}));
    let terms = list(size, &|item| json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": never(item)}));
    let weighted =
        list(size, &|item| json!({"weight": 1, "podAffinityTerm": {"topologyKey": "t", "labelSelector": never(item)}}));
    let mut spec = json!({
        "containers": list(size, &container), "initContainers": inits, "volumes": volumes, "topologySpreadConstraints": spread,
        "tolerations": list(size, &|item| json!({"key": format!("t{item}"), "operator": "Exists"})),
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms,
            "preferredDuringSchedulingIgnoredDuringExecution": weighted}},
        "priorityClassName": "class-0", "terminationGracePeriodSeconds": 20
    });
    if kind == "apps/StatefulSet" {
        // The Pod as a whole requests no more than its containers, so each container asks for inherited values.
        spec["resources"] = json!({"limits": {"hugepages-2Mi": "2Mi"}});
    }
    if is_debugged {
        spec["ephemeralContainers"] =
            Value::Array(list(size, &|item| json!({"name": format!("e{item}"), "image": "debug"})));
    }
    if kind == "/Pod" {
        spec["restartPolicy"] = json!("Always");
    }
    json!({"metadata": {"labels": labels, "annotations": {}}, "spec": spec})
}
