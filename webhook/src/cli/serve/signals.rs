//! The signals that end the server or make it reload.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, which makes the server read all files again.
pub(super) fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// SIGTERM and SIGINT.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal, which drains the server. The second signal aborts it.
    pub(super) async fn first(mut self) {
        self.next().await;
        tracing::info!("stopping: finishing what is under way; a second signal aborts");
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("aborted");
            std::process::exit(1);
        });
    }

    /// Waits for the next SIGTERM or SIGINT.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
