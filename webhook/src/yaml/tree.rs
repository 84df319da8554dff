//! The syntax tree of one document, with the place of each node in the file: built from the events of
//! saphyr-parser ([`super::events`]) or from JSON text ([`super::json`]). Scalars are resolved, aliases and merge keys are not.

use saphyr_parser::ScalarStyle;

use super::scalar::Scalar;

/// Nesting beyond this is refused. The flat encoding could hold twice as much, but reading recurses, and an unoptimised
/// build must get by with the 2 MiB of a thread.
pub(super) const MAX_DEPTH: usize = 256;
/// As many nodes as the flat encoding holds.
pub(super) const MAX_NODES: usize = 1_000_000;

pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
    /// Where the content of the document ends: at `...` or at the end of its text.
    pub(super) end: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    /// Bytes in the file, from the first byte of the content (after a tag or an anchor) to its last one. Empty where
    /// nothing is written.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the tag or anchor in front of it starts; `start` if there is none.
    pub(super) properties: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar { value: Scalar, style: Style },
    Sequence { items: Vec<Item>, layout: Layout },
    Mapping { entries: Vec<Entry>, layout: Layout },
    Alias(NodeId),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
    Folded,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    Block,
    /// In brackets.
    Flow,
    /// `[a: b]`: a mapping of one pair without braces.
    Pair,
}

#[derive(Debug)]
pub(super) struct Item {
    /// Offset of the dash; in a flow sequence, of the item itself.
    pub(super) dash: usize,
    pub(super) node: NodeId,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Offset of the `?` or of the key.
    pub(super) start: usize,
    pub(super) key: NodeId,
    pub(super) value: NodeId,
    /// Offset behind the colon, if there is one.
    pub(super) colon: Option<usize>,
    /// `<<`.
    pub(super) merge: bool,
}

/// What is wrong, at which byte of the file.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(offset: usize, message: impl ToString) -> Self {
        Self { offset, message: message.to_string() }
    }
}

impl Tree {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The node that an alias stands for, or the node itself. An alias of an alias cannot be written.
    pub(super) fn target(&self, id: NodeId) -> NodeId {
        match self.nodes[id].kind {
            Kind::Alias(target) => target,
            _ => id,
        }
    }
}

impl From<ScalarStyle> for Style {
    fn from(style: ScalarStyle) -> Self {
        match style {
            ScalarStyle::Plain => Self::Plain,
            ScalarStyle::SingleQuoted => Self::SingleQuoted,
            ScalarStyle::DoubleQuoted => Self::DoubleQuoted,
            ScalarStyle::Literal => Self::Literal,
            ScalarStyle::Folded => Self::Folded,
        }
    }
}
