//! Applies many edits to one document, and reads it only a few times.
//!
//! Edits that do not overlap are applied together, and then the document is read once. An edit that overlaps an earlier
//! one waits for the next reading. So the text is the same as if the edits were applied one after another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use serde_json::Value;

use super::splice::{Reason, normalise};
use super::write::Writer;
use super::{Document, read};
use crate::model::pointer::Zones;
use crate::model::{Edit, edit};

/// Maximum number of times that the text of a file is read to edit it.
const MOST_READINGS: usize = 64;

/// Minimum of bytes that may be read, for small files with many edits of the same place.
const LEAST_WORK: usize = 1 << 20;

/// The number of bytes that may still be read to edit a file.
#[derive(Debug)]
pub struct Work(usize);

impl Work {
    /// The limit for a file of this size.
    pub fn of(bytes: usize) -> Self {
        Self(bytes.saturating_mul(MOST_READINGS).max(LEAST_WORK))
    }

    /// Subtracts the cost of reading this many bytes. Returns false if not enough is left, and then nothing is left.
    pub fn take(&mut self, bytes: usize) -> bool {
        let enough = self.0 >= bytes;
        self.0 = self.0.saturating_sub(bytes);
        enough
    }
}

/// The number of a list, and its edits, which are applied together or not at all.
pub(super) type List<'a> = (usize, &'a [Edit]);

/// The lists of edits of one document.
pub(super) struct Batch<'w> {
    work: &'w mut Work,
    pub(super) refused: Vec<(usize, Reason)>,
    /// The document after its edits. None if nothing was edited.
    pub(super) value: Option<Value>,
    settled: Option<Settled>,
}

/// An intermediate result in which no list is applied only in part.
struct Settled {
    text: String,
    value: Value,
    left: HashSet<usize>,
}

/// Why an attempt failed as a whole.
enum Stop {
    Refused(Vec<(usize, Reason)>),
    NotVerified,
    TooMuch,
}

impl<'w> Batch<'w> {
    pub(super) fn new(work: &'w mut Work) -> Self {
        Self { work, refused: Vec::new(), value: None, settled: None }
    }

    /// Applies the lists in order, and returns the text. Lists that can't be applied are refused.
    pub(super) fn apply(&mut self, mut text: String, lists: &[List<'_>]) -> String {
        let mut lists = lists.to_vec();
        let mut together = usize::MAX;
        while !lists.is_empty() {
            match self.attempt(&text, &lists, together) {
                Ok((after, value)) => {
                    self.value = Some(value);
                    return after;
                }
                Err(Stop::Refused(refused)) => {
                    lists.retain(|(list, _)| refused.iter().all(|(other, _)| other != list));
                    self.refused.extend(refused);
                }
                Err(Stop::TooMuch) => {
                    // Keep the last intermediate result.
                    if let Some(settled) = self.settled.take() {
                        lists.retain(|(list, _)| settled.left.contains(list));
                        (text, self.value) = (settled.text, Some(settled.value));
                    }
                    self.refused.extend(lists.drain(..).map(|(list, _)| (list, Reason::TooMuch)));
                }
                // One of the lists is the cause, so each half is tried alone.
                Err(Stop::NotVerified) if lists.len() > 1 => {
                    let (first, second) = lists.split_at(lists.len() / 2);
                    text = self.apply(text, first);
                    return self.apply(text, second);
                }
                Err(Stop::NotVerified) if together > 1 => together = 1,
                Err(Stop::NotVerified) => {
                    self.refused.extend(lists.drain(..).map(|(list, _)| (list, Reason::NotVerified)));
                }
            }
        }
        text
    }

    /// Applies all lists or none, with at most `together` edits between two readings.
    fn attempt(&mut self, text: &str, lists: &[List<'_>], together: usize) -> Result<(String, Value), Stop> {
        let mut pending: Vec<(usize, &Edit)> =
            lists.iter().flat_map(|(list, edits)| edits.iter().map(|edit| (*list, edit))).collect();
        let mut chunk = text.to_owned();
        self.settled = None;
        let mut document = self.read(&chunk)?;
        let mut value = document.value().clone();
        let mut begun = HashSet::new();
        while !pending.is_empty() {
            let level = Level::pick(&Writer::new(&chunk, &document), &mut value, pending, together);
            if !level.refused.is_empty() {
                return Err(Stop::Refused(level.refused));
            }
            pending = level.waiting;
            if level.taken.is_empty() {
                continue;
            }
            normalise(&mut value);
            let edited = replaced(&chunk, &level.taken);
            let after = self.read(&edited)?;
            if *after.value() != value || !comments_kept(&level.taken, (&chunk, &document), (&edited, &after)) {
                return Err(Stop::NotVerified);
            }
            (chunk, document) = (edited, after);
            begun.extend(level.taken.iter().map(|taken| taken.list));
            let left: HashSet<usize> = pending.iter().map(|(list, _)| *list).collect();
            if left.is_disjoint(&begun) {
                self.settled = Some(Settled { text: chunk.clone(), value: value.clone(), left });
            }
        }
        Ok((chunk, value))
    }

    /// Reads a text that must contain exactly one document.
    fn read(&mut self, text: &str) -> Result<Document, Stop> {
        if !self.work.take(text.len()) {
            return Err(Stop::TooMuch);
        }
        let mut documents = read(text);
        match (documents.pop(), documents.is_empty()) {
            (Some(Ok(document)), true) => Ok(document),
            _ => Err(Stop::NotVerified),
        }
    }
}

/// An edit with its range and replacement.
struct Taken<'a> {
    list: usize,
    edit: &'a Edit,
    range: Range<usize>,
    replacement: String,
}

/// The edits of one reading: applied, waiting and refused.
#[derive(Default)]
struct Level<'a> {
    taken: Vec<Taken<'a>>,
    waiting: Vec<(usize, &'a Edit)>,
    refused: Vec<(usize, Reason)>,
}

impl<'a> Level<'a> {
    /// Takes each edit that does not overlap an earlier one, and applies it to the value.
    fn pick(writer: &Writer<'_>, value: &mut Value, edits: Vec<(usize, &'a Edit)>, together: usize) -> Self {
        let mut level = Self::default();
        let mut claims = Claims::default();
        let mut is_full = false;
        for (list, edit) in edits {
            is_full |= level.taken.len() >= together;
            if is_full {
                level.waiting.push((list, edit));
                continue;
            }
            let meeting = claims.meets(edit);
            if meeting == Meeting::No && changes_nothing(value, edit) {
                continue;
            }
            let (range, replacement) = match writer.splice(edit) {
                Ok(splice) => splice,
                // Its place is only known after the edits that it waits for.
                Err(_) if meeting == Meeting::Yes => {
                    level.waiting.push((list, edit));
                    is_full = true;
                    continue;
                }
                Err(reason) => {
                    let error = edit::apply(value, std::slice::from_ref(edit)).err();
                    level.refuse(list, error.map_or(reason, Reason::Edit));
                    // The edit changed the value, but not the text.
                    claims.zones.insert(zone(edit));
                    continue;
                }
            };
            if meeting == Meeting::Yes || claims.is_taken(&range, meeting) {
                level.waiting.push((list, edit));
                claims.wait(edit, range);
                continue;
            }
            match edit::apply(value, std::slice::from_ref(edit)) {
                Err(error) => level.refuse(list, Reason::Edit(error)),
                Ok(()) => {
                    claims.take(edit, range.clone());
                    level.taken.push(Taken { list, edit, range, replacement });
                }
            }
        }
        level
    }

    fn refuse(&mut self, list: usize, reason: Reason) {
        if self.refused.iter().all(|(known, _)| *known != list) {
            self.refused.push((list, reason));
        }
    }
}

/// Whether the value exists already. An edit that appends always changes something.
fn changes_nothing(value: &Value, edit: &Edit) -> bool {
    let (Edit::Add { pointer, value: new } | Edit::Replace { pointer, value: new }) = edit else { return false };
    let Some(known) = value.pointer(pointer) else { return false };
    // Adding an item of a list by its index is an error, even if the item exists.
    let parent = pointer.rsplit_once('/').and_then(|(parent, _)| value.pointer(parent));
    if matches!(edit, Edit::Add { .. }) && !parent.is_some_and(Value::is_object) {
        return false;
    }
    let mut new = new.clone();
    normalise(&mut new);
    *known == new
}

#[derive(Clone, Copy, PartialEq)]
enum Meeting {
    No,
    Yes,
    /// The edit removes an item before all items that are removed from the same list. So it does not change their
    /// indices.
    Ahead,
}

/// The pointers and byte ranges of the edits so far.
#[derive(Default)]
struct Claims {
    zones: Zones,
    /// For each list in which only items are removed: the first removed item.
    removed: HashMap<String, usize>,
    /// Ranges as start and end. No two of them touch.
    ranges: BTreeMap<usize, usize>,
}

impl Claims {
    fn meets(&self, edit: &Edit) -> Meeting {
        let zone = zone(edit);
        if !self.zones.touches(zone) {
            return Meeting::No;
        }
        let is_ahead = self.removed.get(zone).zip(removed_item(edit)).is_some_and(|(first, item)| item < *first);
        if is_ahead { Meeting::Ahead } else { Meeting::Yes }
    }

    /// Whether the range overlaps the range of an earlier edit. Ranges that touch count too, except for items of one
    /// list.
    fn is_taken(&self, range: &Range<usize>, meeting: Meeting) -> bool {
        let last = |known: Option<(&usize, &usize)>| known.map(|(_, end)| *end);
        match meeting {
            Meeting::Ahead => last(self.ranges.range(..range.end).next_back()).is_some_and(|end| end > range.start),
            Meeting::No | Meeting::Yes => {
                last(self.ranges.range(..=range.end).next_back()).is_some_and(|end| end >= range.start)
            }
        }
    }

    fn take(&mut self, edit: &Edit, range: Range<usize>) {
        if let Some(item) = removed_item(edit) {
            self.removed.insert(zone(edit).to_owned(), item);
        }
        self.claim(edit, range);
    }

    fn wait(&mut self, edit: &Edit, range: Range<usize>) {
        // Later removals in the same list must not be applied before this edit.
        self.removed.clear();
        self.claim(edit, range);
    }

    fn claim(&mut self, edit: &Edit, range: Range<usize>) {
        self.zones.insert(zone(edit));
        let Range { mut start, mut end } = range;
        while let Some((&known, &last)) = self.ranges.range(..=end).next_back()
            && last >= start
        {
            self.ranges.remove(&known);
            start = start.min(known);
            end = end.max(last);
        }
        self.ranges.insert(start, end);
    }
}

/// The pointer that an edit affects. A removal affects the whole parent: later items get other indices, and an empty
/// parent becomes `{}` or `[]`. A new name affects the parent, too.
fn zone(edit: &Edit) -> &str {
    match edit {
        Edit::Remove { pointer } | Edit::Rename { pointer, .. } => {
            pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
        }
        _ => edit.pointer(),
    }
}

fn removed_item(edit: &Edit) -> Option<usize> {
    let Edit::Remove { pointer } = edit else { return None };
    pointer.rsplit_once('/')?.1.parse().ok()
}

/// Replaces all ranges, which do not overlap.
fn replaced(text: &str, taken: &[Taken<'_>]) -> String {
    let mut taken: Vec<&Taken<'_>> = taken.iter().collect();
    taken.sort_by_key(|taken| (taken.range.start, taken.range.end));
    let mut out = String::with_capacity(text.len() + taken.iter().map(|taken| taken.replacement.len()).sum::<usize>());
    let mut at = 0;
    for Taken { range, replacement, .. } in taken {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(replacement);
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Whether all comments are kept. No edit adds a comment, and only a removal may remove comments.
fn comments_kept(taken: &[Taken<'_>], before: (&str, &Document), after: (&str, &Document)) -> bool {
    let removals: Vec<&Range<usize>> =
        taken.iter().filter(|taken| matches!(taken.edit, Edit::Remove { .. })).map(|taken| &taken.range).collect();
    let texts = |(text, document): (&'_ str, &'_ Document)| -> Vec<(usize, String)> {
        let comments = document.comments().iter();
        comments.map(|comment| (comment.range.start, text[comment.range.clone()].to_owned())).collect()
    };
    let (old, new) = (texts(before), texts(after));
    let mut new = new.iter().map(|(_, comment)| comment);
    if let ([_], [_]) = (taken, &removals[..]) {
        let mut old = old.iter().map(|(_, comment)| comment);
        return new.all(|comment| old.any(|old| old == comment));
    }
    let mut starts: BTreeMap<usize, usize> = BTreeMap::new();
    starts.extend(removals.iter().map(|range| (range.start, range.end)));
    let is_removed = |at: usize| starts.range(..=at).next_back().is_some_and(|(_, end)| *end > at);
    let old = old.iter().filter(|(at, _)| !is_removed(*at)).map(|(_, comment)| comment);
    old.eq(new.by_ref())
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
