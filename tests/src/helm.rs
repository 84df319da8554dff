//! The real helm, with the chart of this repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{Assets, Extra, Output};

/// helm with its own folders for configuration and cache.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
    home: tempfile::TempDir,
}

impl Helm {
    /// Without a cluster, to lint and render.
    pub fn offline() -> Result<Self> {
        let program = Assets::find(&[Extra::Helm])?.program(Extra::Helm.name());
        let home = tempfile::tempdir().context("no temporary folder")?;
        Ok(Self { program, kubeconfig: None, home })
    }

    /// With a cluster.
    pub fn with_cluster(kubeconfig: &Path) -> Result<Self> {
        Ok(Self { kubeconfig: Some(kubeconfig.to_owned()), ..Self::offline()? })
    }

    /// The chart of this repository.
    pub fn chart() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/plimsoll")
    }

    /// Runs helm to its end. An error means that helm did not start. A failure of helm is in the [`Output`].
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.program);
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.home.path());
        }
        // Without this variable, helm would use the user's own kubeconfig.
        command.env("KUBECONFIG", self.kubeconfig.as_deref().unwrap_or(Path::new("/dev/null")));
        let output = command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{} can't be run", self.program.display()))?;
        Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs helm, and fails unless it succeeds.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.ok().with_context(|| format!("helm {}", arguments.join(" ")))
    }
}
