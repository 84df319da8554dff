//! While nothing answers: what is judged is refused, and what a cluster needs to come up again is not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{ControlPlane, Manifest, Namespace, Options, Webhook, WebhookOptions, until};
use serde_json::{Value, json};

#[test]
fn while_it_is_down() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let namespace = Namespace::new(&control_plane, "down")?;
    let mut webhook = Webhook::start(&control_plane, &WebhookOptions::default())?;
    let admin = control_plane.kubectl();
    until(Duration::from_secs(30), "what can deny is registered to fail closed", || {
        let configuration = admin.get("validatingwebhookconfiguration", "plimsoll")?;
        Ok((configuration["webhooks"][0]["failurePolicy"] == "Fail").then_some(()))
    })?;
    ensure!(webhook.stop(), "it does not end well");

    for object in [Manifest::good("Deployment", "web"), Manifest::good("Pod", "web")] {
        let output = namespace.kubectl().create(&object.to_string())?;
        let closed = output.stderr.contains("failed calling webhook \"validate.plimsoll.dev\"");
        ensure!(closed && !output.status.success(), "{}: {}", object.kind(), output.stderr);
    }
    for object in needed() {
        let output = admin.create(&object.to_string())?;
        output.ok().with_context(|| format!("{} is in the way", object["kind"]))?;
    }
    // A controller goes on with what its owner says, and a deletion with what is no longer wanted.
    let system = admin.in_namespace("kube-system");
    system.create(&Manifest::good("Deployment", "addon").to_string())?.ok()?;
    admin.ok(&["delete", "namespace", namespace.name(), "--wait=false"])?;
    Ok(())
}

/// Kinds that lie in no namespace, where a selector of namespaces says nothing, and what a control plane lives by.
fn needed() -> Vec<Value> {
    let named = |name: &str| json!({"name": name});
    vec![
        json!({"apiVersion": "v1", "kind": "Node", "metadata": named("node")}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": named("next")}),
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": named("urgent"), "value": 1}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": named("reader"), "rules": []}),
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "leader", "namespace": "kube-system"}, "spec": {"holderIdentity": "a"}}),
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "seen", "namespace": "default"},
            "involvedObject": {"kind": "Namespace", "name": "default", "namespace": "default"}, "reason": "Tried"}),
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": "alice", "resourceAttributes": {"verb": "get", "resource": "pods"}}}),
    ]
}
