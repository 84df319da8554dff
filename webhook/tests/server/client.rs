//! The real server on a free port, and a client that speaks HTTPS to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll::certs::Authority;
use plimsoll::context::{Context, Unknown};
use plimsoll::engine::{Engine, Limits};
use plimsoll::model::Current;
use plimsoll::registry::{self, Mode, PolicySet, Profile, Registry};
use plimsoll::server::{Options, Server, TlsError};
use plimsoll::serving::Loaded;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A running server. It stops when the value is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) certificate: Arc<Current<CertifiedKey>>,
    stop: Option<oneshot::Sender<()>>,
    done: JoinHandle<Result<(), TlsError>>,
}

impl Running {
    /// Starts a server with the built-in policies and without other objects.
    pub(crate) async fn start() -> Self {
        static LOADED: OnceLock<Arc<Current<Loaded>>> = OnceLock::new();
        let loaded = LOADED.get_or_init(|| Arc::new(Current::new(load(Arc::new(Unknown), true))));
        Self::start_with(Arc::clone(loaded), Options { threads: 2, ..Options::default() }).await
    }

    pub(crate) async fn start_with(loaded: Arc<Current<Loaded>>, options: Options) -> Self {
        let authority = Authority::new().unwrap();
        let certificate = Arc::new(Current::new(issue(&authority)));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(address, options, loaded, Arc::clone(&certificate)).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self { address, authority, certificate, stop: Some(stop), done }
    }

    /// Sends the stop signal.
    pub(crate) fn signal(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the end after the signal.
    pub(crate) async fn stopped(self) {
        self.done.await.unwrap().unwrap();
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector::new(self.address, self.authority.pem())
    }

    pub(crate) async fn tls(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector().tls(protocol).await
    }

    /// Opens a connection with HTTP/1.1.
    pub(crate) async fn connect(&self) -> Http1 {
        self.connector().connect().await
    }

    /// Opens a connection with HTTP/2.
    pub(crate) async fn connect_http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = self.tls("h2").await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends one request on a new connection.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.connector().send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.connector().get(path).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(request(Method::POST, path, body)).await
    }

    /// The value of a metric with this name and labels, or 0 if it is absent.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        self.connector().metric(name).await
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until(&self, name: &str, value: f64) {
        self.connector().until(name, value).await;
    }
}

/// The data that is needed to connect.
#[derive(Clone)]
pub(crate) struct Connector {
    address: SocketAddr,
    /// The CA certificate as PEM.
    authority: String,
    identity: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
}

impl Connector {
    pub(crate) fn new(address: SocketAddr, authority: impl Into<String>) -> Self {
        Self { address, authority: authority.into(), identity: None }
    }

    /// Sets a client certificate.
    pub(crate) fn showing(self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { identity: Some((chain, Arc::new(key))), ..self }
    }

    pub(crate) async fn tls(&self, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        self.tls_over(TcpStream::connect(self.address).await?, protocol).await
    }

    /// Makes the TLS handshake on an existing connection.
    pub(crate) async fn tls_over(&self, stream: TcpStream, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Opens a connection with HTTP/1.1.
    pub(crate) async fn connect(&self) -> Http1 {
        Http1::over(self.tls("http/1.1").await.unwrap()).await
    }

    /// Sends one request on a new connection.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        self.connect().await.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, "")).await
    }

    /// See [`Running::metric`].
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text();
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// See [`Running::until`].
    pub(crate) async fn until(&self, name: &str, value: f64) {
        for _ in 0..1_000 {
            if (self.metric(name).await - value).abs() < 0.5 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is {} and not {value}", self.metric(name).await);
    }
}

impl Http1 {
    pub(crate) async fn over<S>(stream: S) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Http1 { sender, closed: tokio::spawn(async move { drop(connection.await) }) }
    }
}

/// Loads the built-in policies, with these other objects as context.
pub(crate) fn load(context: Arc<dyn Context>, enforces: bool) -> Loaded {
    let engine = Engine::new(Limits::default()).unwrap();
    let set = PolicySet::new("default", Profile::Production).with_mode(Mode::Enforce);
    let registry = Registry::new(&engine, vec![set], registry::Options::default()).unwrap();
    Loaded { registry, context, enforces }
}

pub(crate) fn issue(authority: &Authority) -> CertifiedKey {
    authority.issue(&["127.0.0.1".to_owned()]).unwrap()
}

/// A keep-alive connection.
pub(crate) struct Http1 {
    sender: http1::SendRequest<Full<Bytes>>,
    pub(crate) closed: JoinHandle<()>,
}

impl Http1 {
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.sender.ready().await.unwrap();
        self.try_send(request).await.unwrap()
    }

    /// Sends a request. None if the connection breaks.
    pub(crate) async fn try_send(&mut self, request: Request<Full<Bytes>>) -> Option<Answer> {
        Some(Answer::read(self.sender.send_request(request).await.ok()?).await)
    }
}

pub(crate) fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
    request.header(CONTENT_TYPE, "application/json").body(Full::new(body.into())).unwrap()
}

/// Sets a header of a request, or removes it if the value is empty.
pub(crate) fn with_header(mut request: Request<Full<Bytes>>, name: &'static str, value: &str) -> Request<Full<Bytes>> {
    let name = HeaderName::from_static(name);
    if value.is_empty() {
        request.headers_mut().remove(name);
    } else {
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `response` of the body, which must be an AdmissionReview.
    pub(crate) fn response(&self) -> Value {
        assert_eq!((self.status, self.header("content-type")), (StatusCode::OK, "application/json"), "{}", self.text());
        let review: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(
            (&review["apiVersion"], &review["kind"]),
            (&"admission.k8s.io/v1".into(), &"AdmissionReview".into())
        );
        assert_eq!(review.as_object().unwrap().len(), 3, "the request is not echoed");
        review["response"].clone()
    }
}
