//! A kind with a pod template that nobody knows but the configuration: judged, and counted, as the known ones are.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use plimsoll_tests::{
    ControlPlane, Manifest, Namespace, Options, Webhook, WebhookOptions, causes, denied_policies, plimsoll_binary,
    until,
};
use serde_json::{Value, json};

const CONFIG: &str = "
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: default}
spec:
  mode: enforce
  profile: production
  workloads: [{group: fleets.example, kind: Fleet, template: /spec/crew/template}]
";

fn fleet(name: &str, replicas: u32, image: &str) -> Value {
    let mut deployment = Manifest::good("Deployment", name).with("/spec/replicas", json!(replicas)).object().clone();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    let spec = deployment["spec"].take();
    json!({
        "apiVersion": "fleets.example/v1", "kind": "Fleet", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": spec["selector"], "crew": {"template": spec["template"]}},
    })
}

fn budget(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": name}});
    spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec})
}

#[test]
fn in_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("config"), CONFIG)?;
    let check = |config: &[&str], objects: &[Value]| -> Result<Vec<(String, String)>> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        fs::write(folder.path().join("set.json"), list.to_string())?;
        let output = Command::new(plimsoll_binary()?)
            .current_dir(folder.path())
            .args(["check", "--world=closed", "--format=json", "set.json"])
            .args(config)
            .output()?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or_default().to_owned();
        Ok(findings.iter().map(|finding| (text(finding, "policy"), text(finding, "message"))).collect())
    };
    let two = budget("ships", json!({"minAvailable": 2}));
    let objects = [fleet("ships", 2, "registry.example/ship:latest"), two];
    let known = check(&["--config=config"], &objects)?;
    let says = |found: &[(String, String)], policy: &str, text: &str| {
        found.iter().any(|(id, message)| id == policy && message.contains(text))
    };
    ensure!(says(&known, "latest-image-tag", "latest"), "{known:?}");
    ensure!(says(&known, "drain-deadlock", "minAvailable 2 of 2 Pods (Fleet ships)"), "{known:?}");
    ensure!(!says(&known, "dangling-disruption-budget", ""), "{known:?}");
    // Who is not told of the kind sees a budget of nobody.
    let unknown = check(&[], &objects)?;
    ensure!(!says(&unknown, "latest-image-tag", "") && says(&unknown, "dangling-disruption-budget", ""), "{unknown:?}");
    // It selects as others do, and shares volumes as others do.
    let mut other = Manifest::good("Deployment", "boats").with("/spec/replicas", json!(1)).object().clone();
    other["spec"]["template"]["metadata"]["labels"]["app"] = "ships".into();
    other["spec"]["selector"]["matchLabels"] = json!({"app": "ships"});
    let mut mounting = fleet("ships", 2, "registry.example/ship:1.2.0");
    mounting["spec"]["crew"]["template"]["spec"]["volumes"] =
        json!([{"name": "hold", "persistentVolumeClaim": {"claimName": "hold"}}]);
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "hold"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let both = check(&["--config=config"], &[other, mounting, claim])?;
    ensure!(
        says(&both, "overlapping-workload-selectors", "Fleet ships")
            || says(&both, "overlapping-workload-selectors", "Deployment boats"),
        "{both:?}"
    );
    ensure!(says(&both, "volume-shared-by-replicas", "2 Pods"), "{both:?}");
    // And a missing one is asked for.
    let alone = check(&["--config=config"], &[fleet("ships", 2, "registry.example/ship:1.2.0")])?;
    ensure!(says(&alone, "missing-disruption-budget", "2 Pods"), "{alone:?}");
    Ok(())
}

#[test]
fn in_the_cluster() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "fleets.fleets.example"},
        "spec": {
            "group": "fleets.example", "scope": "Namespaced", "names": {"plural": "fleets", "kind": "Fleet"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
                "subresources": {
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
            }],
        },
    });
    control_plane.kubectl().create(&crd.to_string())?.ok()?;
    control_plane.kubectl().ok(&["wait", "--for=condition=Established", "crd/fleets.fleets.example"])?;
    let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(CONFIG))?;
    let namespace = Namespace::new(&control_plane, "fleets")?;
    let kubectl = namespace.kubectl();

    // So verbose that it logs the causes of a refusal.
    let latest = fleet("ships", 3, "registry.example/ship:latest").to_string();
    let latest = kubectl.run(&["apply", "--filename=-", "-v=4"], Some(&latest))?;
    ensure!(
        denied_policies(&latest.stderr).is_some_and(|ids| ids.iter().eq(["latest-image-tag"])),
        "{}",
        latest.stderr
    );
    let place = "spec.crew.template.spec.containers[app].image";
    let causes = causes(&latest.stderr).context("no causes")?;
    ensure!(causes.iter().any(|[_, path, _]| path == place), "{causes:?}");
    kubectl.apply(&fleet("ships", 3, "registry.example/ship:1.2.0").to_string())?.ok()?;

    // Counted, in both directions.
    let closed = until(Duration::from_secs(30), "a budget of all Pods is denied", || {
        let three = budget("ships", json!({"minAvailable": 3})).to_string();
        let output = kubectl.run(&["apply", "--dry-run=server", "--filename=-"], Some(&three))?;
        Ok((!output.status.success()).then_some(output.stderr))
    })?;
    ensure!(closed.contains("minAvailable 3 of 3 Pods (Fleet ships)"), "{closed}");
    let applied = kubectl.apply(&budget("ships", json!({"minAvailable": 2})).to_string())?;
    ensure!(applied.status.success() && !applied.stderr.contains("Warning"), "{}", applied.stderr);
    let scale = until(Duration::from_secs(30), "a scale to 2 is denied", || {
        let output = kubectl.run(&["scale", "fleet/ships", "--replicas=2", "--dry-run=server"], None)?;
        Ok((!output.status.success()).then_some(output.stderr))
    })?;
    ensure!(scale.contains("minAvailable 2 of 2 Pods (Fleet ships)"), "{scale}");
    Ok(())
}
