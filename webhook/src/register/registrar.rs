//! Keeps the configurations as they should be while the server runs.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::errors::RegisterError;
use super::{Registration, State, Wanted};

/// Between rounds where nothing is to be waited for. A Namespace that is being deleted soon has no ServiceAccount any more;
/// the API server believes its token for another ten seconds, and by then the configurations are to be withdrawn.
const PERIOD: Duration = Duration::from_secs(5);

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
    /// With a number that grows with each change.
    wanted: watch::Sender<(u64, Wanted)>,
    /// The number of what the API server was told last.
    told: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

/// One round: what it came to, or why it failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Round {
    /// The API server said how things are.
    Done(State),
    /// It could not be asked, or refused.
    Failed(String),
}

impl From<Result<State, RegisterError>> for Round {
    fn from(round: Result<State, RegisterError>) -> Self {
        round.map_or_else(|error| Self::Failed(error.to_string()), Self::Done)
    }
}

impl Registrar {
    /// Starts it. It ends after `leaving`, with one last look. `report` hears of each round that came to something new.
    pub fn start(
        mut registration: Registration,
        wanted: Wanted,
        leaving: impl Future<Output = ()> + Send + 'static,
        report: impl Fn(&Round) + Send + 'static,
    ) -> Self {
        let (wanted, changes) = watch::channel((1, wanted));
        let (tell, told) = watch::channel(0);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = register(&mut registration, changes, tell, report) => {}
                () = leaving => {}
            }
            match timeout(LEAVE, registration.leave()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("cannot tell whether Plimsoll is being uninstalled: {error}"),
                Err(_) => tracing::warn!("cannot tell whether Plimsoll is being uninstalled: no answer in time"),
            }
        });
        Self { wanted, told, task }
    }

    /// From now on this is registered: other rules, another mode, another authority.
    pub fn update(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_if_modified(|(number, wanted)| {
            let before = wanted.clone();
            change(wanted);
            let changed = *wanted != before;
            *number += u64::from(changed);
            changed
        });
    }

    /// Whether the API server has stored what is wanted now, or does so within this time.
    pub async fn published(&self, patience: Duration) -> bool {
        let number = self.wanted.borrow().0;
        let mut told = self.told.clone();
        timeout(patience, told.wait_for(|told| *told >= number)).await.is_ok_and(|told| told.is_ok())
    }

    /// Waits for the last look.
    pub async fn left(self) {
        // A panic in it was printed already, and changes nothing about the end.
        let _ = self.task.await;
    }
}

async fn register(
    registration: &mut Registration,
    mut changes: watch::Receiver<(u64, Wanted)>,
    tell: watch::Sender<u64>,
    report: impl Fn(&Round),
) {
    let mut pause = FIRST_PAUSE;
    let mut last = None;
    loop {
        let (number, wanted) = changes.borrow_and_update().clone();
        let round = Round::from(registration.round(&wanted).await);
        let wait = match &round {
            Round::Done(State::AwaitingReplica | State::Missing | State::Foreign { answers: false, .. }) => SOON,
            Round::Done(_) => PERIOD,
            Round::Failed(_) => pause,
        };
        pause = if matches!(round, Round::Done(_)) { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        if matches!(round, Round::Done(State::Registered { .. } | State::AwaitingReplica)) {
            tell.send_replace(number);
        }
        if last.as_ref() != Some(&round) {
            log(&round);
            report(&round);
            last = Some(round);
        }
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

fn log(round: &Round) {
    match round {
        Round::Done(state @ (State::Registered { .. } | State::AwaitingReplica)) => tracing::info!("{state}"),
        Round::Done(state) => tracing::warn!("{state}"),
        Round::Failed(error) => tracing::error!("not registered, trying again: {error}"),
    }
}
