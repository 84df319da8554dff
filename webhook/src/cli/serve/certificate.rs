//! Which certificate it serves with, which authority the API server is told, and which clients may ask.

use std::path::PathBuf;

use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::arguments::ServeArgs;
use crate::certs::{self, Authority, CertError};
use crate::server::{Clients, TlsError};

/// Where certificates come from.
#[derive(Debug)]
pub(super) struct Source {
    own: Own,
    client_ca: Option<PathBuf>,
    client_names: Vec<String>,
}

#[derive(Debug)]
enum Own {
    Files {
        files: certs::Files,
        ca_file: Option<PathBuf>,
        /// Under which the API server asks; none where it is not told to.
        host: Option<String>,
    },
    Issued {
        authority: Box<Authority>,
        hosts: Vec<String>,
    },
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Certificate(#[from] CertError),
    #[error("{file}: {error}")]
    Clients { file: String, error: TlsError },
}

/// What connections are secured with.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: CertifiedKey,
    /// PEM, for `caBundle`.
    pub(super) authority: Vec<u8>,
    pub(super) clients: Option<Clients>,
}

impl Source {
    pub(super) fn new(args: &ServeArgs) -> Result<Self, Error> {
        let url = args.url.as_ref();
        let own = match (&args.tls_cert_file, &args.tls_private_key_file) {
            (Some(certificate), Some(private_key)) => Own::Files {
                files: certs::Files { certificate: certificate.clone(), private_key: private_key.clone() },
                ca_file: args.ca_file.clone(),
                host: url.filter(|_| args.register).map(|url| url.host.clone()),
            },
            _ => {
                let mut hosts = certs::hosts_of(args.listen.ip());
                hosts.extend(url.map(|url| url.host.clone()).filter(|host| !hosts.contains(host)));
                Own::Issued { authority: Box::new(Authority::new()?), hosts }
            }
        };
        Ok(Self { own, client_ca: args.client_ca_file.clone(), client_names: args.client_allowed_name.clone() })
    }

    /// The files that it is made of.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.client_ca.iter().cloned().collect();
        if let Own::Files { files, ca_file, .. } = &self.own {
            paths.extend([files.certificate.clone(), files.private_key.clone()]);
            paths.extend(ca_file.clone());
        }
        paths
    }

    /// Reads the files, or issues a certificate.
    pub(super) fn load(&self) -> Result<Certificate, Error> {
        let (key, authority) = match &self.own {
            Own::Files { files, ca_file, host } => {
                let key = files.load()?;
                let mut authority = Vec::new();
                if let Some(host) = host {
                    files.check_name(host)?;
                    authority = files.authority(ca_file.as_deref())?;
                }
                (key, authority)
            }
            Own::Issued { authority, hosts } => (authority.issue(hosts)?, authority.pem().as_bytes().to_vec()),
        };
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

    /// Whether a certificate that we issued is to be replaced: in the last third of its life.
    pub(super) fn is_due(&self, key: &CertifiedKey, now: OffsetDateTime) -> bool {
        let end = key.cert.first().and_then(|leaf| certs::not_after(leaf));
        matches!(self.own, Own::Issued { .. }) && end.is_some_and(|end| end - now < certs::LIFE / 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_certificate_is_renewed_long_before_it_ends() {
        let own = Own::Issued { authority: Box::new(Authority::new().unwrap()), hosts: vec!["127.0.0.1".to_owned()] };
        let source = Source { own, client_ca: None, client_names: Vec::new() };
        let first = source.load().unwrap();
        let now = OffsetDateTime::now_utc();
        assert!(!source.is_due(&first.key, now) && !source.is_due(&first.key, now + certs::LIFE / 2));
        assert!(
            source.is_due(&first.key, now + certs::LIFE * 3 / 4) && source.is_due(&first.key, now + certs::LIFE * 2)
        );
        let second = source.load().unwrap();
        assert_eq!(first.authority, second.authority);
        assert_ne!(first.key.cert, second.key.cert);
    }
}
