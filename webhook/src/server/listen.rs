//! Connections: accepted, secured, served, and closed so that nothing is lost.

use std::convert::Infallible;
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
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::{App, routes};

/// The handshake and the head of the first request must be here by then.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// A connection that has asked something may be silent so long. Go's client, which the API server is, gives up an idle
/// connection after 90 s: if we closed first, a request could be on its way, and be lost.
const IDLE: Duration = Duration::from_secs(150);

/// Connections at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 1024;

/// Of one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// A client of HTTP/2 that does not answer pings in this rhythm is gone.
const PING: Duration = Duration::from_secs(30);

/// Accepts until `stop` is ready, then lets what is under way end, for at most `limit`.
pub(super) async fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    app: &Arc<App>,
    limit: Duration,
    stop: impl Future<Output = ()>,
) {
    let router = routes::router(Arc::clone(app));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let (stream, place) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let connection = Connection { router: router.clone(), app: Arc::clone(app), asked: Arc::default() };
        let (acceptor, watcher) = (acceptor.clone(), graceful.watcher());
        tokio::spawn(async move {
            connection.serve(stream, acceptor, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    if timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and are given up");
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors: trying at once would only burn the processor.
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection.
#[derive(Clone)]
struct Connection {
    router: Router,
    app: Arc<App>,
    /// The head of a request has been read.
    asked: Arc<AtomicBool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, acceptor: TlsAcceptor, watcher: Watcher) {
        let by = Instant::now() + FIRST_REQUEST;
        // Answers are small and awaited: none is held back to be sent with the next.
        let _ = stream.set_nodelay(true);
        let Ok(Ok(stream)) = timeout_at(by, acceptor.accept(stream)).await else {
            // Port scans and probes of load balancers end here all day.
            return tracing::debug!("no TLS handshake");
        };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let asked = Arc::clone(&self.asked);
        let service = service_fn(move |request| self.clone().answer(request));
        if is_http2 {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING)
                .serve_connection(io, service);
            until_closed(watcher, connection, &asked, by).await;
        } else {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                // It also runs between requests, so that this is the time for being idle as well.
                .header_read_timeout(IDLE)
                .serve_connection(io, service);
            until_closed(watcher, connection, &asked, by).await;
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<axum::response::Response, Infallible> {
        self.asked.store(true, Ordering::Relaxed);
        let version = request.version();
        let mut response = self.router.oneshot(request.map(Body::new)).await?;
        // While readiness is off and we still listen, clients are moved to others one answer at a time. HTTP/2 knows
        // GOAWAY for that, without a race.
        if version < Version::HTTP_2 && self.app.draining.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}

async fn until_closed<C>(watcher: Watcher, connection: C, asked: &AtomicBool, by: Instant)
where
    C: GracefulConnection,
    C::Error: std::fmt::Debug,
{
    let mut connection = pin!(watcher.watch(connection));
    let closed = tokio::select! {
        closed = &mut connection => closed,
        () = sleep_until(by) => {
            if !asked.load(Ordering::Relaxed) {
                return tracing::debug!("no request");
            }
            connection.await
        }
    };
    if let Err(error) = closed {
        tracing::debug!(?error, "a connection broke");
    }
}
