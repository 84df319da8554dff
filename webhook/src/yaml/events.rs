//! Builds a [`Tree`] from the events of saphyr-parser.
//!
//! saphyr-parser reads YAML 1.2, and kubectl's go-yaml v2 reads its own variant of YAML 1.1. Differences are bridged or
//! rejected here, and `tests/yaml_kubectl.rs` compares the result with kubectl. The parser's marks at the start of
//! block collections and after block scalars are not exact. So places are found by walking the text between tokens,
//! which contains only blanks, comments and indicators.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::bridge;
use super::budget::Budget;
use super::scalar::{self, Scalar};
use super::tree::{Entry, Fault, Item, Kind, Layout, MAX_DEPTH, MAX_NODES, Node, NodeId, Style, Tree};
use super::trivia::{is_end_marker, quoted_end, skip_blanks, skip_commas, skip_trivia};

/// Parses one document that starts at byte `base` of the file. `None` if it has no content.
pub(super) fn parse(text: &str, base: usize, budget: &Budget) -> Result<Option<Tree>, Fault> {
    let (text, base) = match text.strip_prefix('\u{feff}') {
        Some(rest) => (rest, base + '\u{feff}'.len_utf8()),
        None => (text, base),
    };
    bridge::refuse_characters(text, base)?;
    let mut parsed = text.to_owned();
    loop {
        match Builder::new(text, &parsed, base).document() {
            Ok(tree) => return Ok(tree),
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::Parser { at, message }) => {
                // Each retry bridges one place of a document and reads the whole document again.
                let Some(bridged) = bridge::bridge(&parsed, at, &message) else {
                    let (at, message) = bridge::explain(&parsed, at, message);
                    return Err(Fault::new(base + at, message));
                };
                if !budget.may_retry(text.len()) {
                    return Err(Fault::new(base + at, bridge::too_many(&message)));
                }
                parsed = bridged;
            }
        }
    }
}

struct Builder<'a> {
    text: &'a str,
    /// The text for the parser. It has as many bytes as `text`.
    parsed: &'a str,
    base: usize,
    /// Byte offset of each character, because the parser counts characters. Empty for ASCII.
    characters: Vec<usize>,
    nodes: Vec<Node>,
    /// Node of each anchor, by the parser's id. Absent while the node is still open.
    anchors: HashMap<usize, NodeId>,
    /// Offset after the last token.
    cursor: usize,
    depth: usize,
    /// Offset up to which tabs are content of a scalar.
    content_end: usize,
    /// Number of open flow collections.
    flow: usize,
    /// Columns of the open collections.
    columns: Vec<usize>,
    /// Start of the last line that begins before `walked`. A file may be a single line of some megabytes, so each part
    /// is searched only once.
    line: usize,
    walked: usize,
    /// Kind of the token before the cursor, which decides about tabs.
    last: Last,
    parser: Parser<'a, StrInput<'a>>,
}

enum Stop {
    Fault(Fault),
    Parser { at: usize, message: String },
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// An event with its byte range, as the parser reports it.
struct Spanned<'a> {
    event: Event<'a>,
    start: usize,
    end: usize,
}

/// go-yaml accepts a tab between tokens only if no key could begin there.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// The start of the document, a dash or a question mark.
    LineStart,
    /// A plain scalar. After it, go-yaml skips whole blank lines.
    Plain,
    Other,
}

impl<'a> Builder<'a> {
    /// `parsed` is the text with some blanks and line breaks replaced.
    fn new(text: &'a str, parsed: &'a str, base: usize) -> Self {
        let marker =
            text.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']));
        Self {
            text,
            parsed,
            base,
            characters: if text.is_ascii() { Vec::new() } else { text.char_indices().map(|(at, _)| at).collect() },
            nodes: Vec::new(),
            anchors: HashMap::new(),
            cursor: if marker { 3 } else { 0 },
            depth: 0,
            content_end: 0,
            flow: 0,
            columns: Vec::new(),
            line: 0,
            walked: 0,
            last: Last::LineStart,
            parser: Parser::new_from_str(parsed),
        }
    }

    fn document(mut self) -> Result<Option<Tree>, Stop> {
        self.refuse_markers()?;
        let first = loop {
            let next = self.next()?;
            match next.event {
                Event::StreamStart | Event::DocumentStart(_) => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(None),
                _ => break next,
            }
        };
        let root = self.node(first, false)?;
        self.refuse_tab()?;
        let end = self.next()?;
        let explicit = is_end_marker(&self.text[end.start..]);
        if !explicit {
            // go-yaml stops here, and kubectl silently ignores the rest.
            let rest = self.next()?;
            if !matches!(rest.event, Event::StreamEnd) {
                return Err(
                    Fault::new(self.base + rest.start, "kubectl ignores this text: the document has ended").into()
                );
            }
        }
        let end = self.base + if explicit { end.start } else { self.text.len() };
        Ok(Some(Tree { nodes: self.nodes, root, end }))
    }

    /// Rejects a directive, because kubectl cuts at `---`, so the directive is a document of its own. Also rejects
    /// `...` at the start, because go-yaml does not skip it.
    fn refuse_markers(&self) -> Result<(), Fault> {
        let at = skip_trivia(self.text, self.cursor);
        let rest = &self.text[at..];
        let message = if self.cursor > 0 || at > 0 && !self.text[..at].ends_with('\n') {
            return Ok(());
        } else if rest.starts_with('%') {
            "kubectl does not support % directives"
        } else if is_end_marker(rest) {
            "the document ends before it begins"
        } else {
            return Ok(());
        };
        Err(Fault::new(self.base + at, message))
    }

    fn next(&mut self) -> Result<Spanned<'a>, Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                Ok(Spanned { event, start: self.byte(span.start.index()), end: self.byte(span.end.index()) })
            }
            Some(Err(error)) => Err(self.stop(&error)),
            None => Ok(Spanned { event: Event::StreamEnd, start: self.text.len(), end: self.text.len() }),
        }
    }

    fn stop(&self, error: &ScanError) -> Stop {
        Stop::Parser { at: self.byte(error.marker().index()), message: error.info().to_owned() }
    }

    fn byte(&self, character: usize) -> usize {
        if self.characters.is_empty() {
            return character.min(self.text.len());
        }
        self.characters.get(character).copied().unwrap_or(self.text.len())
    }

    fn node(&mut self, spanned: Spanned<'a>, in_flow: bool) -> Result<NodeId, Stop> {
        let Spanned { event, start, end } = spanned;
        self.refuse_excess(start)?;
        self.refuse_tab()?;
        let (properties, content) = self.content(&event)?;
        let id = self.reserve(properties, content);
        self.cursor = content;
        self.depth += 1;
        let (kind, anchor) = match event {
            Event::SequenceStart(anchor, _) => (self.sequence(self.is_bracket(content, end, '['))?, anchor),
            Event::MappingStart(anchor, _) if self.is_bracket(content, end, '{') => {
                (self.mapping(Layout::Flow)?, anchor)
            }
            Event::MappingStart(anchor, _) => {
                (self.mapping(if in_flow { Layout::Pair } else { Layout::Block })?, anchor)
            }
            leaf => self.leaf(leaf, content, end)?,
        };
        self.depth -= 1;
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        let node = &mut self.nodes[id];
        node.kind = kind;
        node.end = (self.base + self.cursor).max(node.start);
        Ok(id)
    }

    fn refuse_excess(&self, start: usize) -> Result<(), Fault> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Fault::new(self.base + start, format!("the document has more than {MAX_NODES} nodes")));
        }
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(self.base + start, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    /// Adds a placeholder for a node until its children are read.
    fn reserve(&mut self, properties: usize, content: usize) -> NodeId {
        let kind = Kind::Scalar { value: Scalar::Null, style: Style::Plain };
        self.nodes.push(Node {
            start: self.base + content,
            end: self.base + content,
            properties: self.base + properties,
            kind,
        });
        self.nodes.len() - 1
    }

    /// A scalar or an alias, with the id of its anchor.
    fn leaf(&mut self, event: Event<'a>, content: usize, end: usize) -> Result<(Kind, usize), Fault> {
        match event {
            Event::Alias(anchor) => {
                self.cursor = content + self.text.get(content..end).unwrap_or_default().trim_ascii_end().len();
                self.last = Last::Other;
                bridge::refuse_name(&self.text[content..self.cursor], self.base + content)?;
                match self.anchors.get(&anchor) {
                    Some(target) => Ok((Kind::Alias(*target), 0)),
                    None => Err(Fault::new(self.base + content, "the alias is inside the value of its own anchor")),
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.cursor = self.scalar_end(content, &text, style, end);
                self.last = Last::Other;
                self.content_end = end;
                let text = bridge::unfold(text, self.parsed.get(content..self.cursor).unwrap_or_default());
                match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => self.refuse_tab_in_block(content, end)?,
                    ScalarStyle::DoubleQuoted => self.refuse_escape(content)?,
                    ScalarStyle::Plain if text.starts_with(['|', '>']) => {
                        return Err(Fault::new(
                            self.base + content,
                            "kubectl accepts no plain scalar that begins with `|` or `>`; write it in quotes",
                        ));
                    }
                    _ => {}
                }
                if style == ScalarStyle::Plain && self.cursor > content {
                    self.last = Last::Plain;
                    self.refuse_tab_in(content, self.cursor, Last::Plain)?;
                }
                if style == ScalarStyle::Plain && !is_written(&text, &self.text[content..self.cursor.max(content)]) {
                    // The parser and our walk disagree, and kubectl may disagree too. A wrong place must not be shown.
                    return Err(Fault::new(
                        self.base + content,
                        "the begin and end of this value are ambiguous; write it in quotes",
                    ));
                }
                let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
                let value = scalar::resolve(&text, style == ScalarStyle::Plain, tag.as_deref())
                    .map_err(|message| Fault::new(self.base + content, message))?;
                Ok((Kind::Scalar { value, style: style.into() }, anchor))
            }
            _ => Err(Fault::new(self.base + content, "expected a value here, which is a bug: please report it")),
        }
    }

    /// Offset of the tag or anchor of the next node, and offset of its content.
    fn content(&self, event: &Event<'_>) -> Result<(usize, usize), Fault> {
        let (anchor, tag) = match event {
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor > 0, tag.is_some())
            }
            _ => (false, false),
        };
        let empty = matches!(event, Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty());
        if !anchor && !tag {
            let content = if empty { self.cursor } else { skip_trivia(self.text, self.cursor) };
            return Ok((content, content));
        }
        let properties = skip_trivia(self.text, self.cursor);
        let mut content = properties;
        for _ in 0..usize::from(anchor) + usize::from(tag) {
            let at = skip_trivia(self.text, content);
            if !self.text[at..].starts_with(['&', '!']) {
                break;
            }
            // In a flow collection, a comma may directly follow an anchor.
            let stop = |character: char| matches!(character, ' ' | '\t' | '\n' | '\r' | ',' | ']' | '}');
            // The comma in `!<tag:yaml.org,2002:int>` is part of the tag.
            let uri = if self.text[at..].starts_with("!<") { self.text[at..].find('>').unwrap_or(0) } else { 0 };
            content = self.text[at + uri..].find(stop).map_or(self.text.len(), |length| at + uri + length);
            bridge::refuse_name(&self.text[at..content], self.base + at)?;
        }
        Ok((properties, if empty { content } else { skip_trivia(self.text, content) }))
    }

    /// Whether the event belongs to a flow collection. Its range contains the bracket. The range of a block collection
    /// ends where the content begins.
    fn is_bracket(&self, content: usize, end: usize, bracket: char) -> bool {
        end > content && self.text[content..].starts_with(bracket)
    }

    fn sequence(&mut self, flow: bool) -> Result<Kind, Stop> {
        let mut items = Vec::new();
        self.enter(flow);
        loop {
            let next = self.next()?;
            self.refuse_tab()?;
            if matches!(next.event, Event::SequenceEnd) {
                if flow {
                    self.cursor = skip_commas(self.text, self.cursor);
                    self.expect(']')?;
                }
                self.leave(flow);
                let layout = if flow { Layout::Flow } else { Layout::Block };
                return Ok(Kind::Sequence { items, layout });
            }
            let dash = if flow { skip_commas(self.text, self.cursor) } else { skip_trivia(self.text, self.cursor) };
            self.cursor = dash;
            if !flow {
                self.expect('-')?;
                self.last = Last::LineStart;
            }
            let node = self.node(next, flow)?;
            items.push(Item { dash: self.base + dash, node });
        }
    }

    fn mapping(&mut self, layout: Layout) -> Result<Kind, Stop> {
        let mut entries = Vec::new();
        let flow = layout != Layout::Block;
        self.enter(layout == Layout::Flow);
        loop {
            let next = self.next()?;
            self.refuse_tab()?;
            if matches!(next.event, Event::MappingEnd) {
                if layout == Layout::Flow {
                    self.cursor = skip_commas(self.text, self.cursor);
                    self.expect('}')?;
                }
                self.leave(layout == Layout::Flow);
                return Ok(Kind::Mapping { entries, layout });
            }
            let start = if flow { skip_commas(self.text, self.cursor) } else { skip_trivia(self.text, self.cursor) };
            self.cursor = start;
            let mut after = self.text[start..].chars();
            let explicit =
                after.next() == Some('?') && after.next().is_none_or(|character| character.is_ascii_whitespace());
            if explicit {
                self.cursor += 1;
                self.last = Last::LineStart;
            }
            if let Event::MappingStart(..) | Event::SequenceStart(..) = next.event {
                let message = "a mapping key that is itself a collection; JSON has none";
                return Err(Fault::new(self.base + start, message).into());
            }
            let merge = is_merge(&next.event);
            let key = self.node(next, flow)?;
            let at = skip_trivia(self.text, self.cursor);
            let colon = self.text[at..].starts_with(':').then_some(at + 1);
            if let Some(behind) = colon {
                self.cursor = behind;
                self.last = if explicit { Last::LineStart } else { Last::Other };
            }
            let next = self.next()?;
            let value = self.node(next, flow)?;
            entries.push(Entry {
                start: self.base + start,
                key,
                value,
                colon: colon.map(|colon| self.base + colon),
                merge,
            });
        }
    }

    /// Enters a collection. The cursor is at its content.
    fn enter(&mut self, flow: bool) {
        if flow {
            self.cursor += 1;
            self.flow += 1;
        }
        if let Some(at) = self.text.get(self.walked..self.cursor).and_then(|walked| walked.rfind('\n')) {
            self.line = self.walked + at + 1;
        }
        self.walked = self.walked.max(self.cursor);
        self.columns.push(self.cursor - self.line);
    }

    fn leave(&mut self, flow: bool) {
        if flow {
            self.flow -= 1;
            self.last = Last::Other;
        }
        self.columns.pop();
    }

    /// Rejects a tab where a key could begin, because go-yaml and so kubectl reject it.
    fn refuse_tab(&self) -> Result<(), Fault> {
        let end = skip_trivia(self.text, self.cursor);
        // Blank lines at the end of a block scalar are not part of its place.
        self.refuse_tab_in(self.cursor.max(self.content_end).min(end), end, self.last)
    }

    fn refuse_tab_in(&self, from: usize, to: usize, last: Last) -> Result<(), Fault> {
        if self.flow > 0 {
            return Ok(());
        }
        let indent = self.columns.last().copied().unwrap_or(0);
        let (mut line, mut indentation, mut plain) = (from, last == Last::LineStart, last == Last::Plain);
        let bytes = self.text.as_bytes().get(from..to).unwrap_or_default();
        for (at, byte) in bytes.iter().enumerate().map(|(at, byte)| (from + at, byte)) {
            match byte {
                b'\n' => (line, indentation) = (at + 1, true),
                b'\t' if indentation && !(plain && at - line > indent) => {
                    return Err(Fault::new(self.base + at, bridge::TAB));
                }
                b' ' | b'\t' | b'\r' => {}
                // A comment ends a plain scalar.
                b'#' if indentation || last != Last::Plain => (indentation, plain) = (false, false),
                _ => indentation = false,
            }
        }
        Ok(())
    }

    /// Rejects a tab in the indentation of a block scalar, even on a blank line.
    fn refuse_tab_in_block(&self, content: usize, end: usize) -> Result<(), Fault> {
        let end = skip_blanks(self.text, end.max(content));
        let mut lines = self.text[content..end].split_inclusive('\n');
        let header = lines.next().unwrap_or_default();
        let digit = header.chars().take(3).find_map(|character| character.to_digit(10));
        let parent = self.columns.last().copied().unwrap_or(0);
        let mut indent = digit.map(|digit| parent + digit as usize);
        let mut at = content + header.len();
        for line in lines {
            let spaces = line.len() - line.trim_start_matches(' ').len();
            let rest = &line[spaces..];
            if rest.starts_with('\t') && indent.is_none_or(|indent| spaces < indent) {
                return Err(Fault::new(self.base + at + spaces, bridge::TAB));
            }
            if !rest.starts_with(['\n', '\r']) {
                indent = indent.or(Some(spaces));
            }
            at += line.len();
        }
        Ok(())
    }

    fn expect(&mut self, indicator: char) -> Result<(), Fault> {
        let rest = &self.text[self.cursor..];
        if !rest.starts_with(indicator) {
            // The parser accepts a single pair in a sequence that ends like a mapping: `[a: b}`.
            if matches!(indicator, ']' | '}') && rest.starts_with([']', '}']) {
                return Err(Fault::new(
                    self.base + self.cursor,
                    format!("brackets do not match: expected `{indicator}` here"),
                ));
            }
            if self.flow > 0 {
                // If brackets do not match, the parser may turn one kind of collection into the other.
                return Err(Fault::new(self.base + self.cursor, "brackets before this place do not match"));
            }
            return Err(Fault::new(
                self.base + self.cursor,
                format!("expected `{indicator}` here, which is a bug: please report it"),
            ));
        }
        self.cursor += indicator.len_utf8();
        Ok(())
    }

    fn scalar_end(&self, content: usize, text: &str, style: ScalarStyle, end: usize) -> usize {
        let end = end.max(content);
        match style {
            ScalarStyle::Plain if text.is_empty() => content,
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let header = self.text[content..]
                    .find(|character: char| !matches!(character, '|' | '>' | '+' | '-' | '0'..='9'))
                    .map_or(self.text.len(), |length| content + length);
                let body = self.text[header..].find('\n').map_or(self.text.len(), |length| header + length);
                let written = self.text.get(body..end).unwrap_or_default().trim_end_matches([' ', '\t', '\n', '\r']);
                if written.is_empty() { header } else { body + written.len() }
            }
            ScalarStyle::SingleQuoted => quoted_end(self.text, content, b'\'', b'\''),
            ScalarStyle::DoubleQuoted => quoted_end(self.text, content, b'"', b'\\'),
            ScalarStyle::Plain => end,
        }
    }

    /// Rejects `\/`, the only escape of YAML 1.2 that go-yaml does not support.
    fn refuse_escape(&self, content: usize) -> Result<(), Fault> {
        let mut escaped = false;
        let written = self.text.as_bytes().get(content..self.cursor).unwrap_or_default();
        for (at, &byte) in written.iter().enumerate() {
            if escaped && byte == b'/' {
                return Err(Fault::new(
                    self.base + content + at - 1,
                    "kubectl does not support the escape `\\/`; write `/`",
                ));
            }
            escaped = byte == b'\\' && !escaped;
        }
        Ok(())
    }
}

/// Whether a plain scalar equals the text at its place, apart from folded lines.
fn is_written(value: &str, written: &str) -> bool {
    let solid = |text: &str| text.chars().filter(|char| !char.is_whitespace()).collect::<String>();
    value == written || solid(value) == solid(written)
}

fn is_merge(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, style, _, tag) if text == "<<" => match tag {
            None => *style == ScalarStyle::Plain,
            Some(tag) => tag.is_yaml_core_schema() && tag.suffix == "merge",
        },
        _ => false,
    }
}
