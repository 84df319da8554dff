//! A slow or silent API server: a denial stays a denial, and requests that must succeed succeed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use plimsoll_tests::{
    ControlPlane, Kubectl, Link, Manifest, Namespace, Options, Output, User, Webhook, WebhookOptions, denied_policies,
    until, warned_policies,
};
use serde_json::{Value, json};

const CONFIG: &str = r#"
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: main}
spec:
  mode: enforce
  profile: production
  enforceAfter: 0s
  policies:
    - {id: missing-disruption-budget, action: Deny}
    - {id: single-replica, action: "Off"}
"#;

struct Stage {
    control_plane: ControlPlane,
    link: Link,
    legacy: Namespace,
    _folder: tempfile::TempDir,
    webhook: Webhook,
}

/// Tests take turns, because all of them share the link.
fn stage() -> Result<std::sync::MutexGuard<'static, Stage>> {
    static STAGE: OnceLock<Result<std::sync::Mutex<Stage>, String>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| start().map(std::sync::Mutex::new).map_err(|error| format!("{error:#}")));
    let stage = stage.as_ref().map_err(|error| anyhow!("the stage is not set: {error}"))?;
    let stage = stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    stage.link.delay(Duration::ZERO);
    Ok(stage)
}

fn start() -> Result<Stage> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let legacy = Namespace::new(&control_plane, "legacy")?;
    legacy.kubectl().apply(&bad("ReplicaSet", "old").with("/spec/replicas", json!(0)).to_string())?.ok()?;
    let folder = tempfile::tempdir()?;
    let link = Link::to(&control_plane)?;
    let kubeconfig = Some(link.kubeconfig(control_plane.kubeconfig(), folder.path())?);
    let webhook =
        Webhook::start(&control_plane, &WebhookOptions { kubeconfig, ..WebhookOptions::with_config(CONFIG) })?;
    Ok(Stage { control_plane, link, legacy, _folder: folder, webhook })
}

fn bad(kind: &str, name: &str) -> Manifest {
    Manifest::good(kind, name).pod("/containers/0/image", json!("registry.example.com/shop:latest"))
}

fn protected(name: &str) -> Manifest {
    Manifest::good("Deployment", name).with("/metadata/annotations", json!({"plimsoll.dev/protect": "true"}))
}

fn budget(name: &str, app: &str) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}}})
}

fn is_refused(output: &Output) -> bool {
    !output.status.success() && output.stderr.contains("live-workload-removed")
}

fn set_image(kubectl: &Kubectl, workload: &str, tag: &str) -> Result<Output> {
    kubectl.run(&["set", "image", workload, &format!("app=registry.example.com/shop:{tag}")], None)
}

/// In an earlier version, the third try deleted the object, while the API server was busy with lists of Services.
#[test]
fn a_protected_object_stays_while_the_api_server_is_busy() -> Result<()> {
    let stage = stage()?;
    let namespace = Namespace::new(&stage.control_plane, "busy")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(&protected("kept").to_string())?.ok()?;
    let services: String = (0..200)
        .map(|number| {
            let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{number}")},
                "spec": {"clusterIP": "None", "ports": [{"port": 80}]}});
            format!("{service}\n")
        })
        .collect();
    kubectl.create(&services)?.ok()?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = kubectl.run(&["get", "services", "--output=name"], None);
                }
            });
        }
        let tried = (0..12).try_for_each(|attempt| {
            let output = kubectl.delete("deployment", "kept")?;
            ensure!(is_refused(&output), "the object was deleted by try {attempt}: {}", output.stderr);
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        tried
    })
}

#[test]
fn a_denial_stays_while_the_api_server_says_nothing() -> Result<()> {
    let stage = stage()?;
    let namespace = Namespace::new(&stage.control_plane, "silent")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(&protected("kept").to_string())?.ok()?;
    for delay in [Duration::from_millis(150), Duration::from_secs(60)] {
        stage.link.delay(delay);
        for attempt in 0..3 {
            let output = kubectl.delete("deployment", "kept")?;
            ensure!(is_refused(&output), "the object was deleted by try {attempt}: {}", output.stderr);
        }
        stage.link.delay(Duration::ZERO);
    }
    Ok(())
}

/// The webhook knows from its watch that a namespace is being deleted, before the API server falls silent. It does not
/// treat a new namespace as one that is being deleted.
#[test]
fn a_namespace_that_goes_can_be_emptied_while_the_api_server_says_nothing() -> Result<()> {
    let stage = stage()?;
    let admin = stage.control_plane.kubectl();
    let namespace = Namespace::new(&stage.control_plane, "going")?;
    let kubectl = namespace.kubectl();
    let held = protected("held").with("/metadata/finalizers", json!(["example.com/hold"]));
    kubectl.apply(&held.to_string())?.ok()?;
    admin.ok(&["delete", "namespace", namespace.name(), "--wait=false"])?;
    // The webhook learns of the deletion a moment later.
    until(Duration::from_secs(20), "the webhook allows deletions in the namespace", || {
        let output = kubectl.delete("deployment", "held")?;
        Ok(output.status.success().then_some(()))
    })?;
    stage.link.stall();
    let output = kubectl.run(&["delete", "deployment", "held", "--wait=false", "--grace-period=0", "--force"], None)?;
    ensure!(output.status.success(), "{}", output.stderr);
    // The webhook knows nothing about this namespace, so the denial stays.
    let next = Namespace::new(&stage.control_plane, "next")?;
    next.kubectl().apply(&protected("kept").to_string())?.ok()?;
    let output = next.kubectl().delete("deployment", "kept")?;
    ensure!(is_refused(&output), "{}", output.stderr);
    stage.link.delay(Duration::ZERO);
    kubectl.patch("deployment", "held", &json!({"metadata": {"finalizers": null}}))?.ok()?;
    Ok(())
}

/// The Pods of a controller are accepted, even if the API server does not confirm that their owner exists. A forged
/// owner is refused.
#[test]
fn an_owner_is_known_while_the_api_server_says_nothing() -> Result<()> {
    let stage = stage()?;
    let kubectl = stage.legacy.kubectl();
    stage.link.stall();
    kubectl.ok(&["scale", "replicaset/old", "--replicas=1"])?;
    let made = until(Duration::from_secs(60), "the ReplicaSet has a Pod", || {
        let pods = kubectl.list("pods")?;
        Ok(pods.into_iter().find(|pod| pod["metadata"]["ownerReferences"][0]["name"] == "old"))
    })?;
    let maker =
        kubectl.acting_as(&User::new("system:serviceaccount:kube-system:replicaset-controller", &["system:masters"]));
    for (pod, uid) in [
        ("real", made["metadata"]["ownerReferences"][0]["uid"].clone()),
        ("forged", json!("00000000-0000-0000-0000-000000000000")),
    ] {
        let owner =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "old", "uid": uid, "controller": true}]);
        let output = maker.create(&bad("Pod", pod).with("/metadata/ownerReferences", owner).to_string())?;
        ensure!(output.status.success() == (pod == "real"), "{pod}: {}", output.stderr);
        ensure!(pod == "real" || output.stderr.contains("latest-image-tag"), "{}", output.stderr);
    }
    stage.link.delay(Duration::ZERO);
    Ok(())
}

/// The watch shows that an object is missing, however many others exist, and even if the API server is silent.
#[test]
fn what_is_missing_stays_missing() -> Result<()> {
    let stage = stage()?;
    let namespace = Namespace::new(&stage.control_plane, "missing")?;
    let kubectl = namespace.kubectl();
    for name in ["none", "there"] {
        kubectl.apply(&Manifest::good("Deployment", name).to_string())?.ok()?;
    }
    let denied = |tag: &str| {
        let output = set_image(kubectl, "deployment/none", tag)?;
        let denied = denied_policies(&output.stderr);
        ensure!(denied.is_some_and(|it| it.contains("missing-disruption-budget")), "{tag}: {}", output.stderr);
        Ok(())
    };
    denied("2.0.0")?;
    stage.link.stall();
    denied("2.0.1")?;
    stage.link.delay(Duration::ZERO);
    // More objects than one page of a list holds, and none of them is the required one.
    let crowd: String = (0..600).map(|number| format!("{}\n", budget(&format!("b{number}"), "other"))).collect();
    kubectl.create(&crowd)?.ok()?;
    denied("2.0.2")?;
    stage.link.stall();
    denied("2.0.3")?;
    stage.link.delay(Duration::ZERO);
    // The webhook also notices a new object, and then needs no request to know it.
    kubectl.create(&budget("there", "there").to_string())?.ok()?;
    until(Duration::from_secs(20), "the budget counts", || {
        let output = set_image(kubectl, "deployment/there", "2.0.4")?;
        Ok(output.status.success().then_some(()))
    })?;
    stage.link.stall();
    let output = set_image(kubectl, "deployment/there", "2.0.5")?;
    stage.link.delay(Duration::ZERO);
    ensure!(output.status.success() && warned_policies(&output.stderr).is_empty(), "{}", output.stderr);
    ensure!(stage.webhook.log().contains("did not say in time"), "nothing was slow: {}", stage.webhook.log());
    Ok(())
}
