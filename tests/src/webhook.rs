//! The real `plimsoll serve`, registered with a control plane.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::Process;
use crate::wait::{connects, free_port, until};
use crate::{ControlPlane, Kubectl, VALIDATING_WEBHOOK};

/// Name of the webhook configurations that `plimsoll serve --register` writes.
pub const CONFIGURATION: &str = "plimsoll";

const READY: Duration = Duration::from_secs(60);

/// Options of `plimsoll serve`.
#[derive(Debug, Clone, Default)]
pub struct WebhookOptions {
    /// Documents of `--config`, as YAML. By default the profile `production` is enforced, or what the arguments say.
    pub config: Option<String>,
    /// More arguments of `plimsoll serve`.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// The binary. Default: [`plimsoll_binary`].
    pub binary: Option<PathBuf>,
    /// Kubeconfig of the server. Default: the administrator's.
    pub kubeconfig: Option<PathBuf>,
}

impl WebhookOptions {
    /// Options with this configuration.
    pub fn with_config(config: &str) -> Self {
        Self { config: Some(config.to_owned()), ..Self::default() }
    }
}

/// A running webhook. The drop stops it, and deletes its webhook configurations.
///
/// A control plane has one webhook at a time, because the configurations have a fixed name. Tests with different
/// configurations start their own control planes.
#[derive(Debug)]
pub struct Webhook {
    process: Process,
    port: u16,
    kubectl: Kubectl,
    _registration: Registration,
}

/// Held while a control plane has a webhook.
#[derive(Debug)]
struct Registration(Arc<AtomicBool>);

impl Drop for Registration {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Webhook {
    /// Starts the webhook, and returns after the API server has called it once.
    pub fn start(control_plane: &ControlPlane, options: &WebhookOptions) -> Result<Self> {
        let (mut webhook, asked_before) = Self::spawn(control_plane, options)?;
        webhook.wait_until_asked(asked_before)?;
        Ok(webhook)
    }

    /// The same without waiting for that call, for configurations that do not apply to the harness's test object.
    pub fn start_without_asking(control_plane: &ControlPlane, options: &WebhookOptions) -> Result<Self> {
        Ok(Self::spawn(control_plane, options)?.0)
    }

    /// Also returns how often the API server had called a webhook before.
    fn spawn(control_plane: &ControlPlane, options: &WebhookOptions) -> Result<(Self, f64)> {
        if control_plane.has_webhook.swap(true, Ordering::SeqCst) {
            bail!("this control plane already has a webhook: drop it first, or start another control plane");
        }
        let registration = Registration(Arc::clone(&control_plane.has_webhook));
        let binary = options.binary.clone().map_or_else(plimsoll_binary, Ok)?;
        let kubectl = control_plane.kubectl();
        let asked_before = calls(&kubectl)?;
        let port = free_port()?;
        // For a cluster in containers, loopback is another machine.
        let outside = std::env::var("PLIMSOLL_TEST_WEBHOOK_HOST").ok().filter(|host| !host.is_empty());
        let host = outside.as_deref().unwrap_or("127.0.0.1");
        let listen = if outside.is_some() { "0.0.0.0" } else { "127.0.0.1" };

        let mut command = Command::new(&binary);
        command.arg("serve").arg("--register");
        command.arg("--listen").arg(format!("{listen}:{port}")).arg("--url").arg(format!("https://{host}:{port}"));
        command.arg("--kubeconfig").arg(options.kubeconfig.as_deref().unwrap_or(control_plane.kubeconfig()));
        if let Some(config) = &options.config {
            let file = control_plane.folder.join(format!("plimsoll-{port}.yaml"));
            std::fs::create_dir_all(&control_plane.folder)
                .and_then(|()| std::fs::write(&file, config))
                .with_context(|| format!("{} can't be written", file.display()))?;
            command.arg("--config").arg(file);
        } else {
            command.args(enforcing(&options.arguments));
        }
        command.args(&options.arguments);
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        std::fs::create_dir_all(&control_plane.folder).context("the temporary folder can't be created")?;
        let log = control_plane.folder.join(format!("plimsoll-{port}.log"));
        let process = Process::spawn("plimsoll serve", &mut command, log, &control_plane.reaper)?;
        Ok((Self { process, port, kubectl, _registration: registration }, asked_before))
    }

    fn wait_until_asked(&mut self, asked_before: f64) -> Result<()> {
        let Self { process, port, kubectl, .. } = self;
        let ready = until(READY, "plimsoll serve listens and has registered itself", || {
            process.still_runs()?;
            if !connects(*port) {
                return Ok(None);
            }
            let configuration = kubectl.find("validatingwebhookconfiguration", CONFIGURATION)?;
            Ok(configuration.is_some_and(|found| has_authority(&found)).then_some(()))
        });
        let asked = ready.and_then(|()| {
            // The API server loads a configuration shortly after it has stored it.
            until(READY, &format!("the API server calls {VALIDATING_WEBHOOK} for a Deployment"), || {
                process.still_runs()?;
                let image = "--image=registry.example/probe:1";
                kubectl.run(&["create", "deployment", "harness-probe", image, "--dry-run=server"], None)?;
                Ok((calls(kubectl)? > asked_before).then_some(()))
            })
        });
        asked.or_else(|error| {
            // A process that ended has put its log into the error already.
            process.still_runs().map_err(|_| error.context("the webhook did not start"))?;
            bail!(process.failure("is not ready"))
        })
    }

    /// Port of the webhook.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id, for signals.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The whole log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends SIGTERM, and SIGKILL after 10 s. The configurations stay until the drop. Returns whether the exit was a
    /// success.
    pub fn stop(&mut self) -> bool {
        self.process.stop(Duration::from_secs(10)).is_some_and(|status| status.success())
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // The process has to stop first, because it would write its configurations again.
        self.process.stop(Duration::from_secs(5));
        let both = [
            format!("validatingwebhookconfiguration/{CONFIGURATION}"),
            format!("mutatingwebhookconfiguration/{CONFIGURATION}"),
        ];
        let _ = self.kubectl.run(&["delete", &both[0], &both[1], "--wait=false", "--ignore-not-found"], None);
    }
}

/// Arguments for tests without their own configuration.
fn enforcing(arguments: &[String]) -> Vec<&'static str> {
    let says = |name: &str| arguments.iter().any(|argument| argument.starts_with(name));
    let mut more = Vec::new();
    if !says("--config") && !says("--mode") {
        more.push("--mode=enforce");
    }
    if !says("--config") && !says("--profile") {
        more.push("--profile=production");
    }
    more
}

fn has_authority(configuration: &Value) -> bool {
    let webhooks = configuration["webhooks"].as_array();
    webhooks.is_some_and(|webhooks| {
        !webhooks.is_empty()
            && webhooks
                .iter()
                .all(|webhook| webhook["clientConfig"]["caBundle"].as_str().is_some_and(|ca| !ca.is_empty()))
    })
}

/// How often the API server has called our webhook, by its own metrics.
fn calls(kubectl: &Kubectl) -> Result<f64> {
    let metrics = kubectl.ok(&["get", "--raw", "/metrics"])?;
    let label = format!("name=\"{VALIDATING_WEBHOOK}\"");
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_admission_webhook_request_total{") && line.contains(&label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}

/// `PLIMSOLL_BIN`, or the release build of this workspace, or its debug build.
pub fn plimsoll_binary() -> Result<PathBuf> {
    if let Some(binary) = std::env::var_os("PLIMSOLL_BIN").filter(|binary| !binary.is_empty()) {
        let binary = PathBuf::from(binary);
        if !binary.is_file() {
            bail!("PLIMSOLL_BIN={} is no file", binary.display());
        }
        return Ok(binary);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), |target| workspace.join(target));
    let binary =
        ["release", "debug"].iter().map(|profile| target.join(profile).join("plimsoll")).find(|file| file.is_file());
    binary.context("there is no plimsoll under target/: run `make build`, or set PLIMSOLL_BIN to a binary")
}
