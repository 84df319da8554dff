//! The chart in a cluster, with processes in place of its Pods.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use plimsoll_tests::{ControlPlane, Helm, Kubectl, Options, Process, plimsoll_binary, until};
use serde_json::{Value, json};

pub(crate) const CHART_NAMESPACE: &str = "plimsoll";
pub(crate) const SERVICE_ACCOUNT: &str = "system:serviceaccount:plimsoll:plimsoll";

const IMAGE: &str = "image.repository=registry.example.com/plimsoll";

/// With controllers, an audit log in `folder`, and Services that work without a kube-proxy.
pub(crate) fn start_control_plane(folder: &Path) -> Result<ControlPlane> {
    let policy = folder.join("audit.yaml");
    std::fs::write(
        &policy,
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n",
    )?;
    ControlPlane::start(&Options {
        controller_manager: true,
        api_server_arguments: vec![
            "--enable-aggregator-routing=true".to_owned(),
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", folder.join("audit.log").display()),
        ],
        ..Options::default()
    })
}

pub(crate) struct Installed<'a> {
    control_plane: &'a ControlPlane,
    helm: Helm,
    /// kubectl in the chart's namespace.
    pub(crate) kubectl: Kubectl,
    scratch: tempfile::TempDir,
    servers: BTreeMap<String, Server>,
}

struct Server {
    process: Process,
    port: u16,
}

impl<'a> Installed<'a> {
    /// A cluster without the chart.
    pub(crate) fn new(control_plane: &'a ControlPlane) -> Result<Self> {
        Ok(Self {
            control_plane,
            helm: Helm::with_cluster(control_plane.kubeconfig())?,
            kubectl: control_plane.kubectl().in_namespace(CHART_NAMESPACE),
            scratch: tempfile::tempdir()?,
            servers: BTreeMap::new(),
        })
    }

    pub(crate) fn install(&self, values: &[&str]) -> Result<()> {
        let chart = Helm::chart().display().to_string();
        self.helm_with("install", &chart, &["--create-namespace"], values)
    }

    /// Upgrades to another version of the chart.
    pub(crate) fn upgrade(&self, values: &[&str], version: &str) -> Result<()> {
        let chart = self.scratch.path().join(version);
        let copied = Command::new("cp").arg("-R").arg(Helm::chart()).arg(&chart).status()?;
        ensure!(copied.success(), "the chart can't be copied");
        let file = chart.join("Chart.yaml");
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.contains("appVersion: 0.1.0"), "{text}");
        std::fs::write(&file, text.replace("appVersion: 0.1.0", &format!("appVersion: {version}")))?;
        self.helm_with("upgrade", &chart.display().to_string(), &[], values)
    }

    fn helm_with(&self, verb: &str, chart: &str, options: &[&str], values: &[&str]) -> Result<()> {
        let sets = [&IMAGE].into_iter().chain(values).flat_map(|value| ["--set", value]);
        let mut arguments = vec![verb, "plimsoll", chart, "--namespace", CHART_NAMESPACE];
        arguments.extend(options);
        arguments.extend(sets);
        self.helm.ok(&arguments).map(drop)
    }

    pub(crate) fn uninstall(&self) -> Result<()> {
        self.helm.ok(&["uninstall", "plimsoll", "--namespace", CHART_NAMESPACE]).map(drop)
    }

    pub(crate) fn delete_namespace(&self) -> Result<()> {
        self.control_plane.kubectl().ok(&["delete", "namespace", CHART_NAMESPACE, "--wait=false"]).map(drop)
    }

    /// With `on`, adds an object that keeps the Namespace terminating. Without, lets that object go.
    pub(crate) fn hold_namespace(&self, on: bool) -> Result<()> {
        let finalizers = if on { json!(["example.com/held"]) } else { json!(null) };
        if on {
            self.kubectl.ok(&["create", "configmap", "held"])?;
        } else if self.kubectl.find("configmap", "held")?.is_none() {
            return Ok(());
        }
        self.kubectl.patch("configmap", "held", &json!({"metadata": {"finalizers": finalizers}}))?.ok().map(drop)
    }

    /// Starts the process of a Pod, as the ServiceAccount.
    pub(crate) fn start_server(&mut self, name: &str) -> Result<()> {
        let port = free_port()?;
        let policies = self.kubectl.get("configmap", "plimsoll-policies")?;
        let file = self.scratch.path().join("policies.yaml");
        std::fs::write(&file, policies["data"]["policies.yaml"].as_str().context("policies.yaml")?)?;
        let deployment = self.kubectl.get("deployment", "plimsoll")?;
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let mut command = Command::new(plimsoll_binary()?);
        for argument in arguments.as_array().context("args")?.iter().filter_map(Value::as_str) {
            let option = argument.split_once('=').map_or(argument, |(option, _)| option);
            match option {
                "--listen" => command.arg(format!("--listen=0.0.0.0:{port}")),
                "--health-listen" => command.arg("--health-listen=127.0.0.1:0"),
                "--config" => command.arg(format!("--config={}", file.display())),
                "--drain-delay" => command.arg("--drain-delay=1s"),
                _ => command.arg(argument),
            };
        }
        command.arg("--kubeconfig").arg(self.kubeconfig()?);
        let process = self.control_plane.spawn(&format!("plimsoll-{name}"), &mut command)?;
        self.servers.insert(name.to_owned(), Server { process, port });
        Ok(())
    }

    /// A kubeconfig with a token of the ServiceAccount in place of the administrator's.
    fn kubeconfig(&self) -> Result<std::path::PathBuf> {
        let token = self.kubectl.ok(&["create", "token", "plimsoll", "--duration=1h"])?;
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(self.control_plane.kubeconfig())?)?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        let file = self.scratch.path().join("account.kubeconfig");
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }

    /// Makes these servers the ready endpoints of the Service, like ready Pods.
    pub(crate) fn route(&self, names: &[&str]) -> Result<()> {
        // The API server refuses loopback addresses.
        let address = own_address()?;
        let owner = self.kubectl.get("service", "plimsoll")?["metadata"]["uid"].take();
        let mut slices = Vec::new();
        for (name, server) in &self.servers {
            slices.push(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {
                    "name": format!("by-hand-{name}"),
                    "labels": {
                        "kubernetes.io/service-name": "plimsoll", "endpointslice.kubernetes.io/managed-by": "tests",
                    },
                    "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "plimsoll", "uid": owner}],
                },
                "endpoints": [{"addresses": [address], "conditions": {"ready": names.contains(&name.as_str())}}],
                "ports": [{"name": "https", "protocol": "TCP", "port": server.port}],
            }));
        }
        for slice in slices {
            self.kubectl.apply(&slice.to_string())?.ok()?;
        }
        Ok(())
    }

    /// The validating configuration, after a server has written it.
    pub(crate) fn registered(&self) -> Result<Option<Value>> {
        let found = self.kubectl.find("validatingwebhookconfiguration", "plimsoll")?;
        Ok(found.filter(|found| found["webhooks"].as_array().is_some_and(|webhooks| !webhooks.is_empty())).map(
            |mut found| {
                if let Some(metadata) = found["metadata"].as_object_mut() {
                    metadata.remove("labels");
                    metadata.remove("managedFields");
                }
                found
            },
        ))
    }

    /// `ca.crt` of the Secret, in base64 as in `caBundle`.
    pub(crate) fn stored_authority(&self) -> Result<Option<Value>> {
        let mut secret = self.kubectl.get("secret", "plimsoll-authority")?;
        Ok(Some(secret["data"]["ca.crt"].take()).filter(|value| !value.is_null()))
    }

    /// Sends SIGTERM to all servers. Each must exit with success.
    pub(crate) fn stop_servers(&mut self) -> Result<()> {
        for (name, mut server) in std::mem::take(&mut self.servers) {
            let status = server.process.stop(Duration::from_secs(20));
            ensure!(status.is_some_and(|status| status.success()), "{name}: {status:?}\n{}", server.process.log());
        }
        Ok(())
    }

    pub(crate) fn kill_servers(&mut self) {
        self.servers.clear();
    }

    pub(crate) fn log(&self, name: &str) -> String {
        self.servers.get(name).map(|server| server.process.log()).unwrap_or_default()
    }

    /// The objects that are not Kubernetes' own, after the garbage collector has finished.
    pub(crate) fn left_in_namespace(&self) -> Result<Vec<String>> {
        let kinds = "deployments,replicasets,pods,services,endpointslices,secrets,configmaps,roles,rolebindings,\
                     serviceaccounts,poddisruptionbudgets,networkpolicies";
        let mut left = Vec::new();
        let _ = until(Duration::from_secs(30), "everything is collected", || {
            let names = self.kubectl.ok(&["get", kinds, "--output=name", "--ignore-not-found"])?;
            left = names.lines().map(str::to_owned).collect();
            left.retain(|name| !["configmap/kube-root-ca.crt", "serviceaccount/default"].contains(&name.as_str()));
            Ok(left.is_empty().then_some(()))
        });
        let cluster = self.kubectl.ok(&["get", "clusterroles,clusterrolebindings", "--output=name"])?;
        left.extend(cluster.lines().filter(|name| name.ends_with("/plimsoll")).map(str::to_owned));
        Ok(left)
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// An address of this machine other than loopback. Nothing is sent to find it.
fn own_address() -> Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(("203.0.113.1", 9)).context("this machine has no address but loopback")?;
    let address = socket.local_addr()?.ip();
    ensure!(!address.is_loopback() && !address.is_unspecified(), "this machine has no address but loopback");
    Ok(address.to_string())
}
