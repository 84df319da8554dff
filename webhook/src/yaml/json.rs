//! Parses strict JSON to a [`Tree`]. kubectl reads a file that begins with `{` with `encoding/json`, as a stream of
//! values. JSON is no subset of its YAML, for example with surrogate pairs and tabs.

use serde_json::Value;

use super::scalar::Scalar;
use super::tree::{Entry, Fault, Item, Kind, Layout, MAX_DEPTH, MAX_NODES, Node, NodeId, Style, Tree};

/// Whether kubectl reads the text as JSON.
pub(super) fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Parses the value at `at`, and returns it with the offset after it. `None` at the end of the text.
pub(super) fn parse(text: &str, at: usize) -> Result<Option<(Tree, usize)>, Fault> {
    let mut reader = Reader { text, at, nodes: Vec::new(), depth: 0 };
    reader.blanks();
    if reader.at == text.len() {
        return Ok(None);
    }
    let root = reader.value()?;
    let end = reader.at;
    Ok(Some((Tree { nodes: reader.nodes, root, end }, end)))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: Vec<Node>,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fault<T>(&self, expected: &str) -> Result<T, Fault> {
        Err(match self.text[self.at..].chars().next() {
            Some(found) => {
                Fault::new(self.at, format!("expected {expected} in JSON, found `{}`", found.escape_debug()))
            }
            None => Fault::new(self.at, format!("expected {expected} in JSON, found the end of the file")),
        })
    }

    fn value(&mut self) -> Result<NodeId, Fault> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Fault::new(self.at, format!("the document has more than {MAX_NODES} nodes")));
        }
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(self.at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (id, start) = (self.nodes.len(), self.at);
        let kind = Kind::Scalar { value: Scalar::Null, style: Style::Plain };
        self.nodes.push(Node { start, end: start, properties: start, kind });
        self.depth += 1;
        let kind = match self.peek() {
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"') => Kind::Scalar { value: Scalar::Str(self.string()?), style: Style::DoubleQuoted },
            Some(b'-' | b'0'..=b'9') => Kind::Scalar { value: self.number()?, style: Style::Plain },
            _ => Kind::Scalar { value: self.word()?, style: Style::Plain },
        };
        self.depth -= 1;
        let node = &mut self.nodes[id];
        (node.kind, node.end) = (kind, self.at);
        Ok(id)
    }

    fn object(&mut self) -> Result<Kind, Fault> {
        let mut entries = Vec::new();
        self.at += 1;
        self.blanks();
        while self.peek() != Some(b'}') {
            if !entries.is_empty() {
                self.expect(b',', "`,` or `}`")?;
                self.blanks();
            }
            if self.peek() != Some(b'"') {
                return self.fault("a key in double quotes");
            }
            let start = self.at;
            let key = self.value()?;
            self.blanks();
            self.expect(b':', "`:`")?;
            let colon = Some(self.at);
            self.blanks();
            let value = self.value()?;
            self.blanks();
            entries.push(Entry { start, key, value, colon, merge: false });
        }
        self.at += 1;
        Ok(Kind::Mapping { entries, layout: Layout::Flow })
    }

    fn array(&mut self) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        self.at += 1;
        self.blanks();
        while self.peek() != Some(b']') {
            if !items.is_empty() {
                self.expect(b',', "`,` or `]`")?;
                self.blanks();
            }
            let dash = self.at;
            let node = self.value()?;
            self.blanks();
            items.push(Item { dash, node });
        }
        self.at += 1;
        Ok(Kind::Sequence { items, layout: Layout::Flow })
    }

    fn expect(&mut self, byte: u8, expected: &str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return self.fault(expected);
        }
        self.at += 1;
        Ok(())
    }

    fn token(&mut self, start: usize, length: usize) -> Result<(), Fault> {
        let token = self.text.get(start..start + length).unwrap_or_default();
        serde_json::from_str::<Value>(token).map_err(|_| {
            Fault::new(start, format!("`{}` is not valid JSON", token.chars().take(40).collect::<String>()))
        })?;
        self.at = start + length;
        Ok(())
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let mut escaped = true;
        for (length, byte) in self.text.as_bytes()[start..].iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let token = self.text.get(start..=start + length).unwrap_or_default();
                    self.at = start + length + 1;
                    return match serde_json::from_str(token) {
                        Ok(string) => Ok(string),
                        Err(_) => replace_surrogates(token)
                            .ok_or_else(|| Fault::new(start, "a string with a wrong escape or a control character")),
                    };
                }
                b'\n' => break,
                _ => {}
            }
        }
        Err(Fault::new(start, "the string has no closing quote"))
    }

    fn number(&mut self) -> Result<Scalar, Fault> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let length =
            rest.iter().take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count();
        let text = &self.text[start..start + length];
        // serde_json checks the grammar, but its floats are not rounded exactly.
        self.token(start, length)?;
        Ok(text.parse().map(Scalar::Int).unwrap_or_else(|_| Scalar::Float(text.parse().unwrap_or(f64::NAN))))
    }

    fn word(&mut self) -> Result<Scalar, Fault> {
        let rest = &self.text[self.at..];
        for (word, value) in [("true", Scalar::Bool(true)), ("false", Scalar::Bool(false)), ("null", Scalar::Null)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.fault("a value")
    }
}

/// Replaces a lone surrogate by U+FFFD as Go does, because serde_json rejects it.
fn replace_surrogates(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let unit = |text: &str| {
            text.strip_prefix("\\u")
                .and_then(|text| text.get(..4))
                .and_then(|digits| u16::from_str_radix(digits, 16).ok())
        };
        let length = match unit(escape) {
            Some(0xd800..=0xdbff) if matches!(escape.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                out.push('\u{fffd}');
                rest = &escape[6..];
                continue;
            }
            _ => 2,
        };
        out.push_str(escape.get(..length)?);
        rest = escape.get(length..)?;
    }
    out.push_str(rest);
    serde_json::from_str(&out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_json() {
        for text in [
            "{a: 1}",
            "{\"a\": 1,}",
            "[1 2]",
            "{\"a\" 1}",
            "{",
            "[",
            "\"a",
            "\"a\nb\"",
            "01",
            "1.",
            "-",
            "tru",
            "{\"a\": \"\\x\"}",
            "[1]]",
        ] {
            let mut at = 0;
            let failed = loop {
                match parse(text, at) {
                    Ok(Some((_, end))) => at = end,
                    Ok(None) => break false,
                    Err(fault) => {
                        assert!(fault.offset <= text.len());
                        break true;
                    }
                }
            };
            assert!(failed, "{text}");
        }
    }

    #[test]
    fn surrogates() {
        let string = |text: &str| match &parse(text, 0).unwrap().unwrap().0.nodes[0].kind {
            Kind::Scalar { value: Scalar::Str(string), .. } => string.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(string(r#""\ud83d\ude00""#), "😀");
        assert_eq!(string(r#""\ud83d x \\ud800 \ude00 \ud83d\ude00""#), "\u{fffd} x \\ud800 \u{fffd} 😀");
    }
}
