//! Waiting for something to become so.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const EVERY: Duration = Duration::from_millis(50);

/// Asks every 50 ms until the answer is `Some`; says what was waited for when time is up. An error ends it at once.
pub fn until<T>(timeout: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("{what}: not within {} s", timeout.as_secs());
        }
        sleep(EVERY);
    }
}

/// A loopback port that was free a moment ago. Another process may take it before it is used: callers try again.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free loopback port")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
}

/// Whether somebody listens on this loopback port.
pub(crate) fn connects(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(500)).is_ok()
}
