//! Writing a document value by value.

use crate::builder::Builder;
use crate::number::{self, Number};
use crate::{Error, MAX_DEPTH, MAX_NODES, Node, layout, validate};

/// Writes a document in one pass.
///
/// Calls return nothing, so that writing reads as a list of what is written. The first mistake (or limit) is kept, what comes after
/// it is ignored, and [`finish`](Self::finish) reports it.
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

/// What the place where the next value would go asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The root has not begun.
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
    /// A writer of an empty document.
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// A writer that has room for `bytes` bytes before it must grow.
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

    /// Writes an integer, as an `i64` where that can hold it.
    pub fn u64(&mut self, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.i64(value),
            Err(_) => self.eight(layout::U64, value.to_le_bytes()),
        }
    }

    /// Writes a double. NaN and the infinities are [`Error::NotFinite`].
    pub fn f64(&mut self, value: f64) {
        if value.is_finite() {
            self.eight(layout::F64, value.to_le_bytes());
        } else {
            self.fail(Error::NotFinite);
        }
    }

    /// Writes the number that `text` says, in the first [`Number`] form that holds it. Anything but a JSON number is
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

    /// Begins an object; [`key`](Self::key) and a value in turn follow, then [`end`](Self::end).
    pub fn begin_object(&mut self) {
        self.begin(true);
    }

    /// Writes the key of the next value. A key that the object has already replaces the earlier member.
    pub fn key(&mut self, key: &str) {
        if self.error.is_some() {
        } else if self.expects != Expects::Key {
            self.fail(Error::Misuse("a key where no member begins"));
        } else if self.fits(key.len()) {
            self.builder.key(key.as_bytes());
            self.expects = Expects::Value;
        }
    }

    /// Begins an array; its items follow, then [`end`](Self::end).
    pub fn begin_array(&mut self) {
        self.begin(false);
    }

    /// Ends the innermost array or object.
    pub fn end(&mut self) {
        match self.expects {
            _ if self.error.is_some() => {}
            Expects::Item | Expects::Key => {
                self.builder.end();
                // A table adds up to eight bytes a child, so this may be where the document gets too long.
                if self.fits(0) {
                    self.written();
                }
            }
            Expects::Value => self.fail(Error::Misuse("an end after a key without a value")),
            Expects::Root | Expects::Nothing => self.fail(Error::Misuse("an end without a begin")),
        }
    }

    /// Writes a copy of a node of any document, after a check of its structure (O(size)): a document that this writer
    /// finishes is sound even if the other is not.
    pub fn node(&mut self, node: Node<'_>) {
        let bytes = node.bytes();
        let depth = self.builder.depth();
        // Without the costly look at number texts: what it is for, `validate` does on the other side.
        match validate::node(bytes, 0, depth, |text| number::grammar(text.as_bytes())) {
            Ok(nodes) => {
                if self.place() && self.fits(bytes.len()) {
                    // `place` has counted the first.
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

    /// Writes a copy of a node of a document that is known to be sound: one that this crate made, or [`validate`] has passed.
    /// Costs a copy of its bytes. What is within the limits there is so here, as long as no node is written twice, or deeper
    /// than it stood.
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
    /// The first mistake or limit met while writing; [`Error::Misuse`] if there is no value or a container is still open.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        match (self.error, self.expects) {
            (Some(error), _) => Err(error),
            (None, Expects::Nothing) => Ok(self.builder.out),
            (None, Expects::Root) => Err(Error::Misuse("no value")),
            (None, _) => Err(Error::Misuse("a begin without an end")),
        }
    }

    /// The first mistake or limit so far, so that a long source need not be read to its end.
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

    /// Makes the place for a value, if one may come here.
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

    /// Whether `more` bytes keep every offset within a `u32`.
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
