//! A namespace for each test.

use std::hash::{BuildHasher, Hasher, RandomState};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{Case, ControlPlane, Kubectl};

/// A namespace with a random name, and with the service account `default`, which the API server requires for Pods. The
/// drop deletes it, and does not wait until it is gone.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    kubectl: Kubectl,
    delete: bool,
}

impl Namespace {
    /// Creates a namespace with the name `PREFIX-RANDOM`.
    pub fn new(control_plane: &ControlPlane, prefix: &str) -> Result<Self> {
        Self::with_labels(control_plane, prefix, &[])
    }

    /// The same with labels.
    pub fn with_labels(control_plane: &ControlPlane, prefix: &str, labels: &[(&str, &str)]) -> Result<Self> {
        let name = format!("{prefix}-{}", random_name());
        let labels: serde_json::Map<_, _> = labels.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect();
        let metadata = json!({"name": name, "labels": labels});
        let mut objects = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).to_string();
        if !control_plane.has_controllers() {
            objects.push('\n');
            objects.push_str(&default_account(&name));
        }
        let kubectl = control_plane.kubectl();
        kubectl.create(&objects)?.ok().with_context(|| format!("namespace {name} can't be created"))?;
        let namespace = Self { kubectl: kubectl.in_namespace(&name), name, delete: control_plane.has_controllers() };
        if control_plane.has_controllers() {
            namespace.kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=30s"])?;
        }
        Ok(namespace)
    }

    /// Name of the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's kubectl in this namespace.
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Applies the cases in this namespace, in order. See [`crate::run`].
    pub fn run(&self, cases: &[Case]) -> Result<()> {
        crate::run(&self.kubectl, cases)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Without controllers, the namespace would stay terminating until the control plane ends.
        if self.delete {
            // kubectl must not run in the background: it would write its cache into a folder that is already removed.
            let _ = self.kubectl.delete("namespace", &self.name);
        }
    }
}

/// The objects that the controller manager would create in a new namespace, as JSON.
pub(crate) fn default_account(namespace: &str) -> String {
    account(namespace, "default")
}

/// A service account, as JSON.
pub(crate) fn account(namespace: &str, name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
        .to_string()
}

/// Ten hexadecimal digits, different for each test.
pub(crate) fn random_name() -> String {
    // The keys of a hash map are random: the standard library has no other random source.
    format!("{:010x}", RandomState::new().build_hasher().finish() & 0xff_ffff_ffff)
}
