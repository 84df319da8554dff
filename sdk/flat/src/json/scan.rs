//! The tokens of JSON: plain text, escapes, numbers, white space.

use super::JsonErrorKind as Kind;
use crate::layout::ONES;

/// A mistake and its position, before line and column are computed.
pub(super) type Fault = (Kind, usize);

/// End of the plain string content that starts at `at`: a quote, a backslash, a control character or the end of the
/// text.
#[inline]
pub(super) fn plain(text: &[u8], mut at: usize) -> usize {
    // Eight bytes at a time. In each byte of `special` the high bit marks a quote, a control character or a backslash.
    // A borrow may set bits above the first real mark, and never below it.
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        // Flipping bit 1 swaps the quote (0x22) with the space (0x20), next to the control characters.
        let low = (word ^ (ONES * 2)).wrapping_sub(ONES * 0x21);
        let slash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
        let special = (low | slash) & !word & (ONES * 0x80);
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = text.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        at += 1;
    }
    at
}

/// End of the white space at `at`.
#[inline]
pub(super) fn space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
    }
    at
}

/// Reads the escape with its backslash at `at`. Returns the character and the end of the escape.
#[cold]
pub(super) fn escape(text: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let Some(&letter) = text.get(at + 1) else {
        return Err((Kind::UnexpectedEnd, text.len()));
    };
    let character = match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text, at),
        _ => return Err((Kind::InvalidEscape, at)),
    };
    Ok((character, at + 2))
}

/// Reads `\uXXXX`, and the second half of a pair with it. A single half becomes U+FFFD.
fn unicode(text: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let unit = hex(text, at)?;
    let next = at + 6;
    if let Some(character) = char::from_u32(unit) {
        return Ok((character, next));
    }
    // If the next escape does not complete a first half, it counts on its own, and is read (or rejected) later.
    if unit < 0xdc00
        && text.get(next..next + 2) == Some(b"\\u")
        && let Ok(second @ 0xdc00..=0xdfff) = hex(text, next)
        && let Some(character) = char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00))
    {
        return Ok((character, next + 6));
    }
    Ok((char::REPLACEMENT_CHARACTER, next))
}

fn hex(text: &[u8], at: usize) -> Result<u32, Fault> {
    let mut value = 0;
    for index in at + 2..at + 6 {
        let Some(&byte) = text.get(index) else {
            return Err((Kind::UnexpectedEnd, text.len()));
        };
        let Some(digit) = char::from(byte).to_digit(16) else {
            return Err((Kind::InvalidEscape, at));
        };
        value = value << 4 | digit;
    }
    Ok(value)
}

/// End of the literal `word`, which must start at `at`.
pub(super) fn literal(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Fault> {
    let rest = &text[at..];
    if rest.starts_with(word) {
        Ok(at + word.len())
    } else if word.starts_with(rest) {
        Err((Kind::UnexpectedEnd, text.len()))
    } else {
        Err((Kind::ExpectedValue, at))
    }
}

/// A scanned number.
pub(super) enum Scanned {
    /// Only digits, few enough for an `i64`.
    Small(i64),
    /// Any other number. The caller reads its text.
    Other,
}

/// Reads the number at `at`. Returns the number and its end.
#[inline]
pub(super) fn number(text: &[u8], at: usize) -> Result<(Scanned, usize), Fault> {
    let negative = text.get(at) == Some(&b'-');
    let first = at + usize::from(negative);
    let mut end = first;
    let mut value: i64 = 0;
    while let Some(digit @ b'0'..=b'9') = text.get(end) {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        end += 1;
    }
    let count = end - first;
    if count == 0 {
        return Err(unfinished(text, end));
    }
    if count > 1 && text.get(first) == Some(&b'0') {
        return Err((Kind::InvalidNumber, at));
    }
    if let Some(b'.' | b'e' | b'E') = text.get(end) {
        return Ok((Scanned::Other, fraction(text, end)?));
    }
    // Every number of 18 digits fits. `-0` is not the integer 0.
    let small = count <= 18 && !(negative && value == 0);
    let scanned = if small { Scanned::Small(if negative { -value } else { value }) } else { Scanned::Other };
    Ok((scanned, end))
}

fn fraction(text: &[u8], mut at: usize) -> Result<usize, Fault> {
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let signed = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits(text, at + 1 + usize::from(signed))?;
    }
    Ok(at)
}

/// End of the digits that must start at `at`.
fn digits(text: &[u8], at: usize) -> Result<usize, Fault> {
    let count = text.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(unfinished(text, at)) } else { Ok(at + count) }
}

fn unfinished(text: &[u8], at: usize) -> Fault {
    if at >= text.len() { (Kind::UnexpectedEnd, text.len()) } else { (Kind::InvalidNumber, at) }
}
