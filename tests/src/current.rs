//! The cluster that kubectl points at. The demo uses one new namespace in it, and deletes that namespace.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::UdpSocket;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use crate::namespace::random_name;
use crate::process::{Process, Reaper};
use crate::wait::free_port;
use crate::{Kubectl, denied_policies, plimsoll_binary, until};

/// Deletes everything of the demo when standard input closes: at the end of the demo, however it ends. Arguments:
/// kubectl, the common name of the objects, the folder of the kubeconfig.
const CLEANER: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
"$1" delete "validatingwebhookconfiguration/$2" "mutatingwebhookconfiguration/$2" "namespace/$2" \
    --ignore-not-found --wait=false >"$3/cleaner.log" 2>&1
status=$?
if [ $status -eq 0 ]; then
    echo "demo: namespace $2 and its webhook configurations are deleted" >&2
else
    cat "$3/cleaner.log" >&2
    echo "demo: please delete namespace, validatingwebhookconfiguration and mutatingwebhookconfiguration $2" >&2
fi
rm -rf -- "$3"
exit $status
"#;

/// Longer than an API server takes to load a new webhook configuration, and to give up on an unreachable address.
const ASKED: Duration = Duration::from_secs(25);

/// A new namespace in an existing cluster. It is deleted on drop, on Ctrl-C and on a kill, with its webhook
/// configurations, which apply to that namespace alone.
#[derive(Debug)]
pub struct CurrentCluster {
    name: String,
    context: String,
    kubectl: Kubectl,
    /// URL of the API server.
    server: String,
    folder: PathBuf,
    webhook: Option<Process>,
    // Dropped in this order. The server has to stop first, because it would write its configurations again.
    reaper: Arc<Reaper>,
    cleaner: Child,
}

impl CurrentCluster {
    /// Reads the kubeconfig, prints what the demo will do, asks the user at a terminal, and creates the namespace.
    pub fn enter() -> Result<Self> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty());
        let program = assets.map_or_else(|| "kubectl".into(), |assets| Path::new(&assets).join("kubectl"));
        let config = pinned(&program)?;
        let context = config["current-context"].as_str().unwrap_or_default().to_owned();
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default().to_owned();
        let name = format!("plimsoll-demo-{}", &random_name()[..6]);
        announce(&context, &server, &name)?;

        let folder = tempfile::Builder::new().prefix("plimsoll-demo-").tempdir().context("no temporary folder")?.keep();
        let kubeconfig = folder.join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).context("the kubeconfig can't be copied")?;
        let cleaner = clean_at_the_end(&program, &kubeconfig, &name, &folder)?;
        let kubectl = Kubectl::new(program, &kubeconfig, folder.join("kubectl-cache"));
        // From here on, an error drops this value, and the drop cleans up.
        let reaper = Reaper::start(None)?;
        let mut entered = Self { name, context, kubectl, server, folder, webhook: None, reaper, cleaner };
        entered.check()?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": entered.name, "labels": {"app.kubernetes.io/created-by": "plimsoll-demo"},
        }});
        entered.kubectl.create(&namespace.to_string())?.ok().context("the namespace can't be created")?;
        entered.kubectl = entered.kubectl.in_namespace(&entered.name);
        Ok(entered)
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Checks that the cluster answers, and that the user has the necessary rights.
    fn check(&self) -> Result<()> {
        let alive = self.kubectl.run(&["get", "--raw", "/version", "--request-timeout=10s"], None)?;
        alive.ok().with_context(|| {
            format!("the cluster of kubectl's context `{}` ({}) does not answer", self.context, self.server)
        })?;
        for resource in ["namespaces", "validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
            for verb in ["create", "delete"] {
                let allowed = self.kubectl.run(&["auth", "can-i", verb, resource], None)?;
                ensure!(
                    allowed.status.success(),
                    "context `{}` may not {verb} {resource}: the demo needs the rights of a cluster administrator",
                    self.context
                );
            }
        }
        Ok(())
    }

    /// Starts `plimsoll serve` on this machine, at an address that the API server of the cluster can reach.
    pub fn start_webhook(&mut self, arguments: &[&str]) -> Result<()> {
        let addresses = addresses(&self.context, &self.server)?;
        let mut troubles = Vec::new();
        for address in &addresses {
            match self.try_webhook(address, arguments) {
                Ok(process) => {
                    self.webhook = Some(process);
                    return Ok(());
                }
                Err(error) => troubles.push(format!("{}: {error:#}", address.host)),
            }
        }
        bail!(
            "the API server cannot reach `plimsoll serve` on this machine:\n  {}\nSet PLIMSOLL_DEMO_URL to https://HOST:PORT, with a name or \
             an address of this machine that the API server can reach, and check the firewall",
            troubles.join("\n  ")
        )
    }

    fn try_webhook(&self, address: &Address, arguments: &[&str]) -> Result<Process> {
        let port = address.port.map_or_else(free_port, Ok)?;
        let listen = if address.host == "127.0.0.1" { "127.0.0.1" } else { "0.0.0.0" };
        let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
        let mut command = Command::new(plimsoll_binary()?);
        command.args(["serve", "--register", "--drain-delay=0s"]).arg(format!("--register-name={}", self.name));
        command.arg(format!("--only-namespace={}", self.name)).arg("--kubeconfig").arg(self.kubectl.kubeconfig());
        command.arg(format!("--listen={listen}:{port}")).arg(format!("--url=https://{host}:{port}")).args(arguments);
        let log = self.folder.join("plimsoll.log");
        let mut process = Process::spawn("plimsoll serve", &mut command, log, &self.reaper)?;
        let mut said = String::new();
        let asked = until(ASKED, "the API server calls the webhook", || {
            process.still_runs()?;
            let create = ["create", "deployment", "probe", "--image=registry.example.com/probe", "--dry-run=server"];
            said = self.kubectl.run(&create, None)?.stderr;
            Ok(denied_policies(&said).map(drop))
        });
        asked
            .map(|()| process)
            .map_err(|error| anyhow!("{error:#}; kubectl says: {}", said.lines().last().unwrap_or("nothing")))
    }
}

impl Drop for CurrentCluster {
    fn drop(&mut self) {
        if let Some(webhook) = &mut self.webhook {
            webhook.stop(Duration::from_secs(5));
        }
        drop(self.cleaner.stdin.take());
        let _ = self.cleaner.wait();
    }
}

/// The current context alone, with its credentials. Later changes of the kubeconfig do not affect the running demo.
fn pinned(program: &Path) -> Result<Value> {
    let output = Command::new(program)
        .args(["config", "view", "--minify", "--flatten", "--raw", "--output=json"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| anyhow!("CLUSTER=current needs kubectl, and {} can't be run: {error}", program.display()))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!(
            "kubectl has no current cluster: {}\nChoose a cluster (kubectl config use-context NAME, or KUBECONFIG), or omit CLUSTER=current: \
             the demo then starts its own API server",
            reason.trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("kubectl config view gave no JSON")
}

fn announce(context: &str, server: &str, name: &str) -> Result<()> {
    let mut stderr = io::stderr().lock();
    writeln!(
        stderr,
        "The demo uses the cluster of kubectl's context `{context}`, {server}.\n\
         It creates the namespace {name}, and two webhook configurations of the same name. They apply to\n\
         that namespace alone. The demo deletes all of them at its end, on Ctrl-C too."
    )?;
    if !io::stdin().is_terminal() {
        return Ok(());
    }
    write!(stderr, "Continue? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    ensure!(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()), "the demo was not started");
    Ok(())
}

fn clean_at_the_end(program: &Path, kubeconfig: &Path, name: &str, folder: &Path) -> Result<Child> {
    Command::new("sh")
        .args(["-c", CLEANER, "cleaner"])
        .args([program.as_os_str(), name.as_ref(), folder.as_os_str()])
        .env("KUBECONFIG", kubeconfig)
        .env("KUBERC", "off")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Ctrl-C goes to the process group of the terminal, so the cleaner needs its own group.
        .process_group(0)
        .spawn()
        .context("sh can't be run")
}

struct Address {
    host: String,
    port: Option<u16>,
}

/// Addresses at which the API server may reach this machine, the most likely first.
fn addresses(context: &str, server: &str) -> Result<Vec<Address>> {
    if let Some(url) = std::env::var("PLIMSOLL_DEMO_URL").ok().filter(|url| !url.is_empty()) {
        let shape = || format!("PLIMSOLL_DEMO_URL={url}: write https://HOST:PORT");
        let rest = url.strip_prefix("https://").with_context(shape)?.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').with_context(shape)?;
        let port = port.parse().ok().with_context(shape)?;
        return Ok(vec![Address { host: host.trim_matches(['[', ']']).to_owned(), port: Some(port) }]);
    }
    let mut hosts = Vec::new();
    // Nodes of these clusters are containers. For them, this machine is the gateway of their network.
    let network = match context {
        kind if kind.starts_with("kind-") => Some("kind"),
        k3d if k3d.starts_with("k3d-") => Some(k3d),
        "minikube" => Some("minikube"),
        _ => None,
    };
    if let Some(network) = network {
        hosts.extend(gateway(network));
        // The virtual machine of Docker, where the gateway does not lead back to this machine.
        hosts.push("host.docker.internal".to_owned());
        if network == "minikube" {
            hosts.push("host.minikube.internal".to_owned());
        }
    }
    let host = server.trim_start_matches("https://").trim_end_matches('/');
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    if ["127.0.0.1", "localhost", "::1", "0.0.0.0"].contains(&host) {
        hosts.push("127.0.0.1".to_owned());
    }
    // The address of this machine on the way to the server. Nothing is sent to find it.
    let away = if host == "127.0.0.1" || host == "localhost" { "203.0.113.1" } else { host };
    let own =
        UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect((away, 9)).and_then(|()| socket.local_addr()));
    hosts.extend(own.ok().map(|address| address.ip().to_string()));
    hosts.dedup();
    Ok(hosts.into_iter().map(|host| Address { host, port: None }).collect())
}

fn gateway(network: &str) -> Option<String> {
    let format = "{{range .IPAM.Config}}{{.Gateway}} {{end}}";
    let output = ["docker", "podman"].iter().find_map(|engine| {
        let output = Command::new(engine).args(["network", "inspect", network, "--format", format]).output().ok()?;
        output.status.success().then_some(output)
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().find(|address| address.contains('.')).map(str::to_owned)
}
