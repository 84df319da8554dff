//! The programs that the tests run. `tests/assets.sh` finds or builds them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A folder with kube-apiserver, etcd, kubectl and the requested tools.
#[derive(Debug, Clone)]
pub struct Assets {
    folder: PathBuf,
}

/// A program that only some tests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Runs kube-controller-manager: creates ReplicaSets and Pods, fills new namespaces, and collects garbage.
    ControllerManager,
    /// Installs and renders the chart.
    Helm,
    /// Plays the kubelet: it reports Pods as running, without any container.
    Kwok,
}

impl Extra {
    /// Name of the file in the folder of assets.
    pub fn name(self) -> &'static str {
        match self {
            Extra::ControllerManager => "kube-controller-manager",
            Extra::Helm => "helm",
            Extra::Kwok => "kwok",
        }
    }
}

impl Assets {
    /// Finds the programs, and builds the missing ones. The first build takes minutes; its progress is on stderr.
    pub fn find(extras: &[Extra]) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets.sh");
        let mut command = Command::new("sh");
        command.arg(&script);
        if !extras.is_empty() {
            let names: Vec<_> = extras.iter().map(|extra| extra.name()).collect();
            command.arg("--with").arg(names.join(","));
        }
        // The script inherits stderr, past the capture of the test runner, so that users see the progress of a build.
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("sh {} can't be run", script.display()))?;
        if !output.status.success() {
            bail!("tests/assets.sh failed ({}); its message is above", output.status);
        }
        let stdout = String::from_utf8_lossy(&output.stdout);
        let folder = stdout.lines().last().unwrap_or_default();
        if folder.is_empty() {
            bail!("tests/assets.sh printed no folder");
        }
        Ok(Self { folder: folder.into() })
    }

    /// The path of one program, such as `kubectl`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder, for a PATH.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
