//! Converts byte offsets to lines and columns, fast even for very long lines.

use super::Span;

/// The start of each line of a text, and the number of characters before each block of bytes.
#[derive(Debug)]
pub(super) struct Positions<'a> {
    text: &'a str,
    lines: Vec<usize>,
    /// Number of characters before each multiple of [`BLOCK`] bytes. Empty for ASCII. A minified file is a single line
    /// of some megabytes, so counting from the start of the line for each node would be quadratic.
    characters: Vec<usize>,
}

const BLOCK: usize = 64;

impl<'a> Positions<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        let mut characters = Vec::new();
        if !text.is_ascii() {
            let mut count = 0;
            for block in text.as_bytes().chunks(BLOCK) {
                characters.push(count);
                count += block.iter().filter(|byte| starts_character(**byte)).count();
            }
            characters.push(count);
        }
        Self { text, lines, characters }
    }

    /// Line, and column in characters, both counted from 1.
    pub(super) fn line_column(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        // A byte order mark has no column.
        let mark = usize::from(line == 1 && offset > 0 && self.text.starts_with('\u{feff}'));
        (line, self.count(offset) - self.count(start) + 1 - mark)
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        let end = end.max(start);
        let (line, column) = self.line_column(start);
        let (end_line, end_column) = self.line_column(end);
        Span { start, end, line, column, end_line, end_column }
    }

    /// Number of characters before `offset`.
    fn count(&self, offset: usize) -> usize {
        if self.characters.is_empty() {
            return offset;
        }
        let block = offset / BLOCK;
        let known = self.characters.get(block).copied().unwrap_or(0);
        let rest = self.text.as_bytes().get(block * BLOCK..offset).unwrap_or_default();
        known + rest.iter().filter(|byte| starts_character(**byte)).count()
    }
}

fn starts_character(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "a: é\nbé: x\r\n";
        let positions = Positions::new(text);
        assert_eq!(positions.line_column(0), (1, 1));
        assert_eq!(positions.line_column(text.find("x").unwrap()), (2, 5));
        assert_eq!(positions.line_column(text.len()), (3, 1));
        assert_eq!(positions.line_column(text.len() + 9), (3, 1));
    }

    #[test]
    fn long_lines_agree_with_counting() {
        let text = "aé漢".repeat(400);
        let positions = Positions::new(&text);
        for (number, (offset, _)) in text.char_indices().enumerate() {
            assert_eq!(positions.line_column(offset), (1, number + 1));
        }
    }

    #[test]
    fn a_byte_order_mark_has_no_column() {
        assert_eq!(Positions::new("\u{feff}a: 1").line_column(3), (1, 1));
    }
}
