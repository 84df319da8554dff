//! Appends nodes, for the writer and the JSON parser. The callers check the order of calls, and the limits.

use crate::layout::{self, SCANNED, hash};

/// An unfinished document: the bytes so far, and the starts of the children of every open container.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pub(crate) out: Vec<u8>,
    /// The children of all open containers, innermost last. A single list, so that containers need no allocation.
    children: Vec<Child>,
    frames: Vec<Frame>,
    /// Buffer for sorting the keys of large objects.
    order: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    /// Start of the child, in bytes from the start of the document.
    at: u32,
    /// Hash of the key, for a member.
    hash: u32,
}

#[derive(Debug)]
struct Frame {
    /// Start of the container.
    start: u32,
    /// Index of its first entry in `children`.
    first: usize,
    /// One bit for each seen key, selected by its hash. A clear bit means that a key is new.
    seen: u64,
    object: bool,
    repeated: bool,
}

impl Builder {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes.max(16));
        out.push(crate::VERSION);
        Self { out, children: Vec::new(), frames: Vec::new(), order: Vec::new() }
    }

    /// Number of open containers.
    pub(crate) fn depth(&self) -> usize {
        self.frames.len()
    }

    /// Whether the innermost open container is an object. `None` outside of all containers.
    #[inline]
    pub(crate) fn in_object(&self) -> Option<bool> {
        self.frames.last().map(|frame| frame.object)
    }

    #[inline]
    pub(crate) fn begin(&mut self, object: bool) {
        let start = self.out.len() as u32;
        self.frames.push(Frame { start, first: self.children.len(), seen: 0, object, repeated: false });
        // `end` fills in the length.
        self.out.extend_from_slice(&[if object { layout::OBJECT } else { layout::ARRAY }, 0, 0, 0, 0]);
    }

    /// An item of the innermost array starts here.
    #[inline]
    pub(crate) fn item(&mut self) {
        self.children.push(Child { at: self.out.len() as u32, hash: 0 });
    }

    /// Appends a key. A member of the innermost object starts with it.
    #[inline]
    pub(crate) fn key(&mut self, key: &[u8]) {
        let at = self.out.len();
        self.out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.out.extend_from_slice(key);
        self.member(at);
    }

    /// A member of the innermost object starts at `at`, with the key at the end of the bytes so far.
    #[inline]
    pub(crate) fn member(&mut self, at: usize) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        let key = &self.out[at + 4..];
        let hash = hash(key);
        let bit = 1 << (hash & 63);
        if frame.seen & bit != 0 {
            let siblings = &self.children[frame.first..];
            // A larger object is sorted later, which finds its duplicates.
            frame.repeated |= siblings.len() < SCANNED
                && siblings.iter().any(|child| child.hash == hash && key_at(&self.out, child.at) == key);
        }
        frame.seen |= bit;
        self.children.push(Child { at: at as u32, hash });
    }

    /// Closes the innermost container, and writes its table and its length.
    #[inline]
    pub(crate) fn end(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let mut ranks = 0;
        if frame.object {
            if self.children.len() - frame.first > SCANNED {
                self.sort(frame.first);
                ranks = self.order.len();
            } else if frame.repeated {
                self.drop_repeated(frame.first);
            }
        }
        let children = &self.children[frame.first..];
        let count = children.len();
        if frame.object && count <= SCANNED {
            self.out.extend(children.iter().map(|child| (child.hash >> 24) as u8));
        }
        for child in children {
            self.out.extend_from_slice(&(child.at - frame.start).to_le_bytes());
        }
        if ranks > 0 {
            for rank in &self.order {
                self.out.extend_from_slice(&rank.to_le_bytes());
            }
        }
        self.out.extend_from_slice(&(count as u32).to_le_bytes());
        self.children.truncate(frame.first);
        let start = frame.start as usize;
        let length = (self.out.len() - start) as u32;
        self.out[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
    }

    #[inline]
    pub(crate) fn number(&mut self, tag: u8, bytes: [u8; 8]) {
        let [a, b, c, d, e, f, g, h] = bytes;
        self.out.extend_from_slice(&[tag, a, b, c, d, e, f, g, h]);
    }

    #[inline]
    pub(crate) fn text(&mut self, tag: u8, text: &[u8]) {
        let [a, b, c, d] = (text.len() as u32).to_le_bytes();
        self.out.extend_from_slice(&[tag, a, b, c, d]);
        self.out.extend_from_slice(text);
    }

    /// Sorts the members from `first` on into `order`. Of equal keys only the last stays. Leaves `order` empty if few
    /// members remain.
    fn sort(&mut self, first: usize) {
        let (out, children) = (&self.out, &self.children[first..]);
        let key = |index: u32| key_at(out, children[index as usize].at);
        self.order.clear();
        self.order.extend(0..children.len() as u32);
        self.order.sort_unstable_by(|&one, &two| key(one).cmp(key(two)).then(one.cmp(&two)));
        let mut repeated = false;
        for rank in 1..self.order.len() {
            let (one, two) = (self.order[rank - 1], self.order[rank]);
            let at = first + one as usize;
            let (earlier, later) = (self.children[at].at, self.children[first + two as usize].at);
            if key_at(&self.out, earlier) == key_at(&self.out, later) {
                // No member starts at 0, the position of the version byte.
                self.children[at].at = 0;
                repeated = true;
            }
        }
        if repeated {
            self.children.retain(|child| child.at != 0);
            if self.children.len() - first > SCANNED {
                // Sorts again without the duplicates. This is rare, so it need not be fast.
                self.sort(first);
            } else {
                self.order.clear();
            }
        }
    }

    /// Removes members from `first` on if a later member has the same key. For small objects.
    fn drop_repeated(&mut self, first: usize) {
        let mut at = first;
        while at < self.children.len() {
            let (child, later) = (self.children[at], &self.children[at + 1..]);
            let key = key_at(&self.out, child.at);
            if later.iter().any(|other| other.hash == child.hash && key_at(&self.out, other.at) == key) {
                self.children.remove(at);
            } else {
                at += 1;
            }
        }
    }
}

fn key_at(out: &[u8], at: u32) -> &[u8] {
    let at = at as usize;
    layout::u32_at(out, at).and_then(|length| out.get(at + 4..at + 4 + length)).unwrap_or_default()
}
