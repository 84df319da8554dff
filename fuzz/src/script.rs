//! Bytes as choices, which control the structure-aware targets.

/// A sequence of choices. After its end every choice is 0.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    bytes: &'a [u8],
}

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A choice of one byte.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    pub(crate) fn pick<'t, T>(&mut self, table: &'t [T]) -> Option<&'t T> {
        let index = self.below(table.len());
        table.get(index)
    }

    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (piece, rest) = self.bytes.split_at(length.min(self.bytes.len()));
        self.bytes = rest;
        piece
    }
}
