//! Connections: accepted, secured, served, and closed so that nothing is lost.

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

/// How long a connection may be silent that has not completed a review.
const STRANGER_IDLE: Duration = Duration::from_secs(10);

/// How long a connection may be silent that has completed one. Go's client, which the API server is, gives up an idle
/// connection after 90 s: if we closed first, a request could be on its way, and be lost.
const IDLE: Duration = Duration::from_secs(150);

/// Maximum number of connections of one listener.
const MAX_CONNECTIONS: usize = 1024;

/// Maximum number of requests at once on one connection of HTTP/2. Answers that the client does not take are held for each.
const MAX_STREAMS: u32 = 64;

/// Maximum size of the head of a request. That of the API server has less than 200 bytes.
const MAX_HEAD: u32 = 8 << 10;

/// Maximum number of bytes that one request of HTTP/2 may have sent and that nothing has read yet. They are not counted as a body.
const UNREAD: u32 = 64 << 10;

/// The same of one connection. A body that waits for its place must not hold up the others of the API server.
const UNREAD_IN_ALL: u32 = 1 << 20;

/// Maximum number of bytes that are read ahead, and of an answer that wait to be sent, on a connection of HTTP/1.1.
const BUFFER: usize = 32 << 10;

/// Timeout for a client to take an answer.
const TAKE: Duration = Duration::from_secs(5);

/// A client of HTTP/2 that does not answer pings in this rhythm is gone.
const PING: Duration = Duration::from_secs(30);

/// When the server ends, a connection that has not asked anything yet may do so for this long: it was accepted before,
/// and its request is on the way.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// Why a connection was closed before its client closed it, as metrics say it: all others were being answered.
const REFUSED: &str = "refused";

/// It was the longest idle one when another came.
const MADE_WAY: &str = "made_way";

/// It asked nothing for too long.
const SILENT: &str = "silent";

/// It did not take its answers.
const UNTAKEN: &str = "untaken";

/// How connections are secured.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    Tls(Arc<Acceptor>),
    /// Everybody in between can read and change what is said: for health and metrics.
    Plain,
}

/// Accepts until `stop` is ready, then lets what is under way end, for at most `limit`.
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
                // Out of file descriptors: trying at once would only burn the processor.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Closes the listener. Whoever got as far as the system's queue takes the connection for accepted, and may have sent a
/// request.
fn last_ones(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // The event loop may not have heard of them yet, so that the system is asked.
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
    /// The head of a request has been read.
    asked: Arc<AtomicBool>,
    seat: Arc<Seat>,
    peer: Peer,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, transport: &Transport, ends: watch::Receiver<bool>) {
        let by = Instant::now() + FIRST_REQUEST;
        // Answers are small and awaited: none is held back to be sent with the next.
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
        // What HTTP has handed over to the system counts nowhere else.
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
        // While readiness is off and we still listen, clients are moved to others one answer at a time. HTTP/2 knows
        // GOAWAY for that, without a race.
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
            // A graceful end would close it at once, with its first request unread.
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

/// Ready when the time for a first request is over and there was none.
async fn no_request(asked: &AtomicBool, by: Instant) {
    sleep_until(by).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

/// Ready when an answer was not taken for too long.
async fn untaken(seat: &Seat) {
    loop {
        let end = seat.oldest_untaken().map_or_else(Instant::now, Instant::from_std) + TAKE;
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

/// Ready when nothing was asked for too long.
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
