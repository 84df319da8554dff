//! Errors of documents and of writers.

use std::fmt;

/// The reason why a document cannot be read, written or turned into a typed value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The document has no bytes.
    Empty,
    /// The document starts with a version byte other than [`VERSION`](crate::VERSION).
    Version(u8),
    /// The bytes at `position` violate the encoding.
    Malformed {
        /// Position in bytes from the start of the document.
        position: usize,
        /// The problem at this position.
        problem: Problem,
    },
    /// Arrays and objects are nested more than [`MAX_DEPTH`](crate::MAX_DEPTH) deep.
    TooDeep,
    /// There are more than [`MAX_NODES`](crate::MAX_NODES) values.
    TooManyNodes,
    /// The document, or one string, is too long for a `u32`.
    TooLong,
    /// JSON has no NaN and no infinity.
    NotFinite,
    /// The text of a number is no JSON number.
    NotANumber,
    /// The calls of the writer had a wrong order. The text explains it.
    Misuse(&'static str),
    /// The `Serialize` or `Deserialize` of a type rejected the value.
    Message(String),
}

/// Ways in which bytes violate the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The tag does not exist.
    Tag,
    /// A node exceeds its container, or the document.
    Bounds,
    /// The count of a container does not fit into its length.
    Count,
    /// Children overlap, or are not sorted by offset.
    Order,
    /// A string, key or number text is not UTF-8.
    Utf8,
    /// The text of a number is no number, or an integer or a double could hold it exactly.
    Number,
    /// A double is NaN or infinite.
    NotFinite,
    /// Two members of an object have the same key.
    DuplicateKey,
    /// The mark of a key is wrong.
    Mark,
    /// The permutation of a large object does not sort its keys.
    Permutation,
    /// Bytes follow the root node.
    Trailing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the document is empty"),
            Self::Version(found) => {
                write!(f, "the document has version {found}, expected {}", crate::VERSION)
            }
            Self::Malformed { position, problem } => {
                write!(f, "malformed document at byte {position}: {problem}")
            }
            Self::TooDeep => {
                write!(f, "more than {} arrays and objects inside one another", crate::MAX_DEPTH)
            }
            Self::TooManyNodes => write!(f, "more than {} values", crate::MAX_NODES),
            Self::TooLong => f.write_str("longer than 4 GiB"),
            Self::NotFinite => f.write_str("JSON has no NaN and no infinity"),
            Self::NotANumber => f.write_str("not a JSON number"),
            Self::Misuse(what) => write!(f, "misuse of the writer: {what}"),
            Self::Message(message) => f.write_str(message),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tag => "unknown tag",
            Self::Bounds => "node out of bounds",
            Self::Count => "count does not fit",
            Self::Order => "children overlap or are out of order",
            Self::Utf8 => "text is not UTF-8",
            Self::Number => "number text is not canonical",
            Self::NotFinite => "number is not finite",
            Self::DuplicateKey => "duplicate key",
            Self::Mark => "the mark of a key is not its own",
            Self::Permutation => "keys are not sorted by the permutation",
            Self::Trailing => "bytes after the root",
        })
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }
}
