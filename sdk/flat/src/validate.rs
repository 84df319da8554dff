//! The full check of a document from an untrusted source.

use crate::layout::{self, HEAD, SCANNED, Table};
use crate::{Error, MAX_DEPTH, MAX_NODES, Node, Problem, number};

/// Checks a whole document, in time linear in its length. (Only the up to 32 keys of a small object are compared
/// pairwise, if their marks are equal.)
///
/// After this check: every node is inside its container. The children of a container do not overlap, so a walk visits
/// each byte at most once. Text is UTF-8, number texts are numbers that no other form holds, and doubles are finite.
/// Keys are unique, with correct marks or a correct order. Depth and number of nodes are within the limits.
///
/// # Errors
/// The first problem, with its position.
pub fn validate(document: &[u8]) -> Result<(), Error> {
    Node::root(document)?;
    node(document, 1, 0, number::only_text).map(|_| ())
}

/// Checks the node at `at`, which is inside `depth` containers and must end at the end of the document. Returns the
/// number of nodes in it.
pub(crate) fn node(document: &[u8], at: usize, depth: usize, is_number: fn(&str) -> bool) -> Result<usize, Error> {
    let mut check = Check { document, nodes: 0, is_number };
    let end = check.value(at, document.len(), depth)?;
    if end != document.len() {
        return malformed(end, Problem::Trailing);
    }
    Ok(check.nodes)
}

struct Check<'a> {
    document: &'a [u8],
    nodes: usize,
    is_number: fn(&str) -> bool,
}

impl Check<'_> {
    /// Checks the value at `at`, which must end before `limit`. Returns its end. The recursion stops at [`MAX_DEPTH`].
    fn value(&mut self, at: usize, limit: usize, depth: usize) -> Result<usize, Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Error::TooManyNodes);
        }
        let Some(&tag) = self.document.get(at) else {
            return malformed(at, Problem::Bounds);
        };
        if tag > layout::OBJECT {
            return malformed(at, Problem::Tag);
        }
        let Some(end) = layout::end(self.document, at, limit) else {
            return malformed(at, Problem::Bounds);
        };
        match tag {
            layout::F64 => {
                let finite = layout::word(self.document, at).map(f64::from_le_bytes).is_some_and(f64::is_finite);
                if !finite {
                    return malformed(at, Problem::NotFinite);
                }
            }
            layout::STRING | layout::TEXT => {
                let bytes = layout::text(self.document, at).unwrap_or_default();
                let text = utf8(bytes, at)?;
                if tag == layout::TEXT && !(self.is_number)(text) {
                    return malformed(at, Problem::Number);
                }
            }
            layout::ARRAY | layout::OBJECT => {
                if depth >= MAX_DEPTH {
                    return Err(Error::TooDeep);
                }
                let Some(table) = Table::of(self.document, at) else {
                    return malformed(at, Problem::Count);
                };
                self.children(&table, depth + 1)?;
                if table.object {
                    self.keys(&table)?;
                }
            }
            _ => {}
        }
        Ok(end)
    }

    fn children(&mut self, table: &Table, depth: usize) -> Result<(), Error> {
        let mut free = table.start + HEAD;
        for index in 0..table.count {
            let Some(child) = table.child(self.document, index) else {
                return malformed(table.entries + 4 * index, Problem::Bounds);
            };
            if child < free {
                return malformed(table.entries + 4 * index, Problem::Order);
            }
            let mut value = child;
            if table.object {
                let Some((key, at)) = table.member(self.document, index) else {
                    return malformed(child, Problem::Bounds);
                };
                utf8(key, child)?;
                value = at;
            }
            free = self.value(value, table.limit, depth)?;
        }
        Ok(())
    }

    /// Checks that no two keys are equal. For a large object, the keys must rise strictly in the order of its
    /// permutation. (Such a permutation names every member once, because it has as many entries as members.)
    fn keys(&self, table: &Table) -> Result<(), Error> {
        let key = |index| table.member(self.document, index).map(|(key, _)| key);
        if table.count <= SCANNED {
            let marks = self.document.get(table.limit..table.entries).unwrap_or_default();
            for (index, said) in marks.iter().enumerate() {
                let here = key(index);
                if here.is_none_or(|key| layout::mark(key) != *said) {
                    return malformed(table.limit + index, Problem::Mark);
                }
                let mut earlier = (0..index).filter(|earlier| marks.get(*earlier) == Some(said));
                if earlier.any(|earlier| key(earlier) == here) {
                    return malformed(table.entries + 4 * index, Problem::DuplicateKey);
                }
            }
            return Ok(());
        }
        let mut last = None;
        for rank in 0..table.count {
            let here = table.ranked(self.document, rank).and_then(key);
            if here.is_none() || rank > 0 && last >= here {
                return malformed(table.entries + 4 * (table.count + rank), Problem::Permutation);
            }
            last = here;
        }
        Ok(())
    }
}

fn utf8(bytes: &[u8], at: usize) -> Result<&str, Error> {
    std::str::from_utf8(bytes).or(malformed(at, Problem::Utf8))
}

fn malformed<T>(position: usize, problem: Problem) -> Result<T, Error> {
    Err(Error::Malformed { position, problem })
}
