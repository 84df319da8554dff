//! JSON text directly into a document.
//!
//! Strict by RFC 8259, in one pass, without a tree in between. A serde visitor never sees the text of a number, so it
//! would lose `1e400` or the thirtieth digit. So this parser is written by hand.

mod error;
mod parse;
mod scan;
mod skip;

use std::ops::Range;

pub use error::{JsonError, JsonErrorKind};

/// The range of each omitted value in the text, in bytes. `None` for a missing member.
pub type Ranges = Vec<Option<Range<usize>>>;

/// The document of a JSON text.
///
/// Accepts the same texts as `serde_json`, with the same meaning, except for these differences:
///
/// * half a surrogate pair (`"\ud800"`) becomes U+FFFD, as in Go's `encoding/json` and in kube-apiserver;
/// * numbers beyond the range of a double are kept as text;
/// * arrays and objects may be nested 512 deep, not 127;
/// * there are at most [`MAX_NODES`](crate::MAX_NODES) values.
///
/// Of duplicate keys the last counts. A byte order mark, control characters in strings, invalid UTF-8 and text after
/// the value are rejected.
///
/// # Errors
/// The first mistake, with its place in the text.
pub fn from_json(text: &[u8]) -> Result<Vec<u8>, JsonError> {
    Ok(from_json_omitting(text, &[])?.0)
}

/// The document of a JSON text without the members at the given paths, and the ranges of their values in the text.
///
/// A path is a list of keys from the root, through objects only. The parser still checks the syntax and the depth of an
/// omitted value, but does not count its nodes. Ranges are in bytes of `text`, in the order of `omit`, and `None` for a
/// missing member. Of duplicate members the last counts, also along the path.
///
/// # Errors
/// The same as for [`from_json`].
pub fn from_json_omitting(text: &[u8], omit: &[&[&str]]) -> Result<(Vec<u8>, Ranges), JsonError> {
    match parse::Parser::new(text, omit).parse() {
        Ok(parsed) => Ok(parsed),
        Err((kind, offset)) => Err(JsonError::new(text, offset, kind)),
    }
}
