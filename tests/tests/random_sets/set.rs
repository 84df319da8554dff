//! The random sets, and their objects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Random;

/// A number or a percentage, as in manifests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Number(i64),
    Percent(i64),
}

impl Amount {
    fn value(self) -> Value {
        match self {
            Amount::Number(number) => json!(number),
            Amount::Percent(percent) => json!(format!("{percent}%")),
        }
    }

    /// `GetScaledValueFromIntOrPercent`.
    pub(crate) fn scaled(self, total: i64, up: bool) -> i64 {
        match self {
            Amount::Number(number) => number,
            Amount::Percent(percent) if up => (percent * total + 99) / 100,
            Amount::Percent(percent) => percent * total / 100,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) requests: BTreeSet<&'static str>,
    pub(crate) limits: BTreeSet<&'static str>,
    /// An init container that keeps running (a sidecar).
    pub(crate) is_sidecar: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Metric {
    Utilization(&'static str),
    AverageValue,
    OfContainer(&'static str, usize),
}

/// The autoscaler of a workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Autoscaler {
    pub(crate) least: Option<i64>,
    /// `None` for KEDA's default.
    pub(crate) most: Option<i64>,
    pub(crate) metric: Metric,
    pub(crate) keda: Option<Pause>,
}

/// Annotations of a ScaledObject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pause {
    Runs,
    /// `paused`, and whether `strconv.ParseBool` reads it as true.
    Paused(&'static str, bool),
    At(i64),
}

/// A term of `podAntiAffinity`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apart {
    pub(crate) is_required: bool,
    pub(crate) key: &'static str,
    pub(crate) selects: Selects,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Selects {
    Own,
    /// The empty selector, which selects all Pods.
    All,
    Others,
    /// No selector, which selects no Pods.
    Nothing,
    /// The workload's own Pods of one revision.
    Revision,
}

#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) kind: &'static str,
    pub(crate) replicas: Option<i64>,
    pub(crate) surge: Option<Amount>,
    pub(crate) unavailable: Option<Amount>,
    pub(crate) containers: Vec<Container>,
    /// The requests of the Pod as a whole.
    pub(crate) of_pod: BTreeSet<&'static str>,
    pub(crate) windows: Option<&'static str>,
    pub(crate) autoscaler: Option<Autoscaler>,
    pub(crate) apart: Vec<Apart>,
    pub(crate) priority: Option<&'static str>,
    /// Memory request and limit of the Pod as a whole.
    pub(crate) ratio: Option<(i64, i64)>,
    /// The field and its value.
    pub(crate) budget: Option<(&'static str, Amount)>,
    pub(crate) is_served: bool,
}

const RESOURCES: [&str; 2] = ["cpu", "memory"];

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

impl Set {
    pub(crate) fn random(random: &mut Random) -> Self {
        let kind = random.pick(&["Deployment", "Deployment", "StatefulSet", "DaemonSet"]);
        let amounts: Vec<Amount> = [0, 1, 2, 3]
            .map(Amount::Number)
            .into_iter()
            .chain([1, 10, 25, 34, 50, 67, 100].map(Amount::Percent))
            .collect();
        let some = |random: &mut Random| (!random.one_in(4)).then(|| random.pick(&amounts));
        let (surge, mut unavailable) = (some(random), some(random));
        // The API server refuses 0 for both.
        let is_zero = |amount: Option<Amount>| amount == Some(Amount::Number(0));
        if is_zero(surge) && is_zero(unavailable) {
            unavailable = None;
        }
        let containers: Vec<Container> = (0..=random.below(3))
            .map(|number| {
                let mut some = || RESOURCES.into_iter().filter(|_| !random.one_in(4)).collect();
                let (requests, limits) = (some(), some());
                let limits = if random.one_in(2) { limits } else { BTreeSet::new() };
                Container { requests, limits, is_sidecar: number > 0 && random.one_in(3) }
            })
            .collect();
        let count = containers.len() as u64;
        let autoscaler = (kind != "DaemonSet" && random.one_in(2)).then(|| {
            let least = (!random.one_in(4)).then(|| 1 + random.below(4) as i64);
            let resource = random.pick(&RESOURCES);
            let metric = match random.below(4) {
                0 => Metric::AverageValue,
                1 => Metric::OfContainer(resource, random.below(count) as usize),
                _ => Metric::Utilization(resource),
            };
            let most = Some(least.unwrap_or(1) + random.below(3) as i64);
            if !random.one_in(3) {
                return Autoscaler { least, most, metric, keda: None };
            }
            let pause = match random.below(4) {
                0 => Pause::At(random.below(4) as i64),
                1 => {
                    let (text, is_true) =
                        random.pick(&[("true", true), ("True", true), ("1", true), ("false", false), ("0", false)]);
                    Pause::Paused(text, is_true)
                }
                _ => Pause::Runs,
            };
            let most = most.filter(|_| !random.one_in(4));
            Autoscaler { least, most, metric, keda: Some(pause) }
        });
        let apart = (0..random.below(3)).map(|_| Apart {
            is_required: random.one_in(2),
            key: random.pick(&[HOST, ZONE]),
            selects: random.pick(&[
                Selects::Own,
                Selects::Own,
                Selects::All,
                Selects::Others,
                Selects::Nothing,
                Selects::Revision,
            ]),
        });
        let apart: Vec<Apart> = apart.collect();
        let budget = (!random.one_in(3)).then(|| {
            let field = random.pick(&["minAvailable", "maxUnavailable"]);
            (field, random.pick(&amounts))
        });
        // The number of Pods of a DaemonSet is unknown without the nodes.
        let budget = budget.filter(|(field, amount)| {
            kind != "DaemonSet" || *field == "maxUnavailable" || matches!(amount, Amount::Percent(_))
        });
        let windows = random
            .one_in(4)
            .then(|| random.pick(&["os", "nodeSelector", "affinity", "NotIn", "preferred", "one term"]));
        // Not for Windows, where the API server refuses the field.
        let has_of_pod = windows.is_none() && random.one_in(3);
        let priority = random.one_in(3).then(|| random.pick(&["business", "system-node-critical"]));
        let of_pod: BTreeSet<_> = RESOURCES.into_iter().filter(|_| has_of_pod && random.one_in(2)).collect();
        let ratio = of_pod.contains("memory").then(|| (2048, 2048 * (1 + random.below(12) as i64)));
        Self {
            kind,
            replicas: (!random.one_in(5)).then(|| 1 + random.below(7) as i64),
            surge,
            unavailable,
            containers,
            of_pod,
            windows,
            autoscaler,
            budget,
            is_served: random.one_in(2),
            apart,
            priority,
            ratio,
        }
    }

    pub(crate) fn objects(&self, number: usize) -> Vec<Value> {
        let metadata = json!({"name": "web", "namespace": format!("s{number}")});
        let selector = json!({"matchLabels": {"app": "web"}});
        let (mut containers, mut sidecars) = (Vec::new(), Vec::new());
        for (number, container) in self.containers.iter().enumerate() {
            let amounts = |of: &BTreeSet<&'static str>, factor: i64| -> Value {
                let amount = |resource: &&'static str| match *resource {
                    "cpu" => ((*resource).to_owned(), json!(format!("{}m", 100 * factor))),
                    resource => (resource.to_owned(), json!(format!("{}Mi", 64 * factor))),
                };
                Value::Object(of.iter().map(amount).collect())
            };
            let mut value = json!({
                "name": format!("c{number}"), "image": "registry.example.com/web:1.4.2",
                "resources": {"requests": amounts(&container.requests, 1), "limits": amounts(&container.limits, 2)},
            });
            if container.is_sidecar {
                value["restartPolicy"] = json!("Always");
                sidecars.push(value);
            } else {
                containers.push(value);
            }
        }
        let mut pod = json!({"containers": containers, "initContainers": sidecars});
        if !self.of_pod.is_empty() {
            let amount = |name: &&'static str| ((*name).to_owned(), json!(if *name == "cpu" { "2" } else { "2Gi" }));
            pod["resources"]["requests"] = Value::Object(self.of_pod.iter().map(amount).collect());
        }
        if let Some((_, limit)) = self.ratio {
            pod["resources"]["limits"]["memory"] = json!(format!("{limit}Mi"));
        }
        if let Some(priority) = self.priority {
            pod["priorityClassName"] = json!(priority);
        }
        let expression = |operator: &str, system: &str| json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": operator, "values": [system]}]});
        let any = json!({"matchExpressions": [{"key": "example.com/pool", "operator": "Exists"}]});
        let required =
            |terms: Value| json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        let mut affinity = serde_json::Map::new();
        match self.windows {
            Some("os") => pod["os"] = json!({"name": "windows"}),
            Some("nodeSelector") => pod["nodeSelector"] = json!({"kubernetes.io/os": "windows"}),
            Some("affinity") => {
                _ = affinity.insert("nodeAffinity".into(), required(json!([expression("In", "windows")])))
            }
            Some("NotIn") => {
                _ = affinity.insert("nodeAffinity".into(), required(json!([expression("NotIn", "linux")])))
            }
            Some("one term") => {
                _ = affinity.insert("nodeAffinity".into(), required(json!([expression("In", "windows"), any])));
            }
            Some(_) => {
                let preferred = json!([{"weight": 1, "preference": expression("In", "windows")}]);
                let preferred = json!({"preferredDuringSchedulingIgnoredDuringExecution": preferred});
                _ = affinity.insert("nodeAffinity".into(), preferred);
            }
            None => {}
        }
        let (mut must, mut may) = (Vec::new(), Vec::new());
        for apart in &self.apart {
            let mut term = json!({"topologyKey": apart.key});
            match apart.selects {
                Selects::Own => term["labelSelector"] = selector.clone(),
                Selects::All => term["labelSelector"] = json!({}),
                Selects::Others => term["labelSelector"] = json!({"matchLabels": {"app": "other"}}),
                Selects::Nothing => {}
                Selects::Revision => {
                    term["labelSelector"] = selector.clone();
                    term["matchLabelKeys"] = json!([self.revision_label()]);
                }
            }
            if apart.is_required { must.push(term) } else { may.push(json!({"weight": 1, "podAffinityTerm": term})) }
        }
        if !self.apart.is_empty() {
            let terms = json!({
                "requiredDuringSchedulingIgnoredDuringExecution": must,
                "preferredDuringSchedulingIgnoredDuringExecution": may,
            });
            affinity.insert("podAntiAffinity".into(), terms);
        }
        pod["affinity"] = Value::Object(affinity);
        let mut workload = json!({
            "apiVersion": "apps/v1", "kind": self.kind, "metadata": metadata,
            "spec": {"selector": selector, "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod}},
        });
        if let Some(replicas) = self.replicas.filter(|_| self.kind != "DaemonSet") {
            workload["spec"]["replicas"] = json!(replicas);
        }
        if self.kind == "StatefulSet" {
            workload["spec"]["serviceName"] = json!("web");
        }
        if self.kind == "Deployment" {
            for (field, amount) in [("maxSurge", self.surge), ("maxUnavailable", self.unavailable)] {
                if let Some(amount) = amount {
                    workload["spec"]["strategy"]["rollingUpdate"][field] = amount.value();
                }
            }
        }
        let mut objects = vec![workload];
        if let Some(scaler @ Autoscaler { keda: Some(pause), .. }) = self.autoscaler {
            objects.push(self.scaled_object(scaler, pause, &metadata));
        } else if let Some(Autoscaler { least, most: Some(most), metric, .. }) = self.autoscaler {
            let share = json!({"type": "Utilization", "averageUtilization": 70});
            let metric = match metric {
                Metric::Utilization(name) => json!({"type": "Resource", "resource": {"name": name, "target": share}}),
                Metric::AverageValue => json!({
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "100m"}},
                }),
                Metric::OfContainer(name, container) => json!({
                    "type": "ContainerResource",
                    "containerResource": {"name": name, "container": format!("c{container}"), "target": share},
                }),
            };
            let mut spec = json!({
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": self.kind, "name": "web"},
                "maxReplicas": most, "metrics": [metric],
            });
            if let Some(least) = least {
                spec["minReplicas"] = json!(least);
            }
            objects.push(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec,
            }));
        }
        if let Some((field, amount)) = self.budget {
            let spec = json!({"selector": selector, field: amount.value()});
            objects.push(json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec,
            }));
        }
        if self.is_served {
            let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80}]});
            objects.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}));
        }
        objects
    }

    fn scaled_object(&self, scaler: Autoscaler, pause: Pause, metadata: &Value) -> Value {
        let (kind, name, container) = match scaler.metric {
            Metric::Utilization(name) => ("Utilization", name, None),
            Metric::AverageValue => ("AverageValue", "cpu", None),
            Metric::OfContainer(name, container) => ("Utilization", name, Some(format!("c{container}"))),
        };
        let mut trigger = json!({"type": name, "metricType": kind, "metadata": {"value": "70"}});
        if let Some(container) = container {
            trigger["metadata"]["containerName"] = container.into();
        }
        let mut metadata = metadata.clone();
        match pause {
            Pause::Runs => {}
            Pause::Paused(text, _) => metadata["annotations"]["autoscaling.keda.sh/paused"] = text.into(),
            Pause::At(pods) => metadata["annotations"]["autoscaling.keda.sh/paused-replicas"] = pods.to_string().into(),
        }
        let target = json!({"apiVersion": "apps/v1", "kind": self.kind, "name": "web"});
        let mut spec = json!({"scaleTargetRef": target, "triggers": [trigger]});
        for (field, pods) in [("minReplicaCount", scaler.least), ("maxReplicaCount", scaler.most)] {
            if let Some(pods) = pods {
                spec[field] = pods.into();
            }
        }
        json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec})
    }

    /// The label by which the controller distinguishes revisions.
    fn revision_label(&self) -> &'static str {
        if self.kind == "Deployment" { "pod-template-hash" } else { "controller-revision-hash" }
    }
}
