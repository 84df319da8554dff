//! Contents of files and secrets: base64 and JSON.

/// Maximum depth of JSON that Go reads.
const DEPTH: usize = 10_000;

/// The bytes of a text in base64, or `None` if it is malformed. Line breaks are skipped.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padding) = (0_u32, 0, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'\n' | b'\r' => continue,
            b'=' => {
                padding += 1;
                continue;
            }
            _ if padding > 0 => return None,
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            let [_, first, second, third] = bits.to_be_bytes();
            bytes.extend([first, second, third]);
            (bits, count) = (0, 0);
        }
    }
    match (count, padding) {
        (0, 0) => {}
        (2, 2) => bytes.push((bits >> 4) as u8),
        (3, 1) => bytes.extend([(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => return None,
    }
    Some(bytes)
}

/// How many bytes a text in base64 stands for.
pub(crate) fn base64_len(text: &str) -> usize {
    text.bytes().filter(|letter| !matches!(letter, b'\n' | b'\r' | b'=')).count() * 3 / 4
}

/// Whether this is JSON whose value is an object or `null`, as Go reads it.
pub(crate) fn is_json_object(bytes: &[u8]) -> bool {
    let mut reader = Reader { rest: bytes };
    reader.space();
    let first = reader.rest.first().copied();
    matches!(first, Some(b'{' | b'n')) && reader.value().is_some() && {
        reader.space();
        reader.rest.is_empty()
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn space(&mut self) {
        let count = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// A value of any depth, without recursion.
    fn value(&mut self) -> Option<()> {
        let mut closers = Vec::new();
        loop {
            self.space();
            let opened = match *self.rest.first()? {
                b'{' => Some(b'}'),
                b'[' => Some(b']'),
                _ => None,
            };
            if let Some(closer) = opened {
                self.rest = self.rest.get(1..)?;
                self.space();
                if self.rest.first() == Some(&closer) {
                    self.rest = self.rest.get(1..)?;
                } else {
                    if closers.len() >= DEPTH {
                        return None;
                    }
                    closers.push(closer);
                    self.key(closer)?;
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // A value has ended: containers end with it, or the next one begins.
            loop {
                let Some(&closer) = closers.last() else {
                    return Some(());
                };
                self.space();
                if self.eat(b',').is_some() {
                    self.key(closer)?;
                    break;
                }
                self.eat(closer)?;
                closers.pop();
            }
        }
    }

    fn key(&mut self, closer: u8) -> Option<()> {
        if closer == b'}' {
            self.space();
            self.string()?;
            self.space();
            self.eat(b':')?;
        }
        Some(())
    }

    fn scalar(&mut self) -> Option<()> {
        match *self.rest.first()? {
            b'"' => self.string(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        self.eat(b'"')?;
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(()),
                0..=0x1f => return None,
                b'\\' => {
                    let (&escape, rest) = self.rest.split_first()?;
                    self.rest = rest;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits = self.rest.get(..4)?;
                            digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                            self.rest = self.rest.get(4..)?;
                        }
                        _ => return None,
                    }
                }
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let _sign = self.eat(b'-');
        if self.eat(b'0').is_none() {
            self.digits()?;
        }
        if self.eat(b'.').is_some() {
            self.digits()?;
        }
        if self.eat(b'e').or_else(|| self.eat(b'E')).is_some() {
            let _sign = self.eat(b'-').or_else(|| self.eat(b'+'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = self.rest.get(count..)?;
        (count > 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        for (text, bytes) in [("", ""), ("YQ==", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("YW\nJj\r\n", "abc")] {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
            assert_eq!(base64_len(text), bytes.len(), "{text}");
        }
        for text in ["a", "YQ", "YQ=", "YWJj=", "YQ==YQ==", "Y-Q=", "ä"] {
            assert_eq!(base64(text), None, "{text}");
        }
    }

    #[test]
    fn json() {
        for text in
            ["{}", "null", " {\"a\": [1, -0.5e+3, true, {\"b\": null}], \"c\": \"\\u00e4\\n\"} ", "{\"a\":[[],{}]}"]
        {
            assert!(is_json_object(text.as_bytes()), "{text}");
        }
        for text in
            ["", "[]", "1", "\"a\"", "{", "{}x", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":01}", "{\"a\":1,}", "nul"]
        {
            assert!(!is_json_object(text.as_bytes()), "{text}");
        }
        let deep = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_json_object(deep(1000).as_bytes()));
        assert!(!is_json_object(deep(100_000).as_bytes()));
    }
}
