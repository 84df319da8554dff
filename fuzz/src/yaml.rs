//! The YAML reader: every value is at the reported place, and no input takes long.

use plimsoll::yaml::{Document, Span, read};
use serde_json::Value;

use crate::same::pointers;

/// Any text as YAML.
pub const TARGET: crate::Target = crate::Target { name: "yaml", run, words: WORDS, bounded: 20_000 };

/// The targets fixer and policy_sets use these words too.
pub(crate) const WORDS: &[&str] = &[
    "---\n",
    "\n---\n",
    "...\n",
    "--- # c\n",
    "- ",
    "\n- ",
    "\n  - ",
    "- - ",
    "? ",
    ": ",
    ":\n",
    ":\n  ",
    "\n  ",
    "\n    ",
    "&a ",
    "*a",
    "<<: *a",
    "<<: [*a, *b]",
    "!!str ",
    "!!int ",
    "!!binary ",
    "!x ",
    "|\n  ",
    "|-\n  ",
    "|+\n  ",
    ">\n  ",
    ">2-\n  ",
    "|1\n ",
    "'",
    "''",
    "\"",
    "\\\"",
    "\\x41",
    "\\u00e9",
    "\\\n",
    "{a: 1}",
    "{a: 1, b: [2]}",
    "[a, b]",
    "[a: b]",
    "{}",
    "[]",
    "{\"a\":",
    "# c\n",
    " # c",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é",
    "😀",
    "010",
    "0x1F",
    "0b1",
    "1_000",
    "1e3",
    ".inf",
    ".nan",
    "~",
    "null",
    "no",
    "yes",
    "2001-01-01",
    "1:30",
    "18446744073709551615",
    "%YAML 1.1\n",
    "{{ .Values.x }}",
    "@",
    "`",
    "%",
    "a: b",
    "k:",
    "-\n",
    "=",
];

/// Maximum time for an input, on any machine.
const SLOW: std::time::Duration = std::time::Duration::from_secs(10);

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let began = std::time::Instant::now();
    let results = read(&text);
    assert!(began.elapsed() < SLOW, "read in {:?}", began.elapsed());
    let mut end = 0;
    for result in &results {
        match result {
            Ok(document) => {
                let range = document.range();
                assert!(
                    end <= range.start && range.start < range.end && range.end <= text.len(),
                    "{range:?} after {end}"
                );
                end = range.end;
                stands(&text, document);
                again(document.value());
            }
            Err(error) => {
                assert!(!error.message.is_empty());
                // The reader's message for an impossible state.
                assert!(!error.message.contains("please report it"), "{error}");
                assert!(is_inside(&text, error.line, error.column), "{error} is outside of the text");
            }
        }
    }
}

/// Whether the text has this place, or it is the end of a line or of the text.
pub(crate) fn is_inside(text: &str, line: usize, column: usize) -> bool {
    let Some(found) = line.checked_sub(1).and_then(|line| text.split('\n').nth(line)) else { return false };
    (1..=found.chars().count() + 1).contains(&column)
}

/// Every value is in the text at its reported line and column, inside of its parent. A scalar that is read alone has
/// the same value.
fn stands(text: &str, document: &Document) {
    for comment in document.comments() {
        let written = &text[comment.range.clone()];
        assert!(written.starts_with('#') && !written.contains('\n'), "{written:?} is no comment");
        assert_eq!(text[..comment.range.start].matches('\n').count() + 1, comment.line);
    }
    for pointer in pointers(document.value(), 300) {
        let place = document.locate(&pointer).unwrap_or_else(|| panic!("{pointer} stands nowhere"));
        for span in [Some(place.value), place.key].into_iter().flatten() {
            lies(text, document, span);
        }
        let Some(value) = document.value().pointer(&pointer) else { panic!("{pointer} names nothing") };
        if !value.is_array() && !value.is_object() {
            means(text, document, place.value, value);
        }
    }
}

fn lies(text: &str, document: &Document, span: Span) {
    let range = document.range();
    assert!(
        range.start <= span.start && span.start <= span.end && span.end <= range.end,
        "{span:?} is outside of {range:?}"
    );
    for (at, line, column) in [(span.start, span.line, span.column), (span.end, span.end_line, span.end_column)] {
        let before = &text[..at];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let characters = before[start..].chars().filter(|character| start > 0 || *character != '\u{feff}' || at == 0);
        assert_eq!(line, before.matches('\n').count() + 1, "{span:?}");
        // A byte order mark only counts as a column in the middle of a line.
        let marks = usize::from(start == 0 && at > 0 && text.starts_with('\u{feff}'));
        let all = before[start..].chars().count() + 1 - marks;
        assert!(column == all || column == characters.count() + 1, "{span:?} is at column {all}");
    }
}

/// A scalar of one line is cut out, and must be read as the same value.
fn means(text: &str, document: &Document, span: Span, value: &Value) {
    let written = &text[span.start..span.end];
    // A tag may stand at a distance from its value.
    let tagged = text[document.range().start..span.start].contains('!');
    if tagged || written.contains(['\n', '\r']) || written.starts_with(['|', '>', '*']) {
        return;
    }
    let alone = |text: String| match read(&text).pop() {
        Some(Ok(document)) => document.value().get("v").cloned(),
        _ => None,
    };
    let (yaml, json) = (alone(format!("v: {written}\n")), alone(format!("{{\"v\": {written}}}")));
    assert!(
        yaml.as_ref() == Some(value) || json.as_ref() == Some(value),
        "{written:?} is {value}, and alone {yaml:?} or {json:?}"
    );
}

/// The value, written as JSON, is read as the same value.
fn again(value: &Value) {
    if value.is_object() {
        let json = value.to_string();
        match read(&json).as_slice() {
            [Ok(document)] => assert_eq!(document.value(), value),
            other => panic!("{json} is read as {other:?}"),
        }
    }
}
