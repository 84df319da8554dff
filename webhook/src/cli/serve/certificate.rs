//! Which certificate it serves with, and which authority the API server is told.

use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::arguments::ServeArgs;
use crate::certs::{self, Authorities, CertError, Leaf};
use crate::register::{AuthoritySecret, RegisterError, Registrar};
use crate::server::Current;

/// How often is looked whether a certificate, or the authority of one, is another now.
const PERIOD: Duration = Duration::from_secs(10);

/// A certificate that somebody else issues.
pub(super) struct Given {
    pub(super) key: CertifiedKey,
    /// PEM, for `caBundle`; empty where nothing is registered.
    pub(super) authority: Vec<u8>,
}

/// That of the arguments, if they name one.
pub(super) fn given(args: &ServeArgs) -> Result<Option<Given>, CertError> {
    let Some(files) = files(args) else { return Ok(None) };
    let key = files.load()?;
    let mut authority = Vec::new();
    if let Some(host) = args.host().filter(|_| args.register) {
        files.check_name(&host)?;
        authority = files.authority(args.ca_file.as_deref())?;
    }
    Ok(Some(Given { key, authority }))
}

fn files(args: &ServeArgs) -> Option<certs::Files> {
    let (certificate, private_key) = args.tls_cert_file.clone().zip(args.tls_private_key_file.clone())?;
    Some(certs::Files { certificate, private_key })
}

/// Has the API server told of an authority in files that changed. The one before is told as well: which of the two
/// signed what a replica shows depends on when the kubelet brought it the new files.
pub(super) async fn follow_authority(args: ServeArgs, mut told: Vec<u8>, registrar: Arc<Registrar>) {
    let Some(files) = files(&args) else { return };
    let mut reported = String::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        match files.authority(args.ca_file.as_deref()) {
            Ok(authority) if authority != told => {
                let mut bundle = authority.clone();
                if !bundle.ends_with(b"\n") {
                    bundle.push(b'\n');
                }
                bundle.extend_from_slice(&told);
                tracing::info!("the authority of the certificate changed");
                registrar.update(|wanted| wanted.ca_bundle = bundle);
                told = authority;
                reported.clear();
            }
            Ok(_) => reported.clear(),
            Err(error) => {
                let error = error.to_string();
                if error != reported {
                    tracing::error!("the authority before stays: {error}");
                    reported = error;
                }
            }
        }
    }
}

/// Certificates of our own, by authorities that replicas share in a Secret, or that nobody else knows.
#[derive(Debug)]
pub(super) struct Own {
    secret: Option<AuthoritySecret>,
    hosts: Vec<String>,
    authorities: Authorities,
    leaf: Leaf,
}

impl Own {
    /// The first of them.
    pub(super) async fn issue(secret: Option<AuthoritySecret>, hosts: Vec<String>) -> Result<Self, RegisterError> {
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
    pub(super) async fn keep(mut self, key: Arc<Current<CertifiedKey>>, registrar: Option<Arc<Registrar>>) {
        let mut reported = String::new();
        loop {
            tokio::time::sleep(PERIOD).await;
            match self.renew(&key, registrar.as_deref()).await {
                Ok(()) => reported.clear(),
                Err(error) => {
                    let error = error.to_string();
                    if error != reported {
                        tracing::error!("the certificate cannot be looked after: {error}");
                        reported = error;
                    }
                }
            }
        }
    }

    async fn renew(&mut self, key: &Current<CertifiedKey>, registrar: Option<&Registrar>) -> Result<(), RegisterError> {
        let now = OffsetDateTime::now_utc();
        match &self.secret {
            Some(secret) => self.authorities = secret.current(Some(&self.authorities), now).await?,
            None => drop(self.authorities.maintain(now)?),
        }
        if let Some(registrar) = registrar {
            registrar.update(|wanted| wanted.ca_bundle = self.authority());
        }
        if let Some(leaf) = self.authorities.renew(&self.leaf, &self.hosts, now)? {
            tracing::info!("issued another certificate");
            self.leaf = leaf;
            key.replace(self.key());
        }
        Ok(())
    }
}
