//! The table of every field of every kind, read in place.
//!
//! `scripts/api-table/README.md` has the format, and how the table is generated.

use crate::Version;

static BYTES: &[u8] = include_bytes!("table.bin");

const WORDS: usize = count(0);
const STRUCTS: usize = count(1);
const FIELDS: usize = count(2);
const TYPES: usize = count(3);
const KINDS: usize = count(4);

const WORD_ENDS: usize = 10;
const STRUCT_STARTS: usize = WORD_ENDS + 2 * (WORDS + 1);
const FIELD_ROWS: usize = STRUCT_STARTS + 2 * (STRUCTS + 1);
const TYPE_ROWS: usize = FIELD_ROWS + 6 * FIELDS;
const KIND_ROWS: usize = TYPE_ROWS + 4 * TYPES;
const TEXT: usize = KIND_ROWS + 12 * KINDS;

/// Codes from here on are composite types.
const COMPOSITE: u16 = 32;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    String,
    Bool,
    Int32,
    Int64,
    Double,
    /// Bytes as base64.
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// A JSON schema, or a list of them.
    SchemaOrArray,
    /// A JSON schema, or a boolean.
    SchemaOrBool,
    /// A JSON schema, or a list of strings.
    SchemaOrStrings,
    Struct(Struct),
    List(Code),
    Map(Code),
}

/// The code of a type in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(u16);

impl Code {
    pub(crate) fn shape(self) -> Type {
        let Some(index) = self.0.checked_sub(COMPOSITE) else {
            return match self.0 {
                1 => Type::String,
                2 => Type::Bool,
                3 => Type::Int32,
                4 => Type::Int64,
                5 => Type::Double,
                6 => Type::Bytes,
                7 => Type::Time,
                8 => Type::MicroTime,
                9 => Type::Quantity,
                10 => Type::IntOrString,
                11 => Type::SchemaOrArray,
                12 => Type::SchemaOrBool,
                13 => Type::SchemaOrStrings,
                _ => Type::Any,
            };
        };
        let row = TYPE_ROWS + 4 * usize::from(index);
        let below = number(row + 2);
        match number(row) {
            0 => Type::Struct(Struct(below)),
            1 => Type::List(Self(below)),
            _ => Type::Map(Self(below)),
        }
    }
}

/// An object with known fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Struct(u16);

impl Struct {
    /// The type of the field of this name in this version.
    pub(crate) fn field(self, name: &str, version: Version) -> Option<Code> {
        let (mut low, mut high) = self.range();
        let end = high;
        while low < high {
            let middle = low.midpoint(high);
            if word_bytes(number(FIELD_ROWS + 6 * middle)) < name.as_bytes() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low..end)
            .map(Field::of)
            .take_while(|field| field.name_bytes() == name.as_bytes())
            .find_map(|field| field.served(version))
    }

    /// The fields of this version, sorted by name.
    pub(crate) fn fields(self, version: Version) -> impl Iterator<Item = (&'static str, Code)> {
        let (start, end) = self.range();
        (start..end).map(Field::of).filter_map(move |field| Some((field.name(), field.served(version)?)))
    }

    /// The versions that have the field of this name, oldest and newest.
    pub(crate) fn versions(self, name: &str) -> Option<(u16, u16)> {
        let (start, end) = self.range();
        let mut rows = (start..end).map(Field::of).filter(|field| field.name_bytes() == name.as_bytes());
        let first = rows.next()?;
        let last = rows.next_back().unwrap_or(first);
        Some((first.first(), last.last()))
    }

    fn range(self) -> (usize, usize) {
        let at = STRUCT_STARTS + 2 * usize::from(self.0);
        (usize::from(number(at)), usize::from(number(at + 2)))
    }
}

#[derive(Clone, Copy)]
struct Field {
    row: usize,
}

impl Field {
    fn of(index: usize) -> Self {
        Self { row: FIELD_ROWS + 6 * index }
    }

    fn name_bytes(self) -> &'static [u8] {
        word_bytes(number(self.row))
    }

    fn name(self) -> &'static str {
        word(number(self.row))
    }

    fn first(self) -> u16 {
        byte(self.row + 4)
    }

    fn last(self) -> u16 {
        byte(self.row + 5)
    }

    fn served(self, version: Version) -> Option<Code> {
        (self.first()..=self.last()).contains(&version.minor).then(|| Code(number(self.row + 2)))
    }
}

/// A kind that can be created, in one version of its group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    row: usize,
}

impl Kind {
    /// The kinds of this name in all groups and versions of Kubernetes, also those that this version does not have.
    pub(crate) fn named(name: &str) -> impl Iterator<Item = Self> + Clone {
        let (mut low, mut high) = (0, KINDS);
        while low < high {
            let middle = low.midpoint(high);
            if word_bytes(number(KIND_ROWS + 12 * middle)) < name.as_bytes() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Self::all().skip(low).take_while(move |kind| kind.name() == name)
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> + Clone {
        (0..KINDS).map(|index| Self { row: KIND_ROWS + 12 * index })
    }

    pub(crate) fn name(self) -> &'static str {
        word(number(self.row))
    }

    pub(crate) fn group(self) -> &'static str {
        word(number(self.row + 2))
    }

    pub(crate) fn version(self) -> &'static str {
        word(number(self.row + 4))
    }

    pub(crate) fn api_version(self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    pub(crate) fn shape(self) -> Code {
        Code(number(self.row + 6))
    }

    pub(crate) fn first(self) -> u16 {
        byte(self.row + 8)
    }

    pub(crate) fn last(self) -> u16 {
        byte(self.row + 9)
    }

    pub(crate) fn is_in(self, version: Version) -> bool {
        (self.first()..=self.last()).contains(&version.minor)
    }
}

fn word(index: u16) -> &'static str {
    std::str::from_utf8(word_bytes(index)).unwrap_or_default()
}

fn word_bytes(index: u16) -> &'static [u8] {
    let at = WORD_ENDS + 2 * usize::from(index);
    let (start, end) = (usize::from(number(at)), usize::from(number(at + 2)));
    BYTES.get(TEXT + start..TEXT + end).unwrap_or_default()
}

fn number(at: usize) -> u16 {
    u16::from_le_bytes([BYTES.get(at).copied().unwrap_or(0), BYTES.get(at + 1).copied().unwrap_or(0)])
}

fn byte(at: usize) -> u16 {
    u16::from(BYTES.get(at).copied().unwrap_or(0))
}

const fn count(index: usize) -> usize {
    BYTES[2 * index] as usize + BYTES[2 * index + 1] as usize * 256
}
