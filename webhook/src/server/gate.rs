//! How many reviews are under way, and how much memory their bodies may take.

use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

/// Bodies are counted in units of this many bytes, rounded up.
const UNIT: usize = 4 << 10;

/// A cap on concurrent requests and on the bytes that they declare, both taken before the body is read: who opens many
/// connections, or sends many huge objects, waits, and is then told to come back.
#[derive(Debug)]
pub(super) struct Gate {
    requests: Semaphore,
    bodies: Semaphore,
    wait: Duration,
}

/// Held until the request is answered.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    _request: SemaphorePermit<'a>,
    _body: SemaphorePermit<'a>,
}

impl Gate {
    /// For so many requests with so many bytes of bodies; each waits at most `wait`.
    pub(super) fn new(requests: usize, bytes: usize, wait: Duration) -> Self {
        let bodies = Semaphore::new((bytes / UNIT).min(Semaphore::MAX_PERMITS));
        Self { requests: Semaphore::new(requests.min(Semaphore::MAX_PERMITS)), bodies, wait }
    }

    /// Waits for a place. None where there is none in time.
    pub(super) async fn enter(&self, bytes: usize, deadline: Instant) -> Option<Pass<'_>> {
        let by = deadline.min(Instant::now() + self.wait);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let both = async {
            let request = self.requests.acquire().await.ok()?;
            Some(Pass { _request: request, _body: self.bodies.acquire_many(units).await.ok()? })
        };
        timeout_at(by.into(), both).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_requests_and_bytes() {
        let gate = Gate::new(2, 2 * UNIT, Duration::from_millis(20));
        let deadline = Instant::now() + Duration::from_secs(1);
        let first = gate.enter(1, deadline).await.unwrap();
        assert!(gate.enter(UNIT + 1, deadline).await.is_none(), "too many bytes");
        let second = gate.enter(UNIT, deadline).await.unwrap();
        assert!(gate.enter(0, deadline).await.is_none(), "too many requests");
        drop((first, second));
        assert!(gate.enter(2 * UNIT, deadline).await.is_some());
        assert!(gate.enter(0, Instant::now()).await.is_some(), "what is free is not waited for");
    }
}
