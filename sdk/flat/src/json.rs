//! JSON text straight into a document.
//!
//! Strict by RFC 8259 and in one pass, without a tree in between. It is written by hand because a serde visitor never sees a number's
//! text, so that `1e400` or the thirtieth digit would be lost before it could be kept.

mod error;
mod parse;
mod scan;
mod skip;

use std::ops::Range;

pub use error::{JsonError, JsonErrorKind};

/// Where each omitted value lies in the text, in bytes; `None` where there was none.
pub type Ranges = Vec<Option<Range<usize>>>;

/// The document of a JSON text.
///
/// Accepts what `serde_json` accepts, and means the same by it, except that
///
/// * half a surrogate pair (`"\ud800"`) stands for U+FFFD, as in Go's `encoding/json` and so in kube-apiserver;
/// * numbers beyond the range of a double are kept, as their text;
/// * 512 arrays and objects may lie inside one another, not 127;
/// * there are at most [`MAX_NODES`](crate::MAX_NODES) values.
///
/// Of duplicate keys the last wins. A byte order mark, control characters in strings, invalid UTF-8 and anything after the value are refused.
///
/// # Errors
/// What is wrong first, and where in the text.
pub fn from_json(text: &[u8]) -> Result<Vec<u8>, JsonError> {
    Ok(from_json_omitting(text, &[])?.0)
}

/// The document of a JSON text without the members at the given paths, and where in the text their values are.
///
/// A path is a list of keys from the root; it goes through objects only. The values left out are still checked for syntax and
/// depth, but not counted. Each range is in bytes of `text`, in the order of `omit`; `None` where there is no such member. As everywhere, the last
/// of duplicate members counts, also along the path.
///
/// # Errors
/// As [`from_json`].
pub fn from_json_omitting(text: &[u8], omit: &[&[&str]]) -> Result<(Vec<u8>, Ranges), JsonError> {
    match parse::Parser::new(text, omit).parse() {
        Ok(parsed) => Ok(parsed),
        Err((kind, offset)) => Err(JsonError::new(text, offset, kind)),
    }
}
