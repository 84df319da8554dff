//! The server and the tasks beside it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::signals::Signals;
use crate::register::Registrar;
use crate::server::{Server, TlsError};

/// Owns the server and all tasks. They end together.
pub(super) struct Tasks {
    stop: watch::Sender<bool>,
    server: JoinHandle<Result<(), TlsError>>,
    beside: JoinSet<()>,
    registrar: Option<Arc<Registrar>>,
}

impl Tasks {
    /// Starts the server. It runs until a signal, or [`Tasks::end`], stops it.
    pub(super) fn start(server: Server, signals: Signals) -> Self {
        let (stop, mut stopping) = watch::channel(false);
        let stop_all = stop.clone();
        let server = tokio::spawn(server.run(async move {
            tokio::select! {
                () = signals.first() => drop(stop_all.send_replace(true)),
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        }));
        Self { stop, server, beside: JoinSet::new(), registrar: None }
    }

    /// Runs a task until the server ends.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.spawn(task);
    }

    /// Keeps the registrar, which is stopped last.
    pub(super) fn keep(&mut self, registrar: Registrar) {
        self.registrar = Some(Arc::new(registrar));
    }

    pub(super) fn registrar(&self) -> Option<Arc<Registrar>> {
        self.registrar.clone()
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// A future that completes when a signal stops the server.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the sender is gone, so everything has stopped.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Stops everything and waits: first for the tasks beside the server, then the server, then the registrar.
    ///
    /// # Errors
    /// If the server failed or panicked.
    pub(super) async fn end(mut self) -> Result<()> {
        self.stop.send_replace(true);
        self.beside.shutdown().await;
        self.server.await.context("the server panicked")??;
        if let Some(registrar) = self.registrar.and_then(Arc::into_inner) {
            registrar.left().await;
        }
        Ok(())
    }
}
