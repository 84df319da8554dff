//! Clients that behave like the API server: HTTP/1.1 over TLS, connections that are kept, and no repeated request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::reviews::Shape;

/// Number of requests on a connection. Then the client opens a new one, so that handshakes go on all the time.
const REQUESTS: u32 = 200;

/// State that all clients share.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    tls: TlsConnector,
    pub(crate) shapes: Vec<Shape>,
    /// Expected answers, by the version of the configuration and the shape.
    pub(crate) expected: Vec<Vec<Value>>,
    /// The latest version of the configuration that was written, and the latest one that every process has reported.
    pub(crate) written: AtomicU64,
    pub(crate) reported: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) stop: AtomicBool,
    pub(crate) figures: Mutex<Figures>,
}

/// Results.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) answered: u64,
    pub(crate) connections: u64,
    /// The served certificates, with their number.
    pub(crate) certificates: BTreeMap<Vec<u8>, u64>,
    pub(crate) lost: Vec<String>,
    pub(crate) wrong: Vec<String>,
    /// Duration of each review in microseconds.
    pub(crate) took: Vec<u32>,
}

pub(crate) type Sender = SendRequest<Full<Bytes>>;

impl Load {
    pub(crate) fn new(address: SocketAddr, root: &str, shapes: Vec<Shape>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session shows no certificate.
        config.resumption = rustls::client::Resumption::disabled();
        Self {
            address,
            tls: TlsConnector::from(Arc::new(config)),
            shapes,
            expected: Vec::new(),
            written: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            figures: Mutex::default(),
        }
    }

    /// Sends reviews until `stop` is set.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut figures = Figures::default();
        let mut connection: Option<(Sender, u32)> = None;
        while !self.stop.load(Ordering::SeqCst) {
            let (mut sender, count) = match connection.take() {
                Some((sender, count)) if count < REQUESTS && !sender.is_closed() => (sender, count),
                _ => match self.connect(self.address).await {
                    Ok((sender, certificate)) => {
                        figures.connections += 1;
                        *figures.certificates.entry(certificate).or_default() += 1;
                        (sender, 0)
                    }
                    Err(error) => {
                        figures.lost.push(format!("no connection: {error}"));
                        continue;
                    }
                },
            };
            // A connection that closed while it was idle has no request on it.
            if sender.ready().await.is_err() {
                continue;
            }
            let number = self.sent.fetch_add(1, Ordering::SeqCst);
            let reported = self.reported.load(Ordering::SeqCst);
            let started = Instant::now();
            let shape = usize::try_from(number).unwrap() % self.shapes.len();
            let (body, _) = self.shapes[shape].review(number);
            let answer = ask(&mut sender, self.shapes[shape].path, body).await;
            figures.took.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
            let written = self.written.load(Ordering::SeqCst);
            match answer {
                Err(error) => figures.lost.push(format!("review {number}: {error}")),
                Ok((status, body)) => {
                    figures.answered += 1;
                    if let Err(wrong) = self.judge(number, shape, status, &body, reported..=written) {
                        figures.wrong.push(wrong);
                    }
                    connection = Some((sender, count + 1));
                }
            }
        }
        self.figures.lock().unwrap().add(figures);
    }

    fn judge(
        &self,
        number: u64,
        shape: usize,
        status: u16,
        body: &[u8],
        versions: std::ops::RangeInclusive<u64>,
    ) -> Result<(), String> {
        let asked = &self.shapes[shape];
        let shown = || {
            format!(
                "review {number} ({}), versions {versions:?}: {status} {}",
                asked.what,
                String::from_utf8_lossy(body)
            )
        };
        let answer = asked.normalised(body, number).filter(|_| status == 200).ok_or_else(shown)?;
        let fits = |version: u64| {
            let version = usize::try_from(version % 2).unwrap();
            answer == self.expected[version][shape]
        };
        // There are only two versions.
        versions.clone().take(2).any(fits).then_some(()).ok_or_else(shown)
    }

    /// Connects, and returns the served certificate. A failed connection has sent nothing.
    pub(crate) async fn connect(&self, address: SocketAddr) -> std::io::Result<(Sender, Vec<u8>)> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = tokio::time::timeout(Duration::from_secs(20), self.tls.connect(name, stream)).await??;
        let leaf = stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec()).unwrap_or_default();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok((sender, leaf))
    }
}

pub(crate) async fn ask(sender: &mut Sender, path: &str, body: String) -> Result<(u16, Bytes), hyper::Error> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let request = Request::builder().method(method).uri(format!("{path}?timeout=30s")).header("host", "127.0.0.1");
    let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body))).unwrap();
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((head.status.as_u16(), body.collect().await?.to_bytes()))
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.connections += other.connections;
        for (certificate, count) in other.certificates {
            *self.certificates.entry(certificate).or_default() += count;
        }
        self.lost.extend(other.lost);
        self.wrong.extend(other.wrong);
        self.took.extend(other.took);
    }

    /// The percentile of the durations, in microseconds.
    pub(crate) fn percentile(&mut self, percent: usize) -> u32 {
        self.took.sort_unstable();
        self.took.get(self.took.len() * percent / 100).copied().unwrap_or_default()
    }

    pub(crate) fn check(&self) {
        let shown = |all: &[String]| all.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.lost.is_empty(), "{} lost:\n{}", self.lost.len(), shown(&self.lost));
        assert!(self.wrong.is_empty(), "{} wrong:\n{}", self.wrong.len(), shown(&self.wrong));
    }
}
