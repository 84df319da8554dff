//! The thread that reads and compiles while the server runs.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// A dedicated thread, beside the event loop and the evaluating threads. Memory of the compiler stays in the
/// allocator's arena of the thread. With a thread pool, reloads took 20 MB more.
#[derive(Debug)]
pub(super) struct Background(Sender<Work>);

/// The work panicked, which is a bug.
#[derive(Debug, thiserror::Error)]
#[error("loading panicked, which is a bug in Plimsoll: please report it")]
pub(super) struct Panicked;

impl Background {
    pub(super) fn start() -> io::Result<Self> {
        let (sender, works) = mpsc::channel::<Work>();
        thread::Builder::new().name("plimsoll-load".to_owned()).spawn(move || {
            for work in works {
                // After a panic, the waiting task sees a closed channel.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            }
        })?;
        Ok(Self(sender))
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (reply, answer) = oneshot::channel();
        let work = move || drop(reply.send(work()));
        self.0.send(Box::new(work)).map_err(|_| Panicked)?;
        answer.await.map_err(|_| Panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_work() {
        let background = Background::start().unwrap();
        assert!(background.run(|| panic!("as the test wants")).await.is_err());
        assert_eq!(
            background.run(|| thread::current().name().map(str::to_owned)).await.unwrap().unwrap(),
            "plimsoll-load"
        );
    }
}
