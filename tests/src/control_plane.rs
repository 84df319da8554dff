//! A control plane on loopback (etcd, kube-apiserver, optionally kube-controller-manager), or an existing cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::namespace::{default_account, random_name};
use crate::process::{Process, Reaper};
use crate::wait::{connects, free_port, until};
use crate::{ADMIN, Assets, Extra, Kubectl, PLAIN, User};

/// A usual start takes three seconds. The first start on a busy machine takes ten times as long, because the binaries
/// are not in memory yet.
const START: Duration = Duration::from_secs(120);

/// Options of a control plane.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Also runs kube-controller-manager: Deployments get ReplicaSets and Pods, and a deleted namespace is emptied and
    /// removed.
    pub controller_manager: bool,
    /// Users with a token, beside [`ADMIN`] and [`PLAIN`].
    pub users: Vec<User>,
    /// More flags of kube-apiserver, such as `--feature-gates=…`.
    pub api_server_arguments: Vec<String>,
}

/// A real control plane: its own servers, which end with this value or with the process; or the cluster of
/// `PLIMSOLL_TEST_KUBECONFIG`.
#[derive(Debug)]
pub struct ControlPlane {
    admin: Kubectl,
    /// A kubeconfig for every user with a token. In an existing cluster, only the administrator's.
    kubeconfigs: BTreeMap<String, PathBuf>,
    users: Vec<User>,
    /// The servers are stopped in this order.
    servers: Option<Servers>,
    controllers: bool,
    pub(crate) has_webhook: Arc<AtomicBool>,
    pub(crate) folder: PathBuf,
    pub(crate) reaper: Arc<Reaper>,
}

#[derive(Debug)]
struct Servers {
    controllers: Option<Process>,
    api_server: Process,
    etcd: Process,
    etcd_port: u16,
    port: u16,
    assets: Assets,
    options: Options,
}

impl ControlPlane {
    /// Starts a control plane, or uses the cluster of `PLIMSOLL_TEST_KUBECONFIG`. There, only `users` of the options
    /// has an effect.
    pub fn start(options: &Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("plimsoll-").tempdir().context("no temporary folder")?.keep();
        let keep = std::env::var_os("PLIMSOLL_TEST_KEEP").is_some_and(|value| !value.is_empty());
        let reaper = Reaper::start((!keep).then_some(folder.as_path()))?;
        if let Some(kubeconfig) = std::env::var_os("PLIMSOLL_TEST_KUBECONFIG").filter(|value| !value.is_empty()) {
            return Self::existing(Path::new(&kubeconfig), options, folder, reaper);
        }
        let extras: &[Extra] = if options.controller_manager { &[Extra::ControllerManager] } else { &[] };
        let assets = Assets::find(extras)?;
        let mut attempt = 1;
        loop {
            // Each attempt gets its own folder, because etcd does not continue the work of another process.
            let folder = folder.join(attempt.to_string());
            match Self::own(&assets, options, folder, Arc::clone(&reaper)) {
                Err(error) if attempt < 3 && format!("{error:#}").contains("address already in use") => attempt += 1,
                result => return result,
            }
        }
    }

    /// The control plane that all tests of a process share. It has no controller manager, and the default users.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::start(&Options::default()).map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("the shared control plane did not start: {error}"))
    }

    fn existing(kubeconfig: &Path, options: &Options, folder: PathBuf, reaper: Arc<Reaper>) -> Result<Self> {
        let kubectl = match std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
            Some(assets) => Path::new(&assets).join("kubectl"),
            None => "kubectl".into(),
        };
        let admin = Kubectl::new(kubectl, kubeconfig, folder.join("kubectl-cache"));
        admin.ok(&["get", "--raw", "/readyz"]).with_context(|| {
            format!("the cluster of PLIMSOLL_TEST_KUBECONFIG={} does not answer", kubeconfig.display())
        })?;
        Ok(Self {
            admin,
            kubeconfigs: BTreeMap::from([(ADMIN.to_owned(), kubeconfig.to_owned())]),
            users: all_users(options),
            servers: None,
            controllers: true,
            has_webhook: Arc::default(),
            folder,
            reaper,
        })
    }

    fn own(assets: &Assets, options: &Options, folder: PathBuf, reaper: Arc<Reaper>) -> Result<Self> {
        let certificates = folder.join("certificates");
        std::fs::create_dir_all(&certificates).context("the temporary folder can't be written")?;
        let users = all_users(options);
        let tokens: BTreeMap<_, _> = users
            .iter()
            .map(|user| (user.name.clone(), format!("{}{}{}", random_name(), random_name(), random_name())))
            .collect();
        write(&folder.join("tokens.csv"), &token_file(&users, &tokens))?;

        let etcd_port = free_port()?;
        let peer_port = free_port()?;
        let port = free_port()?;
        let mut etcd = start_etcd(assets, &folder, &reaper, etcd_port, peer_port)?;
        let mut api_server = start_api_server(assets, options, &folder, &reaper, etcd_port, port)?;

        let kubeconfigs: BTreeMap<_, _> =
            users.iter().map(|user| (user.name.clone(), folder.join(kubeconfig_name(&user.name)))).collect();
        for (user, file) in &kubeconfigs {
            write(file, &kubeconfig(port, &folder.join("ca.crt"), user, &tokens[user]))?;
        }
        let admin = Kubectl::new(assets.program("kubectl"), &kubeconfigs[ADMIN], folder.join("kubectl-cache"));
        let ready = until(START, "kube-apiserver is ready", || {
            etcd.still_runs()?;
            api_server.still_runs()?;
            if !connects(port) {
                return Ok(None);
            }
            // The server listens, so its certificate exists.
            let chain = std::fs::read_to_string(certificates.join("apiserver.crt")).context("no certificate")?;
            write(&folder.join("ca.crt"), authority(&chain)?)?;
            Ok(admin.run(&["get", "--raw", "/readyz"], None)?.status.success().then_some(()))
        });
        if let Err(error) = ready {
            // A process that ended has put its log into the error already.
            return match (etcd.still_runs(), api_server.still_runs()) {
                (Ok(()), Ok(())) => Err(error.context(api_server.failure("is not ready"))),
                _ => Err(error),
            };
        }

        let controllers = match options.controller_manager {
            true => Some(start_controllers(assets, &folder, &reaper, &kubeconfigs[ADMIN], &admin)?),
            false => {
                // The namespace `default` appears shortly after the server is ready.
                let account = default_account("default");
                until(START, "the namespace default is there", || {
                    Ok(admin.create(&account)?.status.success().then_some(()))
                })?;
                None
            }
        };
        Ok(Self {
            admin,
            kubeconfigs,
            users,
            controllers: controllers.is_some(),
            servers: Some(Servers {
                controllers,
                api_server,
                etcd,
                etcd_port,
                port,
                assets: assets.clone(),
                options: options.clone(),
            }),
            has_webhook: Arc::default(),
            folder,
            reaper,
        })
    }

    /// The administrator's kubectl.
    pub fn kubectl(&self) -> Kubectl {
        self.admin.clone()
    }

    /// The kubectl of one user: by the user's token, or in an existing cluster by impersonation.
    pub fn kubectl_of(&self, user: &str) -> Result<Kubectl> {
        let known = self.user(user)?;
        match self.kubeconfigs.get(user) {
            Some(kubeconfig) => Ok(self.admin.with_kubeconfig(kubeconfig)),
            None => Ok(self.admin.acting_as(known)),
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        self.admin.kubeconfig()
    }

    /// The kubeconfig of one user. An error in an existing cluster, which gives the users no tokens.
    pub fn kubeconfig_of(&self, user: &str) -> Result<&Path> {
        self.user(user)?;
        let kubeconfig = self.kubeconfigs.get(user).map(PathBuf::as_path);
        kubeconfig.with_context(|| format!("user {user} has no token in the cluster of PLIMSOLL_TEST_KUBECONFIG"))
    }

    fn user(&self, name: &str) -> Result<&User> {
        let known = self.users.iter().find(|user| user.name == name);
        known.with_context(|| format!("no user {name}: name them in Options::users, or use Kubectl::acting_as"))
    }

    /// Whether controllers run. Without them, a Deployment gets no ReplicaSets, and a deleted namespace stays
    /// terminating.
    pub fn has_controllers(&self) -> bool {
        self.controllers
    }

    /// Whether this is the cluster of `PLIMSOLL_TEST_KUBECONFIG`.
    pub fn is_existing(&self) -> bool {
        self.servers.is_none()
    }

    /// Starts a process that ends with the control plane at the latest. The output goes to `NAME.log`.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Result<Process> {
        std::fs::create_dir_all(&self.folder).context("the temporary folder can't be created")?;
        Process::spawn(name, command, self.folder.join(format!("{name}.log")), &self.reaper)
    }

    /// The port of the API server on loopback; `None` for an existing cluster.
    pub fn port(&self) -> Option<u16> {
        self.servers.as_ref().map(|servers| servers.port)
    }

    /// Kills our own API server at once, like the loss of its machine. Stored objects stay.
    pub fn kill_api_server(&mut self) -> Result<()> {
        let servers = self.servers.as_mut().context("the API server of an existing cluster is not ours to kill")?;
        servers.api_server.stop(Duration::ZERO);
        Ok(())
    }

    /// Starts the API server again at the same address, and waits until it is ready.
    pub fn revive_api_server(&mut self) -> Result<()> {
        let servers = self.servers.as_mut().context("the API server of an existing cluster is not ours to start")?;
        let Servers { assets, options, etcd_port, port, .. } = &*servers;
        servers.api_server = start_api_server(assets, options, &self.folder, &self.reaper, *etcd_port, *port)?;
        until(START, "kube-apiserver is ready again", || {
            servers.api_server.still_runs()?;
            Ok(self.admin.run(&["get", "--raw", "/readyz"], None)?.status.success().then_some(()))
        })
    }

    /// The logs of our own servers, by name. Empty for an existing cluster.
    pub fn logs(&self) -> Vec<(&'static str, String)> {
        let Some(servers) = &self.servers else { return Vec::new() };
        let mut logs = vec![("kube-apiserver", servers.api_server.log()), ("etcd", servers.etcd.log())];
        logs.extend(servers.controllers.as_ref().map(|controllers| ("kube-controller-manager", controllers.log())));
        logs
    }

    /// Grants rights to a user, in one namespace or in all, by a new role. `rules` is the list of a Role:
    /// `[{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create", "get"]}]`. The built-in roles
    /// `view`, `edit` and `admin` are empty without a controller manager.
    pub fn allow(&self, user: &str, namespace: Option<&str>, rules: &Value) -> Result<()> {
        let (role, binding) =
            if namespace.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
        let api = "rbac.authorization.k8s.io";
        let metadata = json!({"name": format!("harness-{}", random_name()), "namespace": namespace});
        let version = format!("{api}/v1");
        let role_object = json!({"apiVersion": version, "kind": role, "metadata": metadata, "rules": rules});
        let binding_object = json!({
            "apiVersion": version, "kind": binding, "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": role, "name": metadata["name"]},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        });
        self.admin.create(&format!("{role_object}\n{binding_object}"))?.ok()?;

        let rule = &rules[0];
        let word = |field: &str| rule[field][0].as_str().with_context(|| format!("a rule without {field}"));
        let (verb, resource) = (word("verbs")?, [word("resources")?, word("apiGroups")?].join("."));
        let asked = self.admin.acting_as(&User::new(user, &[]));
        let asked = namespace.map_or(asked.clone(), |namespace| asked.in_namespace(namespace));
        until(Duration::from_secs(10), "the API server knows the new role", || {
            let answer = asked.run(&["auth", "can-i", verb, resource.trim_end_matches('.')], None)?;
            Ok(answer.status.success().then_some(()))
        })
    }
}

fn all_users(options: &Options) -> Vec<User> {
    let mut users = vec![User::new(ADMIN, &["system:masters"]), User::new(PLAIN, &[])];
    users.extend(options.users.iter().cloned());
    users
}

fn start_etcd(assets: &Assets, folder: &Path, reaper: &Arc<Reaper>, port: u16, peer_port: u16) -> Result<Process> {
    let mut command = Command::new(assets.program("etcd"));
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    command.arg("--data-dir").arg(folder.join("etcd")).arg("--unsafe-no-fsync").arg("--log-level=warn");
    command.arg(format!("--listen-client-urls={client}")).arg(format!("--advertise-client-urls={client}"));
    command.arg(format!("--listen-peer-urls={peer}")).arg(format!("--initial-advertise-peer-urls={peer}"));
    command.arg(format!("--initial-cluster=default={peer}"));
    Process::spawn("etcd", &mut command, folder.join("etcd.log"), reaper)
}

fn start_api_server(
    assets: &Assets,
    options: &Options,
    folder: &Path,
    reaper: &Arc<Reaper>,
    etcd_port: u16,
    port: u16,
) -> Result<Process> {
    let mut command = Command::new(assets.program("kube-apiserver"));
    command.arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"));
    command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]).arg(format!("--secure-port={port}"));
    // No Service needs to lead to this server, and kube-apiserver refuses to write a loopback address into endpoints.
    command.args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24"]);
    command.args(["--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc"]);
    command.args(["--allow-privileged=true", "--profiling=false"]);
    command.arg("--cert-dir").arg(folder.join("certificates"));
    command.arg("--token-auth-file").arg(folder.join("tokens.csv"));
    // kube-apiserver creates this key with its certificate. It reads the key for these two flags only later.
    let key = folder.join("certificates/apiserver.key");
    command.arg("--service-account-signing-key-file").arg(&key);
    command.arg("--service-account-key-file").arg(&key);
    command.args(&options.api_server_arguments);
    Process::spawn("kube-apiserver", &mut command, folder.join("kube-apiserver.log"), reaper)
}

fn start_controllers(
    assets: &Assets,
    folder: &Path,
    reaper: &Arc<Reaper>,
    kubeconfig: &Path,
    admin: &Kubectl,
) -> Result<Process> {
    let mut command = Command::new(assets.program("kube-controller-manager"));
    command.arg("--kubeconfig").arg(kubeconfig);
    command.arg("--service-account-private-key-file").arg(folder.join("certificates/apiserver.key"));
    command.arg("--root-ca-file").arg(folder.join("ca.crt"));
    // Each controller has its own identity, as in a real cluster, because policies check it.
    command.args(["--use-service-account-credentials", "--leader-elect=false", "--secure-port=0"]);
    // With the default period of 15 s, tests would wait too long for a second Pod.
    command.args(["--kube-api-qps=500", "--kube-api-burst=1000", "--horizontal-pod-autoscaler-sync-period=1s"]);
    let log = folder.join("kube-controller-manager.log");
    let mut controllers = Process::spawn("kube-controller-manager", &mut command, log, reaper)?;
    let ready = until(START, "the controllers have made the service account default", || {
        controllers.still_runs()?;
        admin.in_namespace("default").find("serviceaccount", "default")
    });
    match ready {
        Ok(_) => Ok(controllers),
        Err(error) => Err(error.context(controllers.failure("is not ready"))),
    }
}

/// The last certificate of the API server's own chain: the CA that signed it.
fn authority(chain: &str) -> Result<&str> {
    let start = chain.rfind("-----BEGIN CERTIFICATE-----").context("the API server's certificate file is empty")?;
    Ok(&chain[start..])
}

fn token_file(users: &[User], tokens: &BTreeMap<String, String>) -> String {
    users.iter().fold(String::new(), |mut lines, user| {
        let _ = writeln!(
            lines,
            "{},\"{name}\",\"{name}\",\"{}\"",
            tokens[&user.name],
            user.groups.join(","),
            name = user.name
        );
        lines
    })
}

fn kubeconfig_name(user: &str) -> String {
    let plain: String = user.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    format!("{plain}.kubeconfig")
}

/// Written as JSON, which is also YAML.
fn kubeconfig(port: u16, authority: &Path, user: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "tests",
        "clusters": [{"name": "tests", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority,
        }}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
    })
    .to_string()
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
}
