//! The bytes: tags, lengths and tables. The only module, with `builder`, that knows where a field lies.

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

/// Tag and `u32` length: what precedes the bytes of a string and the children of a container.
pub(crate) const HEAD: usize = 5;

/// Objects with more members than this carry a sorted permutation; a scan of fewer is faster than a search.
pub(crate) const SCANNED: usize = 16;

/// Where the table of an array or object lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// Where the container begins: what its offsets count from.
    pub(crate) start: usize,
    /// Where the table begins, which is also where the children end.
    pub(crate) entries: usize,
    pub(crate) count: usize,
    pub(crate) object: bool,
}

impl Table {
    /// The table of the container at `start`, or `None` if there is none or its count does not fit its length.
    pub(crate) fn of(document: &[u8], start: usize) -> Option<Self> {
        let object = match *document.get(start)? {
            ARRAY => false,
            OBJECT => true,
            _ => return None,
        };
        let length = u32_at(document, start.checked_add(1)?)?;
        let last = start.checked_add(length)?.checked_sub(4)?;
        let count = u32_at(document, last)?;
        let width = if object && count > SCANNED { 8 } else { 4 };
        if count > length.checked_sub(HEAD + 4)? / width {
            return None;
        }
        Some(Self { start, entries: last - count * width, count, object })
    }

    /// Where child `index` begins: an item's node, or a member's key.
    pub(crate) fn child(&self, document: &[u8], index: usize) -> Option<usize> {
        if index >= self.count {
            return None;
        }
        let offset = u32_at(document, self.entries + 4 * index)?;
        let at = self.start.checked_add(offset)?;
        (offset >= HEAD && at < self.entries).then_some(at)
    }

    /// The member that comes `rank`-th in the order of keys. Only tables of more than [`SCANNED`] members say so.
    pub(crate) fn ranked(&self, document: &[u8], rank: usize) -> Option<usize> {
        u32_at(document, self.entries + 4 * (self.count + rank))
    }

    /// The key of member `index`, and where its value begins.
    pub(crate) fn member<'a>(&self, document: &'a [u8], index: usize) -> Option<(&'a [u8], usize)> {
        let at = self.child(document, index)? + 4;
        let value = at.checked_add(u32_at(document, at - 4)?)?;
        if value >= self.entries {
            return None;
        }
        Some((document.get(at..value)?, value))
    }

    /// Where the value of child `index` begins, be it an item or a member.
    pub(crate) fn value(&self, document: &[u8], index: usize) -> Option<usize> {
        if self.object { Some(self.member(document, index)?.1) } else { self.child(document, index) }
    }

    /// The index of the member with this key.
    pub(crate) fn find(&self, document: &[u8], key: &[u8]) -> Option<usize> {
        if self.count <= SCANNED {
            // The one loop that policies spend their time in: a key of another length costs two loads. What is found
            // goes through `member` again, which checks all of it.
            let entries = document.get(self.entries..)?.get(..4 * self.count)?;
            let children = document.get(self.start..self.entries)?;
            return entries.chunks_exact(4).position(|entry| {
                let offset = u32_at(entry, 0).unwrap_or(usize::MAX);
                let Some((length, rest)) = children.get(offset..).and_then(<[u8]>::split_first_chunk) else {
                    return false;
                };
                u32::from_le_bytes(*length) as usize == key.len()
                    && rest.get(..key.len()).is_some_and(|found| same(found, key))
            });
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let index = self.ranked(document, middle)?;
            match self.member(document, index)?.0.cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(index),
            }
        }
        None
    }
}

/// Whether two texts of one length are equal. Word by word: in a guest the library's comparison goes byte by byte.
fn same(left: &[u8], right: &[u8]) -> bool {
    let (left_words, left_rest) = left.as_chunks::<8>();
    let (right_words, right_rest) = right.as_chunks::<8>();
    let mut words = left_words.iter().zip(right_words);
    words.all(|(left, right)| u64::from_le_bytes(*left) == u64::from_le_bytes(*right))
        && left_rest.iter().zip(right_rest).all(|(left, right)| left == right)
}

/// Where the node at `at` ends, or `None` if it is no node or reaches beyond `limit`.
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

/// The bytes of the string or number text at `at`.
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
