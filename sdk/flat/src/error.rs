//! What can be wrong with a document, or with the use of a writer.

use std::fmt;

/// Why a document can't be read, written or turned into a typed value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The document has no bytes at all.
    Empty,
    /// The document begins with another version byte than [`VERSION`](crate::VERSION).
    Version(u8),
    /// The bytes at `position` (counted from the start of the document) break the encoding.
    Malformed {
        /// Where, in bytes from the start of the document.
        position: usize,
        /// What is wrong there.
        problem: Problem,
    },
    /// More than [`MAX_DEPTH`](crate::MAX_DEPTH) arrays and objects lie inside one another.
    TooDeep,
    /// There are more than [`MAX_NODES`](crate::MAX_NODES) values.
    TooManyNodes,
    /// The document, or one string, is longer than a `u32` can say.
    TooLong,
    /// JSON has no NaN and no infinity.
    NotFinite,
    /// The text given as a number is none by JSON's grammar.
    NotANumber,
    /// The writer was called in an order that makes no value; the text says how.
    Misuse(&'static str),
    /// A type's own `Serialize` or `Deserialize` refused the value.
    Message(String),
}

/// How bytes can break the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// No tag has this value.
    Tag,
    /// A node reaches beyond its container, or beyond the document.
    Bounds,
    /// The count of a container does not fit into its length.
    Count,
    /// Children overlap or are not in the order of their offsets.
    Order,
    /// A string, key or number text is not UTF-8.
    Utf8,
    /// A number text is not a number, or one that an integer or a double holds exactly.
    Number,
    /// A double is NaN or infinite.
    NotFinite,
    /// Two members of an object have the same key.
    DuplicateKey,
    /// The mark of a key is another's.
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
