//! TLS: one crypto provider, and a certificate that is looked up at each handshake.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::certs;
use crate::model::Current;

/// The clients that may send reviews. Health and metrics are open to all, because a kubelet has no client certificate.
#[derive(Debug)]
pub struct Clients {
    /// The authorities that sign the clients' certificates.
    pub authorities: RootCertStore,
    /// Allowed common names, like `--requestheader-allowed-names` of kube-apiserver. An empty list allows every name.
    pub names: Vec<String>,
}

/// Why connections can't be secured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The error of rustls about the protocol.
    #[error("cannot set up TLS: {0}")]
    Protocol(#[from] rustls::Error),
    /// The error of rustls about the clients' authorities.
    #[error("cannot check certificates of clients: {0}")]
    Clients(#[from] VerifierBuilderError),
}

/// The identity that the client of a connection has proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Peer {
    /// It may send reviews.
    Trusted,
    /// It sent no certificate, although one is required.
    Unknown,
    /// It is a different client.
    Stranger(String),
}

/// Secures connections. Open connections keep their certificate, and new ones get the newest.
#[derive(Debug)]
pub(super) struct Acceptor {
    certificate: Arc<Current<CertifiedKey>>,
    clients: Option<Arc<Current<Clients>>>,
    /// The configuration for these clients. It also holds the sessions that can be resumed, so sessions of former
    /// authorities end with it.
    config: Mutex<(Option<Arc<Clients>>, Arc<ServerConfig>)>,
}

impl Acceptor {
    pub(super) fn new(
        certificate: Arc<Current<CertifiedKey>>,
        clients: Option<Arc<Current<Clients>>>,
    ) -> Result<Self, TlsError> {
        let newest = clients.as_ref().map(|clients| clients.get());
        let config = Arc::new(config(Arc::clone(&certificate), newest.as_deref())?);
        Ok(Self { certificate, clients, config: Mutex::new((newest, config)) })
    }

    /// The acceptor for one new connection.
    pub(super) fn newest(&self) -> TlsAcceptor {
        let mut held = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.clients.as_ref().map(|clients| clients.get());
        let same = match (&held.0, &newest) {
            (Some(held), Some(newest)) => Arc::ptr_eq(held, newest),
            _ => true,
        };
        if !same {
            match config(Arc::clone(&self.certificate), newest.as_deref()) {
                Ok(config) => *held = (newest, Arc::new(config)),
                // `Clients::check` has accepted them before.
                Err(error) => tracing::error!(%error, "the former authorities of clients stay"),
            }
        }
        TlsAcceptor::from(Arc::clone(&held.1))
    }

    pub(super) fn judge(&self, chain: Option<&[CertificateDer<'_>]>) -> Peer {
        let Some(clients) = self.clients.as_ref().map(|clients| clients.get()) else { return Peer::Trusted };
        let Some(leaf) = chain.and_then(<[_]>::first) else { return Peer::Unknown };
        let name = certs::common_name(leaf).unwrap_or_default();
        if clients.names.is_empty() || clients.names.iter().any(|allowed| allowed == name) {
            return Peer::Trusted;
        }
        Peer::Stranger(name.to_owned())
    }
}

impl Clients {
    /// Checks that handshakes are possible with these clients.
    ///
    /// # Errors
    /// If they contain no authority.
    pub fn check(&self) -> Result<(), TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(self.authorities.clone()), provider).build()?;
        Ok(())
    }
}

fn config(certificate: Arc<Current<CertifiedKey>>, clients: Option<&Clients>) -> Result<ServerConfig, TlsError> {
    // The provider is named here. If a build contains two and none is installed, a look-up panics at the first
    // handshake.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.authorities.clone());
            // A client certificate is optional here. The route decides whether it is required.
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Newest(certificate)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct Newest(Arc<Current<CertifiedKey>>);

impl ResolvesServerCert for Newest {
    // The name that the client asks for does not matter. IP addresses are not sent, and the client checks the
    // certificate anyway.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}
