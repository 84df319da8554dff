//! Workloads without a problem, and ways to add one.

use std::fmt;

use serde_json::{Map, Value, json};

/// Every kind with a Pod template that the API server itself knows.
pub const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"];

/// An object to apply, as JSON, which is also YAML.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    object: Value,
    template: &'static str,
}

impl Manifest {
    /// A workload with one container `app`. No policy reports anything about it, whatever other objects exist.
    ///
    /// # Panics
    /// If the kind is not in [`WORKLOADS`].
    pub fn good(kind: &str, name: &str) -> Self {
        let labels = json!({"app": name});
        let mut template = json!({"metadata": {"labels": labels}, "spec": pod()});
        let apart = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}});
        template["spec"]["affinity"] = json!({"podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": apart}]}});
        let selector = json!({"matchLabels": labels});
        let once = |mut template: Value| {
            template["spec"]["restartPolicy"] = "Never".into();
            template
        };
        let rolling = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        let (version, spec, place) = match kind {
            "Deployment" => {
                let spec = json!({"replicas": 3, "selector": selector, "strategy": rolling, "template": template});
                ("apps/v1", spec, "/spec/template")
            }
            "StatefulSet" => {
                let spec = json!({"replicas": 3, "serviceName": name, "selector": selector, "template": template});
                ("apps/v1", spec, "/spec/template")
            }
            "DaemonSet" => ("apps/v1", json!({"selector": selector, "template": template}), "/spec/template"),
            "ReplicaSet" => {
                ("apps/v1", json!({"replicas": 2, "selector": selector, "template": template}), "/spec/template")
            }
            "Job" => ("batch/v1", json!({"template": once(template)}), "/spec/template"),
            "CronJob" => {
                let job = json!({"spec": {"template": once(template)}});
                ("batch/v1", json!({"schedule": "0 3 * * *", "jobTemplate": job}), "/spec/jobTemplate/spec/template")
            }
            "Pod" => ("v1", pod(), ""),
            other => panic!("no workload of the kind {other}"),
        };
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
        Self { object, template: place }
    }

    /// The same with this value at a pointer. Missing parents are created, and `null` removes the member.
    ///
    /// # Panics
    /// If the pointer leads through a value that is neither an object nor an item of a list.
    #[must_use]
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        set(&mut self.object, pointer, value);
        self
    }

    /// The same, with a pointer that starts at the Pod spec: `/containers/0/image`.
    #[must_use]
    pub fn pod(self, pointer: &str, value: Value) -> Self {
        let whole = format!("{}/spec{pointer}", self.template);
        self.with(&whole, value)
    }

    /// The same with one more container, after the existing ones.
    #[must_use]
    pub fn container(self, name: &str, port: u16) -> Self {
        let containers = self.object.pointer(&format!("{}/spec/containers", self.template));
        let count = containers.and_then(Value::as_array).map_or(0, Vec::len);
        self.pod(&format!("/containers/{count}"), container(name, port))
    }

    /// Name of the object.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Kind of the object.
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// The object itself.
    pub fn object(&self) -> &Value {
        &self.object
    }
}

impl From<Manifest> for Value {
    fn from(manifest: Manifest) -> Self {
        manifest.object
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.fmt(formatter)
    }
}

/// A container about which no policy reports anything.
pub fn container(name: &str, port: u16) -> Value {
    json!({
        "name": name,
        "image": "registry.example.com/shop:1.4.2",
        "ports": [{"containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": port}, "periodSeconds": 10},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": port}, "periodSeconds": 10, "failureThreshold": 6},
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false},
    })
}

fn pod() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container("app", 8080)],
    })
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap_or_else(|| panic!("`{pointer}` is no pointer"));
    let mut at = object;
    for token in parent.split('/').skip(1) {
        at = match at {
            Value::Array(items) => {
                let index: usize = token.parse().unwrap_or_else(|_| panic!("`{token}` of {pointer} is no index"));
                items.get_mut(index).unwrap_or_else(|| panic!("no item {token} on the way to {pointer}"))
            }
            Value::Object(members) => {
                members.entry(token.replace("~1", "/")).or_insert_with(|| Value::Object(Map::new()))
            }
            _ => panic!("nothing can be below {token} of {pointer}"),
        };
    }
    match at {
        Value::Array(items) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => items[index] = value,
            _ => items.push(value),
        },
        Value::Object(members) if value.is_null() => drop(members.remove(&last.replace("~1", "/"))),
        Value::Object(members) => drop(members.insert(last.replace("~1", "/"), value)),
        _ => panic!("nothing can be at {pointer}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flaws_are_put_in() {
        let cron = Manifest::good("CronJob", "report").pod("/containers/0/image", json!("shop"));
        let image = cron.object().pointer("/spec/jobTemplate/spec/template/spec/containers/0/image");
        assert_eq!(image, Some(&json!("shop")));
        let pod = Manifest::good("Pod", "web").pod("/containers/0/resources/limits", Value::Null).container("b", 81);
        assert_eq!(pod.object().pointer("/spec/containers/0/resources/limits"), None);
        assert_eq!(pod.object().pointer("/spec/containers/1/name"), Some(&json!("b")));
        let labelled = Manifest::good("Job", "once").with("/metadata/labels/example.com~1team", json!("shop"));
        assert_eq!(labelled.object()["metadata"]["labels"]["example.com/team"], "shop");
        assert_eq!((labelled.kind(), labelled.name()), ("Job", "once"));
    }
}
