//! Reads YAML, and JSON, exactly as kubectl does, and knows the place of every value; and edits it in place.
//!
//! What a file means is decided by `sigs.k8s.io/yaml` on top of go-yaml v2: `010` is 8, `1_000` is 1000, `no` is
//! false. A stream is cut into documents at lines that begin with `---`, each document is parsed alone, so that one
//! that is broken hides none of the others.
//!
//! Known differences, all of them stricter than kubectl or beyond it: `tests/yaml_kubectl.rs` lists and tests them.

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

/// Larger texts are refused: the server takes 16 MiB, and no manifest comes near it.
pub const MAX_BYTES: usize = 32 << 20;

/// Reads every document of a file, in order. Documents without content are left out, as kubectl does.
pub fn read(text: &str) -> Vec<Result<Document, SyntaxError>> {
    read_within(text, &Budget::default())
}

/// As [`read`], but of an input that may cost no more than this in all. Once it did, one error stands for the rest.
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

/// The text of a file, cut into parts. Each is read when it is asked for, so that not all documents need memory at once.
#[derive(Debug)]
pub struct Stream<'a> {
    text: &'a str,
    positions: Positions<'a>,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// A value of a stream of JSON.
    Json(Range<usize>),
    Chunk(stream::Chunk),
    /// What it is stands in the message, where.
    Refused(usize, String),
}

impl<'a> Stream<'a> {
    /// Cuts it, and reads nothing yet.
    pub fn new(text: &'a str) -> Self {
        let parts = if text.len() > MAX_BYTES {
            vec![Part::Refused(0, format!("the file is larger than {} MiB", MAX_BYTES >> 20))]
        } else {
            json_stream(text).unwrap_or_else(|| stream::split(text).into_iter().map(Part::Chunk).collect())
        };
        Self { text, positions: Positions::new(text), parts }
    }

    /// How many parts there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What decides how a part is read: whether it is JSON, and its text. None for what is refused unread.
    pub(crate) fn written(&self, part: usize) -> Option<(bool, &'a str)> {
        match self.parts.get(part)? {
            Part::Json(range) => Some((true, self.text.get(range.clone())?)),
            Part::Chunk(stream::Chunk::Document(range)) => Some((false, self.text.get(range.clone())?)),
            Part::Chunk(stream::Chunk::BadSeparator(_)) | Part::Refused(..) => None,
        }
    }

    /// The document of a part; none where it has no content.
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

/// A document in block style, two columns a level.
pub fn print(value: &Value) -> String {
    let mut text = emit::block(value, emit::Format { step: 2, dash: 0 }).join("\n");
    text.push('\n');
    text
}

/// A document that cannot be read, and where in the file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    pub message: String,
}

/// Some bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Byte offset in the file.
    pub start: usize,
    /// Byte offset in the file, behind the last byte.
    pub end: usize,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// 1-based; of the byte behind the last one.
    pub end_line: usize,
    /// 1-based, in characters; of the byte behind the last one.
    pub end_column: usize,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its key, for the member of a mapping.
    pub key: Option<Span>,
    /// From its first byte to its last content: no line break or comment behind it. Empty, behind the colon or the
    /// dash, where nothing is written.
    pub value: Span,
}

/// A comment, from its `#` to the end of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// 1-based.
    pub line: usize,
    /// Bytes in the file.
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
    /// Read as JSON, not as YAML.
    json: bool,
}

impl Document {
    /// The JSON that kubectl would send.
    pub fn value(&self) -> &Value {
        &self.composed.value
    }

    /// The bytes of the document in the file: all between the lines that separate it from others.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The line of its first content.
    pub fn line(&self) -> usize {
        self.span(self.tree.root).line
    }

    /// The place of the node that an RFC 6901 pointer names, if it exists. Below an alias or a merge key, the place
    /// where it is written; for an alias itself, the alias.
    pub fn locate(&self, pointer: &str) -> Option<Place> {
        let (place, found) = self.locate_nearest(pointer);
        (found.len() == pointer.len()).then_some(place)
    }

    /// The place of a node or, where there is none, of its nearest ancestor; with the pointer of what was found.
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

    /// One name further down.
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

/// kubectl takes a file that begins with `{` for a stream of JSON values. Where it is none, it may still be YAML, as
/// newer versions of kubectl think too.
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
        // JSON stays JSON behind a `---`.
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

/// What stands in double braces was never meant to be YAML, whatever the parser says about it.
fn name_template(text: &str, fault: Fault) -> Fault {
    let start = text[..fault.offset].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    match line.find("{{") {
        Some(at) => Fault::new(start + at, "a template begins here; check what it renders to"),
        None => fault,
    }
}

fn syntax_error(positions: &Positions<'_>, fault: Fault) -> SyntaxError {
    let (line, column) = positions.line_column(fault.offset);
    SyntaxError { line, column, message: fault.message }
}

#[cfg(test)]
mod tests;
