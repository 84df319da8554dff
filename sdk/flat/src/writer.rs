//! Writes a document, value by value.

use crate::builder::Builder;
use crate::number::{self, Number};
use crate::{Error, MAX_DEPTH, MAX_NODES, Node, layout, validate};

/// Writes a document in one pass.
///
/// The calls return nothing, so that code reads like a list of the written values. The writer keeps the first mistake
/// (or exceeded limit) and ignores later calls. [`finish`](Self::finish) reports the mistake.
///
/// ```
/// let mut writer = plimsoll_flat::Writer::new();
/// writer.begin_object();
/// writer.key("replicas");
/// writer.i64(3);
/// writer.end();
/// let document = writer.finish()?;
/// # Ok::<(), plimsoll_flat::Error>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    builder: Builder,
    nodes: usize,
    expects: Expects,
    error: Option<Error>,
}

/// The expected next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The root has not started.
    Root,
    /// An item, or the end of the array.
    Item,
    /// A key, or the end of the object.
    Key,
    /// The value of the key just written.
    Value,
    /// The root is complete.
    Nothing,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer with an empty document.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// A writer with capacity for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { builder: Builder::with_capacity(bytes), nodes: 0, expects: Expects::Root, error: None }
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.tag(layout::NULL);
    }

    /// Writes a boolean.
    pub fn bool(&mut self, value: bool) {
        self.tag(if value { layout::TRUE } else { layout::FALSE });
    }

    /// Writes an integer.
    pub fn i64(&mut self, value: i64) {
        self.eight(layout::I64, value.to_le_bytes());
    }

    /// Writes an integer, as an `i64` if it fits.
    pub fn u64(&mut self, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.i64(value),
            Err(_) => self.eight(layout::U64, value.to_le_bytes()),
        }
    }

    /// Writes a double. NaN and infinities give [`Error::NotFinite`].
    pub fn f64(&mut self, value: f64) {
        if value.is_finite() {
            self.eight(layout::F64, value.to_le_bytes());
        } else {
            self.fail(Error::NotFinite);
        }
    }

    /// Writes the number in `text`, in the first [`Number`] form that holds it. A text that is no JSON number gives
    /// [`Error::NotANumber`].
    pub fn number_text(&mut self, text: &str) {
        match Number::parse(text) {
            Some(Number::I64(value)) => self.i64(value),
            Some(Number::U64(value)) => self.u64(value),
            Some(Number::F64(value)) => self.f64(value),
            Some(Number::Text(text)) => self.text(layout::TEXT, text),
            None => self.fail(Error::NotANumber),
        }
    }

    /// Writes a string.
    pub fn string(&mut self, text: &str) {
        self.text(layout::STRING, text);
    }

    /// Starts an object. Then follow pairs of [`key`](Self::key) and a value, and [`end`](Self::end).
    pub fn begin_object(&mut self) {
        self.begin(true);
    }

    /// Writes the key of the next value. If the object already has this key, the new member replaces the earlier one.
    pub fn key(&mut self, key: &str) {
        if self.error.is_some() {
        } else if self.expects != Expects::Key {
            self.fail(Error::Misuse("a key where no member begins"));
        } else if self.fits(key.len()) {
            self.builder.key(key.as_bytes());
            self.expects = Expects::Value;
        }
    }

    /// Starts an array. Then follow its items, and [`end`](Self::end).
    pub fn begin_array(&mut self) {
        self.begin(false);
    }

    /// Ends the innermost array or object.
    pub fn end(&mut self) {
        match self.expects {
            _ if self.error.is_some() => {}
            Expects::Item | Expects::Key => {
                self.builder.end();
                // A table adds up to eight bytes for each child, so the document may become too long here.
                if self.fits(0) {
                    self.written();
                }
            }
            Expects::Value => self.fail(Error::Misuse("an end after a key without a value")),
            Expects::Root | Expects::Nothing => self.fail(Error::Misuse("an end without a begin")),
        }
    }

    /// Writes a copy of a node of any document, after a check of its structure (O(size)). So this writer's document is
    /// sound, even if the other one is not.
    pub fn node(&mut self, node: Node<'_>) {
        let bytes = node.bytes();
        let depth = self.builder.depth();
        // Without the expensive check of number texts, which `validate` performs on the receiving side.
        match validate::node(bytes, 0, depth, |text| number::grammar(text.as_bytes())) {
            Ok(nodes) => {
                if self.place() && self.fits(bytes.len()) {
                    // `place` has counted the first node.
                    self.nodes += nodes - 1;
                    if self.nodes > MAX_NODES {
                        return self.fail(Error::TooManyNodes);
                    }
                    self.builder.out.extend_from_slice(bytes);
                    self.written();
                }
            }
            Err(error) => self.fail(error),
        }
    }

    /// Writes a copy of a node of a sound document: one that this crate made, or that [`validate`] has accepted. Costs
    /// one copy of its bytes. The limits of the new document hold, provided that no node is written twice, or deeper
    /// than in its source.
    ///
    /// [`validate`]: crate::validate()
    pub fn sound_node(&mut self, node: Node<'_>) {
        let bytes = node.bytes();
        if self.place() && self.fits(bytes.len()) {
            self.builder.out.extend_from_slice(bytes);
            self.written();
        }
    }

    /// The document.
    ///
    /// # Errors
    /// The first mistake or exceeded limit. [`Error::Misuse`] if there is no value, or if a container is still open.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        match (self.error, self.expects) {
            (Some(error), _) => Err(error),
            (None, Expects::Nothing) => Ok(self.builder.out),
            (None, Expects::Root) => Err(Error::Misuse("no value")),
            (None, _) => Err(Error::Misuse("a begin without an end")),
        }
    }

    /// The first mistake or exceeded limit so far, so that a caller can stop reading a long source.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn tag(&mut self, tag: u8) {
        if self.place() && self.fits(1) {
            self.builder.out.push(tag);
            self.written();
        }
    }

    fn eight(&mut self, tag: u8, bytes: [u8; 8]) {
        if self.place() && self.fits(9) {
            self.builder.number(tag, bytes);
            self.written();
        }
    }

    fn text(&mut self, tag: u8, text: &str) {
        if self.place() && self.fits(text.len()) {
            self.builder.text(tag, text.as_bytes());
            self.written();
        }
    }

    fn begin(&mut self, object: bool) {
        if self.place() {
            if self.builder.depth() == MAX_DEPTH {
                return self.fail(Error::TooDeep);
            }
            self.builder.begin(object);
            self.expects = if object { Expects::Key } else { Expects::Item };
        }
    }

    /// Prepares the place of a value, if a value is allowed here.
    fn place(&mut self) -> bool {
        match self.expects {
            _ if self.error.is_some() => return false,
            Expects::Root | Expects::Value => {}
            Expects::Item => self.builder.item(),
            Expects::Key => {
                self.fail(Error::Misuse("a value without a key in an object"));
                return false;
            }
            Expects::Nothing => {
                self.fail(Error::Misuse("a second value after the root"));
                return false;
            }
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.fail(Error::TooManyNodes);
        }
        self.error.is_none()
    }

    /// Whether every offset fits a `u32` after `more` bytes.
    fn fits(&mut self, more: usize) -> bool {
        // The margin is for heads and counts.
        let fits = self.builder.out.len().saturating_add(more) < u32::MAX as usize - 64;
        if !fits {
            self.fail(Error::TooLong);
        }
        fits
    }

    fn written(&mut self) {
        self.expects = match self.builder.in_object() {
            None => Expects::Nothing,
            Some(true) => Expects::Key,
            Some(false) => Expects::Item,
        };
    }

    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }
}
