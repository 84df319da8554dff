//! Objects that are applied last, forged owners, and budgets that select by labels of Pods only.
//!
//! The webhook learns of other objects by its watches, a moment after the API server has stored them. So each last step
//! is a dry run that is repeated until it is refused.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::Manifest;
use serde_json::{Value, json};

use crate::By::Policy;
use crate::stage::{JSON, Said, Theme, collection};
use crate::{Control, Tries, Try};

const PROBE: &str = "missing-readiness-probe";
const CAPACITY: &str = "rollout-without-capacity";
const DEADLOCK: &str = "drain-deadlock";
const OVERLAP: &str = "overlapping-disruption-budgets";
const SELECTORS: &str = "overlapping-workload-selectors";

/// Longer than a watch takes to report a stored object.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const TRIES: Tries = Tries {
    theme: "What comes last",
    tries: &[
        Try {
            name: "service-last",
            exploits: "the usual order of `kubectl apply -f`: a Deployment without a readinessProbe, then its Service",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("Deployment", "service-last")?;
                last(it, &service("service-last", json!({})))
            },
        },
        Try {
            name: "service-before-a-stateful-set",
            exploits: "the same with a StatefulSet and its headless Service",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("StatefulSet", "headless")?;
                last(it, &service("headless", json!({"clusterIP": "None"})))
            },
        },
        Try {
            name: "service-before-a-daemon-set",
            exploits: "the same with a DaemonSet",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("DaemonSet", "everywhere")?;
                last(it, &service("everywhere", json!({})))
            },
        },
        Try {
            name: "service-before-a-replica-set",
            exploits: "a ReplicaSet that claims a Deployment as its owner, so that only the Deployment is reviewed",
            by: Policy(&[PROBE]),
            run: |it| {
                let owner = json!([owner("apps/v1", "Deployment", "nobody", FORGED)]);
                it.stored(&unready("ReplicaSet", "orphan").with("/metadata/ownerReferences", owner).into())?;
                last(it, &service("orphan", json!({})))
            },
        },
        Try {
            name: "service-by-generated-name",
            exploits: "a Service that has no name yet during the review",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("Deployment", "generated")?;
                let mut object = service("generated", json!({}));
                object["metadata"] = json!({"generateName": "generated-"});
                last(it, &object)
            },
        },
        Try {
            name: "service-by-a-named-port",
            exploits: "a Service whose `targetPort` is the name of the container's port",
            by: Policy(&[PROBE]),
            run: |it| {
                let object = unready("Deployment", "named").pod("/containers/0/ports/0/name", json!("web"));
                it.stored(&object.into())?;
                last(it, &service("named", json!({"ports": [{"port": 80, "targetPort": "web"}]})))
            },
        },
        Try {
            name: "second-service",
            exploits: "a second Service, after one that publishes Pods that are not ready",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("Deployment", "twice")?;
                it.stored(&service("twice", json!({"publishNotReadyAddresses": true})))?;
                let mut object = service("twice", json!({}));
                object["metadata"]["name"] = "twice-more".into();
                last(it, &object)
            },
        },
        Try {
            name: "selector-moved",
            exploits: "a Service without Pods, whose selector is patched to match the Deployment",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("Deployment", "moved-onto")?;
                it.stored(&service("elsewhere", json!({})))?;
                patched(it, "Service", "elsewhere", &json!({"spec": {"selector": {"app": "moved-onto"}}}))
            },
        },
        Try {
            name: "selector-widened",
            exploits: "a label taken out of the selector, so that it takes in one Deployment more",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("Deployment", "widened")?;
                it.stored(&service("narrow", json!({"selector": {"app": "widened", "tier": "web"}})))?;
                patched(it, "Service", "narrow", &json!({"spec": {"selector": {"tier": null}}}))
            },
        },
        Try {
            name: "not-ready-addresses-flipped",
            exploits: "`publishNotReadyAddresses`, true when the Service is made and false later",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("Deployment", "flipped")?;
                it.stored(&service("flipped", json!({"publishNotReadyAddresses": true})))?;
                patched(it, "Service", "flipped", &json!({"spec": {"publishNotReadyAddresses": false}}))
            },
        },
        Try {
            name: "external-name-turned",
            exploits: "a Service of type ExternalName, which sends nothing to Pods, turned into one of ClusterIP",
            by: Policy(&[PROBE]),
            run: |it| {
                it.unready("Deployment", "external")?;
                it.stored(&service("external", json!({"type": "ExternalName", "externalName": "example.com"})))?;
                patched(it, "Service", "external", &json!({"spec": {"type": "ClusterIP", "externalName": null}}))
            },
        },
        Try {
            name: "target-port-moved",
            exploits: "a Service of the container that has a probe, whose `targetPort` is moved to the one without probe and ports",
            by: Policy(&[PROBE]),
            run: |it| {
                let object = Manifest::good("Deployment", "two-ports").container("second", 9090);
                let object = object.pod("/containers/1/readinessProbe", Value::Null);
                it.stored(&object.pod("/containers/1/ports", Value::Null).into())?;
                it.stored(&service("two-ports", json!({})))?;
                patched(it, "Service", "two-ports", &json!({"spec": {"ports": [{"port": 80, "targetPort": 9090}]}}))
            },
        },
        Try {
            name: "service-after-a-rollout-without-capacity",
            exploits: "a Deployment whose update leaves no Pod, which matters only once a Service is there",
            by: Policy(&[CAPACITY]),
            run: |it| {
                it.stored(&tight("tight", 1))?;
                last(it, &service("tight", json!({})))
            },
        },
        Try {
            name: "autoscaler-last",
            exploits: "an autoscaler with a minimum of 1, after a Deployment whose update is right for 4",
            by: Policy(&[CAPACITY]),
            run: |it| {
                it.stored(&tight("shrunk", 4))?;
                it.stored(&service("shrunk", json!({})))?;
                last(it, &autoscaler("shrunk", "shrunk", 1))
            },
        },
        Try {
            name: "autoscaler-moved",
            exploits: "an autoscaler without a target, which is patched to scale the Deployment",
            by: Policy(&[CAPACITY]),
            run: |it| {
                it.stored(&tight("aimed-at", 4))?;
                it.stored(&service("aimed-at", json!({})))?;
                it.stored(&tight("decoy", 4))?;
                it.stored(&autoscaler("aimed", "decoy", 1))?;
                let target = json!({"spec": {"scaleTargetRef": {"name": "aimed-at"}}});
                patched(it, "HorizontalPodAutoscaler", "aimed", &target)
            },
        },
        Try {
            name: "autoscaler-lowered",
            exploits: "the minimum of an autoscaler lowered to 1 once it is there",
            by: Policy(&[CAPACITY]),
            run: |it| {
                it.stored(&tight("lowered", 4))?;
                it.stored(&service("lowered", json!({})))?;
                it.stored(&autoscaler("lowered", "lowered", 4))?;
                patched(it, "HorizontalPodAutoscaler", "lowered", &json!({"spec": {"minReplicas": 1}}))
            },
        },
        Try {
            name: "claim-last",
            exploits: "a claim that one Pod may mount, after the Deployment that can't be updated with it",
            by: Policy(&["rollout-blocked-by-volume"]),
            run: |it| {
                let volume = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "late"}}]);
                let object = Manifest::good("Deployment", "claiming").with("/spec/replicas", json!(1));
                it.stored(&object.pod("/volumes", volume).into())?;
                let spec = json!({"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}});
                last(
                    it,
                    &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "late"}, "spec": spec}),
                )
            },
        },
        Try {
            name: "job-last",
            exploits: "a Job, after a budget for a Deployment that can't be computed for Jobs",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                it.made("Deployment", "later-job")?;
                it.stored(&budget("later-job", json!({"maxUnavailable": 1})))?;
                let job = Manifest::good("Job", "later-job");
                last(it, &job.with("/spec/template/metadata/labels", json!({"app": "later-job"})).into())
            },
        },
        Try {
            name: "selectors-by-a-forged-owner",
            exploits: "a second Deployment that selects the first one's Pods, with an owner that does not exist",
            by: Policy(&[SELECTORS]),
            run: |it| {
                it.made("Deployment", "first")?;
                last(it, &overlapping("first", json!([owner("apps/v1", "Deployment", "nobody", FORGED)])))
            },
        },
        Try {
            name: "selectors-by-a-wrong-uid",
            exploits: "the same, with an existing owner and a wrong uid",
            by: Policy(&[SELECTORS]),
            run: |it| {
                it.made("Deployment", "wrong-uid")?;
                last(it, &overlapping("wrong-uid", json!([owner("apps/v1", "Deployment", "wrong-uid", FORGED)])))
            },
        },
        Try {
            name: "selectors-by-a-real-uid",
            exploits: "the same with the right uid, although a Deployment creates no Deployments",
            by: Policy(&[SELECTORS]),
            run: |it| {
                let made = it.made("Deployment", "real-uid")?;
                let uid = made["metadata"]["uid"].as_str().context("a uid")?;
                last(it, &overlapping("real-uid", json!([owner("apps/v1", "Deployment", "real-uid", uid)])))
            },
        },
        Try {
            name: "selectors-by-an-unknown-owner",
            exploits: "the same, with an owner of an unknown kind",
            by: Policy(&[SELECTORS]),
            run: |it| {
                it.made("Deployment", "unknown-owner")?;
                last(it, &overlapping("unknown-owner", json!([owner("example.com/v1", "Shop", "shop", FORGED)])))
            },
        },
        Try {
            name: "selectors-by-a-stored-forgery",
            exploits: "the forged owner on the stored Deployment, and the other Deployment last",
            by: Policy(&[SELECTORS]),
            run: |it| {
                let forged = json!([owner("apps/v1", "Deployment", "nobody", FORGED)]);
                it.stored(&Manifest::good("Deployment", "stored").with("/metadata/ownerReferences", forged).into())?;
                last(it, &overlapping("stored", Value::Null))
            },
        },
        Try {
            name: "autoscalers-by-a-forged-owner",
            exploits: "a second autoscaler that claims KEDA as its creator",
            by: Policy(&["competing-autoscalers"]),
            run: |it| {
                it.made("Deployment", "contested")?;
                it.stored(&autoscaler("contested", "contested", 3))?;
                let mut object = autoscaler("contested-too", "contested", 3);
                object["metadata"]["ownerReferences"] = json!([owner("keda.sh/v1alpha1", "ScaledObject", "x", FORGED)]);
                last(it, &object)
            },
        },
        Try {
            name: "budget-over-pod-template-hash",
            exploits: "`maxUnavailable: 0` over a label that no pod template has",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                last(it, &selecting("by-hash", json!({"maxUnavailable": 0}), json!({"pod-template-hash": "5d8f7c9b4"})))
            },
        },
        Try {
            name: "budget-over-controller-revision-hash",
            exploits: "`minAvailable: 100%` over the label of a StatefulSet's revision",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                let labels = json!({"controller-revision-hash": "db-5d8f7c9b4"});
                last(it, &selecting("by-revision", json!({"minAvailable": "100%"}), labels))
            },
        },
        Try {
            name: "budget-over-a-pod-name",
            exploits: "`maxUnavailable: 0` over `statefulset.kubernetes.io/pod-name`",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                let labels = json!({"statefulset.kubernetes.io/pod-name": "db-0"});
                last(it, &selecting("by-name", json!({"maxUnavailable": 0}), labels))
            },
        },
        Try {
            name: "budget-over-one-of-three",
            exploits: "`maxUnavailable: 1` over one Pod of a StatefulSet of three: two must stay, and one is selected",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                it.made("StatefulSet", "three")?;
                let labels = json!({"statefulset.kubernetes.io/pod-name": "three-0"});
                last(it, &selecting("one-of-three", json!({"maxUnavailable": 1}), labels))
            },
        },
        Try {
            name: "budget-over-a-pod-index",
            exploits: "`minAvailable: 1` over one Pod by `apps.kubernetes.io/pod-index`, as an expression",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                it.made("StatefulSet", "indexed")?;
                let mut object = budget("indexed", json!({"minAvailable": 1}));
                object["spec"]["selector"]["matchExpressions"] =
                    json!([{"key": "apps.kubernetes.io/pod-index", "operator": "In", "values": ["0"]}]);
                last(it, &object)
            },
        },
        Try {
            name: "budget-over-job-name",
            exploits: "a budget without a number over `batch.kubernetes.io/job-name`, which allows no eviction either",
            by: Policy(&[DEADLOCK]),
            run: |it| last(it, &selecting("by-job", json!({}), json!({"batch.kubernetes.io/job-name": "nightly"}))),
        },
        Try {
            name: "budget-of-an-absurd-number",
            exploits: "`minAvailable` beyond the Pods of any cluster, over Pods of a custom resource",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                let labels = json!({"strimzi.io/cluster": "events"});
                last(it, &selecting("absurd", json!({"minAvailable": 1_000_000}), labels))
            },
        },
        Try {
            name: "budget-by-existence",
            exploits: "`maxUnavailable: 0%` over every Pod that has a `job-name`",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                let mut object = budget("by-existence", json!({"maxUnavailable": "0%"}));
                object["spec"]["selector"] = json!({"matchExpressions": [{"key": "job-name", "operator": "Exists"}]});
                last(it, &object)
            },
        },
        Try {
            name: "budget-closed-by-a-patch",
            exploits: "a budget that selects nothing, closed by a patch once it is there",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                it.stored(&budget("closed-later", json!({"maxUnavailable": 1})))?;
                patched(it, "PodDisruptionBudget", "closed-later", &json!({"spec": {"maxUnavailable": 0}}))
            },
        },
        Try {
            name: "bare-pod-last",
            exploits: "a Pod without a workload, after a budget that expects only Pods of workloads",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                it.stored(&budget("bare", json!({"maxUnavailable": 1})))?;
                last(it, &labelled("bare", json!({"app": "bare"})).into())
            },
        },
        Try {
            name: "bare-pod-with-a-forged-owner",
            exploits: "the same Pod, with a claim that a ReplicaSet created it",
            by: Policy(&[DEADLOCK]),
            run: |it| {
                it.stored(&budget("claimed", json!({"minAvailable": "50%"})))?;
                let forged = json!([owner("apps/v1", "ReplicaSet", "nobody", FORGED)]);
                let pod = labelled("claimed", json!({"app": "claimed"})).with("/metadata/ownerReferences", forged);
                last(it, &pod.into())
            },
        },
        Try {
            name: "label-that-adds-a-budget",
            exploits: "a label that puts a running Pod under two budgets, so that its eviction is answered 500",
            by: Policy(&[OVERLAP]),
            run: |it| {
                it.made("Pod", "doubled")?;
                it.stored(&selecting("one-of-two", json!({"maxUnavailable": 1}), json!({"double": "yes"})))?;
                it.stored(&selecting("two-of-two", json!({"maxUnavailable": 1}), json!({"double": "yes"})))?;
                // The webhook must know both objects.
                sleep(Duration::from_secs(2));
                patched(it, "Pod", "doubled", &json!({"metadata": {"labels": {"double": "yes"}}}))
            },
        },
        Try {
            name: "stand-in-claimed",
            exploits: "a budget with the label of a stand-in, beside which another one seems to be alone",
            by: Policy(&[OVERLAP]),
            run: |it| {
                it.made("Deployment", "stand-in")?;
                let mut object = budget("stand-in", json!({"maxUnavailable": 1}));
                object["metadata"]["labels"] = json!({"plimsoll.dev/stand-in": "true"});
                it.stored(&object)?;
                object["metadata"] = json!({"name": "stand-in-too"});
                last(it, &object)
            },
        },
        Try {
            name: "stand-in-last",
            exploits: "the label on the second budget, with an owner that exists",
            by: Policy(&[OVERLAP]),
            run: |it| {
                let made = it.made("Deployment", "stand-in-last")?;
                let uid = made["metadata"]["uid"].as_str().context("a uid")?;
                let mut object = budget("stand-in-last", json!({"maxUnavailable": 1}));
                object["metadata"]["name"] = "honest".into();
                it.stored(&object)?;
                object["metadata"] = json!({"name": "stand-in-last", "labels": {"plimsoll.dev/stand-in": "true"},
                    "ownerReferences": [owner("apps/v1", "Deployment", "stand-in-last", uid)]});
                last(it, &object)
            },
        },
    ],
    controls: &[
        Control {
            name: "service-of-a-ready-deployment",
            run: |it| {
                it.made("Deployment", "ready")?;
                settled(it, &service("ready", json!({})))
            },
        },
        Control {
            name: "service-that-publishes-all",
            run: |it| {
                it.unready("Deployment", "published")?;
                settled(it, &service("published", json!({"publishNotReadyAddresses": true})))
            },
        },
        Control {
            name: "labels-of-an-old-service",
            run: |it| {
                it.unready("Deployment", "untouched")?;
                it.stored(&service("untouched", json!({"publishNotReadyAddresses": true})))?;
                it.patch(&it.at("Service", "untouched"), "merge", &json!({"metadata": {"labels": {"team": "shop"}}}))
            },
        },
        Control {
            name: "autoscaler-with-room",
            run: |it| {
                it.made("Deployment", "roomy")?;
                settled(it, &autoscaler("roomy", "roomy", 4))
            },
        },
        Control { name: "deployment-alone", run: |it| settled(it, &overlapping("alone", Value::Null)) },
        Control {
            name: "budget-over-a-pod-name-that-lets-it-go",
            run: |it| {
                let labels = json!({"statefulset.kubernetes.io/pod-name": "none-0"});
                settled(it, &selecting("open", json!({"maxUnavailable": 1}), labels))
            },
        },
        Control {
            name: "label-of-a-failover",
            run: |it| {
                it.made("Pod", "leader")?;
                it.stored(&selecting("leader", json!({"maxUnavailable": 1}), json!({"role": "leader"})))?;
                sleep(Duration::from_secs(2));
                it.patch(&it.at("Pod", "leader"), "merge", &json!({"metadata": {"labels": {"role": "leader"}}}))
            },
        },
        Control {
            name: "label-that-selects-nothing",
            run: |it| {
                it.made("Pod", "free")?;
                it.patch(&it.at("Pod", "free"), "merge", &json!({"metadata": {"labels": {"team": "shop"}}}))
            },
        },
        Control {
            name: "one-budget",
            run: |it| {
                it.made("Deployment", "guarded")?;
                settled(it, &budget("guarded", json!({"maxUnavailable": 1})))
            },
        },
    ],
};

/// A uid that no object has.
const FORGED: &str = "00000000-0000-4000-8000-000000000000";

impl Theme {
    pub(crate) fn stored(&self, object: &Value) -> Result<()> {
        let path = collection(object["kind"].as_str().unwrap_or_default(), self.namespace.name());
        let said = self.send("POST", &path, &[JSON], object.to_string().as_bytes())?;
        ensure!(said.admitted, "an object of the setup is refused: {}", said.text);
        Ok(())
    }

    /// A workload that no Service selects yet.
    fn unready(&self, kind: &str, name: &str) -> Result<()> {
        self.stored(&unready(kind, name).into())
    }
}

/// Repeats a dry run until it is refused, or until the watches must have reported everything.
fn until_refused(ask: impl Fn() -> Result<Said>) -> Result<Said> {
    let end = Instant::now() + PATIENCE;
    loop {
        let said = ask()?;
        if !said.admitted || Instant::now() > end {
            return Ok(said);
        }
        sleep(Duration::from_millis(200));
    }
}

pub(crate) fn last(it: &Theme, object: &Value) -> Result<Said> {
    let path = collection(object["kind"].as_str().unwrap_or_default(), it.namespace.name());
    let body = object.to_string();
    until_refused(|| it.send("POST", &format!("{path}?dryRun=All"), &[JSON], body.as_bytes()))
}

fn patched(it: &Theme, kind: &str, name: &str, patch: &Value) -> Result<Said> {
    until_refused(|| it.patch(&format!("{}?dryRun=All", it.at(kind, name)), "merge", patch))
}

/// Waits until the watches have reported everything.
fn settled(it: &Theme, object: &Value) -> Result<Said> {
    sleep(Duration::from_secs(2));
    it.create(object.clone())
}

fn unready(kind: &str, name: &str) -> Manifest {
    Manifest::good(kind, name).pod("/containers/0/readinessProbe", Value::Null).with("/spec/minReadySeconds", json!(10))
}

/// A Deployment whose update takes one Pod down.
fn tight(name: &str, replicas: u32) -> Value {
    let update = json!({"maxSurge": 1, "maxUnavailable": 1});
    Manifest::good("Deployment", name)
        .with("/spec/replicas", json!(replicas))
        .with("/spec/strategy/rollingUpdate", update)
        .into()
}

pub(crate) fn service(name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}});
    for (member, value) in spec.as_object().into_iter().flatten() {
        object["spec"][member] = value.clone();
    }
    object
}

fn autoscaler(name: &str, of: &str, least: u32) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": of});
    let spec = json!({"scaleTargetRef": target, "minReplicas": least, "maxReplicas": 10});
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec})
}

fn budget(name: &str, spec: Value) -> Value {
    selecting(name, spec, json!({"app": name}))
}

fn selecting(name: &str, mut spec: Value, labels: Value) -> Value {
    spec["selector"] = json!({"matchLabels": labels});
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec})
}

fn owner(version: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true})
}

/// A Deployment with these owners that selects the Pods of another Deployment.
fn overlapping(of: &str, owners: Value) -> Value {
    let mut object: Value = Manifest::good("Deployment", of).with("/metadata/ownerReferences", owners).into();
    object["metadata"]["name"] = format!("{of}-too").into();
    object
}

fn labelled(name: &str, labels: Value) -> Manifest {
    Manifest::good("Pod", name).with("/metadata/labels", labels)
}
