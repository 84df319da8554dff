//! Requests that must always succeed, and requests that only look like them: rollbacks, metadata, owners, autoscalers,
//! deletions, companions, broken glass, exemptions. Mode `enforce`, on a control plane with controllers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use plimsoll_tests::{
    ControlPlane, Helm, Kubectl, Manifest, Namespace, Options, Output, User, Webhook, WebhookOptions, denied_policies,
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
  breakGlass: {users: [fire-brigade], groups: [on-call]}
  trustedControllers: ["system:serviceaccount:operators:database"]
  exemptionNamespaces: [plimsoll-exemptions]
  selfExempt: [rollout, image]
  namespaceModes:
    - {names: ["sandbox-*"], mode: observe}
    - {names: ["upgraded-*"], mode: "off"}
  policies:
    - {id: identical-probes, action: Deny}
    - {id: runs-as-root, action: Warn}
    - {id: missing-disruption-budget, action: "Off"}
---
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: companions}
spec:
  mode: enforce
  bundle: BUNDLE
  enforceAfter: 4s
---
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: before-the-upgrade}
spec:
  mode: "off"
  profile: production
  policiesAsOf: "0.0"
  namespaceModes: [{names: ["upgraded-*"], mode: enforce}]
---
apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: vendor, namespace: plimsoll-exemptions}
spec:
  policies: [latest-image-tag]
  match: {namespaces: ["exempt-*"], resourceRules: [{resources: [deployments], resourceNames: [vendor]}]}
  reason: the vendor publishes nothing else
  owner: team-shop
  expires: "2099-12-31"
---
apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: past, namespace: plimsoll-exemptions}
spec:
  policies: [latest-image-tag]
  match: {namespaces: ["exempt-*"], resourceRules: [{resources: [deployments], resourceNames: [past]}]}
  reason: it was needed for a while
  owner: team-shop
  expires: "2020-12-31"
"#;

struct Stage {
    control_plane: ControlPlane,
    legacy: Namespace,
    _folder: tempfile::TempDir,
    webhook: Webhook,
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    stage.as_ref().map_err(|error| anyhow!("the stage is not set: {error}"))
}

fn start() -> Result<Stage> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let legacy = Namespace::new(&control_plane, "legacy")?;
    for name in ["undone", "mixed", "labelled", "scaled"] {
        legacy.kubectl().apply(&bad("Deployment", name).to_string())?.ok()?;
    }
    legacy.kubectl().apply(&bad("StatefulSet", "stateful").to_string())?.ok()?;
    legacy.kubectl().apply(&bad("DaemonSet", "everywhere").to_string())?.ok()?;
    for (kind, name) in
        [("deployment", "undone"), ("deployment", "mixed"), ("statefulset", "stateful"), ("daemonset", "everywhere")]
    {
        let revisions = if kind == "deployment" { "replicasets" } else { "controllerrevisions" };
        until(Duration::from_secs(60), &format!("{kind} {name} has a revision"), || {
            let owned = legacy.kubectl().list(revisions)?.into_iter().any(|object| is_owned_by(&object, name));
            Ok(owned.then_some(()))
        })?;
    }
    let folder = tempfile::tempdir()?;
    let bundle = companion(folder.path())?;
    let config = CONFIG.replace("BUNDLE", &bundle.display().to_string());
    let kubeconfig = Some(as_installed(&control_plane, folder.path())?);
    let webhook =
        Webhook::start(&control_plane, &WebhookOptions { kubeconfig, ..WebhookOptions::with_config(&config) })?;
    Ok(Stage { control_plane, legacy, _folder: folder, webhook })
}

/// A kubeconfig of the chart's ServiceAccount, so that the tests run with the rights of the chart only.
fn as_installed(control_plane: &ControlPlane, folder: &Path) -> Result<PathBuf> {
    let kubectl = control_plane.kubectl().in_namespace("plimsoll");
    kubectl.ok(&["create", "namespace", "plimsoll"])?;
    let chart = Helm::chart().display().to_string();
    let image = "--set=image.repository=registry.example.com/plimsoll";
    let mut arguments = vec!["template", "plimsoll", &chart, "--namespace=plimsoll", image];
    // For the policies of the fixture.
    let rule = |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": ["get", "list", "watch"]});
    let rules = json!([rule("", "configmaps"), rule("policy", "poddisruptionbudgets")]);
    let extra = format!("--set-json=extraRules={rules}");
    arguments.push(&extra);
    arguments.extend(["--show-only=templates/serviceaccount.yaml", "--show-only=templates/rbac.yaml"]);
    kubectl.apply(&Helm::with_cluster(control_plane.kubeconfig())?.ok(&arguments)?)?.ok()?;
    let token = kubectl.ok(&["create", "token", "plimsoll", "--duration=1h"])?;
    let mut config: Value = serde_json::from_str(&fs::read_to_string(control_plane.kubeconfig())?)?;
    config["users"][0]["user"] = json!({"token": token.trim()});
    let file = folder.join("account.kubeconfig");
    fs::write(&file, config.to_string())?;
    Ok(file)
}

/// The bundle of the fixture, as a file.
fn companion(folder: &Path) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let module = plimsoll_bundle::compile(&root.join("Cargo.toml"), "plimsoll-companion", &root.join("target/guests"))?;
    let metadata = plimsoll_companion::metadata().to_json()?;
    let component = plimsoll_bundle::componentize(&fs::read(module)?, plimsoll_sdk::metadata::SECTION, &metadata)?;
    let file = folder.join("companion.wasm");
    fs::write(&file, component)?;
    Ok(file)
}

fn is_owned_by(object: &Value, name: &str) -> bool {
    object["metadata"]["ownerReferences"]
        .as_array()
        .is_some_and(|owners| owners.iter().any(|owner| owner["name"] == name))
}

fn bad(kind: &str, name: &str) -> Manifest {
    Manifest::good(kind, name).pod("/containers/0/image", json!("registry.example.com/shop:latest"))
}

fn namespace(prefix: &str) -> Result<Namespace> {
    Namespace::new(&stage()?.control_plane, prefix)
}

fn set_image(kubectl: &Kubectl, workload: &str, tag: &str) -> Result<Output> {
    kubectl.run(&["set", "image", workload, &format!("app=registry.example.com/shop:{tag}")], None)
}

#[track_caller]
fn assert_warned(output: Output, policies: &[&str]) {
    assert_eq!(Vec::from_iter(warned_policies(&output.stderr)), policies, "{}", output.stderr);
    output.ok().expect("the object is accepted");
}

#[track_caller]
fn assert_denied(output: &Output, policies: &[&str]) {
    let denied = denied_policies(&output.stderr).unwrap_or_default();
    assert_eq!(Vec::from_iter(&denied), policies, "{}", output.stderr);
    assert!(!output.status.success());
}

/// A rollback of each kind of workload succeeds, although its template would be denied today.
#[test]
fn a_rollback_is_never_denied() -> Result<()> {
    let kubectl = stage()?.legacy.kubectl();
    for workload in ["deployment/undone", "statefulset/stateful", "daemonset/everywhere"] {
        assert_warned(set_image(kubectl, workload, "1.5.0")?, &[]);
        // `undo` needs the new revision, which a controller records a moment later.
        until(Duration::from_secs(60), &format!("{workload} has two revisions"), || {
            let history = kubectl.ok(&["rollout", "history", workload])?;
            let numbers = history.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
            Ok((numbers.count() >= 2).then_some(()))
        })?;
        let other = ["set", "image", workload, "app=registry.example.com/other:latest"];
        assert_denied(&kubectl.run(&other, None)?, &["latest-image-tag"]);
        assert_warned(kubectl.run(&["rollout", "undo", workload], None)?, &["latest-image-tag"]);
    }
    Ok(())
}

/// The rolled-back template is not denied. Other changes of the same request are reviewed.
#[test]
fn a_rollback_covers_the_template_alone() -> Result<()> {
    let kubectl = stage()?.legacy.kubectl();
    assert_warned(set_image(kubectl, "deployment/mixed", "1.5.0")?, &[]);
    let stored = kubectl.get("deployment", "mixed")?;
    let back = bad("Deployment", "mixed")
        .with("/spec/strategy", json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}}));
    ensure!(stored["spec"]["replicas"].as_u64() > Some(1), "the fixture has more than one replica");
    let output = kubectl.apply(&back.to_string())?;
    let warned: BTreeSet<_> = warned_policies(&output.stderr);
    ensure!(warned.contains("latest-image-tag") && output.status.success(), "{}", output.stderr);
    Ok(())
}

/// Changes of labels, finalizers and the scale of an old workload.
#[test]
fn labels_finalizers_and_scaling() -> Result<()> {
    let kubectl = stage()?.legacy.kubectl();
    let patch = |patch: Value| kubectl.patch("deployment", "labelled", &patch);
    assert_warned(patch(json!({"metadata": {"labels": {"team": "shop"}}}))?, &["latest-image-tag"]);
    assert_warned(patch(json!({"metadata": {"finalizers": ["example.com/hold"]}}))?, &["latest-image-tag"]);
    assert_warned(kubectl.run(&["delete", "deployment", "labelled", "--wait=false"], None)?, &[]);
    ensure!(kubectl.get("deployment", "labelled")?["metadata"]["deletionTimestamp"].is_string());
    // An object that waits for its finalizers is still reviewed.
    assert_denied(
        &kubectl.run(&["set", "image", "deployment/labelled", "app=registry.example.com/other:latest"], None)?,
        &["latest-image-tag"],
    );
    assert_warned(patch(json!({"metadata": {"finalizers": null}}))?, &["latest-image-tag"]);
    let autoscaler = kubectl
        .acting_as(&User::new("system:serviceaccount:kube-system:horizontal-pod-autoscaler", &["system:masters"]));
    for replicas in ["7", "1", "0"] {
        autoscaler.ok(&["scale", "deployment/scaled", &format!("--replicas={replicas}")])?;
    }
    Ok(())
}

/// The ReplicaSet of an old workload may create Pods, although they violate policies.
#[test]
fn controllers_make_what_their_owner_says() -> Result<()> {
    let stage = stage()?;
    let kubectl = stage.legacy.kubectl();
    kubectl.ok(&["scale", "deployment/scaled", "--replicas=3"])?;
    until(Duration::from_secs(60), "three Pods of the old Deployment are there", || {
        let pods = kubectl.list("pods")?;
        let own =
            pods.iter().filter(|pod| pod["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("scaled-")));
        Ok((own.count() >= 3).then_some(()))
    })?;
    // Another user who sets the same owner is denied.
    let set =
        kubectl.list("replicasets")?.into_iter().find(|set| is_owned_by(set, "scaled")).context("no ReplicaSet")?;
    let owner = |name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true}]);
    let (name, uid) =
        (set["metadata"]["name"].as_str().unwrap_or_default(), set["metadata"]["uid"].as_str().unwrap_or_default());
    let forged = |pod: &str, name: &str, uid: &str| {
        bad("Pod", pod).with("/metadata/ownerReferences", owner(name, uid)).to_string()
    };
    assert_denied(&kubectl.create(&forged("forged", name, uid))?, &["latest-image-tag"]);
    let maker =
        kubectl.acting_as(&User::new("system:serviceaccount:kube-system:replicaset-controller", &["system:masters"]));
    let output = maker.create(&forged("made", name, uid))?;
    ensure!(output.stderr.is_empty(), "{}", output.stderr);
    output.ok()?;
    // Even the controller's identity needs an existing owner. The lenient webhook denies the others.
    for (pod, name, uid) in [("no-owner", "nobody", uid), ("other-owner", name, "00000000-0000-0000-0000-000000000000")]
    {
        let output = maker.create(&forged(pod, name, uid))?;
        ensure!(output.stderr.contains("\"lenient.plimsoll.dev\" denied the request"), "{pod}: {}", output.stderr);
    }
    Ok(())
}

/// Commands of users other than apply: run, debug.
#[test]
fn errands_of_people() -> Result<()> {
    let namespace = namespace("errands")?;
    let kubectl = namespace.kubectl();
    let smoke = |image: &str| {
        kubectl.run(&["run", "smoke", &format!("--image={image}"), "--restart=Never", "--", "curl", "shop"], None)
    };
    assert_denied(&smoke("curlimages/curl")?, &["latest-image-tag"]);
    smoke("curlimages/curl:8.10.1")?.ok()?;
    let container = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox:1.37", "targetContainerName": "smoke"}]}});
    let debug = |patch: &Value| {
        let patch = patch.to_string();
        kubectl.run(
            &["patch", "pod", "smoke", "--subresource=ephemeralcontainers", "--type=strategic", "--patch", &patch],
            None,
        )
    };
    debug(&container)?.ok()?;
    let latest = json!({"spec": {"ephemeralContainers": [{"name": "other", "image": "busybox", "targetContainerName": "smoke"}]}});
    assert_denied(&debug(&latest)?, &["latest-image-tag"]);
    Ok(())
}

/// Policies newer than `policiesAsOf` neither deny nor warn.
#[test]
fn an_upgrade_denies_nothing_new() -> Result<()> {
    let upgraded = namespace("upgraded")?;
    assert_warned(upgraded.kubectl().apply(&bad("Deployment", "web").to_string())?, &[]);
    let other = namespace("current")?;
    assert_denied(&other.kubectl().apply(&bad("Deployment", "web").to_string())?, &["latest-image-tag"]);
    Ok(())
}

/// Deletions of objects, collections and namespaces.
#[test]
fn deletions() -> Result<()> {
    let namespace = namespace("deleted")?;
    let kubectl = namespace.kubectl();
    let protected = |kind: &str, name: &str| {
        Manifest::good(kind, name).with("/metadata/annotations", json!({"plimsoll.dev/protect": "true"}))
    };
    let objects = [
        Manifest::good("Deployment", "plain"),
        Manifest::good("Deployment", "live"),
        protected("Deployment", "kept"),
        protected("StatefulSet", "kept-too"),
    ];
    for object in objects {
        kubectl.apply(&object.to_string())?.ok()?;
    }
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kept", "annotations": {"plimsoll.dev/protect": "true"}},
        "spec": {"selector": {"app": "kept"}, "ports": [{"port": 80}]}});
    kubectl.apply(&service.to_string())?.ok()?;
    for (kind, name) in [("deployment", "kept"), ("statefulset", "kept-too"), ("service", "kept")] {
        let output = kubectl.delete(kind, name)?;
        let refused = output.stderr.contains("\"protected.plimsoll.dev\" denied the request")
            && output.stderr.contains("live-workload-removed")
            && output.stderr.contains("remove the annotation");
        ensure!(refused, "{kind}: {}", output.stderr);
    }
    let scaled = |name: &str, replicas: u32| kubectl.run(&["scale", name, &format!("--replicas={replicas}")], None);
    assert_denied(&scaled("deployment/kept", 0)?, &["live-workload-removed"]);
    let output = kubectl.patch("statefulset", "kept-too", &json!({"spec": {"replicas": 0}}))?;
    assert_denied(&output, &["live-workload-removed"]);
    assert_warned(scaled("deployment/kept", 1)?, &[]);
    assert_warned(scaled("deployment/plain", 0)?, &["live-workload-removed"]);
    assert_warned(scaled("deployment/plain", 2)?, &[]);
    assert_warned(kubectl.delete("deployment", "plain")?, &[]);
    make_ready(kubectl, "live")?;
    let output = kubectl.run(&["delete", "deployment", "live", "-v=8"], None)?;
    eprintln!("{}", output.stderr);
    assert_warned(output, &["live-workload-removed"]);
    kubectl.ok(&["annotate", "statefulset", "kept-too", "plimsoll.dev/protect-"])?;
    kubectl.ok(&["delete", "statefulset", "kept-too"])?;
    // A namespace is deleted with all of its objects, protected or not.
    let name = namespace.name().to_owned();
    let admin = stage()?.control_plane.kubectl();
    admin.ok(&["delete", "namespace", &name, "--wait=false"])?;
    until(Duration::from_secs(120), "the namespace is gone", || {
        Ok(admin.find("namespace", &name)?.is_none().then_some(()))
    })
}

/// Without a kubelet, the test marks the Pods as ready. The controllers count them.
fn make_ready(kubectl: &Kubectl, deployment: &str) -> Result<()> {
    let ready =
        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
    until(Duration::from_secs(60), "the Deployment has a ready Pod", || {
        for pod in kubectl.list("pods")? {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            if name.starts_with(&format!("{deployment}-")) && pod["status"]["phase"] != "Running" {
                kubectl
                    .run(&["patch", "pod", name, "--subresource=status", "--type=merge", "--patch", &ready], None)?;
            }
        }
        let ready = kubectl.get("deployment", deployment)?["status"]["readyReplicas"].as_u64();
        Ok(ready.filter(|ready| *ready > 0))
    })
    .map(drop)
}

/// A missing object causes a denial only after the dependent object has reached a certain age.
#[test]
fn companions_count_by_age() -> Result<()> {
    let namespace = namespace("companions")?;
    let kubectl = namespace.kubectl();
    let needs = |name: &str| {
        Manifest::good("Deployment", name).with("/metadata/annotations", json!({"example.com/settings": name}))
    };
    for name in ["young", "old", "kept"] {
        let output = kubectl.apply(&needs(name).to_string())?;
        ensure!(output.stderr.is_empty(), "a CREATE must have no warning: {}", output.stderr);
        output.ok()?;
    }
    assert_warned(set_image(kubectl, "deployment/young", "1.5.0")?, &["missing-config-map"]);
    std::thread::sleep(Duration::from_secs(5));
    assert_denied(&set_image(kubectl, "deployment/old", "1.5.0")?, &["missing-config-map"]);
    assert_denied(&kubectl.patch("deployment", "old", &json!({"spec": {"replicas": 9}}))?, &["missing-config-map"]);
    // Unrelated changes are accepted without a warning.
    assert_warned(kubectl.patch("deployment", "old", &json!({"spec": {"replicas": 1}}))?, &[]);
    assert_warned(kubectl.run(&["label", "deployment/old", "team=shop"], None)?, &[]);
    kubectl.ok(&["create", "configmap", "old"])?;
    assert_warned(set_image(kubectl, "deployment/old", "1.5.0")?, &[]);
    Ok(())
}

#[test]
fn whoever_breaks_the_glass_is_let_through_and_recorded() -> Result<()> {
    let stage = stage()?;
    let namespace = namespace("glass")?;
    let kubectl = namespace.kubectl();
    assert_denied(&kubectl.apply(&bad("Deployment", "web").to_string())?, &["latest-image-tag"]);
    let users = [
        ("brigade", User::new("fire-brigade", &["system:masters"])),
        ("called", User::new("alice", &["on-call", "system:masters"])),
        ("database", User::new("system:serviceaccount:operators:database", &["system:masters"])),
    ];
    for (name, user) in &users {
        let output = kubectl.acting_as(user).apply(&bad("Deployment", name).to_string())?;
        assert_warned(output, &["latest-image-tag"]);
    }
    let arsonist = User::new("fire-brigade-2", &["system:masters", "on-call-not"]);
    assert_denied(&kubectl.acting_as(&arsonist).apply(&bad("Deployment", "x").to_string())?, &["latest-image-tag"]);
    let recorded = |name: &str| -> Result<Option<String>> {
        let events = kubectl.list("events")?;
        let of = events.iter().find(|event| event["involvedObject"]["name"] == name && event["reason"] == "BrokeGlass");
        Ok(of.and_then(|event| event["message"].as_str()).map(str::to_owned))
    };
    let message = until(Duration::from_secs(20), "there is an Event", || recorded("brigade"))?;
    assert_eq!(message, "fire-brigade broke the glass: latest-image-tag would have denied this");
    until(Duration::from_secs(20), "there is an Event", || recorded("called"))?;
    assert_eq!(recorded("database")?, None, "a trusted operator does not break the glass");
    ensure!(stage.webhook.log().contains("the glass was broken"), "{}", stage.webhook.log());
    // A dry run writes no Event.
    let brigade = kubectl.acting_as(&users[0].1);
    brigade.run(&["apply", "--dry-run=server", "--filename=-"], Some(&bad("Deployment", "tried").to_string()))?.ok()?;
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(recorded("tried")?, None);
    Ok(())
}

/// PolicyExemptions, and annotations that ignore a policy.
#[test]
fn exemptions_and_ignores() -> Result<()> {
    let namespace = namespace("exempt")?;
    let kubectl = namespace.kubectl();
    let output = kubectl.apply(&bad("Deployment", "vendor").to_string())?;
    ensure!(output.stderr.is_empty(), "{}", output.stderr);
    output.ok()?;
    assert_denied(&kubectl.apply(&bad("Deployment", "past").to_string())?, &["latest-image-tag"]);
    // An object with the same name and another kind. It has other labels.
    let other = bad("StatefulSet", "vendor")
        .with("/spec/selector/matchLabels/app", json!("other"))
        .with("/spec/template/metadata/labels/app", json!("other"));
    assert_denied(&kubectl.apply(&other.to_string())?, &["latest-image-tag"]);
    let elsewhere = self::namespace("elsewhere")?;
    assert_denied(&elsewhere.kubectl().apply(&bad("Deployment", "vendor").to_string())?, &["latest-image-tag"]);
    // The exemption covers the named policy only.
    let worse = bad("Deployment", "vendor").pod("/containers/0/resources", Value::Null);
    assert_denied(&kubectl.apply(&worse.to_string())?, &["missing-resource-requests"]);

    let ignoring = |name: &str, policy: &str, reason: &str| {
        bad("Deployment", name).with("/metadata/annotations", json!({format!("plimsoll.dev/ignore.{policy}"): reason}))
    };
    let allowed =
        elsewhere.kubectl().apply(&ignoring("ignoring", "latest-image-tag", "built in this cluster").to_string())?;
    ensure!(allowed.stderr.is_empty(), "{}", allowed.stderr);
    allowed.ok()?;
    for (policy, reason) in
        [("latest-image-tag", ""), ("latest-image-tag", "soon until=2020-01-01"), ("runs-as-root", "other")]
    {
        assert_denied(
            &elsewhere.kubectl().apply(&ignoring("denied", policy, reason).to_string())?,
            &["latest-image-tag"],
        );
    }
    let unbounded = Manifest::good("Deployment", "unbounded")
        .pod("/containers/0/resources", Value::Null)
        .with("/metadata/annotations", json!({"plimsoll.dev/ignore.missing-resource-requests": "please"}));
    assert_denied(&elsewhere.kubectl().apply(&unbounded.to_string())?, &["missing-resource-requests"]);
    let sandbox = self::namespace("sandbox")?;
    assert_warned(sandbox.kubectl().apply(&bad("Deployment", "vendor").to_string())?, &["latest-image-tag"]);
    Ok(())
}

/// Rollouts, with the resolved numbers in the message.
#[test]
fn rollouts_with_resolved_numbers() -> Result<()> {
    let kubectl = namespace("rollout")?;
    let kubectl = kubectl.kubectl();
    let rollout = |name: &str, replicas: u32, surge: Value, unavailable: Value| {
        Manifest::good("Deployment", name)
            .with("/spec/replicas", json!(replicas))
            .with("/spec/strategy", json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}))
            .to_string()
    };
    // No Service selects the Pods, so there is no finding.
    assert_warned(kubectl.apply(&rollout("one", 1, json!(1), json!(1)))?, &[]);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "two"},
        "spec": {"selector": {"app": "two"}, "ports": [{"port": 80, "targetPort": 8080}]}});
    kubectl.apply(&service.to_string())?.ok()?;
    let output = until(Duration::from_secs(30), "the Service is known", || {
        let output = kubectl
            .run(&["apply", "--dry-run=server", "--filename=-"], Some(&rollout("two", 2, json!(1), json!(2))))?;
        Ok((!output.status.success()).then_some(output))
    })?;
    ensure!(
        output.stderr.contains("2 replicas, maxSurge 1, maxUnavailable 2: an update takes 2 down, leaving 0"),
        "{}",
        output.stderr
    );
    assert_denied(&output, &["rollout-without-capacity"]);
    let output = kubectl.apply(&rollout("three", 3, json!(0), json!("25%")))?;
    ensure!(output.stderr.contains("25% of 3 rounds down to 0"), "{}", output.stderr);
    assert_warned(output, &["rollout-rounding-surprise"]);
    // The API server itself refuses this object.
    let output = kubectl.apply(&rollout("none", 3, json!(0), json!(0)))?;
    ensure!(
        !output.status.success() && output.stderr.contains("may not be 0 when `maxSurge` is 0"),
        "{}",
        output.stderr
    );
    Ok(())
}
