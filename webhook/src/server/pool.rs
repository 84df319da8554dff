//! The evaluating threads: a fixed number, with a bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use std::{fmt, io};

use tokio::sync::oneshot;

use super::parties::Parties;
use super::queue::{Queue, Taken};

/// A pool of threads for evaluation. Evaluation is pure computation, and must not run on the event loop: a guest that
/// loops would block every handshake. The number of threads equals the number of instances, so the engine's pool is
/// never empty.
pub(super) struct Pool<T, A> {
    shared: Arc<Shared<T, A>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T, A> {
    state: Mutex<State<T, A>>,
    ready: Condvar,
    capacity: usize,
}

struct State<T, A> {
    queue: Queue<Queued<T, A>>,
    closed: bool,
}

type Queued<T, A> = (T, oneshot::Sender<A>);

/// The queue is full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl<T, A> fmt::Debug for Pool<T, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static, A: Send + 'static> Pool<T, A> {
    /// Starts the threads. Each of them runs `work` on one task at a time.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub(super) fn start<W>(threads: usize, capacity: usize, work: W) -> io::Result<Self>
    where
        W: Fn(T) -> A + Clone + Send + 'static,
    {
        let threads = threads.max(1);
        let state = Mutex::new(State { queue: Queue::new(threads), closed: false });
        let mut pool =
            Self { shared: Arc::new(Shared { state, ready: Condvar::new(), capacity }), threads: Vec::new() };
        for number in 0..threads {
            let (shared, work) = (Arc::clone(&pool.shared), work.clone());
            let thread = thread::Builder::new().name(format!("plimsoll-eval-{number}"));
            pool.threads.push(thread.spawn(move || shared.run(work))?);
        }
        Ok(pool)
    }

    /// Queues a task. The answer comes through the channel. If the task panics, the channel is closed without an
    /// answer. Dropping the channel cancels a task that has not started.
    ///
    /// # Errors
    /// If the queue is full.
    pub(super) fn submit(&self, parties: Parties, bytes: usize, task: T) -> Result<oneshot::Receiver<A>, Full> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.queue.len() >= self.shared.capacity {
            // Tasks whose clients have disconnected can be removed.
            state.queue.retain(|(_, reply)| !reply.is_closed());
        }
        if state.closed || state.queue.len() >= self.shared.capacity {
            return Err(Full);
        }
        state.queue.push(parties, bytes, (task, reply));
        drop(state);
        self.shared.ready.notify_one();
        Ok(answer)
    }
}

impl<T, A> Shared<T, A> {
    fn lock(&self) -> MutexGuard<'_, State<T, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, work: impl Fn(T) -> A) {
        while let Some(Taken { id, task: (task, reply) }) = self.next() {
            if !reply.is_closed() {
                // A panic is a bug of ours, and ends only this review: the thread continues, and the client sees a
                // closed channel.
                if let Ok(answer) = catch_unwind(AssertUnwindSafe(|| work(task))) {
                    let _ = reply.send(answer);
                }
            }
            let mut state = self.lock();
            state.queue.ended(id, Instant::now());
            // A task that waited for its party's share may run now, on a sleeping thread. At the end, all threads must
            // check.
            if state.closed {
                self.ready.notify_all();
            } else if state.queue.len() > 0 {
                self.ready.notify_one();
            }
        }
    }

    fn next(&self) -> Option<Taken<Queued<T, A>>> {
        let mut state = self.lock();
        loop {
            match state.queue.pop(Instant::now()) {
                Some(next) => return Some(next),
                None if state.closed && state.queue.len() == 0 => return None,
                None => state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl<T, A> Drop for Pool<T, A> {
    /// Queued tasks are still finished.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.ready.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::super::address::Address;
    use super::*;

    fn parties() -> Parties {
        Parties { address: Address::of(IpAddr::from([192, 0, 2, 1])), namespace: None, user: None }
    }

    #[test]
    fn bounds_the_queue_and_drops_what_nobody_waits_for() {
        let (release, held) = mpsc::channel::<()>();
        let (started, starts) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let worked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&worked);
        let pool = Pool::start(1, 2, move |number: u32| {
            started.send(()).unwrap();
            held.lock().unwrap().recv().unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            number
        })
        .unwrap();
        let first = pool.submit(parties(), 1, 1).unwrap();
        starts.recv().unwrap();
        let second = pool.submit(parties(), 1, 2).unwrap();
        let third = pool.submit(parties(), 1, 3).unwrap();
        assert!(pool.submit(parties(), 1, 4).is_err());
        drop(second);
        let fourth = pool.submit(parties(), 1, 4).expect("the second's place is free");
        for _ in 0..3 {
            release.send(()).unwrap();
        }
        assert_eq!([first, third, fourth].map(|answer| answer.blocking_recv().unwrap()), [1, 3, 4]);
        drop(pool);
        assert_eq!(worked.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_panic_costs_one_task() {
        let pool =
            Pool::start(1, 8, |number: u32| if number == 0 { panic!("as the test wants") } else { number }).unwrap();
        let (first, second) = (pool.submit(parties(), 1, 0).unwrap(), pool.submit(parties(), 1, 7).unwrap());
        assert!(first.blocking_recv().is_err());
        assert_eq!(second.blocking_recv(), Ok(7));
    }
}
