//! The begin and end of the lines of a text, found by binary search.

/// The lines of a text.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts }
    }

    /// The offset of the first byte of the line.
    pub(super) fn start(&self, at: usize) -> usize {
        let line = self.starts.partition_point(|start| *start <= at);
        line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or(0)
    }

    /// The offset of the line break, or of the end of the text.
    pub(super) fn end(&self, at: usize) -> usize {
        let line = self.starts.partition_point(|start| *start <= at);
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        if end > at && self.text[..end].ends_with('\r') { end - 1 } else { end }
    }

    /// The column of a byte, in characters, counted from 0.
    pub(super) fn column(&self, at: usize) -> usize {
        self.text[self.start(at)..at].chars().filter(|character| *character != '\u{feff}').count()
    }

    /// The line break of the file, taken from its first line.
    pub(super) fn newline(&self) -> &'static str {
        match self.starts.get(1) {
            Some(next) if self.text[..next - 1].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// The indentation of one level of pretty JSON.
    pub(super) fn unit(&self) -> &'a str {
        let text = self.text;
        let indented = |start: &&usize| text.as_bytes().get(**start).is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        let Some(line) = self.starts.iter().find(indented).map(|start| &text[*start..]) else { return "  " };
        let line = line.split_inclusive('\n').next().unwrap_or_default();
        &line[..line.len() - line.trim_ascii_start().len()]
    }
}
