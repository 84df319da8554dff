//! The syntax tree of one document, with the place of each node in the file. It is built from the events of
//! saphyr-parser ([`super::events`]) or from JSON ([`super::json`]). Scalars are resolved, aliases and merge keys are
//! not.

use saphyr_parser::ScalarStyle;

use super::scalar::Scalar;

/// Maximum depth of nesting. The flat encoding allows twice as much, but reading is recursive, and an unoptimised build
/// has a stack of 2 MiB in a thread.
pub(super) const MAX_DEPTH: usize = 256;
/// Maximum number of nodes, the same as in the flat encoding.
pub(super) const MAX_NODES: usize = 1_000_000;

pub(super) type NodeId = usize;

#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
    /// Offset of the end of the content: at `...` or at the end of the text.
    pub(super) end: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    /// Start of the content in the file, after a tag or an anchor. `end` is the end of the content. Both are equal if
    /// the value is absent.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Offset of the tag or anchor before the content, or `start` if there is none.
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
    /// Inside brackets.
    Flow,
    /// `[a: b]`: a mapping of one pair without braces.
    Pair,
}

#[derive(Debug)]
pub(super) struct Item {
    /// Offset of the dash, or of the item itself in a flow sequence.
    pub(super) dash: usize,
    pub(super) node: NodeId,
}

#[derive(Debug)]
pub(super) struct Entry {
    /// Offset of the `?` or of the key.
    pub(super) start: usize,
    pub(super) key: NodeId,
    pub(super) value: NodeId,
    /// Offset after the colon, if there is one.
    pub(super) colon: Option<usize>,
    /// Whether the key is `<<`.
    pub(super) merge: bool,
}

/// An error at a byte of the file.
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

    /// The node that an alias refers to, or the node itself. YAML has no alias of an alias.
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
