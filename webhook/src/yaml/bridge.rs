//! Where YAML 1.2, which saphyr-parser reads, and go-yaml v2 part: bridged if that can be, else refused with a reason.

use std::borrow::Cow;

use super::tree::Fault;
use super::trivia::quoted_end;

/// Said of a tab that kubectl refuses, too.
pub(super) const TAB: &str = "a tab where kubectl takes only spaces; write spaces instead";

/// The parser's words for a colon without a blank behind it. It takes a tab for none.
const COLON: &str = "':' must be followed by a valid YAML whitespace";

/// The parser's words for a line of a quoted string that is not indented.
const QUOTED: &str = "invalid indentation in quoted scalar";

/// Stand for nothing, and for a line break, in a quoted string that [`fold`] has put on one line. No text may have these
/// characters ([`refuse_characters`]).
const NOTHING: char = '\u{1}';
const BREAK: char = '\u{2}';

/// What YAML 1.2 refuses and go-yaml takes, as far as blanks can be exchanged for blanks: places stay where they are.
pub(super) fn bridge(text: &str, at: usize, message: &str) -> Option<String> {
    let range = match message {
        // `key:<tab>value`
        COLON => text[..at].trim_end_matches([' ', '\t']).len()..at,
        // Within brackets, go-yaml minds no indentation: as if it were all on one line.
        "invalid indentation" | "invalid indentation in flow construct" => {
            let mut start = text[..at].trim_end_matches([' ', '\t', '\r', '\n']).len();
            loop {
                let line = text[..start].rfind(['\n', '\r']).map_or(0, |line| line + 1);
                if !text[line..start].contains('#') {
                    break;
                }
                // Behind something else it may be a comment or not.
                if !text[line..start].trim_start().starts_with('#') {
                    return None;
                }
                start = text[..line].trim_end_matches([' ', '\t', '\r', '\n']).len();
                // Text on both sides would become one scalar.
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
    // The parser counts characters, we count bytes: neither may change. And a second try at one place is none.
    if range.is_empty() || !text[range.clone()].is_ascii() || blanks == text[range.clone()] {
        return None;
    }
    Some(format!("{}{blanks}{}", &text[..range.start], &text[range.end..]))
}

/// Puts a quoted string on one line, with as many bytes: go-yaml minds no indentation of its lines. [`unfold`] makes its value.
fn fold(text: &str, at: usize) -> Option<String> {
    let escape = match text.as_bytes().get(at)? {
        b'\'' => b'\'',
        b'"' => b'\\',
        _ => return None,
    };
    let end = quoted_end(text, at, *text.as_bytes().get(at)?, escape);
    let (quoted, after) = (text.get(at..end)?, text.get(end..)?);
    // A key has one line. These escapes are what `unfold` takes for its own.
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
        // A backslash ends a line in a way of its own, and tabs are for the parser to judge.
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

/// The value of a scalar, where `raw` is how the parser has read it.
pub(super) fn unfold<'a>(value: Cow<'a, str>, raw: &str) -> Cow<'a, str> {
    if raw.contains([NOTHING, BREAK]) { Cow::Owned(value.replace(NOTHING, "").replace(BREAK, "\n")) } else { value }
}

/// YAML 1.2 takes nearly every character for a part of an anchor's name, go-yaml few. Where a tag with brackets ends, the two
/// do not agree, and nobody needs one.
pub(super) fn refuse_name(word: &str, at: usize) -> Result<(), Fault> {
    if word.starts_with('!') && word.contains(['[', '{']) {
        return Err(Fault::new(at, "a bracket in a tag is not supported; put a blank before it"));
    }
    let Some(name) = word.strip_prefix(['&', '*']) else { return Ok(()) };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.bytes().all(letter) {
        return Ok(());
    }
    Err(Fault::new(
        at,
        "kubectl takes only letters, digits, `-` and `_` in the name of an anchor, and a blank behind it",
    ))
}

/// Said where an input has more places to bridge than may be read again.
pub(super) fn too_many(message: &str) -> &'static str {
    match message {
        COLON => "the input has too many tabs behind colons; replace them with spaces, or check fewer files at once",
        _ => {
            "the input has too many lines within brackets or quotes that are not indented; indent them, or check fewer \
             files at once"
        }
    }
}

/// What is wrong in words of the file, and where. The parser has general words for a tab, and points at what follows it.
pub(super) fn explain(text: &str, at: usize, message: String) -> (usize, String) {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let is_about_blanks = message.contains("tab") || message.ends_with("must be followed by a valid YAML whitespace");
    match message.as_str() {
        QUOTED => (at, "the lines of a quoted string must be indented deeper than what it belongs to".to_owned()),
        _ if is_about_blanks && (before.ends_with('\t') || after.starts_with('\t')) => {
            let from = before.trim_end_matches([' ', '\t']).len();
            (text[from..].find('\t').map_or(at, |tab| from + tab), TAB.to_owned())
        }
        // It points at the beginning of the scalar that has the tab.
        words if words.contains("tab") => (after.find('\t').map_or(at, |tab| at + tab), TAB.to_owned()),
        _ => (at, message),
    }
}

/// go-yaml refuses control characters, and three characters are line breaks to it that are none to YAML 1.2. Rather
/// than read such a file in another way than the cluster does, say so.
pub(super) fn refuse_characters(text: &str, base: usize) -> Result<(), Fault> {
    for (at, character) in text.char_indices() {
        let message = match character {
            // A line break to YAML, where kubectl looks for line feeds to tell documents apart.
            '\r' if ["---", "..."].iter().any(|marker| text[at + 1..].starts_with(marker)) => {
                "before a document's marker is no line break to kubectl"
            }
            '\t' | '\n' | '\r' | ' '..='~' => continue,
            '\u{85}' | '\u{2028}' | '\u{2029}' => "is a line break to kubectl",
            '\0'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => "is not allowed in YAML",
            // At the very beginning, which is not in `text`, one is skipped by all. Elsewhere ahead of a key, kubectl takes it for
            // a part of that.
            '\u{feff}' if at == 0 || text[..at].trim_end_matches([' ', '\t']).ends_with(['\n', '\r']) => {
                "is a byte order mark, which only the first line of a file begins with"
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
