//! The API server: its client, its version, and the registration of the webhook.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::arguments::ServeArgs;
use crate::certs::hosts_of;
use crate::register::{Place, Reach, RegisterError, Registrar, Registration, Round, State, Wanted};
use crate::serving::{Health, Part};

impl ServeArgs {
    /// The place to register, if `--register` is given.
    pub(super) fn place(&self) -> Option<Place> {
        let reach = match (&self.url, &self.service) {
            (Some(url), _) => Reach::Url(url.text.clone()),
            (None, Some(service)) => {
                Reach::Service { namespace: service.namespace.clone(), name: service.name.clone(), port: service.port }
            }
            (None, None) => return None,
        };
        let place = Place {
            name: self.register_name.clone(),
            reach,
            only_namespaces: self.only_namespace.clone(),
            take_over: self.take_over,
        };
        Some(place).filter(|_| self.register)
    }

    /// The host name that the API server expects in the certificate.
    pub(super) fn host(&self) -> Option<String> {
        let service = self.service.as_ref().map(|service| service.host());
        self.url.as_ref().map(|url| url.host.clone()).or(service)
    }

    /// All host names of a certificate that the server issues itself.
    pub(super) fn hosts(&self) -> Vec<String> {
        let mut hosts = hosts_of(self.listen.ip());
        hosts.extend(self.host().filter(|host| !hosts.contains(host)));
        if let Some(service) = &self.service {
            hosts.push(format!("{}.cluster.local", service.host()));
        }
        hosts
    }
}

/// Retries until the attempt succeeds. In a Pod, no user is there to restart the server. The API server may come up
/// later, or grant a right later.
pub(super) async fn until_it_works<T, E: Display>(mut attempt: impl AsyncFnMut() -> Result<T, E>) -> T {
    const LONGEST: Duration = Duration::from_secs(30);
    let mut pause = Duration::from_secs(1);
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => tracing::error!("not ready yet, trying again in {} s: {error:#}", pause.as_secs()),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Starts the registration. With `--url`, the first error is returned, so that the user sees it. In a Pod, the
/// registration is retried.
pub(super) async fn register(
    mut registration: Registration,
    wanted: Wanted,
    stopped: impl Future<Output = ()> + Send + 'static,
    health: Arc<Health>,
) -> Result<Registrar, RegisterError> {
    if registration.is_by_hand() {
        registration.round(&wanted).await?;
    }
    let report = move |round: &Round| {
        health.registered_by_another(matches!(round, Round::Done(State::Foreign { .. })));
        match round {
            Round::Done(State::Registered { .. } | State::AwaitingReplica) => {
                health.succeeded(Part::Registration);
            }
            Round::Done(state) => health.failed(Part::Registration, &state.to_string()),
            Round::Failed(error) => health.failed(Part::Registration, error),
        }
    };
    Ok(Registrar::start(registration, wanted, stopped, report))
}

pub(in crate::cli) async fn client(kubeconfig: Option<&Path>) -> Result<kube::Client> {
    kube::Client::try_from(config(kubeconfig).await?).context("cannot set up the client of the API server")
}

/// Address and credentials of the API server.
pub(in crate::cli) async fn config(kubeconfig: Option<&Path>) -> Result<kube::Config> {
    match kubeconfig {
        Some(file) => {
            let read =
                kube::config::Kubeconfig::read_from(file).with_context(|| format!("cannot use {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use {}", file.display()))
        }
        None => {
            kube::Config::infer().await.context("found neither a kubeconfig nor a ServiceAccount; give --kubeconfig")
        }
    }
}

/// The version of the API server, such as `1.34`. Some API servers report the minor version as `34+`.
pub(in crate::cli) async fn version_of(client: &kube::Client) -> Result<String> {
    let version = client.apiserver_version().await.context(
        "cannot ask the API server for its version (check server, certificate authority and credentials of the kubeconfig)",
    )?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    Ok(format!("{}.{}", digits(&version.major), digits(&version.minor)))
}
