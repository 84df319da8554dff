//! Objects with a problem between them, for each policy and each kind that the policy reads.

use serde_json::{Value, json};

/// The expectation for a policy and a kind that it reads.
pub(crate) enum Set {
    /// There is a problem between these objects, whichever is applied last.
    Wrong { settings: Value, objects: Vec<Value> },
    /// An object of this kind makes nothing worse. The finding is about its absence, or does not depend on it.
    Fine(Vec<Value>),
}

const HPA: &str = "autoscaling/HorizontalPodAutoscaler";
const KEDA: &str = "keda.sh/ScaledObject";
const VPA: &str = "autoscaling.k8s.io/VerticalPodAutoscaler";
const BUDGET: &str = "policy/PodDisruptionBudget";
const VOLUMES: [&str; 2] = ["storage.k8s.io/StorageClass", "/PersistentVolume"];
const CLAIM: &str = "/PersistentVolumeClaim";
const SCALABLE: [&str; 5] =
    ["apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout"];
const MONITORS: [&str; 2] = ["monitoring.coreos.com/ServiceMonitor", "monitoring.coreos.com/PodMonitor"];
const ROLLING: [&str; 2] = ["apps/Deployment", "argoproj.io/Rollout"];

/// `None` if the policy's page has to name an exception.
pub(crate) fn of(policy: &str, kind: &str) -> Option<Set> {
    let is_scaler = kind == HPA || kind == KEDA;
    let is_scalable = SCALABLE.contains(&kind);
    let is_workload = is_scalable || matches!(kind, "apps/DaemonSet" | "batch/Job");
    // For a pair with another kind, a Deployment is the workload.
    let subject = if is_workload { kind } else { "apps/Deployment" };
    let rolling = if ROLLING.contains(&kind) { kind } else { "apps/Deployment" };
    let scaler = |least: u32, most: u32| scaler(if kind == KEDA { KEDA } else { HPA }, subject, least, most);
    let plain = || workload(subject, "shop", json!({}));
    let sized = |replicas: u32| workload(subject, "shop", json!({"replicas": replicas}));
    match policy {
        // A monitor makes findings about a Service and its workload less severe.
        _ if MONITORS.contains(&kind) => fine([plain(), service(), monitor(kind)]),
        // Objects of these kinds make the finding less severe.
        "rollout-blocked-by-volume" | "volume-shared-by-replicas" if VOLUMES.contains(&kind) => None,
        "rollout-without-capacity" if is_workload && !ROLLING.contains(&kind) => None,
        "rollout-by-recreate" if is_workload && kind != "apps/Deployment" => None,
        "rollout-without-readiness" if matches!(kind, "apps/ReplicaSet" | "/ReplicationController") => None,
        "single-replica" if kind == "apps/DaemonSet" => None,
        "autoscaler-fights-vertical-autoscaler" => {
            wrong([vertical(), if kind == KEDA { self::scaler(KEDA, subject, 2, 9) } else { scaler(2, 9) }])
        }
        "autoscaler-without-readiness" if is_scaler || is_scalable => wrong([plain(), scaler(2, 9)]),
        "autoscaler-without-requests" if is_scaler || is_scalable => wrong([plain(), scaler(2, 9)]),
        "autoscaler-without-target" => fine([scaler(2, 9), plain()]),
        "autoscaler-down-to-one" if kind == KEDA => fine([self::scaler(HPA, subject, 1, 9), scaler(1, 9)]),
        // The referenced workload exists, and has no Pods of its own.
        "careless-argo-rollout" if kind != "argoproj.io/Rollout" => {
            let mut rollout = workload("argoproj.io/Rollout", "shop", json!({}));
            rollout["spec"]["template"].take();
            let (_, name) = kind.split_once('/').unwrap_or_default();
            rollout["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": name, "name": "shop"});
            fine([workload(kind, "shop", json!({"replicas": 0})), rollout])
        }
        "careless-argo-rollout" => {
            let mut rollout = workload("argoproj.io/Rollout", "shop", json!({}));
            rollout["spec"]["template"].take();
            rollout["spec"]["workloadRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
            wrong([workload("apps/Deployment", "shop", json!({})), rollout])
        }
        "competing-autoscalers" => {
            let mut other = self::scaler(HPA, subject, 2, 9);
            other["metadata"]["name"] = "other".into();
            wrong([scaler(2, 9), other])
        }
        "dangling-disruption-budget" if kind == "batch/CronJob" => {
            fine([budget("shop", json!({"maxUnavailable": 1})), cron_job()])
        }
        "dangling-disruption-budget" => fine([budget("shop", json!({"maxUnavailable": 1})), plain()]),
        "disruption-budget-without-readiness" => {
            let budget = budget("shop", json!({"maxUnavailable": 1}));
            match kind {
                _ if is_scaler => fine([plain(), budget, scaler(2, 9)]),
                _ if is_scalable || kind == BUDGET => wrong([plain(), budget]),
                _ => fine([budget, plain()]),
            }
        }
        "drain-deadlock" if is_scaler => wrong([sized(5), budget("shop", json!({"minAvailable": 2})), scaler(2, 9)]),
        "drain-deadlock" if is_scalable || kind == BUDGET => {
            wrong([sized(2), budget("shop", json!({"minAvailable": 2}))])
        }
        "drain-deadlock" => wrong([plain(), budget("shop", json!({"maxUnavailable": 1}))]),
        "excessive-rollout-surge" => {
            let update =
                |replicas: u32| rolling_update(rolling, replicas, json!({"maxSurge": "100%", "maxUnavailable": 0}));
            match is_scaler {
                true => wrong([update(2), self::scaler(kind, rolling, 60, 90)]),
                false => wrong([update(2), self::scaler(HPA, rolling, 60, 90)]),
            }
        }
        "missing-disruption-budget" if kind == BUDGET => fine([sized(3), budget("shop", json!({"maxUnavailable": 1}))]),
        "missing-disruption-budget" if is_scaler => wrong([sized(1), scaler(3, 9)]),
        "missing-disruption-budget" if is_scalable => wrong([sized(3)]),
        "missing-disruption-budget" => fine([plain()]),
        "missing-readiness-probe" | "shutdown-without-pre-stop" => wrong([plain(), service()]),
        "missing-spread" if is_scaler || is_scalable => wrong([sized(1), scaler(1, 9)]),
        "overlapping-disruption-budgets" => {
            let one = json!({"maxUnavailable": 1});
            wrong([plain(), budget("shop", one.clone()), budget("other", one)])
        }
        "overlapping-workload-selectors" if is_scaler => wrong([requesting(plain()), scaler(2, 9), cron_job()]),
        "overlapping-workload-selectors" if kind == "batch/CronJob" => {
            wrong([requesting(plain()), self::scaler(HPA, subject, 2, 9), cron_job()])
        }
        "overlapping-workload-selectors" if kind == "batch/Job" => {
            let deployment = requesting(workload("apps/Deployment", "shop", json!({})));
            wrong([deployment, self::scaler(HPA, "apps/Deployment", 2, 9), workload(kind, "shop", json!({}))])
        }
        "overlapping-workload-selectors" if kind == "/LimitRange" => None,
        "overlapping-workload-selectors" => wrong([plain(), workload("apps/Deployment", "other", json!({}))]),
        "peak-over-quota" if is_scaler => wrong([requesting(sized(1)), scaler(1, 9), quota()]),
        "peak-over-quota" if is_scalable => {
            let mut other = requesting(workload("apps/Deployment", "other", json!({"replicas": 3})));
            other["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
            let own = requesting(workload(kind, "shop", json!({"replicas": 3})));
            wrong([own, other, quota()])
        }
        "peak-over-quota" if is_workload => {
            fine([requesting(workload("apps/Deployment", "other", json!({"replicas": 3}))), quota(), plain()])
        }
        "rollout-below-disruption-budget" => {
            let half = budget("shop", json!({"minAvailable": "50%"}));
            let update = |replicas: u32| rolling_update(rolling, replicas, json!({"maxSurge": 0, "maxUnavailable": 2}));
            match kind {
                _ if is_scaler => wrong([update(10), half, self::scaler(kind, rolling, 2, 20)]),
                _ if ROLLING.contains(&kind) || kind == BUDGET => wrong([update(3), half]),
                _ => fine([update(3), half, workload(kind, "other", json!({}))]),
            }
        }
        "rollout-below-minimum" => scaled(kind, json!({"maxSurge": 1, "maxUnavailable": 1}), 10, 2, |object| object),
        "rollout-blocked-by-host-port" => scaled(kind, json!({}), 4, 1, |mut object| {
            object["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = json!(8080);
            object
        }),
        "rollout-blocked-by-volume" if kind == CLAIM => wrong([mounting(sized(1)), claim("ReadWriteOncePod")]),
        "rollout-blocked-by-volume" => {
            let Some(Set::Wrong { settings, mut objects }) = scaled(kind, json!({}), 4, 1, mounting) else {
                return None;
            };
            objects.push(claim("ReadWriteOncePod"));
            Some(Set::Wrong { settings, objects })
        }
        "rollout-rounding-surprise" => {
            scaled(kind, json!({"maxSurge": "0%", "maxUnavailable": "25%"}), 4, 3, |object| object)
        }
        "rollout-without-capacity" => {
            let update = |replicas: u32| rolling_update(rolling, replicas, json!({"maxSurge": 1, "maxUnavailable": 1}));
            match is_scaler {
                true => wrong([update(4), service(), self::scaler(kind, rolling, 1, 9)]),
                false => wrong([update(1), service()]),
            }
        }
        "rollout-without-spare-node" => {
            let Some(Set::Wrong { objects, .. }) = scaled(kind, json!({"maxUnavailable": 0}), 3, 3, |mut object| {
                let own =
                    json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "shop"}}});
                object["spec"]["template"]["spec"]["affinity"] =
                    json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [own]}});
                object
            }) else {
                return None;
            };
            Some(Set::Wrong { settings: json!({"nodes": 5}), objects })
        }
        "rollout-by-recreate" => {
            let mut object = workload(subject, "shop", json!({"strategy": {"type": "Recreate"}}));
            match kind {
                CLAIM => {
                    object = mounting(object);
                    wrong([object, service(), claim("ReadWriteMany")])
                }
                _ => wrong([object, service()]),
            }
        }
        "rollout-without-min-ready" => {
            let mut object = plain();
            object["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
                json!({"tcpSocket": {"port": 8080}});
            wrong([object, service()])
        }
        "rollout-without-readiness" => {
            // For other Services, missing-readiness-probe has the finding.
            let mut peers = service();
            peers["spec"]["publishNotReadyAddresses"] = true.into();
            wrong([plain(), peers])
        }
        "shared-disruption-budget" => {
            let other = workload("apps/Deployment", "other", json!({}));
            wrong([plain(), other, budget("shop", json!({"maxUnavailable": 1}))])
        }
        "single-replica" if is_scaler => fine([sized(1), service(), scaler(2, 9)]),
        "single-replica" => wrong([sized(1), service()]),
        "spread-selects-others" if is_scaler => wrong([keeping_away(sized(1)), scaler(1, 9)]),
        "spread-selects-others" => {
            let (mut other, labels) = match kind {
                "batch/CronJob" => (cron_job(), "/spec/jobTemplate/spec/template/metadata/labels"),
                _ => (workload(subject, "other", json!({})), "/spec/template/metadata/labels"),
            };
            if let Some(labels) = other.pointer_mut(labels) {
                *labels = json!({"name": "shop"});
            }
            fine([other, keeping_away(workload("apps/Deployment", "shop", json!({"replicas": 3})))])
        }
        "toothless-disruption-budget" if is_scaler => {
            wrong([sized(3), budget("shop", json!({"maxUnavailable": 2})), scaler(2, 9)])
        }
        "toothless-disruption-budget" if is_scalable || kind == BUDGET => {
            wrong([sized(2), budget("shop", json!({"minAvailable": 0}))])
        }
        "toothless-disruption-budget" => fine([budget("shop", json!({"minAvailable": 0})), plain()]),
        "undisruptable-pods" => {
            let mut object = sized(2);
            object["spec"]["template"]["metadata"]["annotations"] =
                json!({"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"});
            wrong([object, service()])
        }
        "unreachable-autoscaler-target" if is_scaler || is_scalable => {
            let mut scaler = scaler(2, 9);
            if kind == KEDA {
                scaler["spec"]["triggers"][0]["metadata"]["value"] = "150".into();
            } else {
                scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] = 150.into();
            }
            wrong([requesting(plain()), scaler])
        }
        "volume-shared-by-replicas" if is_scaler => {
            wrong([mounting(sized(1)), claim("ReadWriteOncePod"), scaler(1, 9)])
        }
        "volume-shared-by-replicas" => wrong([mounting(sized(2)), claim("ReadWriteOncePod")]),
        _ => None,
    }
}

fn wrong<const N: usize>(objects: [Value; N]) -> Option<Set> {
    Some(Set::Wrong { settings: json!({}), objects: objects.to_vec() })
}

fn fine<const N: usize>(objects: [Value; N]) -> Option<Set> {
    Some(Set::Fine(objects.to_vec()))
}

/// A rolling update that is safe for this number of replicas, and not for the autoscaler's minimum.
fn scaled(kind: &str, update: Value, replicas: u32, least: u32, change: fn(Value) -> Value) -> Option<Set> {
    let rolling = if ROLLING.contains(&kind) { kind } else { "apps/Deployment" };
    let object = change(rolling_update(rolling, replicas, update));
    wrong([object, scaler(if kind == KEDA { KEDA } else { HPA }, rolling, least, 20)])
}

pub(crate) fn workload(kind: &str, name: &str, spec: Value) -> Value {
    let (group, short) = kind.split_once('/').unwrap_or(("", kind));
    let version = match group {
        "" => "v1".to_owned(),
        "argoproj.io" => "argoproj.io/v1alpha1".to_owned(),
        group => format!("{group}/v1"),
    };
    let labels = json!({"app": "shop"});
    let container = json!({"name": "app", "image": "registry.example/shop:1.4.2", "ports": [{"containerPort": 8080}]});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let mut object =
        json!({"apiVersion": version, "kind": short, "metadata": {"name": name}, "spec": {"template": template}});
    match kind {
        "batch/Job" => object["spec"]["template"]["spec"]["restartPolicy"] = "Never".into(),
        "/ReplicationController" => object["spec"]["selector"] = labels,
        _ => object["spec"]["selector"] = json!({"matchLabels": labels}),
    }
    if kind == "apps/StatefulSet" {
        object["spec"]["serviceName"] = "shop".into();
    }
    for (member, value) in spec.as_object().into_iter().flatten() {
        object["spec"][member] = value.clone();
    }
    if kind == "argoproj.io/Rollout" && object["spec"].get("strategy").is_none() {
        object["spec"]["strategy"] = json!({"canary": {}});
    }
    object
}

fn cron_job() -> Value {
    let job = workload("batch/Job", "shop", json!({}));
    let spec = json!({"schedule": "0 0 * * *", "jobTemplate": {"spec": job["spec"]}});
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "shop"}, "spec": spec})
}

fn rolling_update(kind: &str, replicas: u32, update: Value) -> Value {
    let strategy = match kind {
        "argoproj.io/Rollout" => json!({"canary": update}),
        _ => json!({"type": "RollingUpdate", "rollingUpdate": update}),
    };
    workload(kind, "shop", json!({"replicas": replicas, "strategy": strategy}))
}

fn requesting(mut object: Value) -> Value {
    let all = json!({"cpu": "100m", "memory": "64Mi"});
    object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": all, "limits": all});
    object
}

/// Adds an anti-affinity term with a label that the Pods themselves do not have.
fn keeping_away(mut object: Value) -> Value {
    let others = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"name": "shop"}}});
    object["spec"]["template"]["spec"]["affinity"] =
        json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [others]}});
    object
}

fn mounting(mut object: Value) -> Value {
    object["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    object
}

fn scaler(scaler: &str, kind: &str, least: u32, most: u32) -> Value {
    let like = workload(kind, "shop", json!({}));
    let target = json!({"apiVersion": like["apiVersion"], "kind": like["kind"], "name": "shop"});
    if scaler == KEDA {
        let trigger = json!({"type": "cpu", "metricType": "Utilization", "metadata": {"value": "80"}});
        let spec = json!({
            "scaleTargetRef": target, "minReplicaCount": least, "maxReplicaCount": most, "triggers": [trigger],
        });
        return json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "shop"}, "spec": spec});
    }
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
    let spec = json!({
        "scaleTargetRef": target, "minReplicas": least, "maxReplicas": most,
        "metrics": [{"type": "Resource", "resource": cpu}],
    });
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "shop"}, "spec": spec})
}

fn vertical() -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    let (version, kind) = (format!("{}/v1", VPA.split_once('/').unwrap_or_default().0), "VerticalPodAutoscaler");
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": "shop"}, "spec": {"targetRef": target}})
}

fn budget(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "shop"}});
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec})
}

pub(crate) fn service() -> Value {
    let spec = json!({"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"}, "spec": spec})
}

/// A monitor that scrapes the port of the Service.
fn monitor(kind: &str) -> Value {
    let short = kind.rsplit('/').next().unwrap_or_default();
    let ports = if short == "PodMonitor" { "podMetricsEndpoints" } else { "endpoints" };
    let spec = json!({"selector": {}, ports: [{"targetPort": 8080}]});
    json!({"apiVersion": "monitoring.coreos.com/v1", "kind": short, "metadata": {"name": "shop"}, "spec": spec})
}

fn claim(mode: &str) -> Value {
    let spec = json!({"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}});
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec})
}

fn quota() -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"}, "spec": {"hard": {"pods": "5"}}})
}
