//! Values as compact JSON text.

use crate::{Kind, Node, Number};

/// Appends `node` as compact JSON. Damaged parts print as `null`.
pub(crate) fn write_json(node: Node<'_>, out: &mut String) {
    match node.kind() {
        Kind::Null => out.push_str("null"),
        Kind::Bool => out.push_str(if node.as_bool() == Some(true) { "true" } else { "false" }),
        Kind::Number => number(node, out),
        Kind::String => string(node.as_str().unwrap_or_default(), out),
        Kind::Array => {
            out.push('[');
            for (index, item) in node.items().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Kind::Object => {
            out.push('{');
            for (index, (key, value)) in node.members().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                string(key, out);
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
    }
}

/// Appends the digits of `value` without `fmt`, whose code would make a small guest larger.
pub(crate) fn integer(mut value: u64, out: &mut String) {
    let mut digits = [0; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    for &digit in digits.iter().skip(20 - length) {
        out.push(char::from(digit));
    }
}

fn number(node: Node<'_>, out: &mut String) {
    match node.number() {
        Some(Number::I64(value)) => {
            if value < 0 {
                out.push('-');
            }
            integer(value.unsigned_abs(), out);
        }
        Some(Number::U64(value)) => integer(value, out),
        Some(Number::F64(value)) if value.is_finite() => out.push_str(zmij::Buffer::new().format_finite(value)),
        Some(Number::Text(text)) => out.push_str(text),
        Some(Number::F64(_)) | None => out.push_str("null"),
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let byte = special.as_bytes()[0];
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => {
                out.push_str(if byte < 0x10 { "\\u000" } else { "\\u001" });
                out.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
            }
        }
        rest = &special[1..];
    }
    out.push_str(rest);
    out.push('"');
}
