//! Many requests, slow requests, panics, and the end of the server.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll::context::{Context, Question, Unknown};
use plimsoll::engine::Answer as Objects;
use plimsoll::model::Current;
use plimsoll::server::Options;
use tokio::io::AsyncWriteExt as _;

use super::client::{Http1, Running, load, request};
use super::{review, status_line};

/// A context that answers only when the test lets it. Until then, a policy that asks is blocked.
#[derive(Debug, Default)]
struct Held {
    open: Mutex<bool>,
    opened: Condvar,
    asked: AtomicU32,
    panics: bool,
}

impl Held {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn until_asked(&self) {
        for _ in 0..1_000 {
            if self.asked() > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no policy asks about other objects");
    }

    fn answer(&self) -> Objects {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "as the test wants");
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
        Objects { documents: Vec::new(), complete: false }
    }
}

impl Context for Held {
    fn answer(&self, _: &str, _: &str, _: Question<'_>) -> Objects {
        Held::answer(self)
    }
}

async fn held(options: Options) -> (Arc<Held>, Arc<Running>) {
    let held = Arc::new(Held::default());
    let loaded = Current::new(load(Arc::clone(&held) as Arc<dyn Context>, true));
    (held, Arc::new(Running::start_with(Arc::new(loaded), options).await))
}

fn one_thread() -> Options {
    Options { threads: 1, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_clients_get_their_own_answers() {
    let server = Arc::new(Running::start().await);
    let clients: Vec<_> = (0..32)
        .map(|client| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let mut connection = server.connect().await;
                for number in 0..20 {
                    let uid = format!("{client}-{number}");
                    let path = if number % 2 == 0 { "/validate?timeout=30s" } else { "/mutate?timeout=30s" };
                    let answer = connection.send(request(Method::POST, path, review(&uid).to_string())).await;
                    assert_eq!(answer.response()["uid"], uid);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(server.metric("plimsoll_review_duration_seconds_count{webhook=\"mutate\"}").await as u32, 320);
    assert_eq!(server.metric("plimsoll_reviews_in_flight").await as u32, 0);
}

/// Concurrent scrapes don't disturb each other: each computes the current values itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrapes_at_once_are_whole() {
    let server = Arc::new(Running::start().await);
    let scrapers: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let mut connection = server.connect().await;
                for _ in 0..100 {
                    let text = connection.send(request(Method::GET, "/metrics", "")).await.text();
                    let builds = text.lines().filter(|line| line.starts_with("plimsoll_build_info{")).count();
                    assert_eq!(builds, 1, "{text}");
                }
            })
        })
        .collect();
    for scraper in scrapers {
        scraper.await.unwrap();
    }
}

/// A client that reads no answers does not keep them in memory, and its connection is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_are_given_up() {
    let server = Running::start().await;
    for window in [0, 1] {
        let stream = server.tls("h2").await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let connected = builder.initial_stream_window_size(window).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.unwrap();
        let connection = tokio::spawn(connection);
        let started = Instant::now();
        let asked = sender.send_request(request(Method::POST, "https://127.0.0.1/validate", review("a").to_string()));
        let answer = asked.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let ended = tokio::time::timeout(Duration::from_secs(20), connection).await;
        assert!(ended.is_ok() && started.elapsed() > Duration::from_secs(4), "{:?}", started.elapsed());
        drop(answer);
    }
    server.until(r#"plimsoll_connections_dropped_total{reason="untaken"}"#, 2.0).await;
    // A client that reads gets the whole answer.
    let mut sender = server.connect_http2().await;
    let mut answer = sender.send_request(request(Method::GET, "https://127.0.0.1/metrics", "")).await.unwrap();
    let mut length = 0;
    while let Some(frame) = answer.frame().await {
        length += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    assert!(length > 1000, "{length}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_are_told_to_come_back() {
    let wait = Duration::from_millis(100);
    let (held, server) = held(Options { max_concurrent: 1, max_wait: wait, ..one_thread() }).await;
    let first = post(&server, "/validate", "first");
    held.until_asked().await;
    let started = Instant::now();
    let second = server.post("/validate", review("second").to_string()).await;
    assert!(started.elapsed() >= wait);
    assert_eq!((second.status, second.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    // Health checks do not wait in the queue.
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    held.open();
    assert_eq!(first.await.unwrap().response()["uid"], "first");
    assert_eq!(server.metric("plimsoll_queue_rejections_total").await as u32, 1);
    assert_eq!(server.post("/validate", review("third").to_string()).await.response()["uid"], "third");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_includes_the_queue() {
    let (held, server) = held(one_thread()).await;
    let first = post(&server, "/validate", "first");
    held.until_asked().await;
    let started = Instant::now();
    let queued = server.post("/validate?timeout=300ms", review("queued").to_string()).await;
    let took = started.elapsed();
    assert_eq!((queued.status, queued.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert!(took >= Duration::from_millis(270) && took < Duration::from_secs(2), "{took:?}");
    held.open();
    first.await.unwrap().response();
    assert_eq!(evaluated(&server).await, 1, "what nobody waits for is not evaluated");
    assert_eq!(server.metric(r#"plimsoll_reviews_total{webhook="validate",outcome="late"}"#).await as u32, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_went_away_costs_nothing() {
    let (held, server) = held(one_thread()).await;
    let first = post(&server, "/validate", "first");
    held.until_asked().await;
    let gone: Vec<_> = (0..8).map(|_| post(&server, "/validate", "gone")).collect();
    server.until("plimsoll_reviews_in_flight", 9.0).await;
    gone.iter().for_each(tokio::task::JoinHandle::abort);
    server.until("plimsoll_reviews_in_flight", 1.0).await;
    held.open();
    first.await.unwrap().response();
    assert_eq!(server.post("/validate", review("last").to_string()).await.response()["uid"], "last");
    assert_eq!(evaluated(&server).await, 2, "the first and the last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_never_an_allow() {
    for enforces in [true, false] {
        let held = Arc::new(Held { panics: true, ..Held::default() });
        let loaded = Arc::new(Current::new(load(held, enforces)));
        let server = Running::start_with(loaded, one_thread()).await;
        for round in 0..4 {
            let uid = format!("panic-{round}");
            let answer = server.post("/validate", review(&uid).to_string()).await;
            if enforces {
                let response = answer.response();
                assert_eq!((&response["uid"], &response["allowed"]), (&uid.into(), &false.into()));
            } else {
                // After an HTTP error, `failurePolicy` decides, which is Ignore if nothing can be denied.
                assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
            }
        }
        let name = r#"plimsoll_reviews_total{webhook="validate",outcome="panicked"}"#;
        assert_eq!(server.metric(name).await as u32, 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains() {
    let (held, server) = held(Options { drain_delay: Duration::from_millis(500), ..Options::default() }).await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    for connection in [&mut idle, &mut busy] {
        assert_eq!(connection.send(request(Method::GET, "/readyz", "")).await.header("connection"), "");
    }
    let under_way = post(&server, "/validate", "under way");
    held.until_asked().await;
    let mut server = Arc::into_inner(server).unwrap_or_else(|| panic!("the task has its connection, not the server"));
    server.signal();
    // The server is not ready, but still answers, also on new connections.
    let unready = until_unready(&server).await;
    assert!(unready.text().contains("[-]shutdown failed: shutting down"), "{}", unready.text());
    assert_eq!(unready.header("connection"), "close");
    let answer = busy.send(request(Method::GET, "/livez", "")).await;
    assert_eq!((answer.status, answer.header("connection")), (StatusCode::OK, "close"));
    // Then the listener and idle connections are closed.
    tokio::time::timeout(Duration::from_secs(5), idle.closed).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
    assert!(!under_way.is_finished());
    held.open();
    assert_eq!(under_way.await.unwrap().response()["uid"], "under way");
    tokio::time::timeout(Duration::from_secs(5), server.stopped()).await.unwrap();
}

/// Every connection that was accepted before the end gets an answer, whatever its state was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_before_the_end_is_answered() {
    let mut server = Running::start().await;
    let connector = server.connector();
    let mut secured = Vec::new();
    let mut accepted = Vec::new();
    for _ in 0..8 {
        secured.push(connector.connect().await);
        accepted.push(tokio::net::TcpStream::connect(server.address).await.unwrap());
    }
    server.signal();
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {}
    for stream in accepted {
        secured.push(Http1::over(connector.tls_over(stream, "http/1.1").await.unwrap()).await);
    }
    for mut connection in secured {
        let answer = connection.send(request(Method::POST, "/validate", review("last").to_string())).await;
        assert_eq!((answer.header("connection"), &answer.response()["uid"]), ("close", &"last".into()));
    }
    tokio::time::timeout(Duration::from_secs(5), server.stopped()).await.unwrap();
}

/// The body timeout applies, whatever the client's own timeout is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_must_arrive_in_time() {
    let options = Options { body_timeout: Duration::from_millis(300), ..Options::default() };
    let (_, server) = held(options).await;
    let mut stream = server.tls("http/1.1").await.unwrap();
    let started = Instant::now();
    stream.write_all(SILENT).await.unwrap();
    assert_eq!(status_line(&mut stream).await, "HTTP/1.1 408 Request Timeout");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
}

/// A request without its body is dropped in favour of a request with a complete body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_silent_holds_no_place() {
    let options = Options { max_concurrent: 1, body_timeout: Duration::from_secs(60), ..Options::default() };
    let loaded = Current::new(load(Arc::new(Unknown) as Arc<dyn Context>, true));
    let server = Running::start_with(Arc::new(loaded), options).await;
    let mut stream = server.tls("http/1.1").await.unwrap();
    stream.write_all(SILENT).await.unwrap();
    server.until("plimsoll_reviews_in_flight", 1.0).await;
    assert_eq!(server.post("/validate", review("next").to_string()).await.response()["uid"], "next");
    assert_eq!(status_line(&mut stream).await, "HTTP/1.1 503 Service Unavailable");
}

const SILENT: &[u8] = b"POST /validate?timeout=30s HTTP/1.1\r\nhost: a\r\ncontent-length: 16000000\r\n\r\n";

/// The number of evaluations. Each evaluation of the review has this finding.
async fn evaluated(server: &Running) -> u32 {
    server.metric(r#"plimsoll_findings_total{policy="missing-readiness-probe",action="Warn"}"#).await as u32
}

async fn until_unready(server: &Running) -> super::client::Answer {
    loop {
        let answer = server.get("/readyz?verbose").await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            return answer;
        }
    }
}

/// Sends a review in the background on a new connection.
fn post(server: &Arc<Running>, path: &str, uid: &str) -> tokio::task::JoinHandle<super::client::Answer> {
    let (request, address) = (request(Method::POST, path, review(uid).to_string()), server.connector());
    tokio::spawn(async move { address.connect().await.send(request).await })
}
