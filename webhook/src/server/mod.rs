//! The webhook's HTTP server: TLS, routes, the path of a request to the evaluating threads and back, drain.
//!
//! ```text
//! listen ── TLS (tls) ── routes ─┬─ reviews ── gate ── pool ── judging ── judge::{validate, mutate}
//!                                ├─ /livez, /readyz ── health
//!                                └─ metrics
//! ```
//!
//! *Invariant*: a [`Server`] is made from a loaded configuration, so that it answers nothing before that.
//! *Invariant*: the path of a review writes nothing, neither to a file nor to the cluster.

mod address;
mod complaints;
mod connections;
mod gate;
mod judging;
mod listen;
mod metrics;
mod parties;
mod pool;
mod queue;
mod reviews;
mod routes;
mod timeout;
mod tls;
mod untaken;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::sign::CertifiedKey;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use tls::{Clients, TlsError};

use crate::engine::give_memory_back;
use crate::model::{Current, MAX_BODY};
use crate::serving::{Health, Loaded, Part};
use complaints::Complaints;
use gate::{Gate, Share};
use judging::{Reply, Task, Witnesses};
use listen::Transport;
use metrics::Metrics;
use pool::Pool;
use tls::Acceptor;

/// How often memory that connections have freed is given back to the system.
const TRIM: Duration = Duration::from_secs(30);

/// Timeout for requests for health and metrics after the last review has ended.
const HEALTH_LIMIT: Duration = Duration::from_secs(1);

/// Options of the server.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of evaluating threads. [`crate::engine::Limits::instances`] must be at least as high.
    pub threads: usize,
    /// Maximum number of concurrent requests of one address: read, waiting or evaluated. All addresses together may
    /// have twice as many.
    pub max_concurrent: usize,
    /// How long a request waits for a place. After that, the API server is told to retry.
    pub max_wait: Duration,
    /// Maximum size of all bodies that are held at once, in bytes. One address may take half.
    pub max_bodies: usize,
    /// Timeout for a body, independent of the client's own timeout.
    pub body_timeout: Duration,
    /// Delay between the signal and the end of accepting. In this time, clients notice that `/readyz` fails.
    pub drain_delay: Duration,
    /// How long current requests may take after that.
    pub drain_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // With only one thread, a slow review would block all others.
            threads: std::thread::available_parallelism().map_or(2, usize::from).max(2),
            max_concurrent: 256,
            max_wait: Duration::from_secs(1),
            // One address may take half of it.
            max_bodies: 2 * MAX_BODY,
            body_timeout: Duration::from_secs(1),
            drain_delay: Duration::ZERO,
            // The longest timeout of a webhook in the API server.
            drain_limit: Duration::from_secs(30),
        }
    }
}

/// The two webhooks that the API server calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Webhook {
    /// `/validate`
    Validate,
    /// `/mutate`
    Mutate,
}

impl Webhook {
    fn as_str(self) -> &'static str {
        match self {
            Webhook::Validate => "validate",
            Webhook::Mutate => "mutate",
        }
    }
}

/// The state that every request can access.
#[derive(Debug)]
struct App {
    loaded: Arc<Current<Loaded>>,
    certificate: Arc<Current<CertifiedKey>>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    pool: Pool<Task, Reply>,
    gate: Gate,
    parties: parties::Reader,
    body_timeout: Duration,
    draining: AtomicBool,
}

/// A server that is bound to its address and complete, but does not answer yet.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    clients: Option<Arc<Current<Clients>>>,
    listener: TcpListener,
    address: SocketAddr,
    health_listener: Option<TcpListener>,
    options: Options,
}

impl Server {
    /// Binds the address and starts the evaluating threads. `loaded` and `certificate` may be replaced while the server
    /// runs.
    ///
    /// # Errors
    /// If the address can't be bound, or if a thread can't be started.
    pub async fn bind(
        address: SocketAddr,
        options: Options,
        loaded: Arc<Current<Loaded>>,
        certificate: Arc<Current<CertifiedKey>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let metrics = Arc::new(Metrics::new());
        let work = {
            let loaded = Arc::clone(&loaded);
            let witnesses = Witnesses { metrics: Arc::clone(&metrics), complaints: Complaints::default() };
            let witnesses = Arc::new(witnesses);
            move |task: Task| {
                let is_heavy = queue::is_heavy(task.body.len());
                let answer = judging::judge(&loaded.get(), &witnesses, &task);
                drop(task);
                if is_heavy {
                    give_memory_back();
                }
                answer
            }
        };
        let most = Share { requests: 2 * options.max_concurrent, bytes: options.max_bodies };
        let pool = Pool::start(options.threads, most.requests, work)?;
        let gate = Gate::new(most, options.max_wait);
        let health = Arc::new(Health::default());
        health.succeeded(Part::Configuration);
        health.succeeded(Part::Certificate);
        let draining = AtomicBool::new(false);
        let (parties, body_timeout) = (parties::Reader::default(), options.body_timeout);
        let app = Arc::new(App { loaded, certificate, health, metrics, pool, gate, parties, body_timeout, draining });
        Ok(Self { app, clients: None, listener, address, health_listener: None, options })
    }

    /// Answers reviews only to these clients. They may be replaced while the server runs.
    #[must_use]
    pub fn only_for(self, clients: Arc<Current<Clients>>) -> Self {
        Self { clients: Some(clients), ..self }
    }

    /// Also answers health and metrics on this address, without TLS.
    ///
    /// # Errors
    /// If the address can't be bound.
    pub async fn with_health_on(self, address: SocketAddr) -> io::Result<Self> {
        Ok(Self { health_listener: Some(TcpListener::bind(address).await?), ..self })
    }

    /// The address of the server. If the port was 0, it contains the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for health and metrics without TLS.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The health of each part that is replaced while the server runs.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.app.health)
    }

    /// Answers until `shutdown` is ready. Then it drains: `/readyz` fails, and connections are asked to close. After
    /// the delay, the server accepts no more connections and finishes the current requests.
    ///
    /// # Errors
    /// If TLS can't be set up.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), TlsError> {
        let Self { app, clients, listener, health_listener, options, .. } = self;
        let acceptor = Acceptor::new(Arc::clone(&app.certificate), clients)?;
        let stop = async {
            shutdown.await;
            app.draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(options.drain_delay).await;
        };
        let _trimming = Trimming(tokio::spawn(trim()));
        let router = routes::all(Arc::clone(&app));
        let limit = options.drain_limit;
        let reviews = listen::listen(listener, Transport::Tls(Arc::new(acceptor)), router, &app, limit, stop);
        let Some(listener) = health_listener else {
            reviews.await;
            return Ok(());
        };
        // Runs until the last review has ended, so that operators can watch the drain.
        let (ended, end) = oneshot::channel();
        let health = async {
            let end = async { drop(end.await) };
            listen::listen(listener, Transport::Plain, routes::health(Arc::clone(&app)), &app, HEALTH_LIMIT, end).await;
        };
        let reviews = async {
            reviews.await;
            let _ = ended.send(());
        };
        tokio::join!(reviews, health);
        Ok(())
    }
}

/// Ends the task with the server.
struct Trimming(tokio::task::JoinHandle<()>);

impl Drop for Trimming {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn trim() {
    loop {
        tokio::time::sleep(TRIM).await;
        let _ = tokio::task::spawn_blocking(give_memory_back).await;
    }
}
