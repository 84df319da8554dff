//! Converts one edit to one replacement of bytes.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use super::emit::{self, Context, Format};
use super::lines::Lines;
use super::splice::Reason;
use super::tree::{Entry, Item, Kind, Layout, NodeId, Style};
use super::{Document, Step, tree};
use crate::model::pointer::escape;
use crate::model::{Edit, edit};

/// Writes edits of a document that begins at byte 0 of its text.
pub(super) struct Writer<'a> {
    text: &'a str,
    document: &'a Document,
    format: Format,
    newline: &'static str,
    lines: Lines<'a>,
    /// Ends of block scalars that keep the blank lines after them (`|+`), in order.
    keeping: Vec<usize>,
    /// The indentation of one level, for JSON over several lines.
    pretty: Option<&'a str>,
}

type Splice = (Range<usize>, String);

/// A node with its parents.
#[derive(Clone, Copy)]
struct Site {
    node: NodeId,
    parent: Option<NodeId>,
    grandparent: Option<NodeId>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(text: &'a str, document: &'a Document) -> Self {
        let lines = Lines::new(text);
        let content = &text[document.tree.node(document.tree.root).start..];
        let is_pretty = document.json && content.trim_ascii_end().contains('\n');
        let mut writer = Self {
            text,
            document,
            format: Format { step: 2, dash: 0 },
            newline: lines.newline(),
            pretty: is_pretty.then(|| lines.unit()),
            lines,
            keeping: Vec::new(),
        };
        writer.format = writer.guess_format();
        writer.keeping = writer.find_keeping();
        writer
    }

    /// The bytes to replace, and their replacement.
    pub(super) fn splice(&self, edit: &Edit) -> Result<Splice, Reason> {
        let tokens = edit::tokens(edit.pointer())?;
        let (site, rest) = self.descend(&tokens)?;
        let place = pointer(&tokens[..tokens.len() - rest.len()]);
        match edit {
            Edit::Remove { .. } => self.remove(site, &place),
            Edit::Replace { value, .. } => self.replace(site, value, &place),
            Edit::Rename { name, .. } => self.rename(site, name, &place),
            Edit::Append { value, .. } if rest.is_empty() => match &self.node(site.node).kind {
                Kind::Sequence { items, layout } => self.append(site, items, *layout, value, &place),
                _ => self.replace(site, &Value::Array(vec![value.clone()]), &place),
            },
            Edit::Add { value, .. } if rest.is_empty() => self.replace(site, value, &place),
            Edit::Add { value, .. } => self.add(site, rest, value.clone(), &place),
            Edit::Append { value, .. } => self.add(site, rest, Value::Array(vec![value.clone()]), &place),
        }
    }

    /// The deepest existing node on the path, and the remaining tokens.
    fn descend<'t>(&self, tokens: &'t [String]) -> Result<(Site, &'t [String]), Reason> {
        let mut site = Site { node: self.document.tree.root, parent: None, grandparent: None };
        self.refuse_shared(site.node, "")?;
        for (depth, token) in tokens.iter().enumerate() {
            let Some(Step { value, merged, .. }) = self.document.step(site.node, token) else {
                return Ok((site, &tokens[depth..]));
            };
            let place = pointer(&tokens[..=depth]);
            if merged {
                return Err(Reason::Anchor(place));
            }
            self.refuse_shared(value, &place)?;
            site = Site { node: value, parent: Some(site.node), grandparent: site.parent };
        }
        Ok((site, &[]))
    }

    fn refuse_shared(&self, id: NodeId, place: &str) -> Result<(), Reason> {
        let node = self.node(id);
        let shared = matches!(node.kind, Kind::Alias(_)) || self.text[node.properties..node.start].contains('&');
        if shared { Err(Reason::Anchor(place.to_owned())) } else { Ok(()) }
    }

    fn node(&self, id: NodeId) -> &'a tree::Node {
        self.document.tree.node(id)
    }

    fn entries(&self, id: NodeId) -> &'a [Entry] {
        match &self.node(id).kind {
            Kind::Mapping { entries, .. } => entries,
            _ => &[],
        }
    }

    // ---- adding -----------------------------------------------------------------------------------------------

    fn add(&self, site: Site, rest: &[String], value: Value, place: &str) -> Result<Splice, Reason> {
        let Some((name, below)) = rest.split_first() else { return Err(Reason::NotVerified) };
        let value =
            below.iter().rev().fold(value, |inner, token| Value::Object(Map::from_iter([(token.clone(), inner)])));
        match &self.node(site.node).kind {
            Kind::Mapping { entries, layout } if !entries.is_empty() => {
                self.insert(site, entries, *layout, name, &value, place)
            }
            // `key:`, `key: null`, `key: {}`.
            _ => self.replace(site, &Value::Object(Map::from_iter([(name.clone(), value)])), place),
        }
    }

    fn insert(
        &self,
        site: Site,
        entries: &[Entry],
        layout: Layout,
        name: &str,
        value: &Value,
        place: &str,
    ) -> Result<Splice, Reason> {
        match layout {
            Layout::Pair => Err(Reason::Layout(place.to_owned())),
            Layout::Flow => {
                let last = entries.last().map_or(0, |entry| entry.start);
                let starts: Vec<_> = entries.iter().map(|entry| entry.start).collect();
                self.extend_flow(site, &starts, last, place, |margin| match self.document.json {
                    true => format!("{}: {}", Value::from(name), self.json(value, margin)),
                    false => emit::pair(name, value),
                })
            }
            Layout::Block => {
                let column = entries.first().map_or(0, |entry| self.column(entry.start));
                let lines = emit::entry(name, value, self.format);
                Ok(self.lines_behind(site.node, &lines, column))
            }
        }
    }

    fn append(&self, site: Site, items: &[Item], layout: Layout, value: &Value, place: &str) -> Result<Splice, Reason> {
        let (Some(first), Some(last)) = (items.first(), items.last()) else {
            return self.replace(site, &Value::Array(vec![value.clone()]), place);
        };
        if layout == Layout::Block {
            let lines = emit::item(value, self.format);
            return Ok(self.lines_behind(site.node, &lines, self.column(first.dash)));
        }
        let starts: Vec<_> = items.iter().map(|item| item.dash).collect();
        self.extend_flow(site, &starts, last.dash, place, |margin| match self.document.json {
            true => self.json(value, margin),
            false => emit::flow(value, Context::Flow, Style::Plain),
        })
    }

    /// Inserts whole lines after the last content of a block collection. They follow a comment on the same line, and
    /// precede comments on later lines.
    fn lines_behind(&self, id: NodeId, lines: &[String], column: usize) -> Splice {
        let end = self.node(id).end;
        let text: String =
            lines.iter().map(|line| format!("{}{}", self.newline, emit::indented(line, column))).collect();
        let mut at = self.line_end(end);
        if self.keeping.binary_search(&end).is_ok() {
            // The blank lines belong to the block scalar before them. The new lines follow the blank lines.
            while let Some(next) = self.text[at..].find('\n').map(|length| at + length + 1)
                && next < self.text.len()
                && self.text[next..self.line_end(next)].trim_ascii().is_empty()
            {
                at = self.line_end(next);
            }
            // Only a line break may follow the last blank line.
            if self.text[at..].is_empty() {
                let text = text.strip_prefix(self.newline).unwrap_or(&text);
                return (at..at, format!("{text}{}", self.newline));
            }
        }
        (at..at, text)
    }

    fn find_keeping(&self) -> Vec<usize> {
        let is_keeping = |node: &&tree::Node| {
            let block = matches!(node.kind, Kind::Scalar { style: Style::Literal | Style::Folded, .. });
            let header = || self.text[node.start..].split('\n').next().unwrap_or_default();
            block && header().split('#').next().unwrap_or_default().contains('+')
        };
        let mut ends: Vec<usize> = self.document.tree.nodes.iter().filter(is_keeping).map(|node| node.end).collect();
        ends.sort_unstable();
        ends
    }

    /// Inserts after the last item of a flow collection. The text between a comma and the last item also separates the
    /// new item.
    fn extend_flow(
        &self,
        site: Site,
        starts: &[usize],
        last: usize,
        place: &str,
        written: impl Fn(usize) -> String,
    ) -> Result<Splice, Reason> {
        let node = self.node(site.node);
        let content = &self.text[node.start..node.end];
        if content.contains('\n') && !self.document.json {
            return Err(Reason::MultilineFlow(place.to_owned()));
        }
        let close = node.end - 1;
        let gap_start = self.text[node.start..last].trim_ascii_end().len() + node.start;
        let gap = match &self.text[gap_start..last] {
            gap if starts.len() == 1 && !gap.contains('\n') => " ",
            gap => gap,
        };
        let margin = gap.rfind('\n').map_or(0, |at| gap.len() - at - 1);
        let inside = self.text[node.start..close].trim_ascii_end();
        let end = node.start + inside.len();
        let comma = if inside.ends_with(',') { "" } else { "," };
        Ok((end..end, format!("{comma}{gap}{}", written(margin))))
    }

    // ---- replacing --------------------------------------------------------------------------------------------

    fn replace(&self, site: Site, value: &Value, place: &str) -> Result<Splice, Reason> {
        let node = self.node(site.node);
        if node.properties < node.start {
            return Err(Reason::Tag(place.to_owned()));
        }
        let style = match node.kind {
            Kind::Scalar { style, .. } => style,
            _ => Style::Plain,
        };
        if self.document.json {
            let line = self.line_start(node.start);
            let margin = self.text[line..].len() - self.text[line..].trim_ascii_start().len();
            return Ok((node.start..node.end, self.json(value, margin)));
        }
        if self.in_flow(site) {
            if self.text[node.start..node.end].contains('\n') {
                return Err(Reason::MultilineFlow(place.to_owned()));
            }
            return Ok(self.fill(node.start..node.end, emit::flow(value, Context::Flow, style), site));
        }
        let scalar = matches!(node.kind, Kind::Scalar { .. });
        let block_scalar = matches!(style, Style::Literal | Style::Folded);
        let flow_collection = matches!(
            node.kind,
            Kind::Mapping { layout: Layout::Flow, .. } | Kind::Sequence { layout: Layout::Flow, .. }
        );
        let one_line = (scalar || flow_collection) && !self.text[node.start..node.end].contains('\n') && !block_scalar;
        if one_line && !emit::is_nested(value) && !is_multiline(value) {
            return Ok(self.fill(node.start..node.end, emit::flow(value, Context::Block, style), site));
        }
        // `[a, b]` stays in flow style if possible.
        if one_line && flow_collection && emit::is_nested(value) && !self.is_empty_collection(site.node) {
            return Ok((node.start..node.end, emit::flow(value, Context::Block, style)));
        }
        self.rewrite(site, value, place)
    }

    /// Replaces everything between the colon or the dash and the end of the value.
    fn rewrite(&self, site: Site, value: &Value, place: &str) -> Result<Splice, Reason> {
        let node = self.node(site.node);
        let Some(parent) = site.parent else {
            if self.has_comment(node.start..node.end) {
                return Err(Reason::Comment(place.to_owned()));
            }
            return Ok((node.start..node.end, self.join(&emit::block(value, self.format), self.column(node.start))));
        };
        let (from, column, lines) = match &self.node(parent).kind {
            Kind::Mapping { entries, .. } => {
                let entry = entries.iter().find(|entry| entry.value == site.node);
                let (Some(entry), Some(colon)) = (entry, entry.and_then(|entry| entry.colon)) else {
                    return Err(Reason::Layout(place.to_owned()));
                };
                // The key exists already, so the placeholder key is removed.
                let mut lines = emit::entry("k", value, self.format);
                if let Some(first) = lines.first_mut() {
                    first.drain(..2);
                }
                (colon, self.column(entry.start), lines)
            }
            Kind::Sequence { items, .. } => {
                let Some(item) = items.iter().find(|item| item.node == site.node) else {
                    return Err(Reason::Layout(place.to_owned()));
                };
                let mut lines = emit::item(value, self.format);
                if let Some(first) = lines.first_mut() {
                    first.drain(..1);
                }
                (item.dash + 1, self.column(item.dash), lines)
            }
            _ => return Err(Reason::Layout(place.to_owned())),
        };
        if self.has_comment(from..node.end) {
            return Err(Reason::Comment(place.to_owned()));
        }
        let text = self.join(&lines, column);
        let rest = self.line_end(node.end);
        let Some((first, below)) = text.split_once('\n') else { return Ok((from..node.end, text)) };
        // A comment after the old value stays on the line of the key.
        let (first, below) = (first.trim_end_matches('\r'), below);
        Ok((from..rest, format!("{first}{}{}{below}", &self.text[node.end..rest], self.newline)))
    }

    /// Replaces a range that may be empty. An empty value needs a blank after the colon or the dash.
    fn fill(&self, range: Range<usize>, text: String, site: Site) -> Splice {
        if !range.is_empty() {
            return (range, text);
        }
        let colon = site.parent.is_none_or(|parent| {
            self.entries(parent).iter().all(|entry| entry.value != site.node || entry.colon.is_some())
        });
        (range, if colon { format!(" {text}") } else { format!(": {text}") })
    }

    // ---- renaming ---------------------------------------------------------------------------------------------

    /// Replaces the text of a key. Nothing else changes.
    fn rename(&self, site: Site, name: &str, place: &str) -> Result<Splice, Reason> {
        let layout = || Reason::Layout(place.to_owned());
        let parent = site.parent.ok_or_else(layout)?;
        let entry = self.entries(parent).iter().find(|entry| entry.value == site.node).ok_or_else(layout)?;
        let key = self.node(entry.key);
        let Kind::Scalar { style, .. } = key.kind else { return Err(layout()) };
        // An explicit key (`? key`) or one with an anchor or a tag starts before its text.
        if entry.start != key.start || self.text[key.start..key.end].contains('\n') {
            return Err(layout());
        }
        let context = if self.in_flow(site) { Context::Flow } else { Context::Block };
        let text = match self.document.json {
            true => Value::from(name).to_string(),
            false => emit::string(name, context, style),
        };
        Ok((key.start..key.end, text))
    }

    // ---- removing ---------------------------------------------------------------------------------------------

    fn remove(&self, site: Site, place: &str) -> Result<Splice, Reason> {
        let Some(parent) = site.parent else { return Err(Reason::Layout(place.to_owned())) };
        let (parts, layout): (Vec<_>, _) = match &self.node(parent).kind {
            Kind::Mapping { entries, layout } => {
                (entries.iter().map(|entry| (entry.start, entry.value)).collect(), *layout)
            }
            Kind::Sequence { items, layout } => (items.iter().map(|item| (item.dash, item.node)).collect(), *layout),
            _ => return Err(Reason::Layout(place.to_owned())),
        };
        let Some(index) = parts.iter().position(|(_, node)| *node == site.node) else {
            return Err(Reason::Layout(place.to_owned()));
        };
        let (start, end) = (parts[index].0, self.node(parts[index].1).end);
        let next = parts.get(index + 1).map(|(start, _)| *start);
        let previous = index.checked_sub(1).map(|index| self.node(parts[index].1).end);
        if layout != Layout::Block {
            let node = self.node(parent);
            if self.text[node.start..node.end].contains('\n') && !self.document.json {
                return Err(Reason::MultilineFlow(place.to_owned()));
            }
            return Ok(match (previous, next) {
                (Some(previous), _) => (previous..end, String::new()),
                (None, Some(next)) => (start..next, String::new()),
                (None, None) => (node.start + 1..node.end - 1, String::new()),
            });
        }
        if parts.len() == 1 {
            return self.empty(parent, site, place);
        }
        let line = self.line_start(start);
        if self.text[line..start].trim_ascii().is_empty() {
            let stop = self.line_end(end);
            let after = self.text[stop..].find('\n').map_or(self.text.len(), |length| stop + length + 1);
            if after == self.text.len() && !self.text.ends_with('\n') && line > 0 {
                // The last line had no line break, so the new last line has none either.
                let before = self.text[..line].trim_end_matches('\n').trim_end_matches('\r').len();
                let before = before.max(
                    self.text[..line]
                        .rfind('\n')
                        .map_or(0, |at| at.saturating_sub(usize::from(self.newline.len() > 1))),
                );
                return Ok((before..after, String::new()));
            }
            return Ok((line..after, String::new()));
        }
        // If `- a: 1` loses its first entry, the next entry moves up.
        match next {
            Some(next) if !self.has_comment(self.line_end(end)..next) => Ok((start..next, String::new())),
            _ => Err(Reason::Comment(place.to_owned())),
        }
    }

    /// Replaces a collection without members by `{}` or `[]`.
    fn empty(&self, parent: NodeId, site: Site, place: &str) -> Result<Splice, Reason> {
        let node = self.node(parent);
        let empty = match node.kind {
            Kind::Sequence { .. } => Value::Array(Vec::new()),
            _ => Value::Object(Map::new()),
        };
        let inside = self.node(site.node);
        if inside.start > node.start && self.has_comment(node.start..inside.properties) {
            return Err(Reason::Comment(place.to_owned()));
        }
        let (range, text) =
            self.rewrite(Site { node: parent, parent: site.grandparent, grandparent: None }, &empty, place)?;
        Ok((range, text))
    }

    // ---- helpers ----------------------------------------------------------------------------------------------

    fn in_flow(&self, site: Site) -> bool {
        site.parent.is_some_and(|parent| match self.node(parent).kind {
            Kind::Mapping { layout, .. } | Kind::Sequence { layout, .. } => layout != Layout::Block,
            _ => false,
        })
    }

    fn is_empty_collection(&self, id: NodeId) -> bool {
        match &self.node(id).kind {
            Kind::Mapping { entries, .. } => entries.is_empty(),
            Kind::Sequence { items, .. } => items.is_empty(),
            _ => false,
        }
    }

    fn has_comment(&self, range: Range<usize>) -> bool {
        let comments = &self.document.comments;
        let first = comments.partition_point(|comment| comment.range.start < range.start);
        comments.get(first).is_some_and(|comment| range.contains(&comment.range.start))
    }

    fn line_start(&self, at: usize) -> usize {
        self.lines.start(at)
    }

    fn line_end(&self, at: usize) -> usize {
        self.lines.end(at)
    }

    fn column(&self, at: usize) -> usize {
        self.lines.column(at)
    }

    fn join(&self, lines: &[String], column: usize) -> String {
        let lines: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|(number, line)| if number == 0 { line.clone() } else { emit::indented(line, column) })
            .collect();
        lines.join(self.newline)
    }

    fn json(&self, value: &Value, margin: usize) -> String {
        let Some(unit) = self.pretty else { return value.to_string() };
        let indent = " ".repeat(margin);
        let text = format!("{value:#}");
        let mut out = String::new();
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                let body = line.trim_ascii_start();
                out.push_str(self.newline);
                out.push_str(&indent);
                out.push_str(&unit.repeat((line.len() - body.len()) / 2));
                out.push_str(body);
                continue;
            }
            out.push_str(line);
        }
        out
    }

    /// Derives the indentation of the file from its first nested mapping and its first sequence.
    fn guess_format(&self) -> Format {
        let (mut step, mut dash) = (None, None);
        for id in 0..self.document.tree.nodes.len() {
            let Kind::Mapping { entries, layout: Layout::Block } = &self.node(id).kind else { continue };
            for entry in entries {
                let child = self.node(entry.value);
                let below = self.column(child.start).checked_sub(self.column(entry.start));
                let own_line = self.line_start(child.start) > entry.start;
                match &child.kind {
                    Kind::Mapping { layout: Layout::Block, .. } if own_line => step = step.or(below),
                    Kind::Sequence { layout: Layout::Block, .. } if own_line => dash = dash.or(below),
                    _ => {}
                }
            }
            if step.is_some() && dash.is_some() {
                break;
            }
        }
        Format { step: step.unwrap_or(2).max(1), dash: dash.unwrap_or(0) }
    }
}

fn is_multiline(value: &Value) -> bool {
    matches!(value, Value::String(text) if text.contains('\n'))
}

fn pointer(tokens: &[String]) -> String {
    tokens.iter().flat_map(|token| [Cow::Borrowed("/"), escape(token)]).collect()
}
