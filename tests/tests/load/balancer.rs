//! A TCP load balancer between the API server and two processes. It checks readiness.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Interval of the readiness probes. It is shorter than a kubelet's.
const PROBE: Duration = Duration::from_millis(100);

/// The balancer knows neither TLS nor HTTP, so it never repeats a request.
#[derive(Clone, Debug)]
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    backends: Arc<Mutex<Vec<Backend>>>,
}

#[derive(Clone, Debug)]
struct Backend {
    address: SocketAddr,
    health: SocketAddr,
    ready: bool,
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let balancer = Self { address: listener.local_addr().unwrap(), backends: Arc::default() };
        tokio::spawn(balancer.clone().probe());
        tokio::spawn(balancer.clone().accept(listener));
        balancer
    }

    /// The next successful probe sends connections to this process.
    pub(crate) fn add(&self, address: SocketAddr, health: SocketAddr) {
        self.backends.lock().unwrap().push(Backend { address, health, ready: false });
    }

    pub(crate) fn remove(&self, address: SocketAddr) {
        self.backends.lock().unwrap().retain(|backend| backend.address != address);
    }

    pub(crate) fn ready(&self) -> usize {
        self.backends.lock().unwrap().iter().filter(|backend| backend.ready).count()
    }

    async fn probe(self) {
        loop {
            let backends = self.backends.lock().unwrap().clone();
            for Backend { address, health, .. } in backends {
                let ready = is_ready(health).await.unwrap_or(false);
                let mut backends = self.backends.lock().unwrap();
                if let Some(backend) = backends.iter_mut().find(|backend| backend.address == address) {
                    backend.ready = ready;
                }
            }
            tokio::time::sleep(PROBE).await;
        }
    }

    async fn accept(self, listener: TcpListener) {
        for number in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            let balancer = self.clone();
            tokio::spawn(async move {
                let _ = client.set_nodelay(true);
                if let Some(mut server) = balancer.connect(number).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    }

    /// Connects to the processes in turn. It skips a process that refuses the connection, because nothing was sent yet.
    async fn connect(&self, number: usize) -> Option<TcpStream> {
        for _ in 0..50 {
            let ready: Vec<_> =
                self.backends.lock().unwrap().iter().filter(|it| it.ready).map(|it| it.address).collect();
            for turn in 0..ready.len() {
                if let Ok(stream) = TcpStream::connect(ready[(number + turn) % ready.len()]).await {
                    let _ = stream.set_nodelay(true);
                    return Some(stream);
                }
            }
            tokio::time::sleep(PROBE).await;
        }
        None
    }
}

async fn is_ready(health: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(health).await?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}
