//! Which certificate it serves with, which authority the API server is told, and which clients may ask.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::arguments::ServeArgs;
use crate::certs::{self, Authorities, CertError, Leaf};
use crate::register::{AuthoritySecret, RegisterError, Registrar};
use crate::server::{Clients, Current, Health, Part, TlsError};

/// How often is looked whether a certificate of our own, or the authority of one, is another now.
const PERIOD: Duration = Duration::from_secs(10);

/// Where certificates come from that somebody else issues and renews: files.
#[derive(Debug)]
pub(super) struct Source {
    own: Option<Files>,
    client_ca: Option<PathBuf>,
    client_names: Vec<String>,
}

#[derive(Debug)]
struct Files {
    files: certs::Files,
    ca_file: Option<PathBuf>,
    /// Under which the API server asks; none where it is not told to.
    host: Option<String>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Certificate(#[from] CertError),
    #[error("{file}: {error}")]
    Clients { file: String, error: TlsError },
}

/// What the files hold.
#[derive(Debug)]
pub(super) struct Given {
    /// The server's own, where it is not one that we issue.
    pub(super) own: Option<OwnGiven>,
    pub(super) clients: Option<Clients>,
}

/// The server's own certificate.
#[derive(Debug)]
pub(super) struct OwnGiven {
    pub(super) key: CertifiedKey,
    /// PEM, for `caBundle`; empty where nothing is registered.
    pub(super) authority: Vec<u8>,
}

impl Source {
    pub(super) fn new(args: &ServeArgs) -> Self {
        let files = args.tls_cert_file.clone().zip(args.tls_private_key_file.clone());
        let own = files.map(|(certificate, private_key)| Files {
            files: certs::Files { certificate, private_key },
            ca_file: args.ca_file.clone(),
            host: args.host().filter(|_| args.register),
        });
        Self { own, client_ca: args.client_ca_file.clone(), client_names: args.client_allowed_name.clone() }
    }

    /// The files that it is made of.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.client_ca.iter().cloned().collect();
        if let Some(Files { files, ca_file, .. }) = &self.own {
            paths.extend([files.certificate.clone(), files.private_key.clone()]);
            paths.extend(ca_file.clone());
        }
        paths
    }

    /// Reads the files.
    pub(super) fn load(&self) -> Result<Given, Error> {
        let own = match &self.own {
            None => None,
            Some(Files { files, ca_file, host }) => {
                let key = files.load()?;
                let mut authority = Vec::new();
                if let Some(host) = host {
                    files.check_name(host)?;
                    authority = files.authority(ca_file.as_deref())?;
                }
                Some(OwnGiven { key, authority })
            }
        };
        let clients = match &self.client_ca {
            None => None,
            Some(file) => {
                let clients = Clients { authorities: certs::roots(file)?, names: self.client_names.clone() };
                clients.check().map_err(|error| Error::Clients { file: file.display().to_string(), error })?;
                Some(clients)
            }
        };
        Ok(Given { own, clients })
    }
}

/// Certificates of our own, by authorities that replicas share in a Secret, or that nobody else knows.
#[derive(Debug)]
pub(super) struct Issued {
    secret: Option<AuthoritySecret>,
    hosts: Vec<String>,
    authorities: Authorities,
    leaf: Leaf,
}

impl Issued {
    /// The first of them.
    pub(super) async fn new(secret: Option<AuthoritySecret>, hosts: Vec<String>) -> Result<Self, RegisterError> {
        let now = OffsetDateTime::now_utc();
        let authorities = match &secret {
            Some(secret) => secret.current(None, now).await?,
            None => Authorities::new(now)?,
        };
        let leaf = authorities.issue(&hosts, now)?;
        Ok(Self { secret, hosts, authorities, leaf })
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.leaf.key)
    }

    /// PEM, for `caBundle`.
    pub(super) fn authority(&self) -> Vec<u8> {
        self.authorities.certificates().into_bytes()
    }

    /// Renews what is due, for as long as the server runs.
    pub(super) async fn keep(
        mut self,
        key: Arc<Current<CertifiedKey>>,
        registrar: Option<Arc<Registrar>>,
        health: Arc<Health>,
    ) {
        let mut reported = String::new();
        loop {
            tokio::time::sleep(PERIOD).await;
            match self.renew(&key, registrar.as_deref()).await {
                Ok(renewed) => {
                    if renewed || !reported.is_empty() {
                        health.succeeded(Part::Certificate);
                    }
                    reported.clear();
                }
                Err(error) => {
                    let error = error.to_string();
                    if error != reported {
                        tracing::error!("the certificate cannot be looked after: {error}");
                        health.failed(Part::Certificate, &error);
                        reported = error;
                    }
                }
            }
        }
    }

    async fn renew(
        &mut self,
        key: &Current<CertifiedKey>,
        registrar: Option<&Registrar>,
    ) -> Result<bool, RegisterError> {
        let now = OffsetDateTime::now_utc();
        match &self.secret {
            Some(secret) => self.authorities = secret.current(Some(&self.authorities), now).await?,
            None => drop(self.authorities.maintain(now)?),
        }
        if let Some(registrar) = registrar {
            registrar.update(|wanted| wanted.ca_bundle = self.authority());
        }
        let Some(leaf) = self.authorities.renew(&self.leaf, &self.hosts, now)? else { return Ok(false) };
        tracing::info!("issued another certificate");
        self.leaf = leaf;
        key.replace(self.key());
        Ok(true)
    }
}
