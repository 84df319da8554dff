//! A kind with a Pod template that only the configuration names. Policies review and count it like the known kinds.

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
  workloads: [{group: fleets.example, kind: Ferry, template: /spec/crew/template}]
";

fn fleet(name: &str, replicas: u32, image: &str) -> Value {
    let mut deployment = Manifest::good("Deployment", name).with("/spec/replicas", json!(replicas)).object().clone();
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    let spec = deployment["spec"].take();
    json!({
        "apiVersion": "fleets.example/v1", "kind": "Ferry", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": spec["selector"], "crew": {"template": spec["template"]}},
    })
}

fn budget(name: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": name}});
    spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec})
}

/// Kinds with a template in each item of a list, in each member of a map, and at several places.
const SEVERAL: &str = "
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: default}
spec:
  profile: production
  workloads:
    - {group: ray.io, kind: RayCluster, template: /spec/headGroupSpec/template, scaled: false}
    - {group: ray.io, kind: RayCluster, template: /spec/workerGroupSpecs/*/template, scaled: false}
    - {group: kubeflow.org, kind: PyTorchJob, template: /spec/pytorchReplicaSpecs/*/template, runsOn: false, scaled: false}
    - {group: serving.knative.dev, kind: Service, scaled: false}
";

/// Policy, place and message of a finding.
type Found = (String, String, String);

/// Runs `check` over objects with a configuration. Returns the findings and the standard error.
fn places(config: &str, objects: &[Value]) -> Result<(Vec<Found>, String)> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("config"), config)?;
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    fs::write(folder.path().join("set.yaml"), format!("---\n{}\n", documents.join("\n---\n")))?;
    let output = Command::new(plimsoll_binary()?)
        .current_dir(folder.path())
        .args(["check", "--world=closed", "--format=json", "--config=config", "set.yaml"])
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or_default().to_owned();
    let all = findings.iter().map(|it| (text(it, "policy"), text(it, "path"), text(it, "message"))).collect();
    Ok((all, errors))
}

#[test]
fn several_templates() -> Result<()> {
    let template = |app: &str, container: Value| json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}});
    let old = |name: &str| json!({"name": name, "image": "registry.example/ray:latest"});
    let right = json!({"name": "head", "image": "registry.example/ray:2.4"});
    let cluster = json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "rays"},
        "spec": {
            "headGroupSpec": {"template": template("head", right)},
            "workerGroupSpecs": [
                {"groupName": "small", "template": template("small", old("worker"))},
                {"groupName": "large", "template": template("large", old("worker"))},
            ],
        },
    });
    let job = json!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "train"},
        "spec": {"pytorchReplicaSpecs": {"Worker": {"template": template("train", old("pytorch"))}}},
    });
    let service = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "hello"},
        "spec": {"template": template("hello", json!({"image": "registry.example/hello:latest"}))},
    });
    let keeps = |app: &str| {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}},
        })
    };
    let budgets = ["large", "train", "nobody"].map(keeps);
    let (found, errors) = places(SEVERAL, &[&[cluster, job, service], budgets.as_slice()].concat())?;
    let of = |policy: &str| -> Vec<&str> {
        found.iter().filter(|(of, ..)| of == policy).map(|(_, pointer, _)| pointer.as_str()).collect()
    };
    let mut tags = of("latest-image-tag");
    tags.sort_unstable();
    let expected = [
        "/spec/pytorchReplicaSpecs/Worker/template/spec/containers/0/image",
        "/spec/template/spec/containers/0/image",
        "/spec/workerGroupSpecs/0/template/spec/containers/0/image",
        "/spec/workerGroupSpecs/1/template/spec/containers/0/image",
    ];
    ensure!(tags == expected, "{found:#?}\n{errors}");
    let is_by_place = |(policy, _, message): &(String, String, String)| {
        policy == "latest-image-tag" && message.contains("containers[0]")
    };
    ensure!(found.iter().any(is_by_place), "a container without a name must be named by its place: {found:#?}");
    // All templates count as Pods for the budget.
    let dangling: Vec<_> = found.iter().filter(|(policy, ..)| policy == "dangling-disruption-budget").collect();
    ensure!(dangling.len() == 1, "{dangling:#?}");
    Ok(())
}

#[test]
fn a_star_within_a_name_is_refused() -> Result<()> {
    let config = SEVERAL.replace("/spec/workerGroupSpecs/*/template", "/spec/worker*/template");
    let (found, errors) = places(&config, &[])?;
    ensure!(found.is_empty() && errors.contains("write `*` alone"), "{errors}");
    let config =
        SEVERAL.replace("/spec/workerGroupSpecs/*/template, scaled: false", "/spec/workerGroupSpecs/*/template");
    let (_, errors) = places(&config, &[])?;
    ensure!(errors.contains("says two things of `ray.io/RayCluster`"), "{errors}");
    Ok(())
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
    ensure!(says(&known, "drain-deadlock", "minAvailable 2 of 2 Pods (Ferry ships)"), "{known:?}");
    ensure!(!says(&known, "dangling-disruption-budget", ""), "{known:?}");
    // Without the configuration, the kind may have Pods, so the policies conclude nothing.
    let unknown = check(&[], &objects)?;
    ensure!(
        !says(&unknown, "latest-image-tag", "") && !says(&unknown, "dangling-disruption-budget", ""),
        "{unknown:?}"
    );
    // Policies about overlapping selectors and shared volumes apply to the kind too.
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
        says(&both, "overlapping-workload-selectors", "Ferry ships")
            || says(&both, "overlapping-workload-selectors", "Deployment boats"),
        "{both:?}"
    );
    ensure!(says(&both, "volume-shared-by-replicas", "2 Pods"), "{both:?}");
    // So does the policy about a missing budget.
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
        "metadata": {"name": "ferries.fleets.example"},
        "spec": {
            "group": "fleets.example", "scope": "Namespaced", "names": {"plural": "ferries", "kind": "Ferry"},
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
    control_plane.kubectl().ok(&["wait", "--for=condition=Established", "crd/ferries.fleets.example"])?;
    let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(CONFIG))?;
    let namespace = Namespace::new(&control_plane, "fleets")?;
    let kubectl = namespace.kubectl();

    // `-v=4` logs the causes of a denial.
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

    // The Pods count for the budget and for the scale.
    let closed = until(Duration::from_secs(30), "a budget of all Pods is denied", || {
        let three = budget("ships", json!({"minAvailable": 3})).to_string();
        let output = kubectl.run(&["apply", "--dry-run=server", "--filename=-"], Some(&three))?;
        Ok((!output.status.success()).then_some(output.stderr))
    })?;
    ensure!(closed.contains("minAvailable 3 of 3 Pods (Ferry ships)"), "{closed}");
    let applied = kubectl.apply(&budget("ships", json!({"minAvailable": 2})).to_string())?;
    ensure!(applied.status.success() && !applied.stderr.contains("Warning"), "{}", applied.stderr);
    let scale = until(Duration::from_secs(30), "a scale to 2 is denied", || {
        let output = kubectl.run(&["scale", "ferry/ships", "--replicas=2", "--dry-run=server"], None)?;
        Ok((!output.status.success()).then_some(output.stderr))
    })?;
    ensure!(scale.contains("minAvailable 2 of 2 Pods (Ferry ships)"), "{scale}");
    Ok(())
}
