//! What can be wrong with a JSON text.

use std::fmt;

use crate::{MAX_DEPTH, MAX_NODES};

/// Why a text is no JSON, or none that a document can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonError {
    /// Where, in bytes from the start of the text.
    pub offset: usize,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// What is wrong at a place of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The text ends inside a value, or holds none.
    UnexpectedEnd,
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// Another character than one that begins a value.
    ExpectedValue,
    /// Another character than the quote that begins a key.
    ExpectedKey,
    /// Another character than the colon after a key.
    ExpectedColon,
    /// Another character than a comma or `]` after an item.
    ExpectedCommaOrBracket,
    /// Another character than a comma or `}` after a member.
    ExpectedCommaOrBrace,
    /// A control character inside a string.
    ControlCharacter,
    /// A backslash followed by what is no escape.
    InvalidEscape,
    /// A number that breaks JSON's grammar, such as `01`, `1.` or `+1`.
    InvalidNumber,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// More text after the value.
    TrailingCharacters,
    /// More than [`MAX_DEPTH`] arrays and objects inside one another.
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
        // What continues a character is not counted.
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
