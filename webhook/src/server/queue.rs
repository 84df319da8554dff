//! The order in which reviews are evaluated. No party waits for more work of others than for its own.
//!
//! The queue counts time on the evaluating threads for each address, and below it for each namespace and each user.
//! Each second, half of the counted time is forgotten.
//!
//! The next task comes from the address that used least. Within an address, it comes from the namespace and user that
//! used least. A namespace or a user has at most half of the threads, and so has an address while others are active.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::address::Address;
use super::parties::Parties;

/// Time after which half of the counted time is forgotten.
const HALF_LIFE: Duration = Duration::from_secs(1);

/// How long an address counts as active after its last task.
const ACTIVE: Duration = Duration::from_secs(10);

/// Number of accounts above which accounts with almost no use are dropped.
const MANY: usize = 4096;

/// Use, in seconds, below which an account may be dropped.
const NOTHING: f64 = 1e-4;

/// Size of a body in bytes above which it is heavy. A policy can make data from it that takes a hundred times as much
/// memory. Only one heavy task runs at a time.
const HEAVY: usize = 256 << 10;

/// Whether a task with a body of this size is heavy.
pub(super) fn is_heavy(bytes: usize) -> bool {
    bytes > HEAVY
}

/// The waiting tasks, and the use of past and running tasks.
#[derive(Debug)]
pub(super) struct Queue<T> {
    threads: usize,
    waiting: Vec<Waiting<T>>,
    running: Vec<Running>,
    used: HashMap<Account, Used>,
    next: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    parties: Parties,
    bytes: usize,
    task: T,
}

/// A task that is running.
#[derive(Debug)]
struct Running {
    id: u64,
    parties: Parties,
    heavy: bool,
    since: Instant,
}

/// A task to run, and the id to report its end.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub(super) id: u64,
    pub(super) task: T,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Account {
    Address(Address),
    /// The name counts only for this address. So names in reviews of other senders take nothing from it.
    Namespace(Address, u64),
    User(Address, u64),
}

#[derive(Clone, Copy, Debug)]
struct Used {
    seconds: f64,
    at: Instant,
}

impl Used {
    fn now(self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        self.seconds * (-age / HALF_LIFE.as_secs_f64()).exp2()
    }
}

impl<T> Queue<T> {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, waiting: Vec::new(), running: Vec::new(), used: HashMap::new(), next: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn push(&mut self, parties: Parties, bytes: usize, task: T) {
        self.waiting.push(Waiting { parties, bytes, task });
    }

    /// Drops the tasks for which `keep` is false.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.waiting.retain(|waiting| keep(&waiting.task));
    }

    /// The next task that may run. None if no task waits, or if all waiting tasks belong to parties that have used
    /// their share.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Taken<T>> {
        let place = match self.waiting.as_slice() {
            [] => return None,
            [one] => self.may_run(one, now).then_some(0)?,
            many => {
                let may = many.iter().enumerate().filter(|(_, waiting)| self.may_run(waiting, now));
                let cost = |waiting: &Waiting<T>| self.cost(&waiting.parties, now);
                // The first of equal tasks has waited longest.
                let least = may.map(|(place, waiting)| (place, cost(waiting))).reduce(|least, next| {
                    if next.1.0.total_cmp(&least.1.0).then(next.1.1.total_cmp(&least.1.1)).is_lt() {
                        next
                    } else {
                        least
                    }
                });
                least?.0
            }
        };
        let Waiting { parties, bytes, task } = self.waiting.remove(place);
        let id = self.next;
        self.next += 1;
        self.running.push(Running { id, parties, heavy: is_heavy(bytes), since: now });
        Some(Taken { id, task })
    }

    /// Records the end of a task.
    pub(super) fn ended(&mut self, id: u64, now: Instant) {
        let Some(place) = self.running.iter().position(|running| running.id == id) else { return };
        let Running { parties, since, .. } = self.running.swap_remove(place);
        let took = now.saturating_duration_since(since).as_secs_f64();
        for account in accounts(&parties) {
            let used = self.used.entry(account).or_insert(Used { seconds: 0.0, at: now });
            *used = Used { seconds: used.now(now) + took, at: now };
        }
        if self.used.len() > MANY {
            self.used.retain(|_, used| used.now(now) > NOTHING);
        }
    }

    fn may_run(&self, waiting: &Waiting<T>, now: Instant) -> bool {
        let parties = &waiting.parties;
        let most = self.threads.div_ceil(2);
        let running =
            |same: &dyn Fn(&Parties) -> bool| self.running.iter().filter(|running| same(&running.parties)).count();
        let of_own =
            |same: &dyn Fn(&Parties) -> bool| running(&|other| other.address == parties.address && same(other));
        let of_namespace = parties.namespace.map_or(0, |name| of_own(&|other| other.namespace == Some(name)));
        let of_user = parties.user.map_or(0, |name| of_own(&|other| other.user == Some(name)));
        if of_namespace >= most || of_user >= most {
            return false;
        }
        if is_heavy(waiting.bytes) && self.running.iter().any(|running| running.heavy) {
            return false;
        }
        running(&|other| other.address == parties.address) < most || self.is_alone(parties.address, now)
    }

    /// Whether no other address was active recently.
    fn is_alone(&self, address: Address, now: Instant) -> bool {
        let active = |account: &Account, used: &Used| {
            matches!(account, Account::Address(other) if *other != address)
                && now.saturating_duration_since(used.at) < ACTIVE
        };
        !self.used.iter().any(|(account, used)| active(account, used))
            && self.waiting.iter().all(|waiting| waiting.parties.address == address)
            && self.running.iter().all(|running| running.parties.address == address)
    }

    /// The use of the address, and the larger one of the uses of namespace and user, in seconds.
    fn cost(&self, parties: &Parties, now: Instant) -> (f64, f64) {
        let used = |account: Account| {
            let running =
                self.running.iter().filter(|running| accounts(&running.parties).any(|other| other == account));
            let running: f64 = running.map(|running| now.saturating_duration_since(running.since).as_secs_f64()).sum();
            running + self.used.get(&account).map_or(0.0, |used| used.now(now))
        };
        let name = |account: Option<Account>| account.map_or(0.0, used);
        let own = parties.address;
        let namespace = name(parties.namespace.map(|name| Account::Namespace(own, name)));
        let user = name(parties.user.map(|name| Account::User(own, name)));
        (used(Account::Address(own)), namespace.max(user))
    }
}

fn accounts(parties: &Parties) -> impl Iterator<Item = Account> {
    let own = parties.address;
    let namespace = parties.namespace.map(|name| Account::Namespace(own, name));
    let names = [namespace, parties.user.map(|name| Account::User(own, name))];
    std::iter::once(Account::Address(own)).chain(names.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties(address: u8, namespace: u64, user: u64) -> Parties {
        let address = Address::of(std::net::IpAddr::from([192, 0, 2, address]));
        Parties { address, namespace: Some(namespace), user: Some(user) }
    }

    /// Runs each task for this time, one after the other, and returns their order.
    fn order(queue: &mut Queue<&'static str>, from: Instant, each: Duration) -> Vec<&'static str> {
        let mut now = from;
        let next = || {
            let Taken { id, task } = queue.pop(now)?;
            now += each;
            queue.ended(id, now);
            Some(task)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_namespace_waits_for_its_own_work() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        for _ in 0..3 {
            queue.push(parties(1, 1, 1), 1, "attacker");
        }
        queue.push(parties(1, 2, 2), 1, "victim");
        let order = order(&mut queue, now, Duration::from_millis(100));
        assert_eq!(order, ["attacker", "victim", "attacker", "attacker"]);
    }

    #[test]
    fn many_users_of_a_namespace_are_one_namespace_and_many_namespaces_of_a_user_one_user() {
        for spread in [|number: u64| parties(1, 1, number), |number: u64| parties(1, number, 1)] {
            let (mut queue, now) = (Queue::new(2), Instant::now());
            for number in 10..13 {
                queue.push(spread(number), 1, "attacker");
            }
            queue.push(parties(1, 2, 2), 1, "victim");
            let order = order(&mut queue, now, Duration::from_millis(100));
            assert_eq!(order[1], "victim", "{order:?}");
        }
    }

    #[test]
    fn many_namespaces_of_an_address_are_one_address() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        for number in 10..14 {
            queue.push(parties(9, number, number), 1, "attacker");
        }
        queue.push(parties(1, 2, 2), 1, "api server");
        queue.push(parties(1, 3, 3), 1, "api server");
        let order = order(&mut queue, now, Duration::from_millis(100));
        assert_eq!(order[..4], ["attacker", "api server", "attacker", "api server"], "{order:?}");
    }

    #[test]
    fn nobody_has_more_than_half_of_the_threads() {
        let (mut queue, now) = (Queue::new(4), Instant::now());
        for _ in 0..4 {
            queue.push(parties(1, 1, 1), 1, "attacker");
        }
        assert!(queue.pop(now).is_some() && queue.pop(now).is_some() && queue.pop(now).is_none());
        queue.push(parties(1, 2, 2), 1, "victim");
        assert_eq!(queue.pop(now).map(|taken| taken.task), Some("victim"));
        assert!(queue.pop(now).is_none());
        queue.ended(0, now);
        assert_eq!(queue.pop(now).map(|taken| taken.task), Some("attacker"));
    }

    #[test]
    fn an_address_has_all_threads_only_alone() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        for namespace in 1..4 {
            queue.push(parties(1, namespace, namespace), 1, "one");
        }
        assert!(queue.pop(now).is_some() && queue.pop(now).is_some());
        queue.ended(0, now);
        queue.push(parties(2, 8, 8), 1, "another");
        assert_eq!(queue.pop(now).map(|taken| taken.task), Some("another"));
        queue.ended(2, now);
        assert!(queue.pop(now + ACTIVE / 2).is_none(), "the other may come back");
        assert!(queue.pop(now + ACTIVE * 2).is_some());
    }

    #[test]
    fn a_forged_namespace_takes_nothing_from_it() {
        let (mut queue, now) = (Queue::new(2), Instant::now());
        queue.push(parties(9, 2, 2), 1, "forger");
        assert!(queue.pop(now).is_some());
        queue.push(parties(1, 2, 2), 1, "victim");
        assert_eq!(queue.pop(now).map(|taken| taken.task), Some("victim"));
    }

    #[test]
    fn one_heavy_task_at_a_time() {
        let (mut queue, now) = (Queue::new(4), Instant::now());
        queue.push(parties(1, 1, 1), HEAVY + 1, "heavy");
        queue.push(parties(1, 2, 2), HEAVY + 1, "heavy");
        queue.push(parties(1, 3, 3), HEAVY, "light");
        assert_eq!(queue.pop(now).map(|taken| taken.task), Some("heavy"));
        assert_eq!(queue.pop(now).map(|taken| taken.task), Some("light"));
        assert!(queue.pop(now).is_none());
        queue.ended(0, now);
        assert_eq!(queue.pop(now).map(|taken| taken.task), Some("heavy"));
    }

    #[test]
    fn what_was_used_is_forgotten() {
        let (mut queue, now) = (Queue::new(1), Instant::now());
        queue.push(parties(1, 1, 1), 1, "busy");
        let id = queue.pop(now).unwrap().id;
        queue.ended(id, now + Duration::from_secs(10));
        let later = now + Duration::from_secs(10) + HALF_LIFE * 10;
        assert!(queue.cost(&parties(1, 1, 1), later).1 < 0.01);
    }
}
