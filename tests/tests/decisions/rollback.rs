//! A rollback restores an earlier revision. It is not denied for values that the webhook has filled in since, and the
//! webhook fills in nothing. Profile `default`, with controllers, over workloads that are older than the webhook.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{
    ControlPlane, Kubectl, Link, Namespace, Options, Webhook, WebhookOptions, until, warned_policies,
};
use serde_json::{Value, json};

const CONFIG: &str = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: main}\nspec: {mode: enforce, profile: production, policies: [{id: runs-as-root, action: Warn}]}\n";

const FIXED: &str = "app=registry.example.com/depot/pilot:3.3.0";

/// A workload with a user but without `runAsNonRoot`, which the webhook would add.
fn workload(kind: &str, name: &str, tag: &str) -> Value {
    let labels = json!({"app": name});
    let container = json!({
        "name": "app", "image": format!("registry.example.com/depot/pilot:{tag}"),
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
        "securityContext": {"allowPrivilegeEscalation": false},
    });
    let spec = json!({"securityContext": {"runAsUser": 1001}, "containers": [container]});
    let mut object = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}});
    if kind != "DaemonSet" {
        object["spec"]["replicas"] = json!(3);
    }
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

fn owned(kubectl: &Kubectl, kind: &str, name: &str) -> Result<Vec<Value>> {
    let revisions = if kind == "Deployment" { "replicasets" } else { "controllerrevisions" };
    let is_owned = |object: &Value| object["metadata"]["ownerReferences"][0]["name"] == name;
    Ok(kubectl.list(revisions)?.into_iter().filter(is_owned).collect())
}

/// The names of the revisions, in order. Waits until there are at least this many.
fn revisions(kubectl: &Kubectl, kind: &str, name: &str, count: usize) -> Result<Vec<String>> {
    until(Duration::from_secs(60), &format!("{kind} {name} has {count} revisions"), || {
        let names: Vec<String> = owned(kubectl, kind, name)?
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned))
            .collect();
        Ok((names.len() >= count).then_some(names))
    })
}

/// Waits until the controller has observed the latest generation.
fn settled(kubectl: &Kubectl, kind: &str, name: &str) -> Result<Value> {
    until(Duration::from_secs(60), &format!("{kind} {name} is seen by its controller"), || {
        let object = kubectl.get(kind, name)?;
        Ok((object["status"]["observedGeneration"] == object["metadata"]["generation"]).then_some(object))
    })
}

fn non_root(object: &Value) -> Option<bool> {
    object["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"].as_bool()
}

/// Changes the image to a fixed tag, which the webhook completes, and rolls back. The template is then the first one
/// again, and no third revision exists.
fn goes_back(kubectl: &Kubectl, kind: &str, name: &str) -> Result<()> {
    let workload = format!("{}/{name}", kind.to_lowercase());
    let before = settled(kubectl, kind, name)?["spec"]["template"].clone();
    let first = revisions(kubectl, kind, name, 1)?;
    ensure!(first.len() == 1, "{name}: {first:?}");
    kubectl.ok(&["set", "image", &workload, FIXED])?;
    let changed = settled(kubectl, kind, name)?;
    ensure!(non_root(&changed) == Some(true), "{name}: the change is not completed: {}", changed["spec"]["template"]);
    let both = revisions(kubectl, kind, name, 2)?;
    let output = kubectl.run(&["rollout", "undo", &workload], None)?;
    ensure!(output.status.success(), "{name}: {}", output.stderr);
    let after = settled(kubectl, kind, name)?;
    ensure!(after["spec"]["template"]["spec"] == before["spec"], "{name}: {}", after["spec"]["template"]);
    let last = revisions(kubectl, kind, name, 2)?;
    ensure!(last == both, "{name}: there were {both:?}, and now {last:?}");
    match kind {
        "Deployment" => {
            let set = kubectl.get("replicaset", &first[0])?;
            ensure!(set["spec"]["replicas"] == 3, "{name}: the running revision is not {}", first[0]);
        }
        "StatefulSet" => ensure!(after["status"]["updateRevision"] == first[0], "{name}: {}", after["status"]),
        _ => {
            let newest = owned(kubectl, kind, name)?.into_iter().max_by_key(|it| it["revision"].as_i64());
            let newest = newest.context("no revision")?;
            ensure!(newest["metadata"]["name"] == first[0], "{name}: {}", newest["metadata"]);
        }
    }
    Ok(())
}

#[test]
fn a_rollback_is_what_it_was() -> Result<()> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let namespace = Namespace::new(&control_plane, "old")?;
    let kubectl = namespace.kubectl();
    let old = [
        ("Deployment", "pilot", "latest"),
        ("StatefulSet", "stateful", "latest"),
        ("DaemonSet", "everywhere", "latest"),
        ("Deployment", "goodback", "3.2.0"),
        ("Deployment", "reverted", "latest"),
        ("Deployment", "restarted", "3.2.0"),
        ("Deployment", "slow", "3.2.0"),
        ("Deployment", "slow-latest", "latest"),
    ];
    for (kind, name, tag) in old {
        kubectl.apply(&workload(kind, name, tag).to_string())?.ok()?;
    }
    for (kind, name, _) in old {
        revisions(kubectl, kind, name, 1)?;
    }
    let (folder, link) = (tempfile::tempdir()?, Link::to(&control_plane)?);
    let kubeconfig = Some(link.kubeconfig(control_plane.kubeconfig(), folder.path())?);
    let _webhook =
        Webhook::start(&control_plane, &WebhookOptions { kubeconfig, ..WebhookOptions::with_config(CONFIG) })?;

    for (kind, name) in
        [("Deployment", "pilot"), ("StatefulSet", "stateful"), ("DaemonSet", "everywhere"), ("Deployment", "goodback")]
    {
        goes_back(kubectl, kind, name)?;
    }
    applied_again(kubectl)?;
    restarted(kubectl)?;
    while_nothing_is_known(kubectl, &link)
}

/// The rollback of a GitOps tool applies the earlier manifest. Values that the webhook filled in meanwhile stay.
fn applied_again(kubectl: &Kubectl) -> Result<()> {
    kubectl.apply(&workload("Deployment", "reverted", "3.3.0").to_string())?.ok()?;
    ensure!(non_root(&settled(kubectl, "Deployment", "reverted")?) == Some(true), "the change is not completed");
    revisions(kubectl, "Deployment", "reverted", 2)?;
    let output = kubectl.apply(&workload("Deployment", "reverted", "latest").to_string())?;
    ensure!(output.status.success(), "{}", output.stderr);
    ensure!(warned_policies(&output.stderr).contains("latest-image-tag"), "{}", output.stderr);
    // The same tag of another image is not the earlier revision.
    let mut other = workload("Deployment", "reverted", "latest");
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("registry.example.com/other:latest");
    let output = kubectl.apply(&other.to_string())?;
    ensure!(!output.status.success() && output.stderr.contains("latest-image-tag"), "{}", output.stderr);
    Ok(())
}

/// A restart, or a new label of the template, replaces Pods with equal Pods. The webhook fills in nothing.
fn restarted(kubectl: &Kubectl) -> Result<()> {
    kubectl.ok(&["rollout", "restart", "deployment/restarted"])?;
    let labelled = json!({"spec": {"template": {"metadata": {"labels": {"team": "shop"}}}}});
    kubectl.patch("deployment", "restarted", &labelled)?.ok()?;
    let stored = kubectl.get("deployment", "restarted")?;
    let template = &stored["spec"]["template"];
    ensure!(template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string(), "{template}");
    ensure!(template["metadata"]["labels"]["team"] == "shop" && non_root(&stored).is_none(), "{template}");
    // A change of the Pods is completed.
    kubectl.ok(&["set", "image", "deployment/restarted", FIXED])?;
    ensure!(non_root(&kubectl.get("deployment", "restarted")?) == Some(true));
    Ok(())
}

/// If the revisions cannot be read, the webhook fills in nothing, and a denial stays.
fn while_nothing_is_known(kubectl: &Kubectl, link: &Link) -> Result<()> {
    for name in ["slow", "slow-latest"] {
        kubectl.ok(&["set", "image", &format!("deployment/{name}"), FIXED])?;
        settled(kubectl, "Deployment", name)?;
        revisions(kubectl, "Deployment", name, 2)?;
    }
    link.stall();
    let slow = kubectl.run(&["rollout", "undo", "deployment/slow"], None)?;
    let latest = kubectl.run(&["rollout", "undo", "deployment/slow-latest"], None)?;
    link.delay(Duration::ZERO);
    ensure!(slow.status.success(), "{}", slow.stderr);
    ensure!(!latest.status.success() && latest.stderr.contains("latest-image-tag"), "{}", latest.stderr);
    let stored = settled(kubectl, "Deployment", "slow")?;
    ensure!(non_root(&stored).is_none(), "{}", stored["spec"]["template"]);
    ensure!(revisions(kubectl, "Deployment", "slow", 2)?.len() == 2);
    kubectl.ok(&["rollout", "undo", "deployment/slow-latest"])?;
    ensure!(revisions(kubectl, "Deployment", "slow-latest", 2)?.len() == 2);
    Ok(())
}
