//! The webhook's HTTP server: TLS, routes, the way of a request to the evaluating threads and back, drain.
//!
//! ```text
//! listen ── TLS (tls) ── routes ─┬─ reviews ── gate ── pool ── judging ── judge::{validate, mutate}
//!                                ├─ /livez, /readyz ── health
//!                                └─ metrics
//! ```
//!
//! *Invariant*: a [`Server`] is made of what is loaded already, so that nothing is answered before.
//! *Invariant*: the way of a review writes nothing, neither to a file nor to the cluster.

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
use crate::model::MAX_BODY;
use crate::serving::{Current, Health, Loaded, Part};
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

/// How the server works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Evaluating threads. [`crate::engine::Limits::instances`] must not be less.
    pub threads: usize,
    /// Maximum number of requests of one address that are read, wait or are evaluated at once; of all addresses twice that.
    pub max_concurrent: usize,
    /// How long a request waits for a place among these, before the API server is told to come back.
    pub max_wait: Duration,
    /// Maximum number of bytes of bodies at once; one address may take half.
    pub max_bodies: usize,
    /// Timeout for a body, whatever the client's own timeout is.
    pub body_timeout: Duration,
    /// Between the signal and the end of accepting: so long does the news of `/readyz` need to get round.
    pub drain_delay: Duration,
    /// How long requests that are under way may take after that.
    pub drain_limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            // With one thread, a review that takes long would hold up all others.
            threads: std::thread::available_parallelism().map_or(2, usize::from).max(2),
            max_concurrent: 256,
            max_wait: Duration::from_secs(1),
            // Half of it is the most of one address.
            max_bodies: 2 * MAX_BODY,
            body_timeout: Duration::from_secs(1),
            drain_delay: Duration::ZERO,
            // The longest that the API server can be told to wait.
            drain_limit: Duration::from_secs(30),
        }
    }
}

/// The two questions that the API server asks.
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

/// What every request can reach.
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

/// A server that is bound to its address and has all that it needs, but does not answer yet.
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
    /// Binds the address and starts the evaluating threads. `loaded` and `certificate` may be replaced while it runs.
    ///
    /// # Errors
    /// Where the address cannot be bound, or a thread not be started.
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

    /// Answers reviews to these clients alone. They may be replaced while it runs.
    #[must_use]
    pub fn only_for(self, clients: Arc<Current<Clients>>) -> Self {
        Self { clients: Some(clients), ..self }
    }

    /// Answers health and metrics on this address too, without TLS.
    ///
    /// # Errors
    /// Where the address cannot be bound.
    pub async fn with_health_on(self, address: SocketAddr) -> io::Result<Self> {
        Ok(Self { health_listener: Some(TcpListener::bind(address).await?), ..self })
    }

    /// Where it listens: with the port that the system chose where that was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers health and metrics without TLS.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health_listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where those who replace something say how that went.
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.app.health)
    }

    /// Answers until `shutdown` is ready, then drains: readiness goes off, connections are asked to close, and after
    /// the delay nothing is accepted any more and what is under way is finished.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
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
        // Until the last review has ended, so that one can look on.
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
