//! Errors of a JSON text.

use std::fmt;

use crate::{MAX_DEPTH, MAX_NODES};

/// The reason why a text is no JSON, or cannot become a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonError {
    /// Position in bytes from the start of the text.
    pub offset: usize,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The problem at this position.
    pub kind: JsonErrorKind,
}

/// A problem of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The text ends inside a value, or has no value.
    UnexpectedEnd,
    /// The text starts with a byte order mark.
    ByteOrderMark,
    /// This character cannot start a value.
    ExpectedValue,
    /// A key must start with a quote.
    ExpectedKey,
    /// A colon must follow a key.
    ExpectedColon,
    /// A comma or `]` must follow an item.
    ExpectedCommaOrBracket,
    /// A comma or `}` must follow a member.
    ExpectedCommaOrBrace,
    /// A control character inside a string.
    ControlCharacter,
    /// A backslash without a valid escape.
    InvalidEscape,
    /// A number that violates JSON's grammar, such as `01`, `1.` or `+1`.
    InvalidNumber,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// Text after the value.
    TrailingCharacters,
    /// Arrays and objects nested more than [`MAX_DEPTH`] deep.
    TooDeep,
    /// More than [`MAX_NODES`] values.
    TooManyNodes,
    /// The document would be longer than 4 GiB.
    TooLong,
}

impl JsonError {
    pub(crate) fn new(text: &[u8], offset: usize, kind: JsonErrorKind) -> Self {
        let before = &text[..offset.min(text.len())];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        // Continuation bytes of a character do not count.
        let characters = before[start..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Self { offset, line, column: characters + 1, kind }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.kind, self.line, self.column)
    }
}

impl fmt::Display for JsonErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnexpectedEnd => "the text ends inside a value",
            Self::ByteOrderMark => "the text begins with a byte order mark",
            Self::ExpectedValue => "expected a value",
            Self::ExpectedKey => "expected a key in quotes",
            Self::ExpectedColon => "expected `:` after the key",
            Self::ExpectedCommaOrBracket => "expected `,` or `]`",
            Self::ExpectedCommaOrBrace => "expected `,` or `}`",
            Self::ControlCharacter => "a control character in a string must be escaped",
            Self::InvalidEscape => "invalid escape in a string",
            Self::InvalidNumber => "invalid number",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::TrailingCharacters => "more text after the value",
            Self::TooDeep => {
                return write!(f, "more than {MAX_DEPTH} arrays and objects inside one another");
            }
            Self::TooManyNodes => return write!(f, "more than {MAX_NODES} values"),
            Self::TooLong => "longer than 4 GiB",
        })
    }
}

impl std::error::Error for JsonError {}
