//! Differences between YAML 1.2 (saphyr-parser) and go-yaml v2: bridged if possible, else rejected with a reason.

use std::borrow::Cow;

use super::tree::Fault;
use super::trivia::quoted_end;

/// Message for a tab that kubectl rejects too.
pub(super) const TAB: &str = "kubectl accepts no tab here; write spaces";

/// The parser's message for a colon without a blank after it. The parser does not accept a tab there.
const COLON: &str = "':' must be followed by a valid YAML whitespace";

/// The parser's message for a line of a quoted string that is not indented.
const QUOTED: &str = "invalid indentation in quoted scalar";

/// Placeholders for a deleted byte and for a line break in a quoted string that [`fold`] put on one line. A text can't
/// contain these characters ([`refuse_characters`]).
const NOTHING: char = '\u{1}';
const BREAK: char = '\u{2}';

/// Changes a text that YAML 1.2 rejects and go-yaml accepts, if replacing blanks by blanks is enough. So all places
/// stay the same.
pub(super) fn bridge(text: &str, at: usize, message: &str) -> Option<String> {
    let range = match message {
        // `key:<tab>value`
        COLON => text[..at].trim_end_matches([' ', '\t']).len()..at,
        // Inside brackets, go-yaml ignores indentation.
        "invalid indentation" | "invalid indentation in flow construct" => {
            let mut start = text[..at].trim_end_matches([' ', '\t', '\r', '\n']).len();
            loop {
                let line = text[..start].rfind(['\n', '\r']).map_or(0, |line| line + 1);
                if !text[line..start].contains('#') {
                    break;
                }
                // After other text, `#` may begin a comment or not.
                if !text[line..start].trim_start().starts_with('#') {
                    return None;
                }
                start = text[..line].trim_end_matches([' ', '\t', '\r', '\n']).len();
                // The text on both sides would become one scalar.
                if !text[..start].ends_with([',', '[', '{', ':']) && !text[at..].starts_with([',', ']', '}']) {
                    return None;
                }
            }
            start..at
        }
        QUOTED => return fold(text, at),
        _ => return None,
    };
    let blanks = " ".repeat(range.len());
    // The parser counts characters, and we count bytes, so neither number may change. A second attempt at the same
    // place would change nothing.
    if range.is_empty() || !text[range.clone()].is_ascii() || blanks == text[range.clone()] {
        return None;
    }
    Some(format!("{}{blanks}{}", &text[..range.start], &text[range.end..]))
}

/// Puts a quoted string on one line with the same number of bytes, because go-yaml ignores the indentation of its
/// lines. [`unfold`] restores the value.
fn fold(text: &str, at: usize) -> Option<String> {
    let escape = match text.as_bytes().get(at)? {
        b'\'' => b'\'',
        b'"' => b'\\',
        _ => return None,
    };
    let end = quoted_end(text, at, *text.as_bytes().get(at)?, escape);
    let (quoted, after) = (text.get(at..end)?, text.get(end..)?);
    // A key is on one line. `unfold` would mistake these escapes for its placeholders.
    let is_key = after.trim_start_matches([' ', '\t']).starts_with(':');
    if is_key || escape == b'\\' && ["\\x0", "\\u000", "\\U0000000"].iter().any(|own| quoted.contains(own)) {
        return None;
    }
    let mut folded = String::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(line) = rest.find(['\n', '\r']) {
        let start = rest[..line].trim_end_matches([' ', '\t']).len();
        let after = rest[line..].trim_start_matches([' ', '\t', '\n', '\r']);
        let gap = &rest[start..rest.len() - after.len()];
        let breaks = gap.replace("\r\n", "\n").matches(['\n', '\r']).count();
        let is_marker = ["---", "..."].iter().any(|marker| after.starts_with(marker));
        // A backslash at the end of a line has a special meaning. Tabs are left to the parser.
        if gap.contains('\t') || is_marker || escape == b'\\' && rest[..start].ends_with('\\') {
            return None;
        }
        folded.push_str(&rest[..start]);
        match breaks {
            1 => folded.push(' '),
            _ => folded.extend(std::iter::repeat_n(BREAK, breaks - 1)),
        }
        folded.extend(std::iter::repeat_n(NOTHING, gap.len() - breaks.max(2) + 1));
        rest = after;
    }
    let is_new = rest.len() < quoted.len();
    folded.push_str(rest);
    is_new.then(|| format!("{}{folded}{after}", &text[..at]))
}

/// The value of a scalar. `raw` is its text as the parser read it.
pub(super) fn unfold<'a>(value: Cow<'a, str>, raw: &str) -> Cow<'a, str> {
    if raw.contains([NOTHING, BREAK]) { Cow::Owned(value.replace(NOTHING, "").replace(BREAK, "\n")) } else { value }
}

/// Rejects names of anchors with characters that YAML 1.2 allows and go-yaml does not. Also rejects tags with brackets,
/// because both disagree about their end.
pub(super) fn refuse_name(word: &str, at: usize) -> Result<(), Fault> {
    if word.starts_with('!') && word.contains(['[', '{']) {
        return Err(Fault::new(at, "a bracket in a tag is not supported; write a space before it"));
    }
    let Some(name) = word.strip_prefix(['&', '*']) else { return Ok(()) };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.bytes().all(letter) {
        return Ok(());
    }
    Err(Fault::new(
        at,
        "kubectl accepts only letters, digits, `-` and `_` in the name of an anchor, and a space after it",
    ))
}

/// Message for an input with too many places to bridge, because each takes another reading.
pub(super) fn too_many(message: &str) -> &'static str {
    match message {
        COLON => "the input has too many tabs after colons; replace them with spaces, or check fewer files at once",
        _ => {
            "the input has too many lines inside brackets or quotes that are not indented; indent them, or check fewer \
             files at once"
        }
    }
}

/// The place and message of an error of the parser, in words of the file. For a tab, the parser has a general message,
/// and points at the text after the tab.
pub(super) fn explain(text: &str, at: usize, message: String) -> (usize, String) {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let is_about_blanks = message.contains("tab") || message.ends_with("must be followed by a valid YAML whitespace");
    match message.as_str() {
        QUOTED => (at, "the lines of a quoted string must be indented deeper than its key or dash".to_owned()),
        _ if is_about_blanks && (before.ends_with('\t') || after.starts_with('\t')) => {
            let from = before.trim_end_matches([' ', '\t']).len();
            (text[from..].find('\t').map_or(at, |tab| from + tab), TAB.to_owned())
        }
        // The parser points at the beginning of the scalar that contains the tab.
        words if words.contains("tab") => (after.find('\t').map_or(at, |tab| at + tab), TAB.to_owned()),
        _ => (at, message),
    }
}

/// Rejects characters that go-yaml reads differently: it rejects control characters, and takes three characters for
/// line breaks that YAML 1.2 does not.
pub(super) fn refuse_characters(text: &str, base: usize) -> Result<(), Fault> {
    for (at, character) in text.char_indices() {
        let message = match character {
            // A carriage return is a line break in YAML, but kubectl separates documents only at line feeds.
            '\r' if ["---", "..."].iter().any(|marker| text[at + 1..].starts_with(marker)) => {
                "is no line break for kubectl before the marker of a document"
            }
            '\t' | '\n' | '\r' | ' '..='~' => continue,
            '\u{85}' | '\u{2028}' | '\u{2029}' => "is a line break for kubectl",
            '\0'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => "is not allowed in YAML",
            // A byte order mark at the beginning of the file was already skipped, and is not in `text`. Before a key,
            // kubectl takes it for a part of the key.
            '\u{feff}' if at == 0 || text[..at].trim_end_matches([' ', '\t']).ends_with(['\n', '\r']) => {
                "is a byte order mark, which is only allowed at the beginning of a file"
            }
            _ => continue,
        };
        return Err(Fault::new(
            base + at,
            format!("the character U+{:04X} {message}; write it as an escape in double quotes", u32::from(character)),
        ));
    }
    Ok(())
}
