//! Replaces PolicySets, bundles and certificates while the server runs, and updates the registration.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use tokio::signal::unix::Signal;

use super::background::Background;
use super::certificate::{Certificate, Given, Source};
use super::configuration::{Loader, NotLoaded};
use super::own::Own;
use super::watched::Fingerprint;
use crate::context::watch::Watches;
use crate::model::Current;
use crate::register::{Registrar, Rules};
use crate::server::Clients;
use crate::serving::{Health, Loaded, Part};

/// Delay between the publication of a new CA and its first use. API servers need a moment to read it.
const PUBLISHED: Duration = Duration::from_secs(2);

/// Timeout for publishing a new CA.
const TOLD: Duration = Duration::from_secs(10);

/// How long a new configuration waits for the first list of the context objects of its policies.
const LISTED: Duration = Duration::from_secs(10);

/// Files that did not change for this time are considered complete. Editors write a file in several steps, and a
/// certificate and its key one after the other.
const SETTLED: Duration = Duration::from_millis(100);

/// Maximum number of checks of files that keep changing, before the next turn.
const PATIENCE: u32 = 20;

/// Checks files for changes in turns, and takes over valid versions.
pub(super) struct Reloader {
    pub(super) background: Background,
    pub(super) health: Arc<Health>,
    pub(super) configuration: Configuration,
    pub(super) certificates: Certificates,
    pub(super) registrar: Option<Arc<Registrar>>,
}

/// PolicySets and bundles.
pub(super) struct Configuration {
    loader: Arc<Mutex<Loader>>,
    pub(super) loaded: Arc<Current<Loaded>>,
    /// Fingerprint of the files that were read last, valid or not.
    seen: Option<Fingerprint>,
    /// Older versions that are still in use by running reviews.
    retired: Vec<Arc<Loaded>>,
    /// The watches of context objects.
    pub(super) watches: Option<Arc<Watches>>,
}

/// The server's certificate, and the CAs of its clients.
pub(super) struct Certificates {
    source: Arc<Source>,
    pub(super) key: Arc<Current<CertifiedKey>>,
    pub(super) clients: Option<Arc<Current<Clients>>>,
    /// The CA certificates as PEM, for `caBundle`.
    pub(super) authority: Vec<u8>,
    seen: Option<Fingerprint>,
}

impl Reloader {
    /// Never ends. A turn starts after each interval, if there is one, and at once after SIGHUP. After SIGHUP,
    /// unchanged files are loaded again too.
    pub(super) async fn run(mut self, interval: Option<Duration>, mut hangup: Signal) {
        loop {
            let forced = tokio::select! {
                received = hangup.recv() => received.is_some(),
                () = pause(interval) => false,
            };
            if forced {
                tracing::info!("reading all files again because of SIGHUP");
            }
            self.check_certificates(forced).await;
            self.check_configuration(forced).await;
        }
    }

    async fn check_configuration(&mut self, forced: bool) {
        // Old versions are dropped here, because dropping one on an evaluating thread would delay other reviews.
        self.configuration.retired.retain(|loaded| Arc::strong_count(loaded) > 1);
        let watched = self.configuration.watched();
        if !forced && self.configuration.seen.is_some() {
            let now = self.background.run(move || Fingerprint::of(&watched)).await.ok();
            if now == self.configuration.seen {
                return;
            }
        }
        if settled(&self.background, self.configuration.watched()).await.is_none() {
            return tracing::debug!("the configuration keeps changing");
        }
        let loader = Arc::clone(&self.configuration.loader);
        let read = self.background.run(move || loader.lock().unwrap_or_else(PoisonError::into_inner).load()).await;
        let problems = match read {
            Ok((None, _)) => {
                // The files changed while they were read, so two versions may be mixed.
                self.configuration.seen = None;
                return;
            }
            Ok((seen, Ok(loaded))) => {
                self.configuration.seen = seen;
                return self.take_over(loaded).await;
            }
            Ok((seen, Err(error))) => {
                self.configuration.seen = seen;
                error.problems()
            }
            Err(error) => {
                self.configuration.seen = Some(Fingerprint::of(&self.configuration.watched()));
                vec![error.to_string()]
            }
        };
        for problem in &problems {
            tracing::error!(problem, "the new configuration is rejected; the previous one stays in use");
        }
        self.health.failed(Part::Configuration, &problems.join("; "));
    }

    async fn take_over(&mut self, loaded: Loaded) {
        let kinds = loaded.registry.context_kinds();
        let workloads = Arc::clone(loaded.registry.workloads());
        if let Some(watches) = &self.configuration.watches {
            // The kinds of the old version stay until those of the new one are listed.
            let both = Arc::new(workloads.showing_also(&watches.workloads()));
            watches.want(watches.wanted().union(&kinds).cloned().collect(), &both);
            if tokio::time::timeout(LISTED, watches.listed()).await.is_err() {
                tracing::warn!("the new policies use objects that cannot be listed; they run without these objects");
            }
        }
        let (bundles, policies) = (loaded.registry.bundles().len(), loaded.registry.policies().count());
        let (enforces, rules) = (loaded.enforces, Rules::of(&loaded.registry));
        let before = self.configuration.loaded.get();
        self.configuration.loaded.replace(loaded);
        self.configuration.retired.push(before);
        if let Some(watches) = &self.configuration.watches {
            watches.want(kinds, &workloads);
        }
        let generation = self.health.succeeded(Part::Configuration);
        tracing::info!(generation, bundles, policies, enforces, "the configuration is in use");
        if let Some(registrar) = &self.registrar {
            registrar.update(|wanted| (wanted.enforces, wanted.rules) = (enforces, rules));
        }
    }

    async fn check_certificates(&mut self, forced: bool) {
        let own = &self.certificates;
        let watched = own.source.watched();
        if watched.is_empty() {
            return;
        }
        let again = watched.clone();
        let now = self.background.run(move || Fingerprint::of(&again)).await.ok();
        if !forced && now == own.seen {
            return;
        }
        let Some(before) = settled(&self.background, watched.clone()).await else {
            return tracing::debug!("the certificate keeps changing");
        };
        let source = Arc::clone(&own.source);
        let read = self.background.run(move || (source.load(), Fingerprint::of(&watched))).await;
        let reason = match read {
            Ok((_, after)) if after != before => return,
            Ok((Ok(certificate), _)) => {
                if self.serve_with(certificate).await {
                    self.certificates.seen = Some(before);
                }
                return;
            }
            Ok((Err(error), _)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.certificates.seen = Some(before);
        tracing::error!(reason, "the new certificate is rejected; the previous one stays in use");
        self.health.failed(Part::Certificate, &reason);
    }

    /// Takes over a certificate once the API server trusts it. Returns whether it is in use.
    async fn serve_with(&mut self, certificate: Certificate) -> bool {
        let Certificate { key, authority, clients } = certificate;
        let mut until = None;
        if let Some(key) = key {
            if let Some(registrar) = self.registrar.as_ref().filter(|_| authority != self.certificates.authority) {
                // Both CAs, because replicas that have not reloaded yet still use the old certificate.
                let both = [authority.as_slice(), b"\n", &self.certificates.authority].concat();
                registrar.update(|wanted| wanted.ca_bundle = both);
                if !registrar.published(TOLD).await {
                    tracing::warn!(
                        "the new certificate is not used yet: its CA could not be registered at the API server"
                    );
                    return false;
                }
                tokio::time::sleep(PUBLISHED).await;
            }
            until = key.cert.first().and_then(|leaf| crate::certs::not_after(leaf)).map(OffsetDateTime::date);
            self.certificates.key.replace(key);
            self.certificates.authority = authority;
        }
        if let (Some(current), Some(clients)) = (&self.certificates.clients, clients) {
            current.replace(clients);
        }
        let generation = self.health.succeeded(Part::Certificate);
        let until = until.map(|date| date.to_string()).unwrap_or_default();
        tracing::info!(generation, until, "the certificate is in use");
        true
    }
}

impl Configuration {
    /// Loads the first configuration.
    ///
    /// # Errors
    /// All errors of the configuration.
    pub(super) fn load(mut loader: Loader, watches: Option<Arc<Watches>>) -> Result<Self, NotLoaded> {
        let (seen, loaded) = loader.load();
        let loaded = Arc::new(Current::new(loaded?));
        if let Some(watches) = &watches {
            let registry = &loaded.get().registry;
            watches.want(registry.context_kinds(), registry.workloads());
        }
        Ok(Self { loader: Arc::new(Mutex::new(loader)), loaded, seen, retired: Vec::new(), watches })
    }

    fn watched(&self) -> Vec<PathBuf> {
        self.loader.lock().unwrap_or_else(PoisonError::into_inner).watched()
    }
}

impl Certificates {
    /// The certificates of the files, or the server's own.
    ///
    /// # Errors
    /// If there is no certificate, which is a bug.
    pub(super) fn new(given: Given, own: Option<&Own>) -> Result<Self> {
        let Given { source, seen, certificate: Certificate { key, authority, clients } } = given;
        let (key, authority) = match (key, own) {
            (Some(key), _) => (Arc::new(key), authority),
            (None, Some(own)) => (own.key(), own.authority()),
            (None, None) => bail!("there is no certificate, which is a bug in Plimsoll: please report it"),
        };
        let clients = clients.map(|clients| Arc::new(Current::new(clients)));
        Ok(Self { source: Arc::new(source), key: Arc::new(Current::new(key)), clients, authority, seen: Some(seen) })
    }
}

/// Waits until the files stop changing, and returns their fingerprint. None if they keep changing.
async fn settled(background: &Background, paths: Vec<PathBuf>) -> Option<Fingerprint> {
    let paths = Arc::new(paths);
    let read = || {
        let paths = Arc::clone(&paths);
        background.run(move || Fingerprint::of(&*paths))
    };
    let mut last = read().await.ok()?;
    for _ in 0..PATIENCE {
        tokio::time::sleep(SETTLED).await;
        let now = read().await.ok()?;
        if now == last {
            return Some(now);
        }
        last = now;
    }
    None
}

async fn pause(interval: Option<Duration>) {
    match interval {
        Some(interval) => tokio::time::sleep(interval).await,
        None => std::future::pending().await,
    }
}
