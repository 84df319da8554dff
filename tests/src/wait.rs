//! Waiting for a condition.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const EVERY: Duration = Duration::from_millis(50);

/// Calls `ask` every 50 ms until it returns `Some`. On a timeout the error names `what`. An error of `ask` is returned
/// at once.
pub fn until<T>(timeout: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("timed out after {} s: {what}", timeout.as_secs());
        }
        sleep(EVERY);
    }
}

/// A loopback port that was free a moment ago. Another process may take it meanwhile, so callers retry.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free loopback port")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
}

/// Whether a process listens on this loopback port.
pub(crate) fn connects(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(500)).is_ok()
}
