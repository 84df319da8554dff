//! TLS: one provider, and a certificate that is looked up at each handshake.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::certs;
use crate::serving::Current;

/// Who may ask for reviews. Health and metrics are answered to everybody, for a kubelet has no certificate.
#[derive(Debug)]
pub struct Clients {
    /// Who signs their certificates.
    pub authorities: RootCertStore,
    /// Common names, as of `--requestheader-allowed-names` of kube-apiserver; none allows every name.
    pub names: Vec<String>,
}

/// Why no connection can be secured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What rustls says of the protocol.
    #[error("cannot set up TLS: {0}")]
    Protocol(#[from] rustls::Error),
    /// What rustls says of the clients' authorities.
    #[error("cannot check certificates of clients: {0}")]
    Clients(#[from] VerifierBuilderError),
}

/// What a connection's client has proved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Peer {
    /// It may ask for reviews.
    Trusted,
    /// It showed no certificate, where one is demanded.
    Unknown,
    /// It is somebody else.
    Stranger(String),
}

/// Secures connections. Those that stand keep what they were made with; each new one gets the newest certificate.
#[derive(Debug)]
pub(super) struct Acceptor {
    certificate: Arc<Current<CertifiedKey>>,
    clients: Option<Arc<Current<Clients>>>,
    /// For these clients. It also holds the sessions that can be resumed: those of former authorities go with them.
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

    /// For one connection.
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
                // `Clients::check` said that they could be used.
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
    /// Whether handshakes can be made with them.
    ///
    /// # Errors
    /// Where there is no authority among them.
    pub fn check(&self) -> Result<(), TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(self.authorities.clone()), provider).build()?;
        Ok(())
    }
}

fn config(certificate: Arc<Current<CertifiedKey>>, clients: Option<&Clients>) -> Result<ServerConfig, TlsError> {
    // Named, not looked up: two providers in one build and none installed is a panic at the first handshake.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.authorities.clone());
            // Asked for, not demanded: that is up to the route.
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
    // Whatever name the client asks for: an IP address is not sent, and the client checks the certificate anyway.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}
