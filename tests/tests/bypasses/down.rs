//! While no webhook answers: reviewed objects are refused, and everything that a cluster needs to recover is accepted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{ControlPlane, Manifest, Namespace, Options, User, Webhook, WebhookOptions, until};
use serde_json::{Value, json};

#[test]
fn while_it_is_down() -> Result<()> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let namespace = Namespace::new(&control_plane, "down")?;
    let mut webhook = Webhook::start(&control_plane, &WebhookOptions::default())?;
    let admin = control_plane.kubectl();
    until(Duration::from_secs(30), "the denying webhooks are registered with failurePolicy Fail", || {
        let configuration = admin.get("validatingwebhookconfiguration", "plimsoll")?;
        Ok((configuration["webhooks"][0]["failurePolicy"] == "Fail").then_some(()))
    })?;
    let keep = json!({"plimsoll.dev/protect": "true"});
    let objects = [
        Manifest::good("Deployment", "kept").with("/metadata/annotations", keep.clone()),
        Manifest::good("StatefulSet", "kept-too").with("/metadata/annotations", keep),
        Manifest::good("Deployment", "let-go").with("/metadata/annotations", json!({"plimsoll.dev/protect": "false"})),
        Manifest::good("StatefulSet", "let-go-too"),
    ];
    for object in objects {
        namespace.kubectl().create(&object.to_string())?.ok()?;
    }
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}});
    namespace.kubectl().create(&claim.to_string())?.ok()?;
    ensure!(webhook.stop(), "the webhook failed on SIGTERM");

    for object in [Manifest::good("Deployment", "web"), Manifest::good("Pod", "web")] {
        let output = namespace.kubectl().create(&object.to_string())?;
        let closed = output.stderr.contains("failed calling webhook \"validate.plimsoll.dev\"");
        ensure!(closed && !output.status.success(), "{}: {}", object.kind(), output.stderr);
    }
    // Protected objects cannot be deleted while the webhook is down. All other objects can.
    for (kind, kept, other) in [("deployment", "kept", "let-go"), ("statefulset", "kept-too", "let-go-too")] {
        let output = namespace.kubectl().delete(kind, kept)?;
        let closed = output.stderr.contains("failed calling webhook \"protected.plimsoll.dev\"");
        ensure!(closed && !output.status.success(), "{kind}: {}", output.stderr);
        namespace.kubectl().ok(&["delete", kind, other])?;
    }
    // Only the scheduler may write the node of a claim.
    let annotate = ["annotate", "persistentvolumeclaim", "data", "volume.kubernetes.io/selected-node=node"];
    let output = namespace.kubectl().run(&annotate, None)?;
    ensure!(output.stderr.contains("failed calling webhook \"validate.plimsoll.dev\""), "{}", output.stderr);
    let scheduler = User::new("system:kube-scheduler", &["system:masters"]);
    namespace.kubectl().acting_as(&scheduler).ok(&annotate)?;
    for object in needed() {
        let output = admin.create(&object.to_string())?;
        output.ok().with_context(|| format!("{} is refused", object["kind"]))?;
    }
    // Controllers can still create objects for accepted owners, and delete unwanted objects.
    let system = admin.in_namespace("kube-system");
    system.create(&Manifest::good("Deployment", "addon").to_string())?.ok()?;
    admin.ok(&["delete", "namespace", namespace.name(), "--wait=false"])?;
    // The protected objects are deleted with the namespace. So is the claim: a controller removes its finalizer.
    until(Duration::from_secs(60), "the namespace is gone", || {
        Ok(admin.find("namespace", namespace.name())?.is_none().then_some(()))
    })?;
    Ok(())
}

/// Kinds without a namespace, to which a namespace selector does not apply, and kinds that a control plane needs.
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
