//! Skips the text between the tokens of a document.

/// The offset after the closing quote. The parser's own mark may be after a comment that follows.
pub(super) fn quoted_end(text: &str, content: usize, quote: u8, escape: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = content + 1;
    while let Some(byte) = bytes.get(at) {
        if *byte == escape && (escape != quote || bytes.get(at + 1) == Some(&quote)) {
            at += 2;
            continue;
        }
        at += 1;
        if *byte == quote {
            break;
        }
    }
    at.min(bytes.len())
}

/// The offset of the next byte that is neither blank nor part of a comment.
pub(super) fn skip_trivia(text: &str, from: usize) -> usize {
    skip(text, from, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

/// The same inside brackets, where commas are skipped too.
pub(super) fn skip_commas(text: &str, from: usize) -> usize {
    skip(text, from, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b','))
}

/// The offset of the next byte that is not blank.
pub(super) fn skip_blanks(text: &str, from: usize) -> usize {
    text.len() - text[from..].trim_start_matches([' ', '\t', '\n', '\r']).len()
}

fn skip(text: &str, from: usize, blank: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'#' {
            at = text[at..].find(['\n', '\r']).map_or(bytes.len(), |length| at + length);
        } else if blank(*byte) {
            at += 1;
        } else {
            break;
        }
    }
    at
}

/// `...`
pub(super) fn is_end_marker(text: &str) -> bool {
    text.strip_prefix("...").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}
