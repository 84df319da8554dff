//! A client that sends any bytes, with one connection for each request.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

#[derive(Debug)]
pub(crate) struct Wire {
    port: u16,
    tls: Arc<ClientConfig>,
    token: Option<String>,
}

impl Wire {
    /// A client for a port on loopback, whose certificate this CA signed.
    pub(crate) fn new(port: u16, authority: &str, token: Option<String>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { port, tls: Arc::new(tls), token })
    }

    /// Sends one request with its length. HTTP/1.0, so that the answer is not chunked.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<(u16, String)> {
        let mut head = format!("{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n", body.len());
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let token = token.iter().map(|token| ("authorization", token.as_str()));
        for (name, value) in headers.iter().copied().chain(token) {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        self.raw(&[head.as_bytes(), body])
    }

    /// Sends these bytes, and reads until the server closes. Returns the status and the body.
    pub(crate) fn raw(&self, parts: &[&[u8]]) -> Result<(u16, String)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).context("no connection")?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from("127.0.0.1")?)?;
        let mut stream = StreamOwned::new(connection, stream);
        for part in parts {
            stream.write_all(part).context("it does not take the request")?;
        }
        stream.flush()?;
        let mut answer = Vec::new();
        // Some servers close without TLS's close_notify, which counts as an error. The data was still read.
        let end = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {end:?}, {text:?}"))?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
        ensure!(!head.to_ascii_lowercase().contains("transfer-encoding"), "the answer comes in pieces:\n{head}");
        Ok((status, body.to_owned()))
    }
}
