//! Documents from serde values, by serde_json's conventions.

use serde::ser::{self, Serialize};

use crate::{Error, Kind, Node, Number, Writer};

/// The document of a `serde_json::Value`, or of any type as `serde_json` would write it.
///
/// # Errors
/// Exceeded limits, NaN and infinities, keys other than text, numbers, characters and booleans, and errors of the
/// type's `Serialize`.
pub fn to_document<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new();
    value.serialize(&mut Values { writer: &mut writer })?;
    writer.finish()
}

/// Serialises like the JSON value. Serde has no numbers of arbitrary size, so a [`Number::Text`] becomes the nearest
/// double, and a number beyond all doubles is an error. [`Writer::node`] and [`Node::write_json`] keep the text.
impl Serialize for Node<'_> {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.kind() {
            Kind::Null => serializer.serialize_unit(),
            Kind::Bool => serializer.serialize_bool(self.as_bool().unwrap_or_default()),
            Kind::Number => match self.number() {
                Some(Number::I64(value)) => serializer.serialize_i64(value),
                Some(Number::U64(value)) => serializer.serialize_u64(value),
                Some(Number::F64(value)) => serializer.serialize_f64(value),
                Some(Number::Text(text)) => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => serializer.serialize_f64(value),
                    _ => Err(ser::Error::custom("number out of range")),
                },
                None => serializer.serialize_unit(),
            },
            Kind::String => serializer.serialize_str(self.as_str().unwrap_or_default()),
            Kind::Array => serializer.collect_seq(self.items()),
            Kind::Object => serializer.collect_map(self.members()),
        }
    }
}

struct Values<'w> {
    writer: &'w mut Writer,
}

impl Values<'_> {
    fn done(&self) -> Result<(), Error> {
        self.writer.check()
    }
}

/// An open array or object, and the number of `end`s that close it.
struct Open<'s, 'w> {
    values: &'s mut Values<'w>,
    ends: usize,
}

impl<'w> Values<'w> {
    fn open(&mut self, variant: Option<&str>, object: bool) -> Result<Open<'_, 'w>, Error> {
        let mut ends = 1;
        if let Some(variant) = variant {
            self.writer.begin_object();
            self.writer.key(variant);
            ends = 2;
        }
        if object {
            self.writer.begin_object();
        } else {
            self.writer.begin_array();
        }
        self.done()?;
        Ok(Open { values: self, ends })
    }
}

macro_rules! integers {
    ($($method:ident $type:ty => $write:ident;)*) => {$(
        fn $method(self, value: $type) -> Result<(), Error> {
            self.writer.$write(value.into());
            self.done()
        }
    )*};
}

impl<'s, 'w> ser::Serializer for &'s mut Values<'w> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Open<'s, 'w>;
    type SerializeTuple = Open<'s, 'w>;
    type SerializeTupleStruct = Open<'s, 'w>;
    type SerializeTupleVariant = Open<'s, 'w>;
    type SerializeMap = Open<'s, 'w>;
    type SerializeStruct = Open<'s, 'w>;
    type SerializeStructVariant = Open<'s, 'w>;

    integers! {
        serialize_bool bool => bool;
        serialize_i8 i8 => i64;
        serialize_i16 i16 => i64;
        serialize_i32 i32 => i64;
        serialize_i64 i64 => i64;
        serialize_u8 u8 => u64;
        serialize_u16 u16 => u64;
        serialize_u32 u32 => u64;
        serialize_u64 u64 => u64;
        serialize_f32 f32 => f64;
        serialize_f64 f64 => f64;
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        self.writer.number_text(&value.to_string());
        self.done()
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        self.writer.number_text(&value.to_string());
        self.done()
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.writer.string(text);
        self.done()
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.begin_array();
        for &byte in bytes {
            self.writer.i64(byte.into());
        }
        self.writer.end();
        self.done()
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.writer.null();
        self.done()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.writer.begin_object();
        self.writer.key(variant);
        value.serialize(&mut *self)?;
        self.writer.end();
        self.done()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'s, 'w>, Error> {
        self.open(None, false)
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'s, 'w>, Error> {
        self.open(None, false)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'s, 'w>, Error> {
        self.open(None, false)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'s, 'w>, Error> {
        self.open(Some(variant), false)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'s, 'w>, Error> {
        self.open(None, true)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'s, 'w>, Error> {
        self.open(None, true)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'s, 'w>, Error> {
        self.open(Some(variant), true)
    }
}

impl Open<'_, '_> {
    fn close(self) -> Result<(), Error> {
        for _ in 0..self.ends {
            self.values.writer.end();
        }
        self.values.done()
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        self.values.writer.key(key);
        value.serialize(&mut *self.values)
    }
}

macro_rules! sequences {
    ($($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for Open<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                value.serialize(&mut *self.values)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

sequences! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

macro_rules! structures {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Open<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

structures! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Open<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        key.serialize(Keys { writer: self.values.writer })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.values)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

/// Serialises the key of a map. Only types with one obvious text are allowed.
struct Keys<'w> {
    writer: &'w mut Writer,
}

macro_rules! keys {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, value: $type) -> Result<(), Error> {
            self.serialize_str(&value.to_string())
        }
    )*};
}

macro_rules! no_keys {
    ($($method:ident($($type:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$ok, Error> {
            Err(no_key())
        }
    )*};
}

type Never = ser::Impossible<(), Error>;

impl ser::Serializer for Keys<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    keys! {
        serialize_bool bool;
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_u128 u128;
        serialize_char char;
    }

    no_keys! {
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_map(Option<usize>) -> Never;
        serialize_struct(&'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }

    fn serialize_str(self, key: &str) -> Result<(), Error> {
        self.writer.key(key);
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(no_key())
    }
}

fn no_key() -> Error {
    ser::Error::custom("key must be a string")
}
