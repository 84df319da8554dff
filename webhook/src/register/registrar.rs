//! Keeps the configurations as they should be while the server runs.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{RegisterError, Registration, State, Wanted};

/// Between rounds where nothing is to be waited for.
const PERIOD: Duration = Duration::from_secs(10);

/// Between rounds while a replica is to become ready.
const SOON: Duration = Duration::from_secs(2);

/// After an error, doubled with each further one up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// For the last look: the drain has no more time than the kubelet gives.
const LEAVE: Duration = Duration::from_secs(3);

/// The handle of a task that registers until it is told to leave.
#[derive(Debug)]
pub struct Registrar {
    wanted: watch::Sender<Wanted>,
    state: watch::Receiver<Option<Result<State, String>>>,
    /// What the last round that succeeded was about.
    done: watch::Receiver<Option<Wanted>>,
    task: JoinHandle<()>,
}

impl Registrar {
    /// Starts it. It ends after `leaving`, with one last look.
    pub fn start(
        mut registration: Registration,
        wanted: Wanted,
        leaving: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let (wanted, changes) = watch::channel(wanted);
        let (tell, state) = watch::channel(None);
        let (finish, done) = watch::channel(None);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = register(&mut registration, changes, tell, finish) => {}
                () = leaving => {}
            }
            match timeout(LEAVE, registration.leave()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("cannot tell whether Plimsoll is being uninstalled: {error}"),
                Err(_) => tracing::warn!("cannot tell whether Plimsoll is being uninstalled: no answer in time"),
            }
        });
        Self { wanted, state, done, task }
    }

    /// From now on this is registered: other rules, another mode, another authority.
    pub fn update(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_if_modified(|wanted| {
            let before = wanted.clone();
            change(wanted);
            *wanted != before
        });
    }

    /// What each round comes to, or why it failed. `None` before the first.
    pub fn states(&self) -> watch::Receiver<Option<Result<State, String>>> {
        self.state.clone()
    }

    /// Waits until the API server has been told what is wanted now. Whether it was, in that time.
    pub async fn told(&self, within: Duration) -> bool {
        let wanted = self.wanted.borrow().clone();
        let mut done = self.done.clone();
        matches!(timeout(within, done.wait_for(|done| done.as_ref() == Some(&wanted))).await, Ok(Ok(_)))
    }

    /// Waits for the last look.
    pub async fn left(self) {
        // A panic in it was printed already, and changes nothing about the end.
        let _ = self.task.await;
    }
}

async fn register(
    registration: &mut Registration,
    mut changes: watch::Receiver<Wanted>,
    tell: watch::Sender<Option<Result<State, String>>>,
    finish: watch::Sender<Option<Wanted>>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let wanted = changes.borrow_and_update().clone();
        let round = registration.round(&wanted).await;
        let wait = match &round {
            Ok(State::AwaitingReplica | State::Missing) => SOON,
            Ok(_) => PERIOD,
            Err(_) => {
                let wait = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                wait
            }
        };
        if round.is_ok() {
            pause = FIRST_PAUSE;
            finish.send_replace(Some(wanted));
        }
        report(&tell, round);
        tokio::select! {
            () = sleep(wait) => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
            }
        }
    }
}

/// Logs what is new.
fn report(tell: &watch::Sender<Option<Result<State, String>>>, round: Result<State, RegisterError>) {
    let round = round.map_err(|error| error.to_string());
    tell.send_if_modified(|told| {
        if told.as_ref() == Some(&round) {
            return false;
        }
        match &round {
            Ok(state @ (State::Registered { .. } | State::AwaitingReplica)) => tracing::info!("{state}"),
            Ok(state) => tracing::warn!("{state}"),
            Err(error) => tracing::error!("not registered, trying again: {error}"),
        }
        *told = Some(round);
        true
    });
}
