//! Escapes text for people: on a terminal, in a log, or in an answer that kubectl prints.
//!
//! Names, values and comments come from outside. Some characters control a terminal, end a line of a log, or change the
//! order of the shown text. CI systems run commands that a job prints, such as `::add-mask::` of GitHub. This module
//! replaces all of them by visible escapes. Everything that is printed passes through it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character is invisible, or changes how other characters are shown.
pub fn is_hidden(character: char) -> bool {
    match character {
        ' '..='~' => false,
        // Soft hyphen, combining grapheme joiner and fillers are invisible, or look like a blank.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{ffa0}' => true,
        // Zero width characters, line separators, and characters that change the direction of text.
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        // Byte order mark, annotations, tags.
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        // C0, DEL, C1.
        character => character.is_control(),
    }
}

/// Shortens a text of a guest that becomes part of one of our sentences.
pub(crate) fn words(text: impl Into<String>) -> String {
    cut(text.into(), 400)
}

/// Cleans a text of a guest. Hidden characters become blanks, and the text is cut to `most` characters.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    // A character has at least one byte, so short texts need no counting.
    if text.len() > most
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
        text.push('…');
    }
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) {
        return text;
    }
    text.chars().map(|character| if is_hidden(character) { ' ' } else { character }).collect()
}

/// Converts a text to one line. Line breaks become blanks, and hidden characters become escapes: `\x1b`, `\u202e`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, Breaks::Blanks, false)
}

/// Escapes a text of several lines. Line feeds and tabs stay.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, Breaks::Stay, false)
}

/// Like [`text`], but keeps the escapes of our own colours.
pub fn styled(text: &str) -> Cow<'_, str> {
    escaped(text, Breaks::Stay, true)
}

/// Escapes these characters in JSON, without changing its meaning. They occur only inside strings.
pub fn json(text: &str) -> Cow<'_, str> {
    let unseen = |character: char| is_hidden(character) && !matches!(character, '\n' | '\r' | '\t');
    if !text.chars().any(unseen) && !has_command(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        if unseen(character) || is_command(&text[at..], &out) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// A name as git writes it. With quotes, backslashes or hidden characters, it is in quotes and has the escapes of C.
pub fn quoted(name: &str) -> Cow<'_, str> {
    let special = |character: char| is_hidden(character) || matches!(character, '"' | '\\');
    if !name.contains(special) {
        return Cow::Borrowed(name);
    }
    let mut out = String::from("\"");
    for character in name.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            character if is_hidden(character) => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
            character => out.push(character),
        }
    }
    out.push('"');
    Cow::Owned(out)
}

/// Whether [`text`] would leave the text unchanged.
pub fn is_plain(text: &str) -> bool {
    let hidden = |(at, character): (usize, char)| match character {
        '\n' | '\t' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        character => is_hidden(character),
    };
    !text.char_indices().any(hidden) && !has_command(text)
}

#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    Blanks,
    Stay,
}

fn escaped(text: &str, breaks: Breaks, colours: bool) -> Cow<'_, str> {
    let suspicious = |byte: u8| !(b' '..=b'~').contains(&byte) && byte != b'\n';
    let broken = match breaks {
        Breaks::Blanks => text.contains('\n'),
        Breaks::Stay => text.contains("::"),
    };
    if !broken && !text.bytes().any(suspicious) && !has_command(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    // The offset up to which the text is one of our colours, and whether the line has only blanks so far.
    let (mut colour, mut begins) = (0, true);
    for (at, character) in text.char_indices() {
        let rest = &text[at..];
        if colours && character == '\u{1b}' {
            colour = at + length_of_colour(rest);
        }
        match character {
            _ if at < colour => out.push(character),
            '\n' | '\t' if breaks == Breaks::Stay => out.push(character),
            '\r' if rest.starts_with("\r\n") => {}
            '\n' | '\r' | '\t' if breaks == Breaks::Blanks => out.push(' '),
            ':' if breaks == Breaks::Stay && rest.starts_with("::") && begins => out.push_str("\\x3a"),
            '#' if is_command(rest, &out) => out.push_str("\\x23"),
            character if is_hidden(character) => escape(character, &mut out),
            character => out.push(character),
        }
        begins = character == '\n' || begins && character.is_whitespace();
    }
    Cow::Owned(out)
}

fn escape(character: char, out: &mut String) {
    let _ = match u32::from(character) {
        code @ ..=0xff => write!(out, "\\x{code:02x}"),
        code @ ..=0xffff => write!(out, "\\u{code:04x}"),
        code => write!(out, "\\U{code:08x}"),
    };
}

/// Commands of CI systems. `##[error]` of GitHub and `##vso[…]` of Azure count anywhere in a line, `##teamcity[` only
/// at its beginning.
const COMMANDS: [&str; 3] = ["#[", "#vso[", "#teamcity["];

/// Whether the next character is the second `#` of a command.
fn is_command(rest: &str, before: &str) -> bool {
    before.ends_with('#') && COMMANDS.iter().any(|command| rest.starts_with(command))
}

fn has_command(text: &str) -> bool {
    text.match_indices('#').any(|(at, _)| is_command(&text[at..], &text[..at]))
}

/// The length of a colour escape such as `ESC [ 1 ; 3 1 m`. 0 for any other text.
fn length_of_colour(rest: &str) -> usize {
    let Some(parameters) = rest.strip_prefix("\u{1b}[") else { return 0 };
    let length = parameters.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
    if parameters[length..].starts_with('m') { length + 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    const HIDDEN: [char; 24] = [
        '\0',
        '\u{7}',
        '\u{8}',
        '\u{b}',
        '\u{c}',
        '\u{1b}',
        '\u{7f}',
        '\u{80}',
        '\u{85}',
        '\u{90}',
        '\u{9b}',
        '\u{9d}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200d}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{e0041}',
    ];

    #[test]
    fn nothing_hidden_is_printed() {
        for character in HIDDEN {
            assert!(is_hidden(character), "{character:?}");
            let raw = format!("a{character}b");
            for printed in [line(&raw), text(&raw), styled(&raw), json(&raw), quoted(&raw)] {
                assert!(!printed.contains(character), "{character:?}");
                assert!(printed.contains('\\') && !is_plain(&raw), "{printed}");
            }
        }
        assert_eq!(line("a\u{1b}[2Jb\u{9b}1m\u{202e}c\u{e0041}"), "a\\x1b[2Jb\\x9b1m\\u202ec\\U000e0041");
        for plain in ["", "a b", "ä漢😀 → •", "a::b", "# a", "[#1]"] {
            assert_eq!((&*line(plain), &*text(plain), &*json(plain), &*quoted(plain)), (plain, plain, plain, plain));
        }
    }

    #[test]
    fn breaks() {
        assert_eq!(line("a\r\nb\nc\rd\te"), "a b c d e");
        assert_eq!(text("a\r\nb\n\tc\rd"), "a\nb\n\tc\\x0dd");
        assert!(is_plain("a\r\nb\n") && !is_plain("a\rb"));
    }

    #[test]
    fn no_command_of_a_ci_system() {
        let raw = "::error::a\n  ::add-mask::b\nc ::d\n##[group]e ##vso[task]f ###[x ##teamcity[";
        let printed =
            "\\x3a:error::a\n  \\x3a:add-mask::b\nc ::d\n#\\x23[group]e #\\x23vso[task]f ##\\x23[x #\\x23teamcity[";
        assert_eq!(text(raw), printed);
        assert!(!is_plain("##[x"));
        let value = serde_json::json!({"a": "##[error]\u{9b}\u{202e}\u{e0041}"});
        let printed = json(&value.to_string()).into_owned();
        assert!(!printed.contains("##[") && printed.is_ascii(), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

    #[test]
    fn only_colours_of_ours_stay() {
        assert_eq!(styled("\u{1b}[1;31mx\u{1b}[0m"), "\u{1b}[1;31mx\u{1b}[0m");
        assert_eq!(styled("\u{1b}[2Jx\u{1b}]0;t\u{7}"), "\\x1b[2Jx\\x1b]0;t\\x07");
    }

    #[test]
    fn names_as_git_writes_them() {
        assert_eq!(quoted("a/b c.yaml"), "a/b c.yaml");
        assert_eq!(quoted("a/\n.yaml"), r#""a/\n.yaml""#);
        assert_eq!(quoted("a/\u{1b}\"\\\u{9b}ä"), r#""a/\033\"\\\302\233ä""#);
    }
}
