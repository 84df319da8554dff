//! Registration with two real servers and one API server.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{ControlPlane, Kubectl, Manifest, Options, plimsoll_binary, until};
use serde_json::{Value, json};

/// Three checks, two seconds apart, and a margin for slow machines.
const BACK: Duration = Duration::from_secs(60);

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec: {profile: none, mode: enforce, policies: [{id: latest-image-tag, action: Deny}]}
";

struct Server {
    child: Child,
    port: u16,
    health: u16,
    log: PathBuf,
}

/// A name that no other test has, most likely.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Server {
    fn start(control_plane: &ControlPlane, folder: &tempfile::TempDir, arguments: &[&str]) -> Result<Self> {
        let (port, health) = (free_port()?, free_port()?);
        let config = folder.path().join("config.yaml");
        fs::write(&config, CONFIG)?;
        let log = folder.path().join(format!("{port}.log"));
        let mut command = Command::new(plimsoll_binary()?);
        command.args(["serve", "--register"]);
        let own = [("--listen", format!("127.0.0.1:{port}")), ("--url", format!("https://127.0.0.1:{port}"))];
        for (name, value) in own.iter().filter(|(name, _)| !arguments.contains(name)) {
            command.args([name, value.as_str()]);
        }
        let child = command
            .args(["--health-listen", &format!("127.0.0.1:{health}")])
            .arg("--kubeconfig")
            .arg(control_plane.kubeconfig())
            .arg("--config")
            .arg(config)
            .args(arguments)
            .stderr(fs::File::create(&log)?)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child, port, health, log })
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `/readyz?verbose` or `/metrics`, without TLS.
    fn get(&self, path: &str) -> Result<String> {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.health))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "cannot send {name}");
        Ok(())
    }

    /// An error with the server's log.
    fn ends(&mut self) -> Result<(Option<i32>, String)> {
        let status = until(Duration::from_secs(60), "the server ends", || Ok(self.child.try_wait()?))?;
        Ok((status.code(), self.log()))
    }

    fn is_registered(&self, kubectl: &Kubectl) -> Result<bool> {
        Ok(urls(kubectl)?.is_some_and(|urls| urls.iter().all(|url| url.starts_with(&format!("{}/", self.url())))))
    }

    fn until_registered(&self, kubectl: &Kubectl) -> Result<()> {
        let what = format!("{} is registered\n{}", self.url(), self.log());
        until(BACK, &what, || Ok(self.is_registered(kubectl)?.then_some(())))
    }

    fn until_it_says(&self, path: &str, words: &str) -> Result<()> {
        until(BACK, &format!("{path} says `{words}`\n{}", self.log()), || {
            Ok(self.get(path)?.contains(words).then_some(()))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The URLs that the API server calls, of both configurations.
fn urls(kubectl: &Kubectl) -> Result<Option<Vec<String>>> {
    let mut urls = Vec::new();
    for kind in ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"] {
        let Some(found) = kubectl.find(kind, "plimsoll")? else { return Ok(None) };
        let webhooks = found["webhooks"].as_array().into_iter().flatten();
        urls.extend(webhooks.filter_map(|webhook| webhook["clientConfig"]["url"].as_str()).map(str::to_owned));
    }
    Ok(Some(urls).filter(|urls| !urls.is_empty()))
}

fn is_denied(kubectl: &Kubectl) -> Result<bool> {
    let object =
        Manifest::good("Deployment", "web").pod("/containers/0/image", json!("registry.example.com/app:latest"));
    let applied = kubectl.run(&["create", "--dry-run=server", "-f", "-"], Some(&object.to_string()))?;
    Ok(applied.stderr.contains("latest-image-tag"))
}

fn until_denied(kubectl: &Kubectl) -> Result<()> {
    until(BACK, "a bad object is denied", || Ok(is_denied(kubectl)?.then_some(())))
}

/// A server-side apply keeps list items of another manager, so they need another kind of write.
#[test]
fn what_others_add_is_removed() -> Result<()> {
    let (control_plane, folder) = (ControlPlane::start(&Options::default())?, tempfile::tempdir()?);
    let kubectl = control_plane.kubectl();
    let server = Server::start(&control_plane, &folder, &[])?;
    server.until_registered(&kubectl)?;
    until_denied(&kubectl)?;
    let kind = "validatingwebhookconfiguration";
    let add = |patch: Value| -> Result<()> {
        kubectl.ok(&["patch", kind, "plimsoll", "--type=json", "-p", &patch.to_string()]).map(drop)
    };
    let before = kubectl.get(kind, "plimsoll")?["webhooks"].clone();
    let never = json!({"name": "never", "expression": "false"});
    let mut further = before[0].clone();
    further["name"] = json!("extra.plimsoll.dev");
    for patch in [
        json!([{"op": "add", "path": "/webhooks/0/matchConditions/-", "value": never}]),
        json!([{"op": "add", "path": "/webhooks/-", "value": further}]),
        json!([{"op": "add", "path": "/webhooks/0/rules/-", "value": before[0]["rules"][0]}]),
    ] {
        add(patch)?;
        until(BACK, &format!("the configuration is restored\n{}", server.log()), || {
            Ok((kubectl.get(kind, "plimsoll")?["webhooks"] == before).then_some(()))
        })?;
    }
    until_denied(&kubectl)
}

/// Two processes with one URL. The API server reaches one of them, and must trust its certificate.
#[test]
fn a_namesake_takes_nothing_away() -> Result<()> {
    let (control_plane, folder) = (ControlPlane::start(&Options::default())?, tempfile::tempdir()?);
    let kubectl = control_plane.kubectl();
    let mut first = Server::start(&control_plane, &folder, &[])?;
    first.until_registered(&kubectl)?;
    until_denied(&kubectl)?;
    let url = first.url();
    let mut second = Server::start(&control_plane, &folder, &["--url", &url])?;
    let (status, log) = second.ends()?;
    ensure!(status == Some(1) && log.contains("--take-over"), "{status:?}: {log}");
    ensure!(is_denied(&kubectl)?, "the first server must still be called");
    // With `--take-over`, the third process breaks the registration, and the first one restores it.
    let third = Server::start(&control_plane, &folder, &["--url", &url, "--take-over"])?;
    until(BACK, "the third one wrote its authority", || Ok(third.log().contains("registered, ").then_some(())))?;
    until_denied(&kubectl)?;
    ensure!(first.log().contains("is replaced by ours"), "{}", first.log());
    drop(third);
    // After a kill, the successor takes over the registration.
    first.child.kill()?;
    first.child.wait()?;
    let listen = format!("127.0.0.1:{}", first.port);
    let successor = Server::start(&control_plane, &folder, &["--url", &url, "--listen", &listen])?;
    until(BACK, &format!("the server is registered\n{}", successor.log()), || {
        Ok(successor.log().contains("registered, ").then_some(()))
    })?;
    until_denied(&kubectl)
}

#[test]
fn a_second_server_takes_nothing_away() -> Result<()> {
    let (control_plane, folder) = (ControlPlane::start(&Options::default())?, tempfile::tempdir()?);
    let kubectl = control_plane.kubectl();
    let first = Server::start(&control_plane, &folder, &[])?;
    first.until_registered(&kubectl)?;
    until_denied(&kubectl)?;

    // Without `--take-over`, the second process exits with an error, and writes nothing.
    let mut second = Server::start(&control_plane, &folder, &[])?;
    let (status, log) = second.ends()?;
    let error = format!("the webhooks are registered by another: {}, since 20", first.url());
    ensure!(status == Some(1) && log.contains(&error) && log.contains("--take-over"), "{status:?}: {log}");
    ensure!(first.is_registered(&kubectl)?, "{:?}", urls(&kubectl)?);
    let annotations = kubectl.get("validatingwebhookconfiguration", "plimsoll")?["metadata"]["annotations"].clone();
    ensure!(annotations["plimsoll.dev/registered-by"] == first.url().as_str(), "{annotations:#}");
    ensure!(first.get("/metrics")?.contains("plimsoll_registered_by_another 0"), "{}", first.get("/metrics")?);

    // With `--take-over`, the second process registers itself. The first process reports this, and does not take the
    // registration back.
    let mut second = Server::start(&control_plane, &folder, &["--take-over"])?;
    second.until_registered(&kubectl)?;
    let foreign = format!("registered by another: {}, since 20", second.url());
    first.until_it_says("/readyz?verbose", &foreign)?;
    first.until_it_says("/metrics", "plimsoll_registered_by_another 1")?;
    ensure!(first.log().contains(&foreign), "{}", first.log());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        ensure!(second.is_registered(&kubectl)?, "{:?}\n{}\n{}", urls(&kubectl)?, first.log(), second.log());
        thread::sleep(Duration::from_millis(200));
    }
    ensure!(is_denied(&kubectl)?, "the second server must deny too");

    // After SIGTERM, the first process takes the registration back.
    second.signal("TERM")?;
    ensure!(second.ends()?.0 == Some(0), "{}", second.log());
    first.until_registered(&kubectl)?;
    until_denied(&kubectl)?;
    first.until_it_says("/metrics", "plimsoll_registered_by_another 0")?;
    ensure!(!first.get("/readyz?verbose")?.contains("registered by another"), "{}", first.get("/readyz?verbose")?);
    ensure!(first.log().contains("is replaced by ours"), "{}", first.log());

    // After SIGKILL it does the same, after twice as many checks.
    let mut third = Server::start(&control_plane, &folder, &["--take-over"])?;
    third.until_registered(&kubectl)?;
    first.until_it_says("/readyz?verbose", &format!("registered by another: {}", third.url()))?;
    third.child.kill()?;
    third.child.wait()?;
    first.until_registered(&kubectl)?;
    until_denied(&kubectl)?;

    // A process that hangs does not answer either.
    let fourth = Server::start(&control_plane, &folder, &["--take-over"])?;
    fourth.until_registered(&kubectl)?;
    fourth.signal("STOP")?;
    until(Duration::from_secs(120), &format!("the first takes it back\n{}", first.log()), || {
        Ok(first.is_registered(&kubectl)?.then_some(()))
    })?;
    // When it continues, it finds the first process alive, and leaves the registration to it.
    fourth.signal("CONT")?;
    fourth.until_it_says("/readyz?verbose", &format!("registered by another: {}", first.url()))?;
    thread::sleep(Duration::from_secs(15));
    ensure!(first.is_registered(&kubectl)?, "{:?}\n{}", urls(&kubectl)?, fourth.log());
    Ok(())
}

#[test]
fn a_repaired_edit_leaves_a_line_in_the_log() -> Result<()> {
    let (control_plane, folder) = (ControlPlane::start(&Options::default())?, tempfile::tempdir()?);
    let kubectl = control_plane.kubectl();
    let server = Server::start(&control_plane, &folder, &[])?;
    server.until_registered(&kubectl)?;
    until_denied(&kubectl)?;
    for patch in [
        json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]),
        // The URL of an unrelated server, which must not be taken for the owner.
        json!([{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": "https://127.0.0.1:1/validate"}]),
        json!([{"op": "replace", "path": "/webhooks/0/rules", "value": []}]),
    ] {
        let lines = server.log().matches("was edited, and is repaired").count();
        let (name, patch) = ("validatingwebhookconfiguration/plimsoll", patch.to_string());
        kubectl.ok(&["patch", name, "--type=json", "--field-manager=hand", "-p", &patch])?;
        until(BACK, &format!("the configuration is restored and the log says so\n{}", server.log()), || {
            let (log, found) = (server.log(), kubectl.get("validatingwebhookconfiguration", "plimsoll")?);
            let repaired = found["webhooks"][0]["failurePolicy"] == "Fail"
                && found["webhooks"][0]["rules"].as_array().is_some_and(|rules| !rules.is_empty())
                && server.is_registered(&kubectl)?;
            Ok((repaired && log.matches("was edited, and is repaired").count() > lines).then_some(()))
        })?;
        ensure!(server.log().contains("by=\"hand\""), "{}", server.log());
    }
    until_denied(&kubectl)
}

/// A configuration of an older version, or of a user, has no annotation. Its URL shows the owner.
#[test]
fn a_registration_without_annotations_has_an_owner_too() -> Result<()> {
    let (control_plane, folder) = (ControlPlane::start(&Options::default())?, tempfile::tempdir()?);
    let kubectl = control_plane.kubectl();
    let webhook = json!({
        "name": "validate.plimsoll.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
        "clientConfig": {"url": "https://192.0.2.1:8443/validate"},
        "rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["replicasets"]}],
    });
    let configuration: Value = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "plimsoll"}, "webhooks": [webhook],
    });
    kubectl.apply(&configuration.to_string())?.ok()?;
    let mut server = Server::start(&control_plane, &folder, &[])?;
    let (status, log) = server.ends()?;
    ensure!(status == Some(1) && log.contains("registered by another: https://192.0.2.1:8443, since 20"), "{log}");
    // A second registration with another name is possible.
    let server = Server::start(&control_plane, &folder, &["--register-name=second"])?;
    until(BACK, "the server is registered under another name", || {
        kubectl.find("mutatingwebhookconfiguration", "second")
    })
    .context(server.log())?;
    let server = Server::start(&control_plane, &folder, &["--take-over"])?;
    server.until_registered(&kubectl)?;
    until_denied(&kubectl)
}
