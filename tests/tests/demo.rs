//! `make demo CLUSTER=current`, on an API server that the demo reaches only by kubectl's kubeconfig.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use plimsoll_tests::{Assets, ControlPlane, Manifest, Namespace, Options, until};
use serde_json::json;

const BOTH: [&str; 2] = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];

fn demo() -> Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", Assets::find(&[])?.folder().display()));
    command.env_remove("KUBEBUILDER_ASSETS").env_remove("PLIMSOLL_DEMO_URL").env_remove("KUBECONFIG");
    command.args(["--cluster", "current"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

#[test]
fn a_strangers_cluster_is_left_as_it_was() -> Result<()> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let bystander = Namespace::new(&control_plane, "bystander")?;
    let bad = Manifest::good("Deployment", "web").pod("/containers/0/image", json!("registry.example/web:latest"));

    // The demo runs to its end. Meanwhile it must not disturb another namespace.
    let mut child = demo()?.env("KUBECONFIG", control_plane.kubeconfig()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        seen.push(line?);
        if seen.iter().any(|line| line.contains("2. `kubectl apply`")) {
            break;
        }
    }
    ensure!(configurations(&control_plane)?.len() == 2, "{seen:?}");
    let applied = bystander.kubectl().apply(&bad.to_string())?;
    ensure!(applied.status.success() && !applied.stderr.contains("Warning"), "{}", applied.stderr);
    seen.extend(lines.map_while(Result::ok));
    let output = child.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{stderr}\n{}", seen.join("\n"));
    ensure!(stderr.contains("kubectl's context `tests`"), "the context is not named: {stderr}");
    ensure!(stderr.contains("are deleted"), "{stderr}");
    ensure!(seen.iter().any(|line| line.contains("The demo is over")), "{seen:?}");
    // There is no node, so the demo shows the evictions: first refused, then explained, then accepted.
    let said = |text: &str| seen.iter().position(|line| line.contains(text));
    let (refused, why) = (said("would violate the pod's disruption budget"), said("minAvailable 2 of 2 Pods"));
    ensure!(refused.is_some() && refused < why && why < said("the same eviction succeeds"), "{seen:?}");
    nothing_is_left(&control_plane)?;

    // Ctrl-C in the middle.
    let mut child = demo()?.env("KUBECONFIG", control_plane.kubeconfig()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout")?).lines();
    while !lines.next().context("the demo ended early")??.contains("2. `kubectl apply`") {}
    ensure!(configurations(&control_plane)?.len() == 2, "no configurations in the middle");
    Command::new("kill").args(["-s", signal()?]).arg(child.id().to_string()).status()?;
    ensure!(!child.wait()?.success(), "the demo succeeded after Ctrl-C");
    let mut stderr = String::new();
    child.stderr.take().context("stderr")?.read_to_string(&mut stderr)?;
    ensure!(stderr.contains("are deleted"), "{stderr}");
    nothing_is_left(&control_plane)?;

    // An address that the API server cannot reach: the demo says so, and still cleans up.
    let output = demo()?
        .env("KUBECONFIG", control_plane.kubeconfig())
        .env("PLIMSOLL_DEMO_URL", "https://192.0.2.1:39443")
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "the API server reached 192.0.2.1: {stderr}");
    ensure!(stderr.contains("Set PLIMSOLL_DEMO_URL") && stderr.contains("are deleted"), "{stderr}");
    nothing_is_left(&control_plane)
}

#[test]
fn nowhere_is_an_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = demo()?.env("KUBECONFIG", folder.path().join("none")).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && stderr.contains("kubectl has no current cluster"), "{stderr}");

    let dead = folder.path().join("dead");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "dead",
        "clusters": [{"name": "dead", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "dead", "user": {}}],
        "contexts": [{"name": "dead", "context": {"cluster": "dead", "user": "dead"}}],
    });
    std::fs::write(&dead, config.to_string())?;
    let output = demo()?.env("KUBECONFIG", &dead).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && stderr.contains("context `dead`"), "{stderr}");
    ensure!(stderr.contains("does not answer"), "{stderr}");

    let output = Command::new(env!("CARGO_BIN_EXE_demo")).args(["--cluster", "production"]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && stderr.contains("CLUSTER=current"), "{stderr}");
    Ok(())
}

/// The signal of Ctrl-C. A background process of a script ignores INT, and its children do too: then TERM.
fn signal() -> Result<&'static str> {
    const INT: u64 = 1 << (2 - 1);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.map_or(Ok(0), |mask| u64::from_str_radix(mask.trim(), 16))?;
    Ok(if ignored & INT == 0 { "INT" } else { "TERM" })
}

fn configurations(control_plane: &ControlPlane) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for kind in BOTH {
        let found = control_plane.kubectl().ok(&["get", kind, "--output=name"])?;
        names.extend(found.lines().map(str::to_owned));
    }
    Ok(names)
}

fn nothing_is_left(control_plane: &ControlPlane) -> Result<()> {
    let left = configurations(control_plane)?;
    ensure!(left.is_empty(), "{left:?}");
    until(Duration::from_secs(60), "the namespace is gone", || {
        let names = control_plane.kubectl().ok(&["get", "namespaces", "--output=name"])?;
        Ok((!names.contains("plimsoll-demo")).then_some(()))
    })
}
