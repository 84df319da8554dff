//! A sorted list with versions: a version stays unchanged while the next one is made.

use std::cmp::Ordering;
use std::sync::Arc;

/// Maximum size of a chunk. A larger one is split.
const CHUNK: usize = 64;

/// Sorted items without duplicates, in chunks that versions share. A clone copies one pointer. A change of a shared
/// list copies one chunk and the pointers to the others. With 100,000 items this takes some microseconds.
#[derive(Clone, Debug)]
pub(super) struct Sorted<T> {
    /// No chunk is empty.
    chunks: Arc<Vec<Arc<Vec<T>>>>,
    len: usize,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

/// `order` compares an item of the list with the one that is searched for, as in [`slice::binary_search_by`].
impl<T: Clone> Sorted<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub(super) fn get(&self, order: impl Fn(&T) -> Ordering) -> Option<&T> {
        let chunk = self.chunks.get(self.chunk(&order))?;
        chunk.get(chunk.binary_search_by(&order).ok()?)
    }

    /// The items from the first one for which `order` is not less.
    pub(super) fn from(&self, order: impl Fn(&T) -> Ordering) -> impl Iterator<Item = &T> {
        let at = self.chunk(&order);
        let first = self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|item| order(item).is_lt()));
        self.chunks.iter().skip(at).flat_map(|chunk| chunk.iter()).skip(first)
    }

    /// An item that the caller may change. The change must keep its position in the order.
    pub(super) fn get_mut(&mut self, order: impl Fn(&T) -> Ordering) -> Option<&mut T> {
        let at = self.chunk(&order);
        let place = self.chunks.get(at)?.binary_search_by(&order).ok()?;
        Arc::make_mut(Arc::make_mut(&mut self.chunks).get_mut(at)?).get_mut(place)
    }

    /// Inserts an item. Returns the equal item that it replaces.
    pub(super) fn insert(&mut self, item: T, order: impl Fn(&T) -> Ordering) -> Option<T> {
        let at = self.chunk(&order).min(self.chunks.len().saturating_sub(1));
        let chunks = Arc::make_mut(&mut self.chunks);
        let last = at + 1 == chunks.len();
        let Some(chunk) = chunks.get_mut(at) else {
            chunks.push(Arc::new(vec![item]));
            self.len = 1;
            return None;
        };
        let place = match chunk.binary_search_by(&order) {
            Ok(place) => return Some(std::mem::replace(&mut Arc::make_mut(chunk)[place], item)),
            Err(place) => place,
        };
        self.len += 1;
        // Items that arrive in order, as in a list of the API server, fill one chunk after the other.
        if last && place == CHUNK {
            chunks.push(Arc::new(vec![item]));
            return None;
        }
        let chunk = Arc::make_mut(chunk);
        chunk.insert(place, item);
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            chunks.insert(at + 1, Arc::new(upper));
        }
        None
    }

    pub(super) fn remove(&mut self, order: impl Fn(&T) -> Ordering) -> Option<T> {
        let at = self.chunk(&order);
        let place = self.chunks.get(at)?.binary_search_by(&order).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(chunks.get_mut(at)?);
        let item = chunk.remove(place);
        self.len -= 1;
        let len = chunk.len();
        if len == 0 {
            chunks.remove(at);
        } else if len < CHUNK / 4 && chunks.get(at + 1).is_some_and(|next| len + next.len() <= CHUNK / 2) {
            let next = chunks.remove(at + 1);
            if let Some(chunk) = chunks.get_mut(at) {
                Arc::make_mut(chunk).extend(next.iter().cloned());
            }
        }
        Some(item)
    }

    /// The first chunk whose last item is not less. If the item exists, it is in this chunk.
    fn chunk(&self, order: &impl Fn(&T) -> Ordering) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| order(last).is_lt()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A change copies only what it touches, however many items there are.
    #[test]
    fn versions_share_what_is_the_same() {
        let mut sorted = Sorted::default();
        for item in 0..10_000 {
            sorted.insert(item * 2, |other: &i32| other.cmp(&(item * 2)));
        }
        assert_eq!(sorted.chunks.len(), 10_000_usize.div_ceil(CHUNK), "what comes in order fills its chunks");
        let before = sorted.clone();
        sorted.insert(5001, |other| other.cmp(&5001));
        sorted.remove(|other| other.cmp(&12));
        let shared = |chunk: &&Arc<Vec<i32>>| before.chunks.iter().any(|other| Arc::ptr_eq(chunk, other));
        assert_eq!(sorted.chunks.iter().filter(|chunk| !shared(chunk)).count(), 3);
    }

    proptest! {
        /// After any changes, the list equals a set of the standard library, and earlier versions are unchanged.
        #[test]
        fn is_a_set(changes in proptest::collection::vec((any::<bool>(), 0_u16..400), 0..1500), sought in 0_u16..400) {
            let (mut sorted, mut model) = (Sorted::default(), BTreeSet::new());
            let mut before = (sorted.clone(), model.clone());
            for (number, (put, item)) in changes.into_iter().enumerate() {
                if put {
                    let replaced = sorted.insert(item, |other: &u16| other.cmp(&item));
                    prop_assert_eq!(replaced.is_none(), model.insert(item));
                } else {
                    let removed = sorted.remove(|other| other.cmp(&item));
                    prop_assert_eq!(removed.is_some(), model.remove(&item));
                }
                prop_assert_eq!(sorted.get(|other| other.cmp(&item)).is_some(), put);
                prop_assert_eq!(sorted.len(), model.len());
                if number % 100 == 0 {
                    prop_assert!(before.0.iter().eq(before.1.iter()));
                    before = (sorted.clone(), model.clone());
                }
            }
            prop_assert!(sorted.iter().eq(model.iter()));
            prop_assert!(sorted.from(|other| other.cmp(&sought)).eq(model.range(sought..)));
            prop_assert!(sorted.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
        }
    }
}
