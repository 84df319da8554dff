//! Reads YAML and JSON exactly as kubectl does, records the place of every value, and edits the text in place.
//!
//! kubectl uses `sigs.k8s.io/yaml` on top of go-yaml v2: `010` is 8, `1_000` is 1000, `no` is false. A stream is cut
//! into documents at lines that begin with `---`. Each document is parsed alone, so a broken document does not hide the
//! others.
//!
//! `tests/yaml_kubectl.rs` lists and tests the known differences. In all of them this reader is stricter than kubectl,
//! or accepts input that kubectl can't read.

mod batch;
mod bridge;
mod budget;
mod comment;
mod compose;
mod emit;
mod events;
mod json;
mod lines;
mod position;
mod scalar;
pub mod splice;
mod stream;
mod tree;
mod trivia;
mod write;

use std::ops::Range;

use serde_json::Value;

pub use budget::Budget;
use compose::Composed;
use position::Positions;
use tree::{Fault, Kind, NodeId, Tree};

use crate::model::pointer::{index, steps};

/// Maximum size of a file, in bytes. No manifest comes near it, and a larger file is an error.
pub const MAX_BYTES: usize = 32 << 20;

/// Reads every document of a file, in order. Like kubectl, it skips documents without content.
pub fn read(text: &str) -> Vec<Result<Document, SyntaxError>> {
    read_within(text, &Budget::default())
}

/// Like [`read`], but with a budget for all files of an input. When it is spent, reading ends with one error.
pub fn read_within(text: &str, budget: &Budget) -> Vec<Result<Document, SyntaxError>> {
    let stream = Stream::new(text);
    let mut documents = Vec::new();
    for part in 0..stream.len() {
        documents.extend(stream.document(part, budget));
        if budget.is_spent() {
            break;
        }
    }
    documents
}

/// The text of a file, cut into parts. A part is read on demand, so not all documents are in memory at once.
#[derive(Debug)]
pub struct Stream<'a> {
    text: &'a str,
    positions: Positions<'a>,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// A value in a stream of JSON.
    Json(Range<usize>),
    Chunk(stream::Chunk),
    /// A part that is not read: its offset, and the reason.
    Refused(usize, String),
}

impl<'a> Stream<'a> {
    /// Cuts the text without reading the parts.
    pub fn new(text: &'a str) -> Self {
        let parts = if text.len() > MAX_BYTES {
            vec![Part::Refused(0, format!("the file is larger than {} MiB", MAX_BYTES >> 20))]
        } else {
            json_stream(text).unwrap_or_else(|| stream::split(text).into_iter().map(Part::Chunk).collect())
        };
        Self { text, positions: Positions::new(text), parts }
    }

    /// Number of parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether the text has no part.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether a part is JSON, and its text. None for a part that is not read.
    pub(crate) fn written(&self, part: usize) -> Option<(bool, &'a str)> {
        match self.parts.get(part)? {
            Part::Json(range) => Some((true, self.text.get(range.clone())?)),
            Part::Chunk(stream::Chunk::Document(range)) => Some((false, self.text.get(range.clone())?)),
            Part::Chunk(stream::Chunk::BadSeparator(_)) | Part::Refused(..) => None,
        }
    }

    /// Reads a part. None if it has no content.
    pub fn document(&self, part: usize, budget: &Budget) -> Option<Result<Document, SyntaxError>> {
        let Self { text, positions, parts } = self;
        let result = match parts.get(part)? {
            Part::Json(range) => match json::parse(&text[..range.end], range.start) {
                Ok(Some((tree, _))) => document(text, range.clone(), tree, true, positions, budget),
                Ok(None) => Ok(None),
                Err(fault) => Err(fault),
            },
            Part::Chunk(stream::Chunk::Document(range)) => read_chunk(text, range.clone(), positions, budget),
            Part::Chunk(stream::Chunk::BadSeparator(at)) => {
                Err(Fault::new(*at, "only a comment may follow `---` on its line"))
            }
            Part::Refused(at, message) => Err(Fault::new(*at, message.clone())),
        };
        result.transpose().map(|result| result.map_err(|fault| syntax_error(positions, fault)))
    }
}

/// Prints a document in block style, with an indentation of two columns.
pub fn print(value: &Value) -> String {
    let mut text = emit::block(value, emit::Format { step: 2, dash: 0 }).join("\n");
    text.push('\n');
    text
}

/// A document that can't be read, with the place of the error in the file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// Line number, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    pub message: String,
}

/// A range of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Byte offset of the first byte.
    pub start: usize,
    /// Byte offset after the last byte.
    pub end: usize,
    /// Line number, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Line of the byte after the last one, counted from 1.
    pub end_line: usize,
    /// Column of the byte after the last one, in characters, counted from 1.
    pub end_column: usize,
}

/// The place of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The place of the key, for a member of a mapping.
    pub key: Option<Span>,
    /// The place of the value, without a line break or comment after it. If the value is absent, an empty range after
    /// the colon or the dash.
    pub value: Span,
}

/// A comment, from `#` to the end of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// Line number, counted from 1.
    pub line: usize,
    /// Byte range in the file.
    pub range: Range<usize>,
}

/// One object of a file.
#[derive(Debug)]
pub struct Document {
    composed: Composed,
    tree: Tree,
    spans: Vec<Span>,
    comments: Vec<Comment>,
    range: Range<usize>,
    /// Whether the document was read as JSON.
    json: bool,
}

impl Document {
    /// The JSON that kubectl would send for the document.
    pub fn value(&self) -> &Value {
        &self.composed.value
    }

    /// Byte range of the document in the file, between the lines that separate documents.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The line where the content begins.
    pub fn line(&self) -> usize {
        self.span(self.tree.root).line
    }

    /// The place of the node at an RFC 6901 pointer, if it exists. For an alias, it is the place of the alias. For a
    /// node below an alias or a merge key, it is the place where the node is written.
    pub fn locate(&self, pointer: &str) -> Option<Place> {
        let (place, found) = self.locate_nearest(pointer);
        (found.len() == pointer.len()).then_some(place)
    }

    /// The place of a node or, if it does not exist, of its nearest ancestor, with the pointer to that ancestor.
    pub fn locate_nearest(&self, pointer: &str) -> (Place, String) {
        let mut place = Place { key: None, value: self.span(self.tree.root) };
        let mut node = self.tree.root;
        let mut found = "";
        for (name, to) in steps(pointer) {
            let Some(step) = self.step(node, &name) else { break };
            place = Place { key: step.key.map(|key| self.span(key)), value: self.span(step.value) };
            node = step.value;
            found = to;
        }
        (place, found.to_owned())
    }

    /// Every comment of the document.
    pub fn comments(&self) -> &[Comment] {
        &self.comments
    }

    /// The child of this name.
    fn step(&self, node: NodeId, name: &str) -> Option<Step> {
        let node = self.tree.target(node);
        match &self.tree.node(node).kind {
            Kind::Sequence { items, .. } => {
                items.get(index(name)?).map(|item| Step { key: None, value: item.node, merged: false })
            }
            Kind::Mapping { .. } => {
                let member = self.composed.members.get(&node)?.get(name)?;
                Some(Step { key: Some(member.key), value: member.value, merged: member.merged })
            }
            _ => None,
        }
    }

    fn span(&self, node: NodeId) -> Span {
        self.spans[node]
    }
}

struct Step {
    key: Option<NodeId>,
    value: NodeId,
    merged: bool,
}

/// kubectl reads a file that begins with `{` as a stream of JSON values. If that fails, newer versions of kubectl read
/// it as YAML, and so do we.
fn json_stream(text: &str) -> Option<Vec<Part>> {
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !json::looks_like_json(content) {
        return None;
    }
    let mut parts = Vec::new();
    let mut at = text.len() - content.len();
    while let Some((_, end)) = json::parse(text, at).ok()? {
        parts.push(Part::Json(at..end));
        at = end;
    }
    Some(parts)
}

fn read_chunk(
    text: &str,
    range: Range<usize>,
    positions: &Positions<'_>,
    budget: &Budget,
) -> Result<Option<Document>, Fault> {
    let chunk = &text[range.clone()];
    if json::looks_like_json(chunk) {
        // A document after `---` may be JSON too.
        if let Ok(Some((tree, end))) = json::parse(&text[..range.end], range.start)
            && text[end..range.end].trim_ascii().is_empty()
        {
            return document(text, range, tree, true, positions, budget);
        }
    }
    match events::parse(chunk, range.start, budget).map_err(|fault| name_template(text, fault))? {
        Some(tree) => document(text, range, tree, false, positions, budget),
        None => Ok(None),
    }
}

fn document(
    text: &str,
    range: Range<usize>,
    tree: Tree,
    json: bool,
    positions: &Positions<'_>,
    budget: &Budget,
) -> Result<Option<Document>, Fault> {
    let composed = compose::compose(&tree, budget)?;
    if composed.value.is_null() {
        return Ok(None);
    }
    let comments = comment::find(text, range.clone(), &tree)
        .into_iter()
        .map(|range| Comment { line: positions.line_column(range.start).0, range })
        .collect();
    let spans = tree.nodes.iter().map(|node| positions.span(node.start, node.end)).collect();
    Ok(Some(Document { composed, tree, spans, comments, range, json }))
}

/// Replaces an error in a line with double braces, because the file is a template and not YAML.
fn name_template(text: &str, fault: Fault) -> Fault {
    let start = text[..fault.offset].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    match line.find("{{") {
        Some(at) => Fault::new(start + at, "a template begins here; render it, and check the output"),
        None => fault,
    }
}

fn syntax_error(positions: &Positions<'_>, fault: Fault) -> SyntaxError {
    let (line, column) = positions.line_column(fault.offset);
    SyntaxError { line, column, message: fault.message }
}

#[cfg(test)]
mod tests;
