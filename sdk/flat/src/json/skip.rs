//! Skips a value, and checks only its syntax.

use super::JsonErrorKind as Kind;
use super::scan::{self, Fault};

/// End of the value at `at`, which may be nested `room` containers deep.
pub(super) fn value(text: &[u8], at: usize, room: usize) -> Result<usize, Fault> {
    let mut skip = Skip { text, at, open: Vec::new() };
    loop {
        skip.value(room)?;
        if skip.follow()? {
            return Ok(skip.at);
        }
    }
}

struct Skip<'t> {
    text: &'t [u8],
    at: usize,
    /// For each open container, whether it is an object.
    open: Vec<bool>,
}

impl Skip<'_> {
    /// Reads up to the first scalar or empty container.
    fn value(&mut self, room: usize) -> Result<(), Fault> {
        loop {
            self.at = scan::space(self.text, self.at);
            let Some(&byte) = self.text.get(self.at) else {
                return self.ended();
            };
            match byte {
                b'"' => return self.string(),
                b'{' | b'[' => {
                    if self.open.len() == room {
                        return Err((Kind::TooDeep, self.at));
                    }
                    let object = byte == b'{';
                    self.open.push(object);
                    self.at = scan::space(self.text, self.at + 1);
                    let close = if object { b'}' } else { b']' };
                    if self.text.get(self.at) == Some(&close) {
                        self.open.pop();
                        self.at += 1;
                        return Ok(());
                    }
                    if object {
                        self.key()?;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    self.at = scan::number(self.text, self.at)?.1;
                    return Ok(());
                }
                b't' => return self.literal(b"true"),
                b'f' => return self.literal(b"false"),
                b'n' => return self.literal(b"null"),
                _ => return Err((Kind::ExpectedValue, self.at)),
            }
        }
    }

    /// Reads the ends of containers and a comma. Returns true if the outermost container has ended.
    fn follow(&mut self) -> Result<bool, Fault> {
        while let Some(&object) = self.open.last() {
            self.at = scan::space(self.text, self.at);
            match self.text.get(self.at) {
                Some(b',') => {
                    self.at += 1;
                    if object {
                        self.at = scan::space(self.text, self.at);
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                Some(_) if object => return Err((Kind::ExpectedCommaOrBrace, self.at)),
                Some(_) => return Err((Kind::ExpectedCommaOrBracket, self.at)),
                None => return self.ended(),
            }
            self.at += 1;
            self.open.pop();
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Fault> {
        match self.text.get(self.at) {
            Some(b'"') => self.string()?,
            Some(_) => return Err((Kind::ExpectedKey, self.at)),
            None => return self.ended(),
        }
        self.at = scan::space(self.text, self.at);
        match self.text.get(self.at) {
            Some(b':') => self.at += 1,
            Some(_) => return Err((Kind::ExpectedColon, self.at)),
            None => return self.ended(),
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at = scan::plain(self.text, self.at);
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.at = scan::escape(self.text, self.at)?.1,
                Some(_) => return Err((Kind::ControlCharacter, self.at)),
                None => return self.ended(),
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        self.at = scan::literal(self.text, self.at, word)?;
        Ok(())
    }

    fn ended<T>(&self) -> Result<T, Fault> {
        Err((Kind::UnexpectedEnd, self.text.len()))
    }
}
