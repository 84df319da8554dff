//! The API server: who it is, its client, and what it is told.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::register::{self, RegisterError, Target};
use crate::server::Loaded;

/// What the API server is told, again whenever it changes.
pub(super) struct Registration {
    pub(super) client: kube::Client,
    pub(super) url: String,
    /// PEM.
    pub(super) authority: Vec<u8>,
    /// Whether it was told everything.
    pub(super) is_current: bool,
}

impl Registration {
    /// Tells it what follows from what is loaded.
    pub(super) async fn update(&mut self, loaded: &Loaded) -> Result<(), RegisterError> {
        let target = Target { url: &self.url, ca_bundle: &self.authority, enforces: loaded.enforces };
        register::register(self.client.clone(), &loaded.registry, &target).await?;
        self.is_current = true;
        Ok(())
    }
}

pub(super) async fn client(kubeconfig: Option<&Path>) -> Result<kube::Client> {
    let config = match kubeconfig {
        Some(file) => {
            let read =
                kube::config::Kubeconfig::read_from(file).with_context(|| format!("cannot use {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use {}", file.display()))?
        }
        None => kube::Config::infer()
            .await
            .context("there is neither a kubeconfig nor a Pod's account; give --kubeconfig")?,
    };
    kube::Client::try_from(config).context("cannot set up the client of the API server")
}

/// `1.34` of what the API server says, which may be `34+`.
pub(super) async fn version_of(client: &kube::Client) -> Result<String> {
    let version = client.apiserver_version().await.context(
        "cannot ask the API server for its version (check server, certificate authority and credentials of the kubeconfig)",
    )?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    Ok(format!("{}.{}", digits(&version.major), digits(&version.minor)))
}
