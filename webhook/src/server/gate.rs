//! Limits the number of requests, and of bytes of bodies, that are held at once.
//!
//! A body counts as its bytes arrive. So a request that declares a large body and sends nothing takes nothing. Each
//! limit has a part that one address can't exceed, and a part that all addresses without a completed review together
//! can't exceed.
//!
//! If there is no room, the address that holds most loses its oldest unfinished body. An address that has used up its
//! own part loses its oldest body, if that has been arriving for long.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{timeout, timeout_at};

use super::address::Address;

/// How long an address counts as known after a completed review. The API server sends requests far more often.
const KNOWN: Duration = Duration::from_secs(600);

/// Maximum number of known addresses. Beyond it, the one whose last review is oldest is forgotten.
const MAX_KNOWN: usize = 1024;

/// Age from which an unfinished body is dropped for another request of the same address. A body from the API server
/// takes some milliseconds.
const STALLED: Duration = Duration::from_millis(100);

/// Number of requests that an address may hold even if others have taken all places. The API server needs this many to
/// continue.
const ALWAYS: usize = 16;

/// The same number, or less if there are few places in all.
fn always(most: Share) -> usize {
    ALWAYS.min(most.requests / 8)
}

/// How often a waiting request checks for stalled bodies.
const LOOK: Duration = Duration::from_millis(25);

/// The resources that one address or all addresses hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Share {
    /// Requests whose head was read and that are not answered yet.
    pub(super) requests: usize,
    /// Bytes of the bodies of these requests.
    pub(super) bytes: usize,
}

impl Share {
    const REQUEST: Self = Self { requests: 1, bytes: 0 };

    fn with(self, more: Self) -> Self {
        Self { requests: self.requests + more.requests, bytes: self.bytes.saturating_add(more.bytes) }
    }

    fn less(self, fewer: Self) -> Self {
        Self { requests: self.requests - fewer.requests, bytes: self.bytes - fewer.bytes }
    }

    fn half(self) -> Self {
        Self { requests: self.requests.div_ceil(2), bytes: self.bytes / 2 }
    }

    fn fits(self, most: Self) -> bool {
        self.requests <= most.requests && self.bytes <= most.bytes
    }
}

/// Decides which address may hold how much.
#[derive(Debug)]
pub(super) struct Gate {
    most: Share,
    wait: Duration,
    state: Mutex<State>,
    /// Notified when a resource is freed.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Held requests, by age.
    held: BTreeMap<u64, Held>,
    total: Share,
    /// Addresses that hold something or wait.
    shares: HashMap<Address, Counted>,
    /// Known addresses, with the time of the last completed review.
    known: HashMap<Address, Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    share: Share,
    /// Number of requests that wait for a place.
    waiting: usize,
}

#[derive(Debug)]
struct Held {
    address: Address,
    share: Share,
    since: Instant,
    /// Whether its body is still arriving. Only such a request can be dropped without losing work.
    unfinished: bool,
    give_up: Arc<Notify>,
}

/// A request that counts until this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    gate: &'a Gate,
    address: Address,
    id: u64,
    give_up: Arc<Notify>,
}

/// There is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl Gate {
    /// Allows at most `most` at once. A request waits for its place for at most `wait`.
    pub(super) fn new(most: Share, wait: Duration) -> Self {
        Self { most, wait, state: Mutex::default(), freed: Notify::new() }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// If there is no place in time, or if too many requests of this address are waiting already.
    pub(super) async fn enter(&self, address: Address, deadline: Instant) -> Result<Place<'_>, Full> {
        let give_up = Arc::new(Notify::new());
        let by = deadline.min(Instant::now() + self.wait);
        let Some(id) = self.lock().enter(self.most, address, &give_up) else {
            let _line = self.line_up(address)?;
            let place = self.retry(by, |state| state.enter(self.most, address, &give_up)).await?;
            return Ok(Place { gate: self, address, id: place, give_up });
        };
        Ok(Place { gate: self, address, id, give_up })
    }

    /// Records a completed review of this address.
    pub(super) fn reviewed(&self, address: Address) {
        let now = Instant::now();
        let mut state = self.lock();
        state.known.insert(address, now);
        if state.known.len() > MAX_KNOWN {
            let oldest = state.known.iter().min_by_key(|(_, since)| **since).map(|(address, _)| *address);
            oldest.and_then(|oldest| state.known.remove(&oldest));
        }
    }

    /// Retries whenever a resource is freed.
    async fn retry<T>(&self, by: Instant, mut attempt: impl FnMut(&mut State) -> Option<T>) -> Result<T, Full> {
        let until = async {
            loop {
                // Registered before the attempt, so that no notification is missed.
                let mut freed = std::pin::pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(done) = attempt(&mut self.lock()) {
                    return done;
                }
                let _ = timeout(LOOK, freed).await;
            }
        };
        timeout_at(by.into(), until).await.map_err(|_| Full)
    }

    /// Takes a place in the line. As many requests may wait as may be held.
    fn line_up(&self, address: Address) -> Result<Line<'_>, Full> {
        let mut state = self.lock();
        let all: usize = state.shares.values().map(|counted| counted.waiting).sum();
        let counted = state.shares.entry(address).or_default();
        let may = match counted.waiting {
            own if own < always(self.most) => all < 2 * self.most.requests,
            own => own < self.most.half().requests && all < self.most.requests,
        };
        if !may {
            state.forget(address);
            return Err(Full);
        }
        counted.waiting += 1;
        Ok(Line { gate: self, address })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for a place.
struct Line<'a> {
    gate: &'a Gate,
    address: Address,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(counted) = state.shares.get_mut(&self.address) {
            counted.waiting -= 1;
        }
        state.forget(self.address);
    }
}

impl Place<'_> {
    /// Counts bytes of the body that have arrived.
    ///
    /// # Errors
    /// If there is no room for them in time.
    pub(super) async fn hold(&self, bytes: usize, by: Instant) -> Result<(), Full> {
        let (most, id) = (self.gate.most, self.id);
        if self.gate.lock().hold(most, id, bytes).is_some() {
            return Ok(());
        }
        self.gate.retry(by, |state| state.hold(most, id, bytes)).await
    }

    /// Records that the body is complete. From here on, the request is never dropped for others.
    pub(super) fn finished(&self) {
        if let Some(held) = self.gate.lock().held.get_mut(&self.id) {
            held.unfinished = false;
        }
    }

    /// Completes when the request must be dropped for others.
    pub(super) async fn given_up(&self) {
        self.give_up.notified().await;
    }

    /// The address of the sender.
    pub(super) fn address(&self) -> Address {
        self.address
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.lock().leave(self.id);
        self.gate.freed.notify_waiters();
    }
}

impl State {
    fn enter(&mut self, most: Share, address: Address, give_up: &Arc<Notify>) -> Option<u64> {
        if !self.make_room(most, address, Share::REQUEST) {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.count(address, Share::REQUEST);
        let (share, since, give_up) = (Share::REQUEST, Instant::now(), Arc::clone(give_up));
        self.held.insert(id, Held { address, share, since, unfinished: true, give_up });
        Some(id)
    }

    fn hold(&mut self, most: Share, id: u64, bytes: usize) -> Option<()> {
        let address = self.held.get(&id)?.address;
        let more = Share { requests: 0, bytes };
        if !self.make_room(most, address, more) {
            return None;
        }
        self.count(address, more);
        let held = self.held.get_mut(&id)?;
        held.share = held.share.with(more);
        Some(())
    }

    fn leave(&mut self, id: u64) {
        let Some(held) = self.held.remove(&id) else { return };
        self.total = self.total.less(held.share);
        if let Some(counted) = self.shares.get_mut(&held.address) {
            counted.share = counted.share.less(held.share);
        }
        self.forget(held.address);
    }

    fn count(&mut self, address: Address, more: Share) {
        self.total = self.total.with(more);
        let counted = self.shares.entry(address).or_default();
        counted.share = counted.share.with(more);
    }

    fn forget(&mut self, address: Address) {
        if self.shares.get(&address).is_some_and(|counted| counted.share.requests == 0 && counted.waiting == 0) {
            self.shares.remove(&address);
        }
    }

    /// Whether there is room. If not, this may ask a request to give up its place.
    fn make_room(&mut self, most: Share, address: Address, more: Share) -> bool {
        let own = self.share(address).with(more);
        if !own.fits(most.half()) {
            self.give_up(address, STALLED);
            return false;
        }
        let stranger = !self.is_known(address);
        // Complete requests are never dropped. So a few addresses with such requests could keep all others out.
        let most_of_all = Share { requests: 2 * most.requests, ..most };
        if !stranger && own.requests <= always(most) && self.total.with(more).fits(most_of_all) {
            return true;
        }
        let lacks = !self.total.with(more).fits(most);
        let strangers_lack = stranger && !self.strangers().with(more).fits(most.half());
        if !lacks && !strangers_lack {
            return true;
        }
        let by_bytes = more.bytes > 0;
        let amount = |share: Share| if by_bytes { share.bytes } else { share.requests };
        // A known address loses nothing to strangers that have used up their own part.
        let unfinished = self.held.values().filter(|held| held.unfinished && (lacks || !self.is_known(held.address)));
        let greediest = unfinished.max_by_key(|held| amount(self.share(held.address))).map(|held| held.address);
        if let Some(greediest) = greediest.filter(|other| amount(self.share(*other)) > amount(own)) {
            self.give_up(greediest, Duration::ZERO);
        }
        false
    }

    /// Drops the oldest unfinished request of an address, if it has at least this age.
    fn give_up(&mut self, address: Address, age: Duration) {
        let oldest = self.held.values_mut().find(|held| held.unfinished && held.address == address);
        if let Some(oldest) = oldest.filter(|oldest| oldest.since.elapsed() >= age) {
            oldest.unfinished = false;
            oldest.give_up.notify_one();
        }
    }

    fn share(&self, address: Address) -> Share {
        self.shares.get(&address).copied().unwrap_or_default().share
    }

    fn is_known(&self, address: Address) -> bool {
        self.known.get(&address).is_some_and(|since| since.elapsed() < KNOWN)
    }

    fn strangers(&self) -> Share {
        let strangers = self.shares.iter().filter(|(address, _)| !self.is_known(**address));
        strangers.fold(Share::default(), |sum, (_, counted)| sum.with(counted.share))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn address(last: u8) -> Address {
        Address::of(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn gate(requests: usize, bytes: usize) -> Gate {
        Gate::new(Share { requests, bytes }, Duration::from_millis(20))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn counts_requests_and_what_has_arrived() {
        let gate = gate(4, 100);
        gate.reviewed(address(1));
        let first = gate.enter(address(1), soon()).await.unwrap();
        let second = gate.enter(address(1), soon()).await.unwrap();
        assert!(gate.enter(address(1), soon()).await.is_err(), "half of the requests is the most of one address");
        first.hold(50, soon()).await.unwrap();
        assert!(second.hold(1, soon()).await.is_err(), "half of the bytes is the most of one address");
        drop(first);
        second.hold(50, soon()).await.unwrap();
        drop(second);
        let state = gate.lock();
        assert_eq!((state.total, state.shares.len(), state.held.len()), (Share::default(), 0, 0));
    }

    #[tokio::test]
    async fn strangers_leave_half_to_those_who_are_known() {
        let gate = gate(8, 100);
        gate.reviewed(address(100));
        let mut strangers = Vec::new();
        for number in 0..4 {
            strangers.push(gate.enter(address(number), soon()).await.unwrap());
        }
        assert!(gate.enter(address(9), soon()).await.is_err());
        for _ in 0..4 {
            strangers.push(gate.enter(address(100), soon()).await.unwrap());
        }
    }

    #[tokio::test]
    async fn the_greediest_gives_up_its_oldest_unfinished_body() {
        let gate = gate(4, 100);
        for number in 1..=3 {
            gate.reviewed(address(number));
        }
        let oldest = gate.enter(address(1), soon()).await.unwrap();
        oldest.finished();
        let older = gate.enter(address(1), soon()).await.unwrap();
        let others = [gate.enter(address(2), soon()).await.unwrap(), gate.enter(address(2), soon()).await.unwrap()];
        others.iter().for_each(Place::finished);
        let (entered, ()) = tokio::join!(gate.enter(address(3), Instant::now() + Duration::from_secs(5)), async {
            older.given_up().await;
            drop(older);
        });
        assert!(entered.is_ok());
        // The remaining addresses have finished, or hold no more than this address would.
        assert!(gate.enter(address(3), soon()).await.is_err());
    }

    #[tokio::test]
    async fn finished_requests_of_a_few_keep_nobody_out() {
        let gate = gate(64, 100);
        let mut held = Vec::new();
        for number in 1..=3 {
            gate.reviewed(address(number));
            for _ in 0..32 {
                held.extend(gate.enter(address(number), Instant::now()).await);
            }
        }
        held.iter().for_each(Place::finished);
        gate.reviewed(address(9));
        let mut own = Vec::new();
        for _ in 0..8 {
            own.push(gate.enter(address(9), Instant::now()).await.unwrap());
        }
        assert!(gate.enter(address(9), Instant::now()).await.is_err());
    }

    #[tokio::test]
    async fn an_address_gives_up_its_own_stalled_body() {
        let gate = Gate::new(Share { requests: 2, bytes: 100 }, Duration::from_secs(5));
        let stalled = gate.enter(address(1), soon()).await.unwrap();
        let started = Instant::now();
        let (entered, ()) = tokio::join!(gate.enter(address(1), started + Duration::from_secs(5)), async {
            stalled.given_up().await;
            drop(stalled);
        });
        assert!(entered.is_ok() && started.elapsed() >= STALLED);
    }

    #[tokio::test]
    async fn whoever_waits_is_counted_too() {
        let gate = gate(4, 100);
        let held = [gate.enter(address(1), soon()).await.unwrap(), gate.enter(address(1), soon()).await.unwrap()];
        let later = Instant::now() + Duration::from_secs(5);
        let waiting = [gate.enter(address(1), later), gate.enter(address(1), later)];
        let mut waiting = waiting.map(Box::pin);
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let started = Instant::now();
        assert!(gate.enter(address(1), later).await.is_err());
        assert!(started.elapsed() < Duration::from_millis(10), "nobody waits behind a full line");
        drop(held);
        for one in waiting {
            assert!(one.await.is_ok());
        }
    }
}
