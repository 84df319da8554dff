//! Edits a file in place. Bytes outside the edit never change.
//!
//! Each edit becomes one replacement of bytes, computed from the places of the values. After the edits
//! ([`super::batch`]), the document is read again, and must equal the edited JSON. Otherwise the edits are refused.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

pub use super::batch::Work;
use super::batch::{Batch, List};
use super::{Budget, Stream, scalar};
use crate::model::Edit;
use crate::model::edit::EditError;

/// The result of editing a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spliced {
    /// The file with all edits that were not refused.
    pub text: String,
    /// The replacements in the order of the file: one range of whole lines for each changed document.
    pub changes: Vec<Change>,
    /// The lists of edits that were not applied.
    pub refused: Vec<Refusal>,
}

/// A range of the original text and its replacement.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Index in `read(text)`.
    pub document: usize,
    /// Byte range in the original text.
    pub range: Range<usize>,
    pub replacement: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Index in `read(text)`.
    pub document: usize,
    /// Number of the list of edits.
    pub list: usize,
    pub reason: Reason,
}

/// Why a list of edits was not applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    #[error("the document cannot be read")]
    Unreadable,
    #[error("the file has no such document")]
    NoDocument,
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error("it contains `{{{{`, as templates do; edit templates by hand")]
    Template,
    #[error("`{0}` is shared through an anchor, an alias or a merge key")]
    Anchor(String),
    #[error("`{0}` has a tag")]
    Tag(String),
    #[error("`{0}` is inside brackets that span several lines")]
    MultilineFlow(String),
    #[error("a comment at `{0}` would be lost")]
    Comment(String),
    #[error("the layout of `{0}` is not supported (an explicit key, or several entries on one line)")]
    Layout(String),
    #[error(
        "the file is too large for this many edits of the same places; split it into smaller files, or run `--fix` again"
    )]
    TooMuch,
    #[error("the edited text would not have the intended meaning")]
    NotVerified,
}

/// Applies lists of edits to documents in order. A document is given by its index in [`read`](super::read). All edits
/// of a list are applied, or none. A refused list does not affect the others.
pub fn apply(text: &str, lists: &[(usize, Vec<Edit>)]) -> Spliced {
    apply_within(text, lists, &mut Work::of(text.len()))
}

/// Like [`apply`], with a limit that several calls share.
pub fn apply_within(text: &str, lists: &[(usize, Vec<Edit>)], work: &mut Work) -> Spliced {
    let mut by_document: BTreeMap<usize, Vec<List<'_>>> = BTreeMap::new();
    for (list, (document, edits)) in lists.iter().enumerate() {
        by_document.entry(*document).or_default().push((list, edits));
    }
    let (before, budget) = (Stream::new(text), Budget::default());
    let mut spliced = Spliced::default();
    let mut edited: BTreeMap<usize, Edited> = BTreeMap::new();
    let mut index = 0;
    // One document at a time, because all together would take a hundred times the memory of the text.
    for part in 0..before.len() {
        if by_document.is_empty() || budget.is_spent() {
            break;
        }
        let Some(document) = before.document(part, &budget) else { continue };
        let lists = by_document.remove(&index).unwrap_or_default();
        let refused = match document {
            _ if lists.is_empty() => Vec::new(),
            Err(_) => lists.iter().map(|(list, _)| (*list, Reason::Unreadable)).collect(),
            Ok(document) => {
                let old = &text[document.range()];
                let (after, value, refused) = edit(old, document.json, &lists, work);
                if after != old {
                    spliced.changes.push(difference(index, text, document.range(), &after));
                    edited.insert(part, Edited { range: document.range(), after, value });
                }
                refused
            }
        };
        spliced.refused.extend(refused.into_iter().map(|(list, reason)| Refusal { document: index, list, reason }));
        index += 1;
    }
    for (document, lists) in by_document {
        let refused = lists.iter().map(|(list, _)| Refusal { document, list: *list, reason: Reason::NoDocument });
        spliced.refused.extend(refused);
    }
    spliced.refused.sort_by_key(|refusal| refusal.list);
    let mut at = 0;
    for Edited { range, after, .. } in edited.values() {
        spliced.text.push_str(&text[at..range.start]);
        spliced.text.push_str(after);
        at = range.end;
    }
    spliced.text.push_str(&text[at..]);
    if !edited.is_empty() && !still_the_same(&before, &edited, &spliced.text) {
        let all = lists.iter().enumerate();
        spliced.refused = all
            .map(|(list, (document, _))| Refusal { document: *document, list, reason: Reason::NotVerified })
            .collect();
        spliced.changes.clear();
        spliced.text = text.to_owned();
    }
    spliced
}

/// An edited document.
struct Edited {
    range: Range<usize>,
    after: String,
    value: Option<Value>,
}

/// The text and the value of a document after its edits, and the refused lists.
fn edit(text: &str, json: bool, lists: &[List<'_>], work: &mut Work) -> (String, Option<Value>, Vec<(usize, Reason)>) {
    if text.contains("{{") && !json {
        return (text.to_owned(), None, lists.iter().map(|(list, _)| (*list, Reason::Template)).collect());
    }
    let mut batch = Batch::new(work);
    let after = batch.apply(text.to_owned(), lists);
    (after, batch.value, batch.refused)
}

/// Whether the file still has the same documents: unedited ones with the same text, edited ones with the intended
/// values.
fn still_the_same(before: &Stream<'_>, edited: &BTreeMap<usize, Edited>, text: &str) -> bool {
    let after = Stream::new(text);
    let budget = Budget::default();
    after.len() == before.len()
        && (0..before.len()).all(|part| match edited.get(&part) {
            None => before.written(part) == after.written(part),
            Some(edited) => match after.document(part, &budget) {
                Some(Ok(document)) => Some(document.value()) == edited.value.as_ref(),
                _ => false,
            },
        })
}

/// Converts numbers to the form in which a file is read: `1.0` becomes 1.
pub(super) fn normalise(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() => {
            if let Some(Ok(normal)) = number.as_f64().map(scalar::number) {
                *value = normal;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(map) => map.values_mut().for_each(normalise),
        _ => {}
    }
}

/// The range of lines that differ.
fn difference(document: usize, text: &str, range: Range<usize>, after: &str) -> Change {
    let before = &text[range.clone()];
    let common = |a: &mut dyn Iterator<Item = &str>, b: &mut dyn Iterator<Item = &str>| {
        a.zip(b).take_while(|(a, b)| a == b).map(|(line, _)| line.len()).sum::<usize>()
    };
    let head = common(&mut before.split_inclusive('\n'), &mut after.split_inclusive('\n'));
    let (rest_before, rest_after) = (&before[head..], &after[head..]);
    let tail = common(&mut rest_before.split_inclusive('\n').rev(), &mut rest_after.split_inclusive('\n').rev());
    Change {
        document,
        range: range.start + head..range.end - tail,
        replacement: rest_after[..rest_after.len() - tail].to_owned(),
    }
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "splice_properties.rs"]
mod properties;
