//! Reads a document in place.

use std::fmt;

use crate::layout::{self, Table};
use crate::number::{self, Number};
use crate::{Error, MAX_DEPTH, Problem, VERSION, print};

/// One value of a document: a handle of a few words, which borrows the document and is copied freely.
///
/// Reading never allocates and never panics, for any bytes. Damaged parts read as absent: `None`, or an iterator that
/// ends early. [`validate`](crate::validate) reports them.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a [u8],
    position: u32,
    /// Number of containers around this node. It limits the recursion over a hostile document.
    depth: u32,
}

/// The six kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "JSON's own words")]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl<'a> Node<'a> {
    /// The root of a document. Checks only the version and the length of the root.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Version`], or [`Error::Malformed`] if the root does not fill the rest of the document
    /// exactly.
    pub fn root(document: &'a [u8]) -> Result<Self, Error> {
        match document.first() {
            None => return Err(Error::Empty),
            Some(&VERSION) => {}
            Some(&other) => return Err(Error::Version(other)),
        }
        if u32::try_from(document.len()).is_err() {
            return Err(Error::TooLong);
        }
        let problem = match layout::end(document, 1, document.len()) {
            Some(end) if end == document.len() => {
                return Ok(Self { document, position: 1, depth: 0 });
            }
            Some(_) => Problem::Trailing,
            None => Problem::Bounds,
        };
        Err(Error::Malformed { position: 1, problem })
    }

    /// The kind of this value.
    pub fn kind(self) -> Kind {
        match self.tag() {
            layout::FALSE | layout::TRUE => Kind::Bool,
            layout::I64..=layout::TEXT => Kind::Number,
            layout::STRING => Kind::String,
            layout::ARRAY => Kind::Array,
            layout::OBJECT => Kind::Object,
            _ => Kind::Null,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(self) -> bool {
        self.tag() == layout::NULL
    }

    /// The value of a boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self.tag() {
            layout::FALSE => Some(false),
            layout::TRUE => Some(true),
            _ => None,
        }
    }

    /// The text of a string, without quotes and escapes.
    pub fn as_str(self) -> Option<&'a str> {
        if self.tag() == layout::STRING { self.text() } else { None }
    }

    /// The number as an `i64`, also for a `u64` or an integral double that fits. A double counts with its exact value,
    /// which may differ from its shortest text beyond 2^53.
    pub fn as_i64(self) -> Option<i64> {
        self.number()?.as_i64()
    }

    /// The number as a `u64`, also for an `i64` or an integral double that fits.
    pub fn as_u64(self) -> Option<u64> {
        self.number()?.as_u64()
    }

    /// The number as the nearest double. For a [`Number::Text`], the result is within a few units in the last place.
    /// `None` if the result would be infinite.
    pub fn as_f64(self) -> Option<f64> {
        self.number()?.as_f64()
    }

    /// The number, exactly.
    pub fn number(self) -> Option<Number<'a>> {
        let word = || layout::word(self.document, self.position());
        Some(match self.tag() {
            layout::I64 => Number::I64(i64::from_le_bytes(word()?)),
            layout::U64 => Number::U64(u64::from_le_bytes(word()?)),
            layout::F64 => Number::F64(f64::from_le_bytes(word()?)),
            layout::TEXT => Number::Text(self.text()?),
            _ => return None,
        })
    }

    /// Number of items or members; 0 for a scalar.
    #[expect(clippy::len_without_is_empty, reason = "a scalar is neither empty nor filled")]
    pub fn len(self) -> usize {
        self.table().map_or(0, |table| table.count)
    }

    /// The member of an object with this key. Scans up to 32 members, and uses a binary search above.
    pub fn get(self, key: &str) -> Option<Self> {
        let table = self.table().filter(|table| table.object)?;
        let value = table.find(self.document, key.as_bytes())?;
        self.inside(&table, value)
    }

    /// The item of an array, counted from 0.
    pub fn item(self, index: usize) -> Option<Self> {
        let table = self.table().filter(|table| !table.object)?;
        self.child(&table, index)
    }

    /// The members of an object in the order of the source. Empty for other kinds.
    pub fn members(self) -> Members<'a> {
        Members { node: self, table: self.table().filter(|table| table.object), next: 0 }
    }

    /// The items of an array. Empty for other kinds.
    pub fn items(self) -> Items<'a> {
        Items { node: self, table: self.table().filter(|table| !table.object), next: 0 }
    }

    /// The node at a pointer (RFC 6901) from this node; `""` is this node.
    ///
    /// Allocates only for a token with an escape. An index has no leading zeros, and `-` names nothing.
    pub fn at(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let mut node = self;
        let Some(tokens) = pointer.strip_prefix('/') else {
            return no_pointer(pointer);
        };
        for token in tokens.split('/') {
            node = match node.kind() {
                Kind::Object if token.contains('~') => node.get(&unescape(token)?)?,
                Kind::Object => node.get(token)?,
                Kind::Array => node.item(index(token)?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// Start of the node in bytes from the start of its document. Different nodes of a document have different
    /// positions.
    pub fn position(self) -> usize {
        self.position as usize
    }

    /// The pointer (RFC 6901) of this node from the root of its document.
    ///
    /// The path to a node is not stored. It is computed from the root by position, in O(depth · log width).
    pub fn pointer(self) -> String {
        let mut pointer = String::with_capacity(64);
        let mut at = 1;
        while at != self.position() {
            let Some(table) = Table::of(self.document, at) else {
                break;
            };
            let Some((index, value)) = enclosing(self.document, &table, self.position()) else {
                break;
            };
            pointer.push('/');
            if let Some((key, _)) = table.member(self.document, index).filter(|_| table.object) {
                escape_into(std::str::from_utf8(key).unwrap_or_default(), &mut pointer);
            } else {
                print::integer(index as u64, &mut pointer);
            }
            at = value;
        }
        pointer
    }

    /// This value as compact JSON.
    pub fn to_json(self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    /// Appends this value as compact JSON, with members in the order of the source.
    pub fn write_json(self, out: &mut String) {
        print::write_json(self, out);
    }

    /// This value as a separate document: one copy of its bytes.
    pub fn to_document(self) -> Vec<u8> {
        let bytes = self.bytes();
        let mut document = Vec::with_capacity(bytes.len() + 1);
        document.push(VERSION);
        document.extend_from_slice(bytes);
        document
    }

    /// The bytes of this node. They have the same meaning at any place of any document.
    pub(crate) fn bytes(self) -> &'a [u8] {
        let at = self.position();
        layout::end(self.document, at, self.document.len())
            .and_then(|end| self.document.get(at..end))
            .unwrap_or(&[layout::NULL])
    }

    fn tag(self) -> u8 {
        self.document.get(self.position()).copied().unwrap_or(layout::NULL)
    }

    fn text(self) -> Option<&'a str> {
        std::str::from_utf8(layout::text(self.document, self.position())?).ok()
    }

    fn table(self) -> Option<Table> {
        Table::of(self.document, self.position())
    }

    fn child(self, table: &Table, index: usize) -> Option<Self> {
        self.inside(table, table.value(self.document, index)?)
    }

    /// The node at `at`. `None` if it exceeds the children of its container.
    fn inside(self, table: &Table, at: usize) -> Option<Self> {
        layout::end(self.document, at, table.limit)?;
        let depth = self.depth + 1;
        let position = u32::try_from(at).ok()?;
        (depth as usize <= MAX_DEPTH).then_some(Self { document: self.document, position, depth })
    }
}

/// The members of an object, in the order of the source.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    node: Node<'a>,
    table: Option<Table>,
    next: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let table = self.table?;
        let (key, value) = table.member(self.node.document, self.next)?;
        let node = self.node.inside(&table, value)?;
        let key = std::str::from_utf8(key).ok()?;
        self.next += 1;
        Some((key, node))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.table.map_or(0, |table| table.count - self.next)))
    }
}

/// The items of an array.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    node: Node<'a>,
    table: Option<Table>,
    next: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.node.child(&self.table?, self.next)?;
        self.next += 1;
        Some(node)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.table.map_or(0, |table| table.count - self.next)))
    }
}

/// Equality of values: the order of members does not matter, and numbers are compared by value (`1 == 1.0`).
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        let kind = self.kind();
        if kind != other.kind() || self.len() != other.len() {
            return false;
        }
        match kind {
            Kind::Null => true,
            Kind::Bool => self.tag() == other.tag(),
            Kind::Number => match (self.number(), other.number()) {
                (Some(one), Some(two)) => number::equal(one, two),
                _ => false,
            },
            // Comparing bytes gives the same result as text, without a UTF-8 check.
            Kind::String => {
                layout::text(self.document, self.position()) == layout::text(other.document, other.position())
            }
            Kind::Array => self.items().eq(other.items()),
            Kind::Object => self.members().all(|(key, one)| other.get(key).is_some_and(|two| one == two)),
        }
    }
}

/// Prints JSON.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// The child whose value contains the byte at `target`, and the start of that value.
fn enclosing(document: &[u8], table: &Table, target: usize) -> Option<(usize, usize)> {
    let (mut low, mut high) = (0, table.count);
    while low < high {
        let middle = low.midpoint(high);
        if table.child(document, middle)? <= target {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let index = low.checked_sub(1)?;
    let value = table.value(document, index)?;
    (value <= target && target < layout::end(document, value, table.limit)?).then_some((index, value))
}

fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    if canonical { token.parse().ok() } else { None }
}

/// The key for a token of a pointer: `~1` is `/`, and `~0` is `~`.
fn unescape(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut key = String::from(parts.next()?);
    for part in parts {
        let (character, rest) = match part.as_bytes().first()? {
            b'0' => ('~', part.get(1..)?),
            b'1' => ('/', part.get(1..)?),
            _ => return None,
        };
        key.push(character);
        key.push_str(rest);
    }
    Some(key)
}

fn escape_into(key: &str, pointer: &mut String) {
    if !key.bytes().any(|byte| matches!(byte, b'~' | b'/')) {
        return pointer.push_str(key);
    }
    for character in key.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}
/// In a guest, the pointer is part of a policy's code, so the first test finds the mistake.
#[cfg(target_arch = "wasm32")]
#[cold]
#[expect(clippy::panic, reason = "a mistake in the code of a policy")]
fn no_pointer<'a>(pointer: &str) -> Option<Node<'a>> {
    panic!("`{pointer}` is not a JSON pointer (RFC 6901): write `/{pointer}`")
}

/// The host also uses pointers of policies and users.
#[cfg(not(target_arch = "wasm32"))]
fn no_pointer<'a>(_pointer: &str) -> Option<Node<'a>> {
    None
}
