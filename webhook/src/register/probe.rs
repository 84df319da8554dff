//! Checks whether a server that is registered in our place answers. The request is like that of the API server.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use kube::Client;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::owner::Other;
use super::{Reach, RegisterError, standing};

/// Timeout for one probe. The API server waits longer, but a server that is alive answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// The result of a probe.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answers {
    Yes,
    No(String),
    /// The probe failed for a reason on our side. The server may still answer the API server.
    Unknown(String),
}

pub(super) async fn probe(client: &Client, other: &Other) -> Answers {
    let url = match &other.reach {
        Reach::Url(url) => url.clone(),
        Reach::Service { namespace, name, port } => match standing::answers(client, namespace, name).await {
            Ok(true) => return Answers::Yes,
            Ok(false) => return Answers::No("its Service has no endpoint that is ready".to_owned()),
            // Without rights in that namespace, the DNS name of the Service is used.
            Err(RegisterError::Forbidden { .. }) => format!("https://{name}.{namespace}.svc:{port}"),
            Err(error) => return Answers::Unknown(error.to_string()),
        },
    };
    match timeout(PATIENCE, ask(&url, &other.ca_bundle)).await {
        Ok(answers) => answers,
        Err(_) => Answers::No(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Sends a request. Any HTTP answer counts, because a server that is not ready yet is alive.
async fn ask(url: &str, ca_bundle: &[u8]) -> Answers {
    let unknown = |what: String| Answers::Unknown(what);
    let Ok(uri) = url.parse::<Uri>() else { return unknown(format!("{url} is no URL")) };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_matches(['[', ']']);
    let Ok(name) = ServerName::try_from(bare.to_owned()) else { return unknown(format!("{url} has no host")) };
    let mut roots = RootCertStore::empty();
    let trusted: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(ca_bundle).flatten().collect();
    roots.add_parsable_certificates(trusted);
    if roots.is_empty() {
        return unknown("its caBundle has no certificate".to_owned());
    }
    let addresses = match lookup_host((bare, uri.port_u16().unwrap_or(443))).await {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        // The API server may use another DNS server.
        Err(error) => return unknown(format!("{host} cannot be looked up: {error}")),
    };
    let stream = match TcpStream::connect(&addresses[..]).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return unknown(error.to_string()),
        Err(error) => return Answers::No(error.to_string()),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = match ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(error) => return unknown(error.to_string()),
    };
    // Another program may use the port by now. The API server would not trust it either.
    let mut stream = match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => stream,
        Err(error) => return Answers::No(error.to_string()),
    };
    let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    if let Err(error) = stream.write_all(request.as_bytes()).await {
        return Answers::No(error.to_string());
    }
    let mut begin = [0; 5];
    match stream.read_exact(&mut begin).await {
        Ok(_) if begin == *b"HTTP/" => Answers::Yes,
        Ok(_) => Answers::No("it does not speak HTTP".to_owned()),
        Err(error) => Answers::No(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::certs::Authority;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn who_is_gone_and_who_cannot_be_asked() {
        let authority = Authority::new().unwrap();
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            assert!(matches!(ask(&url, b"").await, Answers::Unknown(_)), "whom to trust is not known");
            // Another program uses the port, and does not speak TLS.
            let other = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            });
            assert!(matches!(ask(&url, authority.pem().as_bytes()).await, Answers::No(_)));
            other.await.unwrap();
            assert!(matches!(ask(&url, authority.pem().as_bytes()).await, Answers::No(_)), "nobody listens any more");
            let nowhere = ask("https://nowhere.invalid:1", authority.pem().as_bytes()).await;
            assert!(matches!(nowhere, Answers::Unknown(_)), "{nowhere:?}");
        });
    }
}
