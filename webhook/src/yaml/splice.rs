//! Edits a file in place: the bytes of the edit change, all others stay.
//!
//! Each edit becomes one replacement of bytes, found from the places of the values. Nothing is trusted: after each
//! edit the document is read again and must equal what the edit makes of its JSON, else the document is left alone.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::Value;

use super::write::Writer;
use super::{Document, read, scalar};
use crate::admission::edit::{self, Edit, EditError};

/// Bytes that may be read again: for each edit, the document that it is of.
const MAX_WORK: usize = 64 << 20;

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spliced {
    /// The file with the edits of all documents that were not refused.
    pub text: String,
    /// What was replaced, in the order of the file: one stretch of whole lines for each document that changed.
    pub changes: Vec<Change>,
    /// The documents that were left as they were.
    pub refused: Vec<Refusal>,
}

/// A stretch of the original text and what stands there now.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Index in `read(text)`.
    pub document: usize,
    /// Bytes in the original text.
    pub range: Range<usize>,
    pub replacement: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Index in `read(text)`.
    pub document: usize,
    pub reason: Reason,
}

/// Why a document was not edited.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    #[error("the document cannot be read")]
    Unreadable,
    #[error("the file has no such document")]
    NoDocument,
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error("it contains `{{{{`, as templates do; edit what it is made from")]
    Template,
    #[error("`{0}` is shared through an anchor, an alias or a merge key")]
    Anchor(String),
    #[error("`{0}` has a tag")]
    Tag(String),
    #[error("`{0}` stands in brackets over several lines")]
    MultilineFlow(String),
    #[error("a comment at `{0}` would be lost")]
    Comment(String),
    #[error("`{0}` is written in a way that is not edited (an explicit key, or more than one thing on a line)")]
    Layout(String),
    #[error("the document is too large for this many edits at once; cut it into smaller ones")]
    TooMuch,
    #[error("the edited text would not be read as the edited object")]
    NotVerified,
}

/// Applies the edits of each document, by its index in [`read`]. Documents are independent of each other; of one, all
/// edits are applied or none.
pub fn apply(text: &str, edits: &[(usize, Vec<Edit>)]) -> Spliced {
    let documents = read(text);
    let mut spliced = Spliced::default();
    let mut changed: Vec<(Range<usize>, String)> = Vec::new();
    let (mut starts, mut work) = (HashSet::new(), 0_usize);
    for (index, edits) in edits {
        let length = documents.get(*index).and_then(|document| Some(document.as_ref().ok()?.range().len()));
        work = work.saturating_add(length.unwrap_or(0).saturating_mul(edits.len()));
        let result = match documents.get(*index) {
            None => Err(Reason::NoDocument),
            Some(Err(_)) => Err(Reason::Unreadable),
            // Two lists for one document would each start from the original.
            Some(Ok(document)) if starts.contains(&document.range().start) => Err(Reason::NotVerified),
            Some(Ok(_)) if work > MAX_WORK => Err(Reason::TooMuch),
            Some(Ok(document)) => apply_all(text, document, edits).map(|after| (document, after)),
        };
        match result {
            Ok((document, after)) if after != text[document.range()] => {
                let change = difference(*index, text, document.range(), &after);
                spliced.changes.push(change);
                starts.insert(document.range().start);
                changed.push((document.range(), after));
            }
            Ok(_) => {}
            Err(reason) => spliced.refused.push(Refusal { document: *index, reason }),
        }
    }
    changed.sort_by_key(|(range, _)| range.start);
    spliced.changes.sort_by_key(|change| change.range.start);
    let mut at = 0;
    for (range, after) in &changed {
        spliced.text.push_str(&text[at..range.start]);
        spliced.text.push_str(after);
        at = range.end;
    }
    spliced.text.push_str(&text[at..]);
    if !still_the_same(&documents, &spliced) {
        let refused =
            spliced.changes.iter().map(|change| Refusal { document: change.document, reason: Reason::NotVerified });
        spliced.refused.extend(refused);
        spliced.changes.clear();
        spliced.text = text.to_owned();
    }
    spliced
}

/// The whole file must still have the same documents, those without edits with the same values.
fn still_the_same(before: &[Result<Document, super::SyntaxError>], spliced: &Spliced) -> bool {
    let after = read(&spliced.text);
    let changed: HashSet<usize> = spliced.changes.iter().map(|change| change.document).collect();
    after.len() == before.len()
        && before.iter().zip(&after).enumerate().all(|(index, pair)| match pair {
            (Ok(before), Ok(after)) => before.value() == after.value() || changed.contains(&index),
            (Err(_), Err(_)) => true,
            _ => false,
        })
}

/// The text of the document after its edits.
fn apply_all(text: &str, document: &Document, edits: &[Edit]) -> Result<String, Reason> {
    let mut chunk = text[document.range()].to_owned();
    if chunk.contains("{{") && !document.json {
        return Err(Reason::Template);
    }
    for edit in edits {
        let before = only(&chunk)?;
        let mut expected = before.value().clone();
        edit::apply(&mut expected, std::slice::from_ref(edit))?;
        normalise(&mut expected);
        if expected == *before.value() && !matches!(edit, Edit::Append { .. }) {
            continue;
        }
        let before_text = chunk.clone();
        let (range, replacement) = Writer::new(&chunk, &before).splice(edit)?;
        chunk.replace_range(range, &replacement);
        let after = only(&chunk)?;
        if *after.value() != expected || !comments_kept(edit, &before_text, &before, &chunk, &after) {
            return Err(Reason::NotVerified);
        }
    }
    Ok(chunk)
}

/// No edit adds a comment, and only a removal takes some along.
fn comments_kept(edit: &Edit, before_text: &str, before: &Document, after_text: &str, after: &Document) -> bool {
    let mut old = before.comments().iter().map(|comment| &before_text[comment.range.clone()]);
    let removal = matches!(edit, Edit::Remove { .. });
    let all = after.comments().iter().all(|comment| {
        let comment = &after_text[comment.range.clone()];
        if removal { old.any(|old| old == comment) } else { old.next() == Some(comment) }
    });
    all && (removal || old.next().is_none())
}

/// The document that the text of one document is by itself.
fn only(text: &str) -> Result<Document, Reason> {
    let mut documents = read(text);
    match (documents.pop(), documents.is_empty()) {
        (Some(Ok(document)), true) => Ok(document),
        _ => Err(Reason::NotVerified),
    }
}

/// Numbers as they come back from a file: `1.0` is 1.
fn normalise(value: &mut Value) {
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

/// The lines that differ.
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
