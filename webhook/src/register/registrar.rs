//! Repeats rounds of registration while the server runs.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::errors::RegisterError;
use super::{Registration, State, Wanted};

/// Time between rounds. When the Namespace is deleted, its ServiceAccount is deleted early. The API server accepts its
/// token for another ten seconds, and in this time the configurations must be deleted.
const PERIOD: Duration = Duration::from_secs(5);

/// Time between rounds while the server waits for a change, such as a replica that becomes ready.
const SOON: Duration = Duration::from_secs(2);

/// Time between rounds after an error. It doubles with each further error, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Timeout for the last round. The kubelet limits the time of the drain.
const LEAVE: Duration = Duration::from_secs(3);

/// Handle of the task that repeats the rounds.
#[derive(Debug)]
pub struct Registrar {
    /// The wanted content, with a number that grows with each change.
    wanted: watch::Sender<(u64, Wanted)>,
    /// The number of the content that was written last.
    told: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

/// The result of one round.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Round {
    /// The round succeeded.
    Done(State),
    /// The API server could not be reached, or rejected a request.
    Failed(String),
}

impl From<Result<State, RegisterError>> for Round {
    fn from(round: Result<State, RegisterError>) -> Self {
        round.map_or_else(|error| Self::Failed(error.to_string()), Self::Done)
    }
}

impl Registrar {
    /// Starts the task. It ends after `leaving`, with one last round. `report` is called after each round with a new
    /// result.
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

    /// Changes the content to register: rules, mode or CA.
    pub fn update(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_if_modified(|(number, wanted)| {
            let before = wanted.clone();
            change(wanted);
            let changed = *wanted != before;
            *number += u64::from(changed);
            changed
        });
    }

    /// Waits until the current content is registered. Returns false after a timeout.
    pub async fn published(&self, patience: Duration) -> bool {
        let number = self.wanted.borrow().0;
        let mut told = self.told.clone();
        timeout(patience, told.wait_for(|told| *told >= number)).await.is_ok_and(|told| told.is_ok())
    }

    /// Waits for the end of the task, after its last round.
    pub async fn left(self) {
        // A panic of the task was already printed, and has no effect on the end.
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
