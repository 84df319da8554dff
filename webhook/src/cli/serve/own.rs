//! The certificate that the server issues itself.

use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::certs::{Authorities, Leaf};
use crate::model::Current;
use crate::register::{AuthoritySecret, RegisterError, Registrar};
use crate::serving::{Health, Part};

/// How often to check whether a renewal is due, or whether another replica changed the shared Secret.
const PERIOD: Duration = Duration::from_secs(10);

/// The server's certificate and the CAs that sign it. Replicas share the CAs in a Secret. A single server keeps its
/// CA in memory.
#[derive(Debug)]
pub(super) struct Own {
    secret: Option<AuthoritySecret>,
    hosts: Vec<String>,
    authorities: Authorities,
    leaf: Leaf,
}

impl Own {
    /// Issues the first certificate.
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

    /// The CA certificates as PEM, for `caBundle`.
    pub(super) fn authority(&self) -> Vec<u8> {
        self.authorities.certificates().into_bytes()
    }

    /// Renews CAs and certificate as long as the server runs.
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
                Ok(false) if reported.is_empty() => {}
                Ok(_) => {
                    reported.clear();
                    health.succeeded(Part::Certificate);
                }
                Err(error) => {
                    let error = error.to_string();
                    if error != reported {
                        tracing::error!("cannot check or renew the certificate: {error}");
                        health.failed(Part::Certificate, &error);
                        reported = error;
                    }
                }
            }
        }
    }

    /// Returns whether a new certificate is in use.
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
        tracing::info!("issued a new certificate");
        self.leaf = leaf;
        key.replace(self.key());
        Ok(true)
    }
}
