//! The certificate files of the command line: the server's certificate, its CA, and the CAs of clients.

use std::path::PathBuf;

use rustls::sign::CertifiedKey;

use super::arguments::ServeArgs;
use super::watched::Fingerprint;
use crate::certs::{self, CertError};
use crate::cli::Failure;
use crate::server::{Clients, TlsError};

/// The files of certificates.
#[derive(Debug)]
pub(super) struct Source {
    /// The files of the server's certificate. If there are none, the server issues its own certificate.
    given: Option<Files>,
    client_ca: Option<PathBuf>,
    client_names: Vec<String>,
}

#[derive(Debug)]
struct Files {
    pair: certs::Pair,
    ca_file: Option<PathBuf>,
    /// The host name that the API server uses. None without `--register`.
    host: Option<String>,
}

/// Why the files can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Certificate(#[from] CertError),
    #[error("{file}: {error}")]
    Clients { file: String, error: TlsError },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::usage(error.to_string(), "`plimsoll serve --help` says which files of a certificate it takes")
    }
}

/// The content of the files.
#[derive(Debug)]
pub(super) struct Certificate {
    /// None if the server issues its own certificate.
    pub(super) key: Option<CertifiedKey>,
    /// The CA certificates as PEM, for `caBundle`. Empty without `--register`.
    pub(super) authority: Vec<u8>,
    pub(super) clients: Option<Clients>,
}

/// The content of the files at start.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) source: Source,
    /// Fingerprint from before the files were read, so that a later change is noticed.
    pub(super) seen: Fingerprint,
    pub(super) certificate: Certificate,
}

impl Given {
    /// Reads the files.
    ///
    /// # Errors
    /// If one of them cannot be read, or does not fit the others.
    pub(super) fn read(args: &ServeArgs) -> Result<Self, Error> {
        let source = Source::new(args);
        let seen = Fingerprint::of(&source.watched());
        let certificate = source.load()?;
        Ok(Self { source, seen, certificate })
    }

    /// Whether the server must issue its own certificate.
    pub(super) fn needs_certificate(&self) -> bool {
        self.certificate.key.is_none()
    }
}

impl Source {
    fn new(args: &ServeArgs) -> Self {
        let files = args.tls_cert_file.clone().zip(args.tls_private_key_file.clone());
        let given = files.map(|(certificate, private_key)| Files {
            pair: certs::Pair { certificate, private_key },
            ca_file: args.ca_file.clone(),
            host: args.host().filter(|_| args.register),
        });
        Self { given, client_ca: args.client_ca_file.clone(), client_names: args.client_allowed_name.clone() }
    }

    /// All files that are watched for changes.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.client_ca.iter().cloned().collect();
        if let Some(given) = &self.given {
            paths.extend([given.pair.certificate.clone(), given.pair.private_key.clone()]);
            paths.extend(given.ca_file.clone());
        }
        paths
    }

    /// Reads the files.
    pub(super) fn load(&self) -> Result<Certificate, Error> {
        let mut key = None;
        let mut authority = Vec::new();
        if let Some(given) = &self.given {
            key = Some(given.pair.load()?);
            if let Some(host) = &given.host {
                given.pair.check_name(host)?;
                authority = given.pair.authority(given.ca_file.as_deref())?;
            }
        }
        let clients = match &self.client_ca {
            None => None,
            Some(file) => {
                let clients = Clients { authorities: certs::roots(file)?, names: self.client_names.clone() };
                clients.check().map_err(|error| Error::Clients { file: file.display().to_string(), error })?;
                Some(clients)
            }
        };
        Ok(Certificate { key, authority, clients })
    }
}
