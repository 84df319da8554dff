//! Where YAML 1.2, which saphyr-parser reads, and go-yaml v2 part: bridged if that can be, else refused with a reason.

use super::tree::Fault;

/// Said of a tab that kubectl refuses, too.
pub(super) const TAB: &str = "a tab where kubectl takes only spaces; write spaces instead";

/// The parser's words for a colon without a blank behind it. It takes a tab for none.
const COLON: &str = "':' must be followed by a valid YAML whitespace";

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
        _ => return None,
    };
    let blanks = " ".repeat(range.len());
    // The parser counts characters, we count bytes: neither may change. And a second try at one place is none.
    if range.is_empty() || !text[range.clone()].is_ascii() || blanks == text[range.clone()] {
        return None;
    }
    Some(format!("{}{blanks}{}", &text[..range.start], &text[range.end..]))
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
            "the input has too many lines within brackets that are not indented; indent them, or check fewer files at once"
        }
    }
}

/// What is wrong in words of the file, and where. The parser has general words for a tab, and points at what follows it.
pub(super) fn explain(text: &str, at: usize, message: String) -> (usize, String) {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let is_about_blanks = message.contains("tab") || message.ends_with("must be followed by a valid YAML whitespace");
    match message.as_str() {
        "invalid indentation in quoted scalar" => {
            (at, "the lines of a quoted string must be indented deeper than what it belongs to".to_owned())
        }
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
