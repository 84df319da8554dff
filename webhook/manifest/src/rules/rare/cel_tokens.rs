//! The words, numbers, strings and signs of a CEL expression.

use super::super::check::shown;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token<'t> {
    Name(&'t str),
    Number,
    Text,
    Sign(&'t str),
}

pub(super) fn show(token: Token<'_>) -> String {
    match token {
        Token::Name(text) | Token::Sign(text) => format!("`{}`", shown(text)),
        Token::Number => "the number".into(),
        Token::Text => "the string".into(),
    }
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let length = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c => {
                at += 1;
                continue;
            }
            b'/' if rest.starts_with("//") => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            b'"' | b'\'' => push(&mut tokens, Token::Text, quoted(rest, false)?),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                let name = rest.get(..length).unwrap_or_default();
                let after = rest.get(length..).unwrap_or_default();
                let prefix = matches!(name.to_ascii_lowercase().as_str(), "r" | "b" | "br" | "rb");
                if prefix && after.starts_with(['"', '\'']) {
                    let raw = name.contains(['r', 'R']);
                    push(&mut tokens, Token::Text, length + quoted(after, raw)?)
                } else {
                    push(&mut tokens, Token::Name(name), length)
                }
            }
            b'0'..=b'9' => push(&mut tokens, Token::Number, number(rest)),
            b'.' if rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
                push(&mut tokens, Token::Number, number(rest))
            }
            // An escaped name of a field.
            b'`' => {
                let end = rest.get(1..).and_then(|rest| rest.find('`')).ok_or("a \"`\" is not closed")?;
                push(&mut tokens, Token::Name(rest.get(1..=end).unwrap_or_default()), end + 2)
            }
            _ => {
                const SIGNS: &[&str] = &[
                    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",",
                    "(", ")", "[", "]", "{", "}",
                ];
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let Some(sign) = sign else {
                    let odd = rest.chars().next().unwrap_or(' ');
                    return Err(format!("`{odd}` means nothing there"));
                };
                push(&mut tokens, Token::Sign(sign), sign.len())
            }
        };
        at += length;
    }
    Ok(tokens)
}

fn push<'t>(tokens: &mut Vec<Token<'t>>, token: Token<'t>, length: usize) -> usize {
    tokens.push(token);
    length
}

/// The length of a string with its quotes.
fn quoted(text: &str, raw: bool) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let quote = bytes.first().copied().unwrap_or(b'"');
    let triple = bytes.get(1) == Some(&quote) && bytes.get(2) == Some(&quote);
    let width = if triple { 3 } else { 1 };
    let mut at = width;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if !raw => at += 2,
            b'\n' | b'\r' if !triple => break,
            _ if byte == quote
                && bytes.get(at..at + width).is_some_and(|end| end.iter().all(|byte| *byte == quote)) =>
            {
                return Ok(at + width);
            }
            _ => at += 1,
        }
    }
    Err("a string is not closed".into())
}

fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    if text.starts_with("0x") {
        let length = 2 + bytes.iter().skip(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        return length + usize::from(matches!(bytes.get(length), Some(b'u' | b'U')));
    }
    let mut length = digits(0);
    let whole = length;
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length + usize::from(length == whole && matches!(bytes.get(length), Some(b'u' | b'U')))
}
