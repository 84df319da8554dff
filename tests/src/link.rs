//! A connection to the API server that a test can slow down.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::ControlPlane;

/// How long data waits while the link is [stalled](Link::stall).
const STALLED: Duration = Duration::from_secs(3600);

/// A TCP proxy on loopback. Data in both directions waits for the current delay. If a test shortens the delay, waiting
/// data goes on at once.
#[derive(Debug)]
pub struct Link {
    port: u16,
    delay: Arc<AtomicU64>,
}

impl Link {
    /// A link to the API server, without a delay.
    pub fn to(control_plane: &ControlPlane) -> Result<Self> {
        let target = control_plane.port().context("this needs a control plane of its own")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port for a proxy")?;
        let (port, delay) = (listener.local_addr()?.port(), Arc::<AtomicU64>::default());
        let shared = Arc::clone(&delay);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { continue };
                for (from, to) in [(from_client, server), (from_server, client)] {
                    let delay = Arc::clone(&shared);
                    std::thread::spawn(move || pass(from, to, &delay));
                }
            }
        });
        Ok(Self { port, delay })
    }

    /// Delays each piece of data by this time.
    pub fn delay(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Stops all data, without closing a connection.
    pub fn stall(&self) {
        self.delay(STALLED);
    }

    /// A copy of a kubeconfig that connects through this link.
    pub fn kubeconfig(&self, kubeconfig: &Path, folder: &Path) -> Result<PathBuf> {
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig)?)?;
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://127.0.0.1:{}", self.port));
        let file = folder.join("link.kubeconfig");
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let arrived = Instant::now();
        while arrived.elapsed() < Duration::from_millis(delay.load(Ordering::SeqCst)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
