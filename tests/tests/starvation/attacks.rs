//! Attacks of a client that can reach the port of the webhook.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::worst;

/// The webhook's own port.
#[derive(Clone)]
pub(crate) struct Target(pub(crate) Client);

impl Target {
    pub(crate) fn new(port: u16, authority: &str) -> Self {
        Self(Client::new(port, authority))
    }

    pub(crate) fn client(&self) -> Client {
        self.0.clone()
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks that run until they are stopped.
pub(crate) struct Attack(Box<Tasks>);

type Tasks = dyn FnOnce(&Target, &Control) -> Vec<Task> + Send;

/// State that the tasks of an attack share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Control {
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, accepted: bool) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add(u64::from(!accepted), Ordering::Relaxed);
    }
}

/// A running attack.
pub(crate) struct Running {
    tasks: JoinSet<()>,
    control: Control,
}

/// The number of attempts.
pub(crate) struct Sent(u64, u64);

impl fmt::Display for Sent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} attempts, {} of them refused", self.0, self.1)
    }
}

impl Attack {
    pub(crate) fn new(tasks: impl FnOnce(&Target, &Control) -> Vec<Task> + Send + 'static) -> Self {
        Self(Box::new(tasks))
    }

    /// Starts this many tasks. Each gets its number.
    pub(crate) fn times<F>(count: usize, one: impl Fn(usize, Target, Control) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::new(move |target, control| {
            (0..count).map(|number| Box::pin(one(number, target.clone(), control.clone())) as Task).collect()
        })
    }

    pub(crate) fn start(self, target: &Target) -> Running {
        let control = Control::default();
        let mut tasks = JoinSet::new();
        for task in (self.0)(target, &control) {
            tasks.spawn(task);
        }
        Running { tasks, control }
    }
}

impl Running {
    pub(crate) async fn stop(mut self) -> Sent {
        self.control.stop.store(true, Ordering::Relaxed);
        self.tasks.shutdown().await;
        Sent(self.control.sent.load(Ordering::Relaxed), self.control.refused.load(Ordering::Relaxed))
    }
}

/// Pause between two attempts of one attacker. Without it, the handshakes of the attackers alone use both cores, which
/// the victim needs too.
const PAUSE: Duration = Duration::from_millis(500);

/// The address of the API server. The first attack of each kind comes from it.
const SAME: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// One of a few other addresses.
fn other(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(number % 16 + 1).unwrap())
}

pub(crate) fn at_the_port() -> Vec<(&'static str, Attack)> {
    let head =
        |length: usize| format!("POST /validate?timeout=30s HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let (large, small) = (head(16 << 20), head(100));
    let (large_too, dripping) = (large.clone(), head(4000));
    vec![
        (
            "8 silent requests of 16 MiB",
            Attack::times(8, move |_, target, control| silent(target, control, SAME, large.clone(), Vec::new())),
        ),
        (
            "300 silent requests of 100 bytes",
            Attack::times(300, move |_, target, control| silent(target, control, SAME, small.clone(), Vec::new())),
        ),
        (
            "1,000 half-sent bodies of 16 MiB, from 16 addresses",
            Attack::times(1000, move |number, target, control| {
                silent(target, control, other(number), large_too.clone(), vec![b' '; 256 << 10])
            }),
        ),
        (
            "2 connections of HTTP/2 with 250 silent streams",
            Attack::times(2, |_, target, control| streams(target, control, SAME)),
        ),
        (
            "32 such connections from 16 addresses",
            Attack::times(32, |number, target, control| streams(target, control, other(number))),
        ),
        ("1,100 idle connections", Attack::times(1100, |_, target, control| idle(target, control, SAME))),
        (
            "1,500 idle connections from 16 addresses",
            Attack::times(1500, |number, target, control| idle(target, control, other(number))),
        ),
        (
            "200 bodies that drip",
            Attack::times(200, move |number, target, control| drip(target, control, other(number), dripping.clone())),
        ),
        (
            "64 connections of HTTP/2 that take no answer, from the address of the API server",
            Attack::times(64, |number, target, control| untaken(target, control, SAME, number)),
        ),
        (
            "128 such connections from 16 addresses",
            Attack::times(128, |number, target, control| untaken(target, control, other(number), number)),
        ),
    ]
}

/// Sends the head and a part of the body, then nothing until the server closes. Repeats this.
async fn silent(target: Target, control: Control, from: Ipv4Addr, head: String, part: Vec<u8>) {
    while control.goes_on() {
        let Ok(mut stream) = target.0.tls(from, "http/1.1").await else {
            control.count(false);
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let sent = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&part).await?;
            stream.flush().await
        };
        let mut answer = Vec::new();
        if sent.await.is_ok() {
            let _ = stream.read_to_end(&mut answer).await;
        }
        control.count(answer.starts_with(b"HTTP/1.1 200"));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends one byte from time to time.
async fn drip(target: Target, control: Control, from: Ipv4Addr, head: String) {
    while control.goes_on() {
        let Ok(mut stream) = target.0.tls(from, "http/1.1").await else { continue };
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        control.count(false);
    }
}

/// Connects and sends no request.
async fn idle(target: Target, control: Control, from: Ipv4Addr) {
    while control.goes_on() {
        let Ok(mut stream) = target.0.tls(from, "http/1.1").await else {
            control.count(false);
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        control.count(true);
        let _ = stream.read_to_end(&mut Vec::new()).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Opens as many streams as a connection allows, without a body.
async fn streams(target: Target, control: Control, from: Ipv4Addr) {
    while control.goes_on() {
        let Ok(stream) = target.0.tls(from, "h2").await else {
            control.count(false);
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok((sender, connection)) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await else {
            continue;
        };
        tokio::spawn(connection);
        let mut waiting = JoinSet::new();
        for _ in 0..250 {
            let (mut sender, control) = (sender.clone(), control.clone());
            waiting.spawn(async move {
                while control.goes_on() && !sender.is_closed() {
                    let request = Request::post("https://127.0.0.1/validate?timeout=30s").body(Never).unwrap();
                    let answer = sender.send_request(request).await;
                    control.count(answer.is_ok_and(|answer| answer.status() == 200));
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        while waiting.join_next().await.is_some() {}
    }
}

/// Requests the largest answers on every stream, and reads at most one byte of them.
async fn untaken(target: Target, control: Control, from: Ipv4Addr, number: usize) {
    let window = u32::try_from(number % 2).unwrap();
    let review = worst::review(&worst::without_anything(number), "untaken", false).to_string();
    while control.goes_on() {
        let Ok(stream) = target.0.tls(from, "h2").await else {
            control.count(false);
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let Ok((mut sender, connection)) =
            builder.initial_stream_window_size(window).handshake(TokioIo::new(stream)).await
        else {
            continue;
        };
        let connection = tokio::spawn(connection);
        let mut answers = Vec::new();
        for stream in 0..64 {
            let request = match stream % 2 {
                0 => Request::post("https://127.0.0.1/validate?timeout=30s").body(Full::<Bytes>::from(review.clone())),
                _ => Request::get("https://127.0.0.1/metrics").body(Full::default()),
            };
            let sent = async {
                sender.ready().await?;
                sender.send_request(request.unwrap()).await
            };
            let Ok(answer) = sent.await else { break };
            control.count(answer.status() == 200);
            answers.push(answer);
        }
        // Until the server closes the connection.
        let _ = connection.await;
        drop(answers);
        tokio::time::sleep(PAUSE).await;
    }
}

/// A body that never arrives.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}
