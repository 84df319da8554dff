//! Finds the places of values in the files. The last document that was read is kept.

use super::world::{Object, World};
use crate::yaml::{Budget, Document, Span, Stream};

/// Answers for the objects of a world. Ask in their order, so that each document is read only once.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    world: &'a World,
    /// The stream, with the number of its file.
    stream: Option<(usize, Stream<'a>)>,
    /// The document, with the numbers of its file and of the document.
    document: Option<((usize, usize), Document)>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self { world, stream: None, document: None }
    }

    /// The place to show for a pointer into an object. This is the value if it fits on one line, or else its key. If
    /// the value does not exist, it is the place of the nearest parent.
    pub(crate) fn span(&mut self, object: &Object, pointer: &str) -> Option<Span> {
        let text = &self.world.file(object).source.text;
        let document = self.document(object)?;
        let (place, found) = document.locate_nearest(&format!("{}{pointer}", object.prefix));
        let one_line = |span: &Span| span.line == span.end_line && span.start < span.end;
        let there = found.len() == object.prefix.len() + pointer.len();
        if there && one_line(&place.value) {
            return Some(place.value);
        }
        if let Some(key) = place.key {
            return Some(key);
        }
        // A list item, or the object itself, is shown by its name or kind.
        let named = ["/name", "/kind"].iter().find_map(|member| document.locate(&format!("{found}{member}")));
        if let Some(name) = named.filter(|name| one_line(&name.value)) {
            let start = name.key.unwrap_or(name.value);
            return Some(Span { start: start.start, line: start.line, column: start.column, ..name.value });
        }
        Some(first_line(text, place.value))
    }

    fn document(&mut self, object: &Object) -> Option<&Document> {
        let wanted = (object.file, object.document);
        if self.document.as_ref().is_none_or(|(known, _)| *known != wanted) {
            let file = self.world.file(object);
            let part = *file.parts.get(object.document)?;
            let stream = match self.stream.take() {
                Some((known, stream)) if known == object.file => stream,
                _ => Stream::new(&file.source.text),
            };
            // It was read before, within the limits of the input.
            let read = stream.document(part, &Budget::default());
            self.stream = Some((object.file, stream));
            self.document = Some((wanted, read?.ok()?));
        }
        self.document.as_ref().map(|(_, document)| document)
    }
}

fn first_line(text: &str, span: Span) -> Span {
    if span.line == span.end_line {
        return span;
    }
    let line = text.get(span.start..span.end).and_then(|text| text.lines().next()).unwrap_or_default().trim_end();
    Span { end: span.start + line.len(), end_line: span.line, end_column: span.column + line.chars().count(), ..span }
}
