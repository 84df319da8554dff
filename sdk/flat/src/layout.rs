//! The bytes: tags, lengths and tables. Only this module and `builder` know the positions of the fields.

pub(crate) const NULL: u8 = 0;
pub(crate) const FALSE: u8 = 1;
pub(crate) const TRUE: u8 = 2;
pub(crate) const I64: u8 = 3;
pub(crate) const U64: u8 = 4;
pub(crate) const F64: u8 = 5;
pub(crate) const TEXT: u8 = 6;
pub(crate) const STRING: u8 = 7;
pub(crate) const ARRAY: u8 = 8;
pub(crate) const OBJECT: u8 = 9;

/// Size of tag and `u32` length, before the bytes of a string and the children of a container.
pub(crate) const HEAD: usize = 5;

/// Maximum size of an object with key marks. A larger object has a sorted permutation instead. A scan of marks, eight
/// at a time, is faster than a search.
pub(crate) const SCANNED: usize = 32;

/// Position of the table of an array or object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// Start of the container, from which its offsets count.
    pub(crate) start: usize,
    /// End of the children: the table, or the marks before it.
    pub(crate) limit: usize,
    /// Start of the table.
    pub(crate) entries: usize,
    pub(crate) count: usize,
    pub(crate) object: bool,
}

impl Table {
    /// The table of the container at `start`. `None` if there is none, or if its count does not fit into its length.
    pub(crate) fn of(document: &[u8], start: usize) -> Option<Self> {
        let object = match *document.get(start)? {
            ARRAY => false,
            OBJECT => true,
            _ => return None,
        };
        let length = u32_at(document, start.checked_add(1)?)?;
        let last = start.checked_add(length)?.checked_sub(4)?;
        let count = u32_at(document, last)?;
        let (width, marks): (u64, usize) = match (object, count > SCANNED) {
            (false, _) => (4, 0),
            (true, false) => (5, count),
            (true, true) => (8, 0),
        };
        // Without a division, which would cost as much as the rest. A count is less than 2^32.
        if count as u64 * width > length.checked_sub(HEAD + 4)? as u64 {
            return None;
        }
        let limit = last - count * width as usize;
        Some(Self { start, limit, entries: limit + marks, count, object })
    }

    /// Start of the child `index`: the node of an item, or the key of a member.
    pub(crate) fn child(&self, document: &[u8], index: usize) -> Option<usize> {
        if index >= self.count {
            return None;
        }
        let offset = u32_at(document, self.entries + 4 * index)?;
        let at = self.start.checked_add(offset)?;
        (offset >= HEAD && at < self.limit).then_some(at)
    }

    /// The member at position `rank` in the order of keys. Only tables with more than [`SCANNED`] members have ranks.
    pub(crate) fn ranked(&self, document: &[u8], rank: usize) -> Option<usize> {
        u32_at(document, self.entries + 4 * (self.count + rank))
    }

    /// The key of the member `index`, and the start of its value.
    pub(crate) fn member<'a>(&self, document: &'a [u8], index: usize) -> Option<(&'a [u8], usize)> {
        let at = self.child(document, index)? + 4;
        let value = at.checked_add(u32_at(document, at - 4)?)?;
        if value >= self.limit {
            return None;
        }
        Some((document.get(at..value)?, value))
    }

    /// Start of the value of child `index`, for an item or a member.
    pub(crate) fn value(&self, document: &[u8], index: usize) -> Option<usize> {
        if self.object { Some(self.member(document, index)?.1) } else { self.child(document, index) }
    }

    /// Start of the value of the member with this key.
    #[inline]
    pub(crate) fn find(&self, document: &[u8], key: &[u8]) -> Option<usize> {
        if self.count <= SCANNED {
            // Policies spend most of their time in this loop. Table and count follow the marks, so eight bytes from any
            // mark on are within the container.
            let wanted = u64::from(mark(key)) * ONES;
            let mut first = 0;
            while first < self.count {
                let word = u64::from_le_bytes(*document.get(self.limit + first..)?.first_chunk()?) ^ wanted;
                // The lowest bit is a real match. A higher one may be wrong, and costs a comparison.
                let mut equal = word.wrapping_sub(ONES) & !word & (ONES << 7);
                while equal != 0 {
                    let index = first + equal.trailing_zeros() as usize / 8;
                    match self.member(document, index) {
                        Some((found, value)) if same(found, key) => return Some(value),
                        _ => equal &= equal - 1,
                    }
                }
                first += 8;
            }
            return None;
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let (found, value) = self.member(document, self.ranked(document, middle)?)?;
            match found.cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(value),
            }
        }
        None
    }
}

/// A 1 in each byte.
pub(crate) const ONES: u64 = 0x0101_0101_0101_0101;

/// Whether two texts are equal, compared word by word, with an overlapping last word. In a guest, the library's
/// comparison goes byte by byte.
#[inline]
fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        (Some(left_last), Some(right_last)) => {
            let mut words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
            left_last == right_last
                && words.all(|(left, right)| u64::from_le_bytes(*left) == u64::from_le_bytes(*right))
        }
        _ => match (left.first_chunk::<4>(), right.first_chunk::<4>()) {
            (Some(left_first), Some(right_first)) => {
                left_first == right_first && left.last_chunk::<4>() == right.last_chunk::<4>()
            }
            _ => left.iter().zip(right).all(|(left, right)| left == right),
        },
    }
}

/// A cheap hash of a key, from its length and both ends: the high byte of [`hash`].
#[inline]
pub(crate) fn mark(key: &[u8]) -> u8 {
    (hash(key) >> 24) as u8
}

/// `docs/flat-encoding.md` specifies the computation.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u32 {
    let ends = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29),
        _ => match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
            }
            _ => key.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        },
    };
    ((ends ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// End of the node at `at`. `None` if it is no node, or exceeds `limit`.
pub(crate) fn end(document: &[u8], at: usize, limit: usize) -> Option<usize> {
    let length = match *document.get(at)? {
        NULL..=TRUE => 1,
        I64..=F64 => 9,
        TEXT | STRING => HEAD.checked_add(u32_at(document, at + 1)?)?,
        ARRAY | OBJECT => {
            let length = u32_at(document, at + 1)?;
            if length < HEAD + 4 {
                return None;
            }
            length
        }
        _ => return None,
    };
    let end = at.checked_add(length)?;
    (end <= limit).then_some(end)
}

/// The bytes of the string or of the number text at `at`.
pub(crate) fn text(document: &[u8], at: usize) -> Option<&[u8]> {
    document.get(at + HEAD..)?.get(..u32_at(document, at + 1)?)
}

/// The eight bytes of the number at `at`.
pub(crate) fn word(document: &[u8], at: usize) -> Option<[u8; 8]> {
    document.get(at + 1..)?.first_chunk().copied()
}

pub(crate) fn u32_at(document: &[u8], at: usize) -> Option<usize> {
    let bytes = document.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes) as usize)
}
