//! `plimsoll scan` on a cluster without Plimsoll, by a user with read access only, and `check` with the recorded
//! objects.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{ControlPlane, Manifest, Namespace, Options, plimsoll_binary, until};
use serde_json::{Value, json};

struct Run {
    status: Option<i32>,
    out: String,
    err: String,
}

fn plimsoll(arguments: &[&str], folder: &Path) -> Result<Run> {
    let output = Command::new(plimsoll_binary()?).args(arguments).current_dir(folder).output()?;
    Ok(Run {
        status: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// A kubeconfig of an account with the role `view`.
fn viewer(control_plane: &ControlPlane, folder: &Path) -> Result<String> {
    let kubectl = control_plane.kubectl().in_namespace("default");
    kubectl.ok(&["create", "serviceaccount", "viewer"])?;
    kubectl.ok(&["create", "clusterrolebinding", "viewer", "--clusterrole=view", "--serviceaccount=default:viewer"])?;
    let token = kubectl.ok(&["create", "token", "viewer", "--duration=1h"])?;
    let mut config: Value = serde_json::from_str(&fs::read_to_string(control_plane.kubeconfig())?)?;
    config["users"][0]["user"] = json!({"token": token.trim()});
    let file = folder.join("viewer.kubeconfig");
    fs::write(&file, config.to_string())?;
    Ok(file.display().to_string())
}

#[test]
fn a_cluster_without_plimsoll() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let kubeconfig = viewer(&control_plane, folder.path())?;
    let (shop, bank) = (Namespace::new(&control_plane, "shop")?, Namespace::new(&control_plane, "bank")?);
    let latest = |kind: &str, name: &str| {
        Manifest::good(kind, name).pod("/containers/0/image", json!("registry.example.com/app:latest"))
    };
    for (namespace, object) in [
        (&shop, latest("Deployment", "one")),
        (&shop, latest("StatefulSet", "two")),
        (&bank, latest("Deployment", "three")),
        (&bank, Manifest::good("Deployment", "web").with("/spec/replicas", json!(2))),
    ] {
        namespace.kubectl().apply(&object.to_string())?.ok()?;
    }
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}});
    bank.kubectl().apply(&budget.to_string())?.ok()?;
    until(Duration::from_secs(60), "the controllers have created Pods and computed the budget", || {
        let budget = bank.kubectl().get("poddisruptionbudget", "web")?;
        let pods = shop.kubectl().list("pods")?.len();
        Ok((budget["status"]["expectedPods"] == 2 && pods >= 1).then_some(()))
    })?;

    let run =
        plimsoll(&["scan", "--kubeconfig", &kubeconfig, "--profile=production", "--record", "record"], folder.path())?;
    ensure!(run.status == Some(0), "{}{}", run.out, run.err);
    ensure!(run.err.contains("read apps/Deployment: 3\n"), "no progress: {}", run.err);
    let blocked = format!("  {}/web  0 of 2 Pods are healthy, and 2 must stay\n", bank.name());
    ensure!(run.out.contains(&blocked), "{}", run.out);
    let row = format!("{} 2, {} 1\n", shop.name(), bank.name());
    let found = run.out.lines().find(|line| line.trim_start().starts_with("latest-image-tag")).unwrap_or_default();
    ensure!(format!("{found}\n").ends_with(&row), "Pods and ReplicaSets are their owners': {}", run.out);
    ensure!(run.out.contains("drain-deadlock"), "{}", run.out);
    ensure!(run.out.contains("`enforce` with profile `production` would deny "), "{}", run.out);

    let run =
        plimsoll(&["scan", "--kubeconfig", &kubeconfig, "--profile=production", "--format", "json"], folder.path())?;
    let scan: Value = serde_json::from_str(&run.out).context(run.err)?;
    ensure!(scan["schema"] == "plimsoll.dev/scan/v1" && scan["drains"][0]["name"] == "web", "{scan:#}");
    let denied = scan["denied"].as_array().context("denied")?;
    ensure!(denied.iter().all(|denied| denied["object"]["kind"] != "Pod"), "{denied:#?}");
    ensure!(scan["most"].as_array().is_some_and(|most| most.contains(&json!("latest-image-tag"))), "{scan:#}");

    // Files for that cluster are checked together with its objects: with the existing budget there, this is a deadlock.
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": bank.name()},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5}});
    fs::write(folder.path().join("hpa.yaml"), autoscaler.to_string())?;
    let run = plimsoll(&["check", "hpa.yaml"], folder.path())?;
    ensure!(!run.out.contains("drain-deadlock]"), "a finding needs the recorded cluster: {}", run.out);
    let run = plimsoll(&["check", "--context", "record", "hpa.yaml"], folder.path())?;
    ensure!(run.out.contains("error[drain-deadlock]") && run.status == Some(1), "{}{}", run.out, run.err);
    // The file changes a recorded object. `check` reports before the merge what `kubectl apply` would be refused for.
    let renamed = Manifest::good("Deployment", "web")
        .with("/metadata/namespace", json!(bank.name()))
        .with("/spec/selector/matchLabels/app", json!("renamed"))
        .with("/spec/template/metadata/labels/app", json!("renamed"));
    fs::write(folder.path().join("renamed.yaml"), renamed.to_string())?;
    let refusal = bank.kubectl().apply(&renamed.to_string())?;
    ensure!(refusal.stderr.contains("field is immutable"), "{}{}", refusal.stdout, refusal.stderr);
    let run = plimsoll(&["check", "--context", "record", "renamed.yaml"], folder.path())?;
    ensure!(run.out.contains("error[immutable-field-changed]") && run.status == Some(1), "{}{}", run.out, run.err);
    let run = plimsoll(&["check", "renamed.yaml"], folder.path())?;
    ensure!(!run.out.contains("immutable-field-changed]"), "a finding needs the record: {}", run.out);
    let files: Vec<String> = fs::read_dir(folder.path().join("record"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    ensure!(files.contains(&"policy.PodDisruptionBudget.json".to_owned()), "{files:?}");
    ensure!(!files.iter().any(|file| file.contains("Secret")), "{files:?}");
    Ok(())
}

#[test]
fn what_goes_wrong() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = plimsoll(&["scan", "--kubeconfig", "none"], folder.path())?;
    ensure!(run.status == Some(2) && run.err.contains("cannot use none"), "{}", run.err);
    let run = plimsoll(&["check", "--context", ".", "a.yaml"], folder.path())?;
    ensure!(run.status == Some(2), "{}", run.err);
    fs::write(folder.path().join("a.yaml"), "{apiVersion: v1, kind: Pod, metadata: {name: a}}")?;
    fs::create_dir(folder.path().join("empty"))?;
    let run = plimsoll(&["check", "--context", "empty", "a.yaml"], folder.path())?;
    ensure!(run.status == Some(2) && run.err.contains("neither a record nor a manifest is in it"), "{}", run.err);

    // For a user without read access, the error names the required role.
    let control_plane = ControlPlane::shared()?;
    let mut config: Value = serde_json::from_str(&fs::read_to_string(control_plane.kubeconfig())?)?;
    config["users"][0]["user"]["as"] = json!("nobody");
    let file = folder.path().join("nobody.kubeconfig");
    fs::write(&file, config.to_string())?;
    let run = plimsoll(&["scan", "--kubeconfig", &file.display().to_string()], folder.path())?;
    ensure!(
        run.status == Some(2) && run.err.contains("nothing could be read") && run.err.contains("`view`"),
        "{}",
        run.err
    );
    Ok(())
}
