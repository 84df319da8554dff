//! The total cost limit for reading all documents and files of an input. Each document also has its own limits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The remaining budget. Threads share it.
#[derive(Debug)]
pub struct Budget {
    nodes: Left,
    bytes: Left,
    retries: Left,
    factor: usize,
    /// Whether a request exceeded the budget.
    spent: AtomicBool,
}

#[derive(Debug)]
struct Left(AtomicUsize);

impl Budget {
    /// Maximum number of values of an input. A value counts again for each alias.
    pub const MAX_NODES: usize = 4_000_000;

    /// Maximum size of all strings of an input, in bytes. A string counts again for each alias.
    pub const MAX_BYTES: usize = 128 << 20;

    /// Maximum size of documents that are read again, in bytes, because kubectl accepts them and YAML 1.2 does not.
    const RETRIES: usize = 32 << 20;

    /// A budget with a multiple of the default values and bytes.
    pub fn times(factor: usize) -> Self {
        Self {
            nodes: Left::new(Self::MAX_NODES.saturating_mul(factor)),
            bytes: Left::new(Self::MAX_BYTES.saturating_mul(factor)),
            retries: Left::new(Self::RETRIES),
            factor,
            spent: AtomicBool::new(false),
        }
    }

    /// Whether the budget is spent, so that nothing more is read.
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Subtracts the cost of a document.
    pub(super) fn spend(&self, nodes: usize, bytes: usize) -> Result<(), Spent> {
        let (nodes, bytes) = (self.nodes.take(nodes), self.bytes.take(bytes));
        if self.is_spent() || !nodes || !bytes {
            self.spent.store(true, Ordering::Relaxed);
            return Err(Spent(self.factor));
        }
        Ok(())
    }

    /// Whether a document of this size may be read again. Subtracts its size.
    pub(super) fn may_retry(&self, bytes: usize) -> bool {
        self.retries.take(bytes)
    }
}

/// The error for a spent [`Budget`], with its factor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the input has more than {} values or {} MiB of text, with aliases expanded; check fewer files at once",
    Budget::MAX_NODES.saturating_mul(*.0),
    (Budget::MAX_BYTES >> 20).saturating_mul(*.0)
)]
pub(super) struct Spent(usize);

impl Default for Budget {
    fn default() -> Self {
        Self::times(1)
    }
}

impl Left {
    fn new(left: usize) -> Self {
        Self(AtomicUsize::new(left))
    }

    /// Subtracts an amount. Returns false if not enough is left, and then nothing is left.
    fn take(&self, wanted: usize) -> bool {
        let before =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(wanted)));
        before.unwrap_or_default() >= wanted
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn is_shared_and_ends() {
        let budget = Budget::default();
        assert!(budget.spend(Budget::MAX_NODES, 1).is_ok());
        assert!(!budget.is_spent() && budget.spend(1, 1).is_err());
        assert!(budget.is_spent() && budget.spend(0, 0).is_err(), "nothing is read after that");
        let budget = Budget::default();
        assert!((0..8).all(|_| budget.may_retry(4 << 20)) && !budget.may_retry(1));
        assert!(!budget.is_spent(), "another try is no reason to stop");
    }
}
