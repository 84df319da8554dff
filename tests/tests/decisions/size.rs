//! An object that can be created can also be updated, freed of its finalizers, and deleted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{ControlPlane, Manifest, Namespace, Options, Webhook, WebhookOptions, until};
use serde_json::{Value, json};

const CONFIG: &str = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: main}\nspec: {mode: enforce, profile: mutate}\n";

/// Objects with many values, and objects with many bytes: in JSON, `<` takes six bytes.
fn large() -> Vec<(&'static str, Manifest)> {
    let held = |name: &str| {
        Manifest::good("Deployment", name)
            .with("/metadata/finalizers", json!(["example.com/hold"]))
            .with("/spec/replicas", json!(2))
            .pod("/securityContext/runAsNonRoot", Value::Null)
    };
    let long: Vec<Value> =
        (0..14).map(|number| json!({"name": format!("V{number}"), "value": "<".repeat(100_000)})).collect();
    vec![
        ("values", held("values").pod("/containers/0/args", json!(vec![""; 550_000]))),
        ("bytes", held("bytes").pod("/containers/0/env", json!(long))),
    ]
}

#[test]
fn the_largest_that_is_created_can_be_changed_and_deleted() -> Result<()> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(CONFIG))?;
    let namespace = Namespace::new(&control_plane, "large")?;
    let kubectl = namespace.kubectl();
    // Sent raw, because kubectl itself would write six bytes for each `<`, and exceed the limit of the API server.
    let path = format!("--raw=/apis/apps/v1/namespaces/{}/deployments", namespace.name());
    let create = |object: &Manifest| kubectl.run(&["create", &path, "--filename=-"], Some(&object.to_string()))?.ok();
    for (name, object) in large() {
        create(&object).context(name)?;
        let stored = kubectl.get("deployment", name)?;
        let non_root = stored.pointer("/spec/template/spec/securityContext/runAsNonRoot");
        ensure!(non_root == Some(&json!(true)), "{name} is not completed: {non_root:?}");
        for patch in [
            json!({"metadata": {"labels": {"team": "shop"}}}),
            json!({"spec": {"replicas": 3}}),
            json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 45}}}}),
        ] {
            kubectl.patch("deployment", name, &patch)?.ok().with_context(|| format!("{name}: {patch}"))?;
        }
        kubectl.delete("deployment", name)?.ok().context(name)?;
        kubectl.patch("deployment", name, &json!({"metadata": {"finalizers": null}}))?.ok().context(name)?;
        until(Duration::from_secs(30), &format!("{name} is gone"), || {
            Ok(kubectl.find("deployment", name)?.is_none().then_some(()))
        })?;
    }
    // The message names the limit, and the solution.
    let too_many = Manifest::good("Deployment", "more").pod("/containers/0/args", json!(vec![""; 1_040_000]));
    let output = kubectl.run(&["create", "--dry-run=server", "--filename=-"], Some(&too_many.to_string()))?;
    let says = |words: &str| output.stderr.contains(words);
    ensure!(says("an object may have 1000000") && says("split it into several"), "{}", output.stderr);
    // The namespace can be deleted too.
    let name = namespace.name().to_owned();
    for (_, object) in large() {
        let without = object.with("/metadata/finalizers", Value::Null);
        create(&without)?;
    }
    let admin = control_plane.kubectl();
    admin.ok(&["delete", "namespace", &name, "--wait=false"])?;
    until(Duration::from_secs(120), "the namespace is gone", || {
        Ok(admin.find("namespace", &name)?.is_none().then_some(()))
    })
}
