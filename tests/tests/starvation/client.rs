//! HTTPS clients for the API server, with its administrator's token, and for the webhook's own port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use plimsoll_tests::ControlPlane;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Connection settings for a port on loopback.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    roots: Arc<rustls::RootCertStore>,
    token: Option<Arc<str>>,
    /// The impersonated user, if it is not the administrator.
    user: Option<&'static str>,
}

impl Client {
    pub(crate) fn new(port: u16, authority: &str) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), roots: Arc::new(roots), token: None, user: None }
    }

    pub(crate) fn of_api_server(control_plane: &ControlPlane) -> Self {
        let text = std::fs::read_to_string(control_plane.kubeconfig()).unwrap();
        let kubeconfig: Value = serde_json::from_str(&text).unwrap();
        let authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority"].as_str().unwrap();
        let token = kubeconfig["users"][0]["user"]["token"].as_str().unwrap();
        let port = control_plane.port().expect("this suite needs a control plane of its own");
        let client = Self::new(port, &std::fs::read_to_string(authority).unwrap());
        Self { token: Some(token.into()), ..client }
    }

    /// The same with all rights, as another user.
    pub(crate) fn acting_as(self, user: &'static str) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Opens a connection from this loopback address, with a finished TLS handshake.
    pub(crate) async fn tls(&self, from: Ipv4Addr, protocol: &str) -> Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("127.0.0.1")?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }

    pub(crate) async fn connect(&self, from: Ipv4Addr) -> Result<Sender> {
        let stream = self.tls(from, "http/1.1").await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Status and body of the answer.
    pub(crate) async fn post(&self, sender: &mut Sender, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
        sender.ready().await?;
        let mut request = Request::post(path).header("host", "127.0.0.1").header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(user) = self.user {
            request = request.header("impersonate-user", user).header("impersonate-group", "system:masters");
        }
        let answer = sender.send_request(request.body(Full::new(body))?).await.context("no answer")?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
