//! Cuts a stream into documents as kubectl does (`YAMLReader` in apimachinery), before parsing.

use std::ops::Range;

/// A part of the stream that is parsed alone.
#[derive(Debug, PartialEq)]
pub(super) enum Chunk {
    Document(Range<usize>),
    /// A line with text after `---` that is not a comment, which kubectl rejects. The value is the offset of the text.
    BadSeparator(usize),
}

/// Cuts the text. Every line that begins with `---` ends a document. If the document is still empty, the line belongs
/// to it, so a `---` before a document is YAML's own marker.
pub(super) fn split(text: &str) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        let end = at + line.len();
        if let Some(rest) = line.strip_prefix("---") {
            let trimmed = rest.trim_start();
            if !trimmed.is_empty() && !trimmed.starts_with('#') {
                push(&mut chunks, start..at);
                chunks.push(Chunk::BadSeparator(end - trimmed.len()));
                start = end;
            } else if at > start {
                push(&mut chunks, start..at);
                start = end;
            }
        }
        at = end;
    }
    push(&mut chunks, start..at);
    chunks
}

fn push(chunks: &mut Vec<Chunk>, range: Range<usize>) {
    if !range.is_empty() {
        chunks.push(Chunk::Document(range));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        split(text)
            .into_iter()
            .map(|chunk| match chunk {
                Chunk::Document(range) => &text[range],
                Chunk::BadSeparator(_) => "BAD",
            })
            .collect()
    }

    #[test]
    fn separators() {
        assert_eq!(parts("a: 1\n---\nb: 2\n"), ["a: 1\n", "b: 2\n"]);
        assert_eq!(parts("---\na: 1\n--- # next\n---\nb: 2"), ["---\na: 1\n", "---\nb: 2"]);
        assert_eq!(parts("\u{feff}---\r\na: 1\r\n---   \r\nb: 2"), ["---\r\na: 1\r\n", "b: 2"]);
        assert_eq!(parts("a: |\n  ---\n ---\nb: 1\n"), ["a: |\n  ---\n ---\nb: 1\n"]);
        assert_eq!(parts(""), [""; 0]);
    }

    #[test]
    fn a_bad_separator_hides_nothing_else() {
        let text = "a: 1\n--- b: 2\nc: 3\n----\nd: 4\n";
        assert_eq!(parts(text), ["a: 1\n", "BAD", "c: 3\n", "BAD", "d: 4\n"]);
        assert_eq!(split(text)[1], Chunk::BadSeparator(text.find("b: 2").unwrap()));
    }
}
