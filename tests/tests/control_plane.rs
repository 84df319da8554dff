//! Tests of the harness: its control plane is a real one, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use plimsoll_tests::{ControlPlane, Namespace, Options, PLAIN, User, accepts, rejects};
use serde_json::{Value, json};

fn deployment(name: &str, replicas: i64) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: {replicas}\n  \
         selector:\n    matchLabels: {{app: web}}\n  template:\n    metadata:\n      labels: {{app: web}}\n    \
         spec:\n      containers:\n        - name: web\n          image: registry.example/web:1.0.0\n"
    )
}

fn pod(name: &str, account: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  serviceAccountName: {account}\n  \
         containers:\n    - name: web\n      image: registry.example/web:1.0.0\n"
    )
}

fn eventually(what: &str, mut ask: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while !ask()? {
        ensure!(Instant::now() < end, "timed out after 30 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn the_server_is_of_the_pinned_version() -> Result<()> {
    let control_plane = ControlPlane::shared()?;
    let version: Value = serde_json::from_str(&control_plane.kubectl().ok(&["version", "--output=json"])?)?;
    let server = version["serverVersion"]["gitVersion"].as_str().context("no version")?;
    let ours = std::env::var_os("KUBEBUILDER_ASSETS").is_none() && !control_plane.is_existing();
    if ours {
        let pinned = include_str!("../tools/kubernetes/go.mod");
        ensure!(pinned.contains(&format!("k8s.io/kubernetes {server}")), "{server} is not the version in go.mod");
    }
    Ok(())
}

#[test]
fn a_deployment_is_stored_with_its_defaults() -> Result<()> {
    let namespace = Namespace::new(ControlPlane::shared()?, "deployment")?;
    namespace.kubectl().apply(&deployment("web", 2))?.ok()?;
    let stored = namespace.kubectl().get("deployment", "web")?;
    assert_eq!(stored["spec"]["replicas"], 2);
    assert_eq!(stored["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");

    namespace.kubectl().patch("deployment", "web", &json!({"spec": {"replicas": 3}}))?.ok()?;
    assert_eq!(namespace.kubectl().list("deployment")?[0]["spec"]["replicas"], 3);
    namespace.kubectl().delete("deployment", "web")?.ok()?;
    assert_eq!(namespace.kubectl().find("deployment", "web")?, None);
    Ok(())
}

#[test]
fn pods_are_admitted_in_a_new_namespace() -> Result<()> {
    let namespace = Namespace::new(ControlPlane::shared()?, "pods")?;
    namespace.kubectl().create(&pod("web", "default"))?.ok()?;
    let stored = namespace.kubectl().get("pod", "web")?;
    ensure!(stored["spec"]["volumes"][0]["projected"].is_object(), "the account's token is not mounted: {stored}");
    Ok(())
}

#[test]
fn defaults_are_those_of_the_server_and_nothing_is_stored() -> Result<()> {
    let control_plane = ControlPlane::shared()?;
    let defaulted = control_plane.defaulted(&deployment("defaulted", 1))?;
    assert_eq!(defaulted["spec"]["progressDeadlineSeconds"], 600);
    assert_eq!(defaulted["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 30);
    assert_eq!(control_plane.kubectl().in_namespace("default").find("deployment", "defaulted")?, None);
    Ok(())
}

#[test]
fn in_a_batch_each_object_has_its_own_answer() -> Result<()> {
    let mut yamls: Vec<_> = (0..20).map(|number| deployment(&format!("web-{number}"), number)).collect();
    yamls[0] = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "json"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        }},
    })
    .to_string();
    yamls[3] = deployment("Not_A_Name", 1);
    yamls[7] = "kind: [".to_owned();
    yamls[8] = String::new();
    yamls[9] = "apiVersion: example.com/v1\nkind: Unknown\nmetadata: {name: x}\n".to_owned();
    yamls[10] = format!("{}---\n{}", yamls[10], yamls[11]);
    yamls[11] = "apiVersion: v1\nkind: List\nitems: []\n".to_owned();
    yamls[12] =
        deployment("elsewhere", 12).replace("metadata:\n  name", "metadata:\n  namespace: not-there-yet\n  name");
    yamls[13] = pod("accounted", "not-there-yet");

    let control_plane = ControlPlane::shared()?;
    let answers = control_plane.defaulted_all(&yamls)?;
    assert_eq!(answers.len(), yamls.len());
    for (number, answer) in answers.iter().enumerate() {
        match number {
            3 | 7..=11 => assert!(answer.is_err(), "{number}: {answer:?}"),
            13 => assert_eq!(answer.as_ref().map(|pod| &pod["metadata"]["name"]), Ok(&json!("accounted"))),
            _ => assert_eq!(answer.as_ref().map(|object| &object["spec"]["replicas"]), Ok(&json!(number)), "{number}"),
        }
    }
    assert!(answers[3].as_ref().is_err_and(|refusal| refusal.contains("Not_A_Name")), "{:?}", answers[3]);
    Ok(())
}

#[test]
fn a_plain_user_may_do_only_what_was_allowed() -> Result<()> {
    let control_plane = ControlPlane::shared()?;
    let namespace = Namespace::new(control_plane, "users")?;
    let plain = control_plane.kubectl_of(PLAIN)?.in_namespace(namespace.name());
    let refusal = plain.create(&deployment("web", 1))?;
    ensure!(!refusal.status.success() && refusal.stderr.contains("(Forbidden)"), "{}", refusal.stderr);

    let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}]);
    control_plane.allow(PLAIN, Some(namespace.name()), &rules)?;
    plain.create(&deployment("web", 1))?.ok()?;

    let impersonated = namespace.kubectl().acting_as(&User::new("somebody", &["system:masters"]));
    ensure!(impersonated.ok(&["auth", "whoami"])?.contains("somebody"), "impersonation does nothing");
    Ok(())
}

#[test]
fn a_table_fails_where_nothing_of_ours_denies() -> Result<()> {
    let namespace = Namespace::new(ControlPlane::shared()?, "table")?;
    let good = deployment("web", 1);
    namespace.run(&[accepts("good", &good).dry_run(), accepts("good again", &good)])?;

    let wrong = namespace.run(&[
        rejects("accepted", &good, &["missing-readiness-probe"]),
        rejects("refused by the API server", &deployment("Not_A_Name", 1), &["missing-readiness-probe"]),
        accepts("not accepted", &deployment("Not_A_Name", 1)),
    ]);
    let message = wrong.err().context("the table passed")?.to_string();
    ensure!(message.starts_with("3 of 3 cases failed"), "{message}");
    ensure!(message.contains("Invalid value: \"Not_A_Name\""), "the output of kubectl is missing: {message}");
    Ok(())
}

#[test]
fn controllers_run_where_asked_for() -> Result<()> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let namespace = Namespace::new(&control_plane, "controllers")?;
    namespace.kubectl().create(&deployment("web", 2))?.ok()?;
    eventually("the Deployment has its Pods", || Ok(namespace.kubectl().list("pods")?.len() == 2))
}

#[test]
fn nothing_is_left_of_a_control_plane_that_was_dropped() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let Some(port) = control_plane.port() else { return Ok(()) };
    let kubeconfig = control_plane.kubeconfig().to_owned();
    drop(control_plane);
    ensure!(!answers(port), "the API server still runs");
    ensure!(!kubeconfig.exists(), "{} is still there", kubeconfig.display());
    Ok(())
}

#[test]
fn nothing_is_left_when_the_harness_is_killed() -> Result<()> {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_control-plane"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env_remove("PLIMSOLL_TEST_KUBECONFIG")
        .spawn()?;
    let mut line = String::new();
    BufReader::new(harness.stdout.as_mut().context("no stdout")?).read_line(&mut line)?;
    let kubeconfig = Path::new(line.trim());
    let config: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig)?)?;
    let server = config["clusters"][0]["cluster"]["server"].as_str().context("no server")?;
    let port = server.rsplit(':').next().context("no port")?.parse()?;
    ensure!(answers(port), "the API server does not run");

    harness.kill()?;
    harness.wait()?;
    eventually("the API server is gone", || Ok(!answers(port)))?;
    eventually("the folder is gone", || Ok(!kubeconfig.exists()))
}

fn answers(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}
