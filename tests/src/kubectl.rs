//! kubectl, the only client of the harness.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::User;

/// kubectl with a kubeconfig, and optionally a namespace and an impersonated user.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    namespace: Option<String>,
    acting_as: Option<User>,
}

/// The result of a run of kubectl.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error: errors, and warnings of the API server.
    pub stderr: String,
}

impl Output {
    /// The standard output, or an error with the standard error.
    pub fn ok(self) -> Result<String> {
        if !self.status.success() {
            bail!("kubectl or helm failed ({}):\n{}", self.status, self.stderr.trim_end());
        }
        Ok(self.stdout)
    }
}

impl Kubectl {
    /// `cache` is kubectl's folder for API discovery, apart from the user's own.
    pub(crate) fn new(program: PathBuf, kubeconfig: &Path, cache: PathBuf) -> Self {
        Self { program, kubeconfig: kubeconfig.to_owned(), cache, namespace: None, acting_as: None }
    }

    /// The same with `--namespace`. An object with another namespace is then an error.
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self.clone() }
    }

    /// The same with `--as` and `--as-group`: RBAC and webhooks see that user. Impersonation needs no preparation,
    /// unlike a token, and works with any cluster.
    pub fn acting_as(&self, user: &User) -> Self {
        Self { acting_as: Some(user.clone()), ..self.clone() }
    }

    pub(crate) fn with_kubeconfig(&self, kubeconfig: &Path) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), ..self.clone() }
    }

    /// The namespace of this kubectl, if one was set.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The kubeconfig file in use.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A command with all settings above, for callers that run it in another way than [`Kubectl::run`].
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", &self.cache).env("KUBERC", "off");
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        if let Some(user) = &self.acting_as {
            command.arg("--as").arg(&user.name);
            for group in &user.groups {
                command.arg("--as-group").arg(group);
            }
        }
        command.args(arguments);
        command
    }

    /// Runs kubectl to its end. An error means that kubectl did not start. A failure of kubectl is in the [`Output`].
    pub fn run(&self, arguments: &[&str], stdin: Option<&str>) -> Result<Output> {
        let mut child = self
            .command(arguments)
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} can't be run", self.program.display()))?;
        let pipe = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Written in a thread of its own, because kubectl prints answers to the first objects before it has read
            // the last.
            scope.spawn(move || {
                if let (Some(mut pipe), Some(text)) = (pipe, stdin) {
                    // An error means that kubectl ended early. Its status and stderr then give the reason.
                    let _ = pipe.write_all(text.as_bytes());
                }
            });
            child.wait_with_output()
        })
        .context("kubectl can't be waited for")?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs kubectl, and fails unless it succeeds.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, None)?.ok().with_context(|| format!("kubectl {}", arguments.join(" ")))
    }

    /// Runs kubectl with `--output=json`.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let stdout = self.ok(&[arguments, &["--output=json"]].concat())?;
        serde_json::from_str(&stdout).with_context(|| format!("kubectl {} gave no JSON", arguments.join(" ")))
    }

    /// `kubectl get`: one object.
    pub fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.json(&["get", kind, name])
    }

    /// The same; `None` if there is no such object.
    pub fn find(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let stdout = self.ok(&["get", kind, name, "--ignore-not-found", "--output=json"])?;
        if stdout.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&stdout).map(Some).with_context(|| format!("kubectl get {kind} {name} gave no JSON"))
    }

    /// `kubectl get`: the objects of a kind.
    pub fn list(&self, kind: &str) -> Result<Vec<Value>> {
        match self.json(&["get", kind])?["items"].take() {
            Value::Array(items) => Ok(items),
            other => bail!("kubectl get {kind} gave {other} for items"),
        }
    }

    /// `kubectl apply` of a stream of objects, YAML or JSON.
    pub fn apply(&self, objects: &str) -> Result<Output> {
        self.run(&["apply", "--filename=-"], Some(objects))
    }

    /// `kubectl create` of a stream of objects, YAML or JSON.
    pub fn create(&self, objects: &str) -> Result<Output> {
        self.run(&["create", "--filename=-"], Some(objects))
    }

    /// `kubectl patch` with a merge patch.
    pub fn patch(&self, kind: &str, name: &str, patch: &Value) -> Result<Output> {
        self.run(&["patch", kind, name, "--type=merge", "--patch", &patch.to_string()], None)
    }

    /// `kubectl delete`, without waiting for finalizers. A missing object is no failure.
    pub fn delete(&self, kind: &str, name: &str) -> Result<Output> {
        self.run(&["delete", kind, name, "--wait=false", "--ignore-not-found"], None)
    }
}
