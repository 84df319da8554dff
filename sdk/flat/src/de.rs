//! Typed values from nodes, by serde_json's conventions.

use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use crate::{Error, Items, Kind, Members, Node, Number, Problem};

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind() {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool => visitor.visit_bool(self.as_bool().unwrap_or_default()),
            Kind::Number => match self.number().ok_or_else(|| damaged(self))? {
                Number::I64(value) if value < 0 => visitor.visit_i64(value),
                Number::I64(value) => visitor.visit_u64(value.unsigned_abs()),
                Number::U64(value) => visitor.visit_u64(value),
                Number::F64(value) => visitor.visit_f64(value),
                Number::Text(text) => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => visitor.visit_f64(value),
                    _ => Err(Error::custom("number out of range")),
                },
            },
            Kind::String => visitor.visit_borrowed_str(self.as_str().ok_or_else(|| damaged(self))?),
            Kind::Array => {
                let mut items = Sequence { node: self, items: self.items(), left: self.len() };
                let value = visitor.visit_seq(&mut items)?;
                if items.left > 0 {
                    return Err(Error::invalid_length(self.len(), &"fewer elements in array"));
                }
                Ok(value)
            }
            Kind::Object => {
                let mut members = Map { node: self, members: self.members(), left: self.len(), value: None };
                let value = visitor.visit_map(&mut members)?;
                if members.left > 0 {
                    return Err(Error::invalid_length(self.len(), &"fewer elements in map"));
                }
                Ok(value)
            }
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(Number::Text(text)) = self.number()
            && let Ok(value) = text.parse()
        {
            return visitor.visit_i128(value);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(Number::Text(text)) = self.number()
            && let Ok(value) = text.parse()
        {
            return visitor.visit_u128(value);
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.as_str() {
            Some(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.kind() {
            Kind::String => visitor.visit_enum(self.as_str().ok_or_else(|| damaged(self))?.into_deserializer()),
            Kind::Object => {
                let mut members = self.members();
                match (members.next(), self.len()) {
                    (Some((variant, value)), 1) => visitor.visit_enum(Variant { variant, value }),
                    _ => Err(Error::invalid_value(Unexpected::Map, &"map with a single key")),
                }
            }
            _ => Err(Error::invalid_type(unexpected(self), &"string or map")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // Skipping a value needs no read.
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit unit_struct seq tuple tuple_struct map
        struct identifier
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Sequence<'de> {
    node: Node<'de>,
    items: Items<'de>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Sequence<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let item = self.items.next().ok_or_else(|| damaged(self.node))?;
        seed.deserialize(item).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct Map<'de> {
    node: Node<'de>,
    members: Members<'de>,
    left: usize,
    value: Option<Node<'de>>,
}

impl<'de> de::MapAccess<'de> for Map<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (key, value) = self.members.next().ok_or_else(|| damaged(self.node))?;
        self.value = Some(value);
        seed.deserialize(Key(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(Error::custom("value without a key")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A key of a map: a string that may also stand for a number or a boolean.
struct Key<'de>(&'de str);

macro_rules! parsed {
    ($($method:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_bool visit_bool;
        deserialize_i8 visit_i8;
        deserialize_i16 visit_i16;
        deserialize_i32 visit_i32;
        deserialize_i64 visit_i64;
        deserialize_i128 visit_i128;
        deserialize_u8 visit_u8;
        deserialize_u16 visit_u16;
        deserialize_u32 visit_u32;
        deserialize_u64 visit_u64;
        deserialize_u128 visit_u128;
        deserialize_f32 visit_f32;
        deserialize_f64 visit_f64;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant with content: the only member of an object.
struct Variant<'de> {
    variant: &'de str,
    value: Node<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Content<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'de>), Error> {
        Ok((seed.deserialize(Key(self.variant))?, Content(self.value)))
    }
}

struct Content<'de>(Node<'de>);

impl<'de> de::VariantAccess<'de> for Content<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        match self.0.kind() {
            Kind::Array => self.0.deserialize_any(visitor),
            _ => Err(Error::invalid_type(unexpected(self.0), &"tuple variant")),
        }
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match self.0.kind() {
            Kind::Object | Kind::Array => self.0.deserialize_any(visitor),
            _ => Err(Error::invalid_type(unexpected(self.0), &"struct variant")),
        }
    }
}

fn unexpected(node: Node<'_>) -> Unexpected<'_> {
    match node.kind() {
        Kind::Null => Unexpected::Unit,
        Kind::Bool => Unexpected::Bool(node.as_bool().unwrap_or_default()),
        Kind::Number => match node.number() {
            Some(Number::I64(value)) => Unexpected::Signed(value),
            Some(Number::U64(value)) => Unexpected::Unsigned(value),
            Some(Number::F64(value)) => Unexpected::Float(value),
            Some(Number::Text(text)) => Unexpected::Other(text),
            None => Unexpected::Other("damaged number"),
        },
        Kind::String => Unexpected::Str(node.as_str().unwrap_or_default()),
        Kind::Array => Unexpected::Seq,
        Kind::Object => Unexpected::Map,
    }
}

/// The error for children that the table promises and that do not exist.
fn damaged(node: Node<'_>) -> Error {
    Error::Malformed { position: node.position(), problem: Problem::Bounds }
}
