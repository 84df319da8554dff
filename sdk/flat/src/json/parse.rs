//! The parser: one loop over the text, which appends nodes to a builder.

use std::ops::Range;

use super::scan::{self, Fault, Scanned};
use super::{JsonErrorKind as Kind, Ranges};
use crate::builder::Builder;
use crate::number::{self, Number};
use crate::{MAX_DEPTH, MAX_NODES, layout};

pub(super) struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    builder: Builder,
    nodes: usize,
    omit: Omit<'t>,
}

/// The next part of the text.
enum Next {
    Value,
    Done,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t [u8], omit: &'t [&'t [&'t str]]) -> Self {
        // Documents of Kubernetes objects are about half as large again as their text. Growing once more costs less
        // than space for the worst case.
        let capacity = if text.len() > u32::MAX as usize / 2 { 0 } else { text.len() + text.len() / 2 };
        Self { text, at: 0, builder: Builder::with_capacity(capacity), nodes: 0, omit: Omit::new(omit) }
    }

    pub(super) fn parse(mut self) -> Result<(Vec<u8>, Ranges), Fault> {
        // A value adds at most 25 bytes to its text: head, table entry, rank and count. So all offsets fit after this
        // check.
        if self.text.len() > u32::MAX as usize - 32 * MAX_NODES {
            return Err((Kind::TooLong, 0));
        }
        if self.text.starts_with(b"\xef\xbb\xbf") {
            return Err((Kind::ByteOrderMark, 0));
        }
        // Checked once for the whole text, so every part that is copied below is UTF-8.
        if let Err(error) = std::str::from_utf8(self.text) {
            return Err((Kind::InvalidUtf8, error.valid_up_to()));
        }
        loop {
            self.value()?;
            // `value` returns after a scalar or an empty container. Then containers end, or the next value follows.
            if let Next::Done = self.follow()? {
                break;
            }
        }
        self.space();
        if self.at < self.text.len() {
            return Err((Kind::TrailingCharacters, self.at));
        }
        Ok((self.builder.out, self.omit.found))
    }

    /// Reads a value up to its first scalar or empty container.
    #[inline]
    fn value(&mut self) -> Result<(), Fault> {
        loop {
            self.space();
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                return Err((Kind::TooManyNodes, self.at));
            }
            let Some(&byte) = self.text.get(self.at) else {
                return self.ended();
            };
            match byte {
                b'"' => {
                    self.at += 1;
                    self.builder.out.push(layout::STRING);
                    return self.string();
                }
                b'{' => {
                    self.begin(true)?;
                    if self.text.get(self.at) == Some(&b'}') {
                        self.end();
                        return Ok(());
                    }
                    if !self.key()? {
                        // Every member so far was omitted, and the object has ended.
                        return Ok(());
                    }
                }
                b'[' => {
                    self.begin(false)?;
                    if self.text.get(self.at) == Some(&b']') {
                        self.end();
                        return Ok(());
                    }
                    self.builder.item();
                }
                b'-' | b'0'..=b'9' => return self.number(),
                b't' => return self.literal(b"true", layout::TRUE),
                b'f' => return self.literal(b"false", layout::FALSE),
                b'n' => return self.literal(b"null", layout::NULL),
                _ => return Err((Kind::ExpectedValue, self.at)),
            }
        }
    }

    /// Reads the text after a value: the ends of containers, then a comma (and a key), or nothing.
    #[inline]
    fn follow(&mut self) -> Result<Next, Fault> {
        while let Some(object) = self.builder.in_object() {
            self.space();
            match self.text.get(self.at) {
                Some(b',') => {
                    self.at += 1;
                    if !object {
                        self.builder.item();
                        return Ok(Next::Value);
                    }
                    self.space();
                    if self.key()? {
                        return Ok(Next::Value);
                    }
                }
                Some(b'}') if object => self.end(),
                Some(b']') if !object => self.end(),
                Some(_) if object => return Err((Kind::ExpectedCommaOrBrace, self.at)),
                Some(_) => return Err((Kind::ExpectedCommaOrBracket, self.at)),
                None => return self.ended(),
            }
        }
        Ok(Next::Done)
    }

    fn begin(&mut self, object: bool) -> Result<(), Fault> {
        if self.builder.depth() == MAX_DEPTH {
            return Err((Kind::TooDeep, self.at));
        }
        self.at += 1;
        self.builder.begin(object);
        self.omit.begin(object);
        self.space();
        Ok(())
    }

    fn end(&mut self) {
        self.at += 1;
        self.builder.end();
        self.omit.end();
    }

    /// Reads keys and colons up to the next value that is not omitted. Returns false if the object ended first.
    #[inline]
    fn key(&mut self) -> Result<bool, Fault> {
        loop {
            match self.text.get(self.at) {
                Some(b'"') => self.at += 1,
                Some(_) => return Err((Kind::ExpectedKey, self.at)),
                None => return self.ended(),
            }
            let start = self.builder.out.len();
            self.string()?;
            self.space();
            match self.text.get(self.at) {
                Some(b':') => self.at += 1,
                Some(_) => return Err((Kind::ExpectedColon, self.at)),
                None => return self.ended(),
            }
            if !self.omit.is_active() || !self.omit.key(&self.builder.out[start + 4..]) {
                self.builder.member(start);
                return Ok(true);
            }
            self.builder.out.truncate(start);
            self.space();
            let from = self.at;
            self.skip()?;
            self.omit.skipped(from..self.at);
            self.space();
            match self.text.get(self.at) {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.end();
                    return Ok(false);
                }
                Some(_) => return Err((Kind::ExpectedCommaOrBrace, self.at)),
                None => return self.ended(),
            }
        }
    }

    /// Reads a string after its opening quote. Appends its length and its bytes.
    #[inline]
    fn string(&mut self) -> Result<(), Fault> {
        let end = scan::plain(self.text, self.at);
        if self.text.get(end) != Some(&b'"') {
            return self.escaped(end);
        }
        let length = end - self.at;
        let out = &mut self.builder.out;
        out.extend_from_slice(&(length as u32).to_le_bytes());
        // Most strings are short. A copy with a fixed size moves two registers, and needs no call.
        match self.text[self.at..].first_chunk::<16>() {
            Some(chunk) if length <= 16 => {
                let start = out.len();
                out.extend_from_slice(chunk);
                out.truncate(start + length);
            }
            _ => out.extend_from_slice(&self.text[self.at..end]),
        }
        self.at = end + 1;
        Ok(())
    }

    /// Reads the rest of a string. Its plain start ends at `end` with a character other than a quote.
    #[cold]
    fn escaped(&mut self, mut end: usize) -> Result<(), Fault> {
        let start = self.builder.out.len();
        self.builder.out.extend_from_slice(&[0; 4]);
        loop {
            self.builder.out.extend_from_slice(&self.text[self.at..end]);
            match self.text.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    let (character, next) = scan::escape(self.text, end)?;
                    let mut buffer = [0; 4];
                    self.builder.out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                    self.at = next;
                }
                Some(_) => return Err((Kind::ControlCharacter, end)),
                None => return self.ended(),
            }
            end = scan::plain(self.text, self.at);
        }
        let length = (self.builder.out.len() - start - 4) as u32;
        self.builder.out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.at = end + 1;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        let (scanned, end) = scan::number(self.text, self.at)?;
        let value = match scanned {
            Scanned::Small(value) => Number::I64(value),
            Scanned::Other => number::classify(std::str::from_utf8(&self.text[self.at..end]).unwrap_or_default()),
        };
        match value {
            Number::I64(value) => self.builder.number(layout::I64, value.to_le_bytes()),
            Number::U64(value) => self.builder.number(layout::U64, value.to_le_bytes()),
            Number::F64(value) => self.builder.number(layout::F64, value.to_le_bytes()),
            Number::Text(text) => self.builder.text(layout::TEXT, text.as_bytes()),
        }
        self.at = end;
        Ok(())
    }

    fn literal(&mut self, word: &[u8], tag: u8) -> Result<(), Fault> {
        self.at = scan::literal(self.text, self.at, word)?;
        self.builder.out.push(tag);
        Ok(())
    }

    /// Skips a value, and checks only its syntax.
    fn skip(&mut self) -> Result<(), Fault> {
        let room = MAX_DEPTH - self.builder.depth();
        self.at = super::skip::value(self.text, self.at, room)?;
        Ok(())
    }

    #[inline]
    fn space(&mut self) {
        // Without white space, as in Kubernetes' requests, this is one comparison.
        if self.text.get(self.at).is_some_and(|&byte| byte <= b' ') {
            self.at = scan::space(self.text, self.at);
        }
    }

    fn ended<T>(&self) -> Result<T, Fault> {
        Err((Kind::UnexpectedEnd, self.text.len()))
    }
}

/// The members to omit, and the ranges of their values.
struct Omit<'t> {
    paths: &'t [&'t [&'t str]],
    found: Ranges,
    /// The open containers on some path, innermost last. For each, the indexes of the paths through it.
    trail: Vec<Vec<usize>>,
    /// Number of open containers inside of the last container of the trail.
    aside: usize,
    /// The paths that match the latest key so far.
    matched: Vec<usize>,
}

impl<'t> Omit<'t> {
    fn new(paths: &'t [&'t [&'t str]]) -> Self {
        let matched = (0..paths.len()).collect();
        Self { paths, found: vec![None; paths.len()], trail: Vec::new(), aside: 0, matched }
    }

    /// Whether the innermost container is on a path.
    #[inline]
    fn is_active(&self) -> bool {
        self.aside == 0 && !self.trail.is_empty()
    }

    #[inline]
    fn begin(&mut self, object: bool) {
        if self.aside > 0 || !object || self.matched.is_empty() {
            self.aside += 1;
        } else {
            self.trail.push(std::mem::take(&mut self.matched));
        }
    }

    #[inline]
    fn end(&mut self) {
        if self.aside > 0 {
            self.aside -= 1;
        } else {
            self.trail.pop();
        }
        self.matched.clear();
    }

    /// Compares a key of the innermost container with the paths. Returns true if its member is omitted.
    fn key(&mut self, key: &[u8]) -> bool {
        let depth = self.trail.len();
        self.matched.clear();
        let Some(live) = self.trail.last() else {
            return false;
        };
        let mut omit = false;
        for &index in live {
            let path = self.paths[index];
            if path.get(depth - 1).is_some_and(|step| step.as_bytes() == key) {
                self.matched.push(index);
                // This member replaces an earlier one of the same name, with everything found in it.
                self.found[index] = None;
                omit |= path.len() == depth;
            }
        }
        if omit {
            self.matched.retain(|&index| self.paths[index].len() == depth);
        }
        omit
    }

    fn skipped(&mut self, range: Range<usize>) {
        for &index in &self.matched {
            self.found[index] = Some(range.clone());
        }
        self.matched.clear();
    }
}
