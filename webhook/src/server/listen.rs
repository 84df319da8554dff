//! Accepts, secures, serves and closes connections, so that no request is lost.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_io_timeout::TimeoutWriter;
use tower::ServiceExt as _;

use super::App;
use super::address::Address;
use super::connections::{Connections, Seat};
use super::tls::{Acceptor, Peer};
use super::untaken::Counted;

/// Timeout for the handshake and the head of the first request together.
const FIRST_REQUEST: Duration = Duration::from_secs(5);

/// Maximum idle time of a connection that has not completed a review.
const STRANGER_IDLE: Duration = Duration::from_secs(10);

/// Maximum idle time of a connection that has completed a review. The API server is a Go client, and closes an idle
/// connection after 90 s. If we closed it first, a request could be on its way and get lost.
const IDLE: Duration = Duration::from_secs(150);

/// Maximum number of connections of one listener.
const MAX_CONNECTIONS: usize = 1024;

/// Maximum number of concurrent requests on one connection of HTTP/2. The server holds the untaken answers of each.
const MAX_STREAMS: u32 = 64;

/// Maximum size of the head of a request, in bytes. A head from the API server has less than 200.
const MAX_HEAD: u32 = 8 << 10;

/// Maximum number of unread bytes of one request of HTTP/2. They do not count as a body yet.
const UNREAD: u32 = 64 << 10;

/// Maximum number of unread bytes of one connection. A body that waits for its place must not block other bodies of the
/// API server.
const UNREAD_IN_ALL: u32 = 1 << 20;

/// Size of the read buffer and of the write buffer on a connection of HTTP/1.1, in bytes.
const BUFFER: usize = 32 << 10;

/// Timeout for a client to take an answer.
const TAKE: Duration = Duration::from_secs(5);

/// Interval of HTTP/2 pings, and timeout for each. A client that does not answer in time is gone.
const PING: Duration = Duration::from_secs(30);

/// How long a new connection may still send its first request when the server ends. It was accepted before, and its
/// request is on the way.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Reason of a closed connection in metrics: all other connections were being answered.
const REFUSED: &str = "refused";

/// Reason: it was idle for longest when another connection came.
const MADE_WAY: &str = "made_way";

/// Reason: it sent no request for too long.
const SILENT: &str = "silent";

/// Reason: it did not take its answers.
const UNTAKEN: &str = "untaken";

/// How connections are secured.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    Tls(Arc<Acceptor>),
    /// No encryption, for health and metrics. Everyone on the network path can read and change the data.
    Plain,
}

/// Accepts connections until `stop` is ready. Then current requests may finish, for at most `limit`.
pub(super) async fn listen(
    listener: TcpListener,
    transport: Transport,
    router: Router,
    app: &Arc<App>,
    limit: Duration,
    stop: impl Future<Output = ()>,
) {
    let (ending, ends) = watch::channel(false);
    let connections = Arc::new(Connections::new(MAX_CONNECTIONS));
    let mut stop = pin!(stop);
    let serve = |(stream, address): (TcpStream, SocketAddr)| {
        let Some(seat) = connections.seat(Address::of(address.ip())) else { return app.metrics.dropped(REFUSED) };
        let peer = Peer::Trusted;
        let connection = Connection { router: router.clone(), app: Arc::clone(app), asked: Arc::default(), seat, peer };
        let (transport, ends) = (transport.clone(), ends.clone());
        tokio::spawn(async move { connection.serve(stream, &transport, ends).await });
    };
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener) => serve(accepted),
        }
    }
    last_ones(listener).into_iter().for_each(serve);
    ending.send_replace(true);
    drop(ends);
    if timeout(limit, ending.closed()).await.is_err() {
        tracing::warn!("some requests did not end in time and are given up");
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // No file descriptors are left. An immediate retry would only use up the processor.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Closes the listener. A client in the queue of the operating system believes that its connection is accepted, and may
/// have sent a request. So these connections are returned.
fn last_ones(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // The event loop may not have seen them yet, so the operating system is asked directly.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let next = || {
        let (stream, address) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, address))
    };
    std::iter::from_fn(next).take(MAX_CONNECTIONS).collect()
}

/// One connection.
#[derive(Clone)]
struct Connection {
    router: Router,
    app: Arc<App>,
    /// Whether the head of a request has been read.
    asked: Arc<AtomicBool>,
    seat: Arc<Seat>,
    peer: Peer,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, transport: &Transport, ends: watch::Receiver<bool>) {
        let by = Instant::now() + FIRST_REQUEST;
        // Answers are small and the client waits for them. So they are sent at once.
        let _ = stream.set_nodelay(true);
        let Transport::Tls(acceptor) = transport else { return self.speak(stream, false, by, ends).await };
        let secured = tokio::select! {
            secured = timeout_at(by, acceptor.newest().accept(stream)) => secured,
            () = self.seat.closed() => return self.app.metrics.dropped(MADE_WAY),
        };
        let Ok(Ok(stream)) = secured else {
            // Port scans and probes of load balancers end here all day.
            return tracing::debug!("no TLS handshake");
        };
        let session = stream.get_ref().1;
        self.peer = acceptor.judge(session.peer_certificates());
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        self.speak(stream, is_http2, by, ends).await;
    }

    async fn speak<S>(self, stream: S, is_http2: bool, by: Instant, ends: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Bytes that HTTP has passed to the operating system do not count anywhere else.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(TAKE));
        let io = TokioIo::new(Box::pin(stream));
        let watched = self.clone();
        let service = service_fn(move |request| self.clone().answer(request));
        if is_http2 {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .initial_connection_window_size(UNREAD_IN_ALL)
                .initial_stream_window_size(UNREAD)
                .max_send_buf_size(UNREAD as usize)
                .max_header_list_size(MAX_HEAD)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING)
                .serve_connection(io, service);
            watched.until_closed(connection, by, ends).await;
        } else {
            let connection = http1::Builder::new().max_buf_size(BUFFER).serve_connection(io, service);
            watched.until_closed(connection, by, ends).await;
        }
    }

    async fn answer(self, mut request: Request<Incoming>) -> Result<axum::response::Response, Infallible> {
        self.asked.store(true, Ordering::Relaxed);
        self.seat.asked();
        let version = request.version();
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(Arc::clone(&self.seat));
        let response = self.router.oneshot(request.map(Body::new)).await?;
        let mut response = response.map(|body| Body::new(Counted::new(body, &self.seat)));
        // While `/readyz` fails and the server still accepts, each answer of HTTP/1.1 asks the client to reconnect. For
        // HTTP/2, GOAWAY does this without a race.
        if version < Version::HTTP_2 && self.app.draining.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn until_closed<C>(self, connection: C, by: Instant, mut ends: watch::Receiver<bool>)
    where
        C: GracefulConnection,
        C::Error: std::fmt::Debug,
    {
        let Self { asked, seat, app, .. } = &self;
        let mut connection = pin!(connection);
        let mut closed = tokio::select! {
            closed = connection.as_mut() => Some(closed),
            () = no_request(asked, by) => return app.metrics.dropped(SILENT),
            () = silence(seat) => return app.metrics.dropped(SILENT),
            () = untaken(seat) => return app.metrics.dropped(UNTAKEN),
            () = seat.closed() => return app.metrics.dropped(MADE_WAY),
            _ = ends.wait_for(|ends| *ends) => None,
        };
        if closed.is_none() && !asked.load(Ordering::Relaxed) {
            // A graceful shutdown would close the connection at once, before its first request is read.
            closed = timeout(LAST_REQUEST, connection.as_mut()).await.ok();
        }
        let closed = match closed {
            Some(closed) => closed,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = closed {
            tracing::debug!(?error, "a connection broke");
        }
    }
}

/// Completes when the time for the first request is over and no request came.
async fn no_request(asked: &AtomicBool, by: Instant) {
    sleep_until(by).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// Completes when an answer was not taken for too long.
async fn untaken(seat: &Seat) {
    loop {
        let end = seat.oldest_untaken().map_or_else(Instant::now, Instant::from_std) + TAKE;
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

/// Completes when the connection was idle for too long.
async fn silence(seat: &Seat) {
    loop {
        let (reviewed, since) = seat.idle();
        let limit = if reviewed { IDLE } else { STRANGER_IDLE };
        let end = since.map_or_else(|| Instant::now() + limit, |since| Instant::from_std(since) + limit);
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}
