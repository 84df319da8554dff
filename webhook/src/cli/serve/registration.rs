//! The API server: who it is, its client, and what it is told.

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
    /// Where the API server finds this server, if it is to be told.
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

    /// By which name the API server asks for the certificate.
    pub(super) fn host(&self) -> Option<String> {
        let service = self.service.as_ref().map(|service| service.host());
        self.url.as_ref().map(|url| url.host.clone()).or(service)
    }

    /// All names of a certificate of our own.
    pub(super) fn hosts(&self) -> Vec<String> {
        let mut hosts = hosts_of(self.listen.ip());
        hosts.extend(self.host().filter(|host| !hosts.contains(host)));
        if let Some(service) = &self.service {
            hosts.push(format!("{}.cluster.local", service.host()));
        }
        hosts
    }
}

/// Tries until it works. In a Pod nobody reads an error and starts anew, and what the API server refuses now, or where
/// there is none yet, may be otherwise in a moment.
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

/// A user who starts it by hand sees at once what is wrong. In a Pod it goes on trying.
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

/// How to reach the API server.
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
            kube::Config::infer().await.context("there is neither a kubeconfig nor a Pod's account; give --kubeconfig")
        }
    }
}

/// `1.34` of what the API server says, which may be `34+`.
pub(in crate::cli) async fn version_of(client: &kube::Client) -> Result<String> {
    let version = client.apiserver_version().await.context(
        "cannot ask the API server for its version (check server, certificate authority and credentials of the kubeconfig)",
    )?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    Ok(format!("{}.{}", digits(&version.major), digits(&version.minor)))
}
