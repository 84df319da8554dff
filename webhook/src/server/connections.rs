//! The open connections, and which of them is closed for a new one.
//!
//! A new connection is always accepted, unless all others are being answered: the connection that has been idle for
//! longest is closed for it. A connection whose body is still arriving counts as idle, because its sender decides how
//! long that takes.
//!
//! An answer counts until its client has taken it. If clients together leave too many bytes of answers, the connection
//! with the oldest answer is closed. A client that takes its answers has no old one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::address::Address;

/// Maximum size of the answers of one listener that clients have not taken yet, in bytes.
const MAX_UNTAKEN: usize = 16 << 20;

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// Bytes of answers that clients have not taken yet.
    untaken: usize,
    seats: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    address: Address,
    /// Number of requests that are being answered.
    active: usize,
    /// Time of its acceptance, or of its last request or answer.
    since: Instant,
    /// Whether it has completed a review.
    reviewed: bool,
    /// Answers that were not taken yet, by age: time and size.
    untaken: BTreeMap<u64, (Instant, usize)>,
    close: Arc<Notify>,
}

/// The entry of one connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    id: u64,
    address: Address,
    close: Arc<Notify>,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Active(Arc<Seat>);

/// An answer that its client has not taken yet, until this is dropped.
#[derive(Debug)]
pub(super) struct Untaken {
    seat: Arc<Seat>,
    id: u64,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { most, table: Mutex::default() }
    }

    /// A seat for a new connection. None if every connection that could be closed is being answered.
    pub(super) fn seat(self: &Arc<Self>, address: Address) -> Option<Arc<Seat>> {
        let mut table = self.lock();
        let own = table.seats.values().filter(|entry| entry.address == address).count();
        if own >= self.of_one_address() {
            table
                .close(|entry| entry.address == address && !entry.reviewed)
                .or_else(|| table.close(|entry| entry.address == address))?;
        } else if table.seats.len() >= self.most {
            let crowd = table.crowd();
            table
                .close(|entry| !entry.reviewed)
                .or_else(|| table.close(|entry| Some(entry.address) == crowd))
                .or_else(|| table.close(|_| true))?;
        }
        let id = table.next;
        table.next += 1;
        let close = Arc::new(Notify::new());
        let (since, reviewed, untaken) = (Instant::now(), false, BTreeMap::new());
        table.seats.insert(id, Entry { address, active: 0, since, reviewed, untaken, close: Arc::clone(&close) });
        Some(Arc::new(Seat { connections: Arc::clone(self), id, address, close }))
    }

    /// Maximum number of connections of one address: a quarter. The API server needs one connection of HTTP/2, and many
    /// hosts may share one address behind a proxy.
    fn of_one_address(&self) -> usize {
        self.most.div_ceil(4)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Closes the connection that has been idle for longest, among those for which `which` is true.
    fn close(&mut self, which: impl Fn(&Entry) -> bool) -> Option<()> {
        let idle = self.seats.iter().filter(|(_, entry)| entry.active == 0 && which(entry));
        let id = idle.min_by_key(|(id, entry)| (entry.since, **id)).map(|(id, _)| *id)?;
        self.remove(id)
    }

    /// Frees the seat at once. The connection itself ends as soon as its task runs.
    fn remove(&mut self, id: u64) -> Option<()> {
        let entry = self.seats.remove(&id)?;
        self.untaken -= entry.untaken();
        entry.close.notify_one();
        Some(())
    }

    /// Closes the connections with the oldest answers, until the others are below the limit. The numbers of answers
    /// grow with time.
    fn make_room_for_answers(&mut self) {
        while self.untaken > MAX_UNTAKEN {
            let oldest = |entry: &Entry| entry.untaken.first_key_value().map(|(number, _)| *number);
            let longest = self.seats.iter().filter_map(|(id, entry)| Some((oldest(entry)?, *id))).min();
            if longest.and_then(|(_, id)| self.remove(id)).is_none() {
                return;
            }
        }
    }

    /// The address with the most connections.
    fn crowd(&self) -> Option<Address> {
        let mut counts: HashMap<Address, usize> = HashMap::new();
        self.seats.values().for_each(|entry| *counts.entry(entry.address).or_default() += 1);
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(address, _)| address)
    }
}

impl Entry {
    fn untaken(&self) -> usize {
        self.untaken.values().map(|(_, bytes)| *bytes).sum()
    }
}

impl Seat {
    /// Counts a request that is being answered.
    pub(super) fn active(self: &Arc<Self>) -> Active {
        self.update(|entry| entry.active += 1);
        Active(Arc::clone(self))
    }

    /// Records that the head of a request has arrived.
    pub(super) fn asked(&self) {
        self.update(|_| {});
    }

    /// Records a completed review. The connection is then among the last to be closed.
    pub(super) fn reviewed(&self) {
        self.update(|entry| entry.reviewed = true);
    }

    /// Whether a review was completed, and since when the connection is idle. None while a request is being answered.
    pub(super) fn idle(&self) -> (bool, Option<Instant>) {
        let table = self.connections.lock();
        match table.seats.get(&self.id) {
            Some(entry) => (entry.reviewed, (entry.active == 0).then_some(entry.since)),
            None => (false, None),
        }
    }

    /// Counts an answer of this size until it is taken.
    pub(super) fn untaken(self: &Arc<Self>, bytes: usize) -> Untaken {
        let mut table = self.connections.lock();
        let id = table.next;
        table.next += 1;
        if let Some(entry) = table.seats.get_mut(&self.id) {
            entry.untaken.insert(id, (Instant::now(), bytes));
            table.untaken += bytes;
            table.make_room_for_answers();
        }
        Untaken { seat: Arc::clone(self), id }
    }

    /// Time of the oldest answer that the client has not taken yet.
    pub(super) fn oldest_untaken(&self) -> Option<Instant> {
        let table = self.connections.lock();
        table.seats.get(&self.id)?.untaken.first_key_value().map(|(_, (since, _))| *since)
    }

    /// Completes when the connection must be closed for another one.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// The address of the client.
    pub(super) fn address(&self) -> Address {
        self.address
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.connections.lock().seats.get_mut(&self.id) {
            change(entry);
            entry.since = Instant::now();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.connections.lock().remove(self.id);
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        let mut table = self.seat.connections.lock();
        let entry = table.seats.get_mut(&self.seat.id);
        if let Some((_, bytes)) = entry.and_then(|entry| entry.untaken.remove(&self.id)) {
            table.untaken -= bytes;
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.update(|entry| entry.active -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn address(last: u8) -> Address {
        Address::of(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn is_closed(seat: &Seat) -> bool {
        seat.closed().now_or_never().is_some()
    }

    #[test]
    fn the_longest_idle_stranger_makes_way() {
        let connections = Arc::new(Connections::new(4));
        let seats: Vec<Arc<Seat>> = (0..4).map(|number| connections.seat(address(number)).unwrap()).collect();
        seats[0].reviewed();
        let active = seats[1].active();
        let next = connections.seat(address(9)).unwrap();
        assert_eq!(seats.iter().map(|seat| is_closed(seat)).collect::<Vec<_>>(), [false, false, true, false]);
        let last = connections.seat(address(10)).unwrap();
        assert!(is_closed(&seats[3]) && !is_closed(&next) && !is_closed(&seats[0]));
        // Only connections that are being answered, or have been, are left.
        let _both = [next.active(), last.active()];
        assert!(connections.seat(address(11)).is_some());
        assert!(is_closed(&seats[0]), "the one that completed a review was idle after all");
        drop(active);
    }

    #[test]
    fn whoever_leaves_answers_for_longest_is_closed() {
        let connections = Arc::new(Connections::new(8));
        let [first, other, prompt] = [1, 2, 3].map(|number| connections.seat(address(number)).unwrap());
        let taken = first.untaken(1);
        let left = [first.untaken(MAX_UNTAKEN / 4), other.untaken(MAX_UNTAKEN / 2)];
        drop(taken);
        assert!(!is_closed(&first) && first.oldest_untaken() <= other.oldest_untaken());
        // The largest answer of all, to a client that takes its answers.
        let large = prompt.untaken(MAX_UNTAKEN / 2);
        assert!(is_closed(&first) && !is_closed(&other) && !is_closed(&prompt));
        drop((left, first, large));
        let _small = prompt.untaken(1);
        assert_eq!(connections.lock().untaken, 1, "what is dropped leaves nothing behind");
        assert!(other.oldest_untaken().is_none());
    }

    #[test]
    fn one_address_makes_way_for_itself() {
        let connections = Arc::new(Connections::new(8));
        let own: Vec<Arc<Seat>> = (0..2).map(|_| connections.seat(address(1)).unwrap()).collect();
        let other = connections.seat(address(2)).unwrap();
        let third = connections.seat(address(1)).unwrap();
        assert!(is_closed(&own[0]) && !is_closed(&own[1]) && !is_closed(&other));
        let busy = [own[1].active(), third.active()];
        assert!(connections.seat(address(1)).is_none());
        assert!(connections.seat(address(2)).is_some());
        drop((busy, own));
        assert_eq!(connections.lock().seats.len(), 2, "what is dropped leaves nothing behind");
    }
}
