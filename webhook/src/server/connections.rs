//! Which connections are there, and which of them is closed for a new one.
//!
//! A new connection always gets in, unless all others are being answered: the longest idle one makes way. A connection
//! whose body is still arriving counts as idle, because its sender decides how long that takes. Answers count until their
//! client has taken them. Where all clients together leave too much, the one that has left an answer for longest is closed:
//! whoever takes its answers has none that is old.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::address::Address;

/// Maximum size of the answers of one listener that their clients have not taken.
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
    /// Bytes of the answers that were not taken.
    untaken: usize,
    seats: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    address: Address,
    /// Requests that are being answered.
    active: usize,
    /// When it was accepted, or asked or answered something last.
    since: Instant,
    /// It has completed a review.
    reviewed: bool,
    /// Answers that were given and not taken, by age: since when, and how large.
    untaken: BTreeMap<u64, (Instant, usize)>,
    close: Arc<Notify>,
}

/// One connection's entry, until this is dropped.
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

/// An answer that its client has not taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Untaken {
    seat: Arc<Seat>,
    id: u64,
}

impl Connections {
    pub(super) fn new(most: usize) -> Self {
        Self { most, table: Mutex::default() }
    }

    /// A seat for a new connection. None where every other one is being answered.
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

    /// A quarter: the API server needs one of HTTP/2, and many hosts may share one address behind a proxy.
    fn of_one_address(&self) -> usize {
        self.most.div_ceil(4)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Closes the longest idle connection of which this holds.
    fn close(&mut self, which: impl Fn(&Entry) -> bool) -> Option<()> {
        let idle = self.seats.iter().filter(|(_, entry)| entry.active == 0 && which(entry));
        let id = idle.min_by_key(|(id, entry)| (entry.since, **id)).map(|(id, _)| *id)?;
        self.remove(id)
    }

    /// The place is free at once; the connection itself ends as soon as its task runs.
    fn remove(&mut self, id: u64) -> Option<()> {
        let entry = self.seats.remove(&id)?;
        self.untaken -= entry.untaken();
        entry.close.notify_one();
        Some(())
    }

    /// Closes the connections that have left an answer for longest, until the others leave little enough. Numbers are given in
    /// the order of time.
    fn make_room_for_answers(&mut self) {
        while self.untaken > MAX_UNTAKEN {
            let oldest = |entry: &Entry| entry.untaken.first_key_value().map(|(number, _)| *number);
            let longest = self.seats.iter().filter_map(|(id, entry)| Some((oldest(entry)?, *id))).min();
            if longest.and_then(|(_, id)| self.remove(id)).is_none() {
                return;
            }
        }
    }

    /// The address with most connections.
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
    /// A request is being answered.
    pub(super) fn active(self: &Arc<Self>) -> Active {
        self.update(|entry| entry.active += 1);
        Active(Arc::clone(self))
    }

    /// The head of a request has arrived.
    pub(super) fn asked(&self) {
        self.update(|_| {});
    }

    /// A review was completed: it is among the last to make way.
    pub(super) fn reviewed(&self) {
        self.update(|entry| entry.reviewed = true);
    }

    /// Whether a review was completed, and since when nothing is asked; none while something is.
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

    /// Since when the client has not taken the oldest answer.
    pub(super) fn oldest_untaken(&self) -> Option<Instant> {
        let table = self.connections.lock();
        table.seats.get(&self.id)?.untaken.first_key_value().map(|(_, (since, _))| *since)
    }

    /// Ready once the connection has to make way.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// Where it comes from.
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
        // Only those who are answered, or were, are left.
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
        // The largest answer of all, by somebody who takes it.
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
