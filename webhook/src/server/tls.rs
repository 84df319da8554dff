//! TLS: one provider, and a certificate that is looked up at each handshake.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::Current;

/// Connections that stand keep what they were made with; each new one gets the newest certificate.
pub(super) fn acceptor(certificate: Arc<Current<CertifiedKey>>) -> Result<TlsAcceptor, rustls::Error> {
    // Named, not looked up: two providers in one build and none installed is a panic at the first handshake.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Newest(certificate)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[derive(Debug)]
struct Newest(Arc<Current<CertifiedKey>>);

impl ResolvesServerCert for Newest {
    // Whatever name the client asks for: an IP address is not sent, and the client checks the certificate anyway.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}
