//! Writes JSON values as YAML, in common styles, with quotes only if a string needs them.

use serde_json::Value;

use super::scalar::{self, Scalar};
use super::tree::Style;

/// The indentation of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    /// Columns per level.
    pub(super) step: usize,
    /// Columns between a key and the dashes of its sequence.
    pub(super) dash: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Context {
    Block,
    /// Inside brackets, where commas and brackets end a plain scalar.
    Flow,
}

/// Whether a value needs its own lines in block style. Only non-empty collections do.
pub(super) fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// The lines of a value in block style, without indentation. The first line may follow a dash.
pub(super) fn block(value: &Value, format: Format) -> Vec<String> {
    let mut lines = Vec::new();
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                lines.extend(entry(name, value, format));
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for value in items {
                lines.extend(item(value, format));
            }
        }
        _ => lines.extend(leaf(value, format)),
    }
    lines
}

/// The lines of `key: value`.
pub(super) fn entry(name: &str, value: &Value, format: Format) -> Vec<String> {
    let key = string(name, Context::Block, Style::Plain);
    if !is_nested(value) {
        let mut lines = leaf(value, format);
        if let Some(first) = lines.first_mut() {
            *first = format!("{key}: {first}");
        }
        return lines;
    }
    let shift = if value.is_array() { format.dash } else { format.step };
    let mut lines = vec![format!("{key}:")];
    lines.extend(block(value, format).into_iter().map(|line| indented(&line, shift)));
    lines
}

/// The lines of `- value`.
pub(super) fn item(value: &Value, format: Format) -> Vec<String> {
    let lines = block(value, format).into_iter().enumerate();
    lines.map(|(number, line)| if number == 0 { format!("- {line}") } else { indented(&line, 2) }).collect()
}

/// Indents a line. Blank lines of a literal stay empty.
pub(super) fn indented(line: &str, columns: usize) -> String {
    if line.is_empty() { String::new() } else { format!("{:columns$}{line}", "") }
}

/// A value on one line. Collections are in flow style.
pub(super) fn flow(value: &Value, context: Context, style: Style) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<_> = map.iter().map(|(name, value)| pair(name, value)).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|value| flow(value, Context::Flow, Style::Plain)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => string(text, context, style),
        other => other.to_string(),
    }
}

/// `key: value` in flow style.
pub(super) fn pair(name: &str, value: &Value) -> String {
    format!("{}: {}", string(name, Context::Flow, Style::Plain), flow(value, Context::Flow, Style::Plain))
}

/// A string in the style of the one it replaces, if that style can express it.
pub(super) fn string(text: &str, context: Context, style: Style) -> String {
    let printable = text.chars().all(is_printable);
    match style {
        Style::SingleQuoted if printable => format!("'{}'", text.replace('\'', "''")),
        Style::DoubleQuoted => double_quoted(text),
        _ if printable && is_plain(text, context) => text.to_owned(),
        _ => double_quoted(text),
    }
}

fn leaf(value: &Value, format: Format) -> Vec<String> {
    match value {
        Value::String(text) => {
            literal(text, format).unwrap_or_else(|| vec![string(text, Context::Block, Style::Plain)])
        }
        other => vec![other.to_string()],
    }
}

/// Several lines as a literal block, if that shows every character.
fn literal(text: &str, format: Format) -> Option<Vec<String>> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let plain = body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\t', '\n'])
        && body.split('\n').all(|line| line.chars().all(is_printable) && !line.ends_with([' ', '\t']));
    if !plain {
        return None;
    }
    let header = if text.len() == body.len() { "|-" } else { "|" };
    Some(std::iter::once(header.to_owned()).chain(body.split('\n').map(|line| indented(line, format.step))).collect())
}

fn is_printable(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether kubectl and parsers of YAML 1.1 and 1.2 read the plain text as this string.
fn is_plain(text: &str, context: Context) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let resolves = !matches!(scalar::resolve(text, true, None), Ok(Scalar::Str(_)));
    // Other parsers read these as dates or as numbers of base 60.
    let numeric = first.is_ascii_digit()
        && text.chars().all(|character| matches!(character, '0'..='9' | ':' | '-' | '.' | 'T' | 'Z' | '+' | ' ' | '_'))
        && text.contains([':', '-']);
    let starts_well = first.is_alphanumeric()
        || matches!(first, '/' | '.' | '_' | '(' | '$' | '^' | '+' | ';' | '\\')
        || first == '-'
            && text.chars().nth(1).is_some_and(|next| next.is_alphanumeric() || next == '-')
            && !text.starts_with("---");
    let stops = text.contains(": ") || text.contains(" #") || text.ends_with([' ', ':']) || text.starts_with("...");
    let stops_in_flow = context == Context::Flow && text.contains([',', '[', ']', '{', '}', ':', '?']);
    starts_well && !resolves && !numeric && !stops && !stops_in_flow
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if is_printable(character) => out.push(character),
            _ => out.push_str(&format!("\\u{:04x}", u32::from(character))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FORMAT: Format = Format { step: 2, dash: 0 };

    #[test]
    fn block_style() {
        let value = json!({"a": {"b": [1, {"c": "no", "d": null}, [2, []]]}, "e": "x\ny\n", "f": {}});
        let lines = block(&value, FORMAT).join("\n");
        assert_eq!(lines, "a:\n  b:\n  - 1\n  - c: \"no\"\n    d: null\n  - - 2\n    - []\ne: |\n  x\n  y\nf: {}");
    }

    #[test]
    fn quotes() {
        for (text, written) in [
            ("nginx:1.25", "nginx:1.25"),
            ("100m", "100m"),
            ("0.5", "\"0.5\""),
            ("", "\"\""),
            ("010", "\"010\""),
            ("y", "\"y\""),
            ("a: b", "\"a: b\""),
            ("a #b", "\"a #b\""),
            ("-1", "\"-1\""),
            ("--flag=1", "--flag=1"),
            ("2001-01-01", "\"2001-01-01\""),
            ("12:30", "\"12:30\""),
            ("*", "\"*\""),
            ("tab\t", "\"tab\\t\""),
            ("é", "é"),
            ("a\u{85}", "\"a\\u0085\""),
            ("app=x, y", "app=x, y"),
        ] {
            assert_eq!(string(text, Context::Block, Style::Plain), written);
        }
        assert_eq!(string("it's", Context::Block, Style::SingleQuoted), "'it''s'");
        assert_eq!(string("a,b", Context::Flow, Style::Plain), "\"a,b\"");
        assert_eq!(flow(&json!({"a": ["b", 1], "c": {}}), Context::Block, Style::Plain), "{a: [b, 1], c: {}}");
    }
}
