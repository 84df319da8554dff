//! The cluster that kubectl points at, which is not ours: one namespace of it is used, and given back.

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

/// Deletes what was made, as soon as its standard input ends: when the demo does, however it does. Arguments: kubectl,
/// the name of everything, the folder of the kubeconfig.
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

/// Longer than an API server takes to hear of a configuration, and to give up on an address.
const ASKED: Duration = Duration::from_secs(25);

/// A namespace of its own in somebody's cluster. On drop, on Ctrl-C and on a kill it is deleted, with the webhook
/// configurations that are about it alone.
#[derive(Debug)]
pub struct CurrentCluster {
    name: String,
    context: String,
    kubectl: Kubectl,
    /// Of the API server.
    server: String,
    folder: PathBuf,
    webhook: Option<Process>,
    // In this order: first the server goes, which would write its configurations anew.
    reaper: Arc<Reaper>,
    cleaner: Child,
}

impl CurrentCluster {
    /// Finds it, says what it is about to do there, asks if somebody is there to answer, and makes the namespace.
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
        // From here on everything that goes wrong drops this, and so cleans up.
        let reaper = Reaper::start(None)?;
        let mut entered = Self { name, context, kubectl, server, folder, webhook: None, reaper, cleaner };
        entered.check()?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": entered.name, "labels": {"app.kubernetes.io/created-by": "plimsoll-demo"},
        }});
        entered.kubectl.create(&namespace.to_string())?.ok().context("the namespace can't be made")?;
        entered.kubectl = entered.kubectl.in_namespace(&entered.name);
        Ok(entered)
    }

    /// kubectl in the namespace.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Whether it answers, and lets us do what has to be done.
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
                    "context `{}` may not {verb} {resource}: the demo needs an administrator of the cluster",
                    self.context
                );
            }
        }
        Ok(())
    }

    /// Starts `plimsoll serve` on this machine, at an address at which that cluster's API server gets to it.
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
            "the API server does not get to `plimsoll serve` on this machine:\n  {}\nSet PLIMSOLL_DEMO_URL to https://HOST:PORT with a name or \
             an address of this machine that it does get to, and mind firewalls",
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
        let asked = until(ASKED, "the API server asks", || {
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

/// The current context alone, with its credentials inside: what it is does not change while the demo runs.
fn pinned(program: &Path) -> Result<Value> {
    let output = Command::new(program)
        .args(["config", "view", "--minify", "--flatten", "--raw", "--output=json"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| anyhow!("CLUSTER=current needs kubectl, and {} can't be run: {error}", program.display()))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!(
            "kubectl points nowhere: {}\nChoose a cluster (kubectl config use-context NAME, or KUBECONFIG), or leave CLUSTER=current out: \
             the demo then starts an API server of its own",
            reason.trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("kubectl config view gave no JSON")
}

fn announce(context: &str, server: &str, name: &str) -> Result<()> {
    let mut stderr = io::stderr().lock();
    writeln!(
        stderr,
        "The cluster of kubectl's context `{context}`, {server}.\n\
         In it the demo makes namespace {name}, and two webhook configurations of that name, which are about that\n\
         namespace alone. It deletes them at its end, on Ctrl-C too."
    )?;
    if !io::stdin().is_terminal() {
        return Ok(());
    }
    write!(stderr, "Go on? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    ensure!(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()), "nothing was done");
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
        // Ctrl-C goes to the group of the terminal.
        .process_group(0)
        .spawn()
        .context("sh can't be run")
}

struct Address {
    host: String,
    port: Option<u16>,
}

/// Where the API server might find this machine, the likeliest first.
fn addresses(context: &str, server: &str) -> Result<Vec<Address>> {
    if let Some(url) = std::env::var("PLIMSOLL_DEMO_URL").ok().filter(|url| !url.is_empty()) {
        let shape = || format!("PLIMSOLL_DEMO_URL={url}: write https://HOST:PORT");
        let rest = url.strip_prefix("https://").with_context(shape)?.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').with_context(shape)?;
        let port = port.parse().ok().with_context(shape)?;
        return Ok(vec![Address { host: host.trim_matches(['[', ']']).to_owned(), port: Some(port) }]);
    }
    let mut hosts = Vec::new();
    // Their nodes are containers, for which this machine is the gateway of their network.
    let network = match context {
        kind if kind.starts_with("kind-") => Some("kind"),
        k3d if k3d.starts_with("k3d-") => Some(k3d),
        "minikube" => Some("minikube"),
        _ => None,
    };
    if let Some(network) = network {
        hosts.extend(gateway(network));
        // Docker's own virtual machine, where there is no way back by the gateway.
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
    // This machine's address on the way there; nothing is sent to find it.
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
