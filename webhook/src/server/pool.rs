//! The threads that evaluate: a fixed number, behind a bounded queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use tokio::sync::oneshot;

/// Evaluation is pure computing, for which the threads of the event loop are the wrong place: a guest that loops would
/// hold up every handshake. As many threads as the engine has instances can never find its pool empty.
pub(super) struct Pool<T, A> {
    shared: Arc<Shared<T, A>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T, A> {
    queue: Mutex<Queue<T, A>>,
    ready: Condvar,
    capacity: usize,
}

struct Queue<T, A> {
    waiting: VecDeque<(T, oneshot::Sender<A>)>,
    closed: bool,
}

/// The queue has no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl<T, A> fmt::Debug for Pool<T, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static, A: Send + 'static> Pool<T, A> {
    /// Starts the threads. `work` runs on each of them, one task at a time.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub(super) fn start<W>(threads: usize, capacity: usize, work: W) -> io::Result<Self>
    where
        W: Fn(T) -> A + Clone + Send + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), closed: false });
        let mut pool =
            Self { shared: Arc::new(Shared { queue, ready: Condvar::new(), capacity }), threads: Vec::new() };
        for number in 0..threads.max(1) {
            let (shared, work) = (Arc::clone(&pool.shared), work.clone());
            let thread = thread::Builder::new().name(format!("plimsoll-eval-{number}"));
            pool.threads.push(thread.spawn(move || shared.run(work))?);
        }
        Ok(pool)
    }

    /// Queues a task. The answer comes through the channel, which is closed without one if the task panicked; dropping
    /// it takes back a task that has not been started.
    ///
    /// # Errors
    /// Where the queue is full.
    pub(super) fn submit(&self, task: T) -> Result<oneshot::Receiver<A>, Full> {
        let (reply, answer) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.waiting.len() >= self.shared.capacity {
            // Those whose clients went away only wait to be thrown away.
            queue.waiting.retain(|(_, reply)| !reply.is_closed());
        }
        if queue.closed || queue.waiting.len() >= self.shared.capacity {
            return Err(Full);
        }
        queue.waiting.push_back((task, reply));
        drop(queue);
        self.shared.ready.notify_one();
        Ok(answer)
    }
}

impl<T, A> Shared<T, A> {
    fn lock(&self) -> MutexGuard<'_, Queue<T, A>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, work: impl Fn(T) -> A) {
        while let Some((task, reply)) = self.next() {
            if reply.is_closed() {
                continue;
            }
            // A panic is ours, and is one review's: the thread lives on, the asker sees a closed channel.
            if let Ok(answer) = catch_unwind(AssertUnwindSafe(|| work(task))) {
                let _ = reply.send(answer);
            }
        }
    }

    fn next(&self) -> Option<(T, oneshot::Sender<A>)> {
        let mut queue = self.lock();
        loop {
            match queue.waiting.pop_front() {
                Some(next) => return Some(next),
                None if queue.closed => return None,
                None => queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl<T, A> Drop for Pool<T, A> {
    /// What is queued is still worked off.
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

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
        let first = pool.submit(1).unwrap();
        starts.recv().unwrap();
        let second = pool.submit(2).unwrap();
        let third = pool.submit(3).unwrap();
        assert!(pool.submit(4).is_err());
        drop(second);
        let fourth = pool.submit(4).expect("the second's place is free");
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
        let (first, second) = (pool.submit(0).unwrap(), pool.submit(7).unwrap());
        assert!(first.blocking_recv().is_err());
        assert_eq!(second.blocking_recv(), Ok(7));
    }
}
