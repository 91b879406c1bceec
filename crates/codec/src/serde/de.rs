use serde::de::{self, DeserializeSeed, Visitor};
use serde::forward_to_deserialize_any;

use super::{Error, Special};
use crate::constructor as code;
use crate::{Array, Decode, DecodeError, Reader, Symbol, Timestamp};

/// Reads one value.
pub(super) struct Deserializer<'r, 'de> {
    reader: &'r mut Reader<'de>,
    /// The descriptors and the constructor, if they were read already: those of all elements of an array.
    shared: Option<&'de [u8]>,
}

/// The elements of a list, map or array.
struct Elements<'de> {
    reader: Reader<'de>,
    /// How many values are left: two for each entry of a map.
    left: u32,
    shared: Option<&'de [u8]>,
}

impl<'r, 'de> Deserializer<'r, 'de> {
    pub(super) fn new(reader: &'r mut Reader<'de>) -> Self {
        Self { reader, shared: None }
    }

    /// Whether a null comes next.
    fn is_null(&self) -> Result<bool, DecodeError> {
        let next = match self.shared {
            Some(shared) => shared.first().copied().unwrap_or(code::NULL),
            None => self.reader.peek()?,
        };
        Ok(next == code::NULL)
    }

    /// Takes the constructor behind descriptors, which are ignored, and hands it to `read`.
    fn with_constructor<T>(self, read: impl FnOnce(u8, &mut Reader<'de>) -> Result<T, Error>) -> Result<T, Error> {
        let at = self.reader.offset();
        let mut descriptors = 0_u8;
        let result = match self.shared.and_then(<[u8]>::last) {
            Some(constructor) => read(*constructor, self.reader),
            None => loop {
                match self.reader.octet()? {
                    code::DESCRIBED => {
                        self.reader.descend()?;
                        descriptors = descriptors.saturating_add(1);
                        self.reader.skip()?;
                    }
                    constructor => break read(constructor, self.reader),
                }
            },
        };
        for _ in 0..descriptors {
            self.reader.ascend();
        }
        result.map_err(|error| error.at(at))
    }

    /// The octets of one whole value, descriptor included: borrowed, unless they stand in two places.
    fn encoded<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let at = self.reader.offset();
        let start = self.reader.rest();
        match self.shared {
            Some(shared) => self.reader.skip_data(shared.last().copied().unwrap_or(code::NULL))?,
            None => self.reader.skip()?,
        }
        let taken = self.reader.offset().saturating_sub(at);
        let octets = start.get(..taken).unwrap_or(start);
        match self.shared {
            Some(shared) => visitor.visit_byte_buf([shared, octets].concat()),
            None => visitor.visit_borrowed_bytes(octets),
        }
        .map_err(|error: Error| error.at(at))
    }

    fn special<V: Visitor<'de>>(self, special: Special, visitor: V) -> Result<V::Value, Error> {
        self.with_constructor(|constructor, reader| {
            let (expected, width) = match special {
                Special::Timestamp => return visitor.visit_i64(Timestamp::decode_data(constructor, reader)?.0),
                Special::Symbol => return visitor.visit_borrowed_str(Symbol::decode_text(constructor, reader)?),
                Special::Uuid | Special::Encoded => (code::UUID, 16),
                Special::Decimal32 => (code::DECIMAL32, 4),
                Special::Decimal64 => (code::DECIMAL64, 8),
                Special::Decimal128 => (code::DECIMAL128, 16),
            };
            if constructor != expected {
                let name = match special {
                    Special::Decimal32 => "decimal32",
                    Special::Decimal64 => "decimal64",
                    Special::Decimal128 => "decimal128",
                    _ => "uuid",
                };
                return Err(reader.unexpected(name, constructor).into());
            }
            visitor.visit_borrowed_bytes(reader.take(width)?)
        })
    }
}

fn any<'de, V: Visitor<'de>>(c: u8, r: &mut Reader<'de>, visitor: V) -> Result<V::Value, Error> {
    fn of<'de, T: Decode<'de>>(c: u8, r: &mut Reader<'de>) -> Result<T, DecodeError> {
        T::decode_data(c, r)
    }
    match c {
        code::NULL => visitor.visit_unit(),
        code::TRUE | code::FALSE | code::BOOLEAN => visitor.visit_bool(of(c, r)?),
        code::UBYTE => visitor.visit_u8(of(c, r)?),
        code::USHORT => visitor.visit_u16(of(c, r)?),
        code::UINT0 | code::SMALLUINT | code::UINT => visitor.visit_u32(of(c, r)?),
        code::ULONG0 | code::SMALLULONG | code::ULONG => visitor.visit_u64(of(c, r)?),
        code::BYTE => visitor.visit_i8(of(c, r)?),
        code::SHORT => visitor.visit_i16(of(c, r)?),
        code::SMALLINT | code::INT => visitor.visit_i32(of(c, r)?),
        code::SMALLLONG | code::LONG => visitor.visit_i64(of(c, r)?),
        code::FLOAT => visitor.visit_f32(of(c, r)?),
        code::DOUBLE => visitor.visit_f64(of(c, r)?),
        code::CHAR => visitor.visit_char(of(c, r)?),
        code::TIMESTAMP => visitor.visit_i64(of::<Timestamp>(c, r)?.0),
        code::DECIMAL32 => visitor.visit_borrowed_bytes(r.take(4)?),
        code::DECIMAL64 => visitor.visit_borrowed_bytes(r.take(8)?),
        code::DECIMAL128 | code::UUID => visitor.visit_borrowed_bytes(r.take(16)?),
        code::VBIN8 | code::VBIN32 => visitor.visit_borrowed_bytes(of(c, r)?),
        code::STR8 | code::STR32 => visitor.visit_borrowed_str(of(c, r)?),
        code::SYM8 | code::SYM32 => visitor.visit_borrowed_str(Symbol::decode_text(c, r)?),
        code::MAP8 | code::MAP32 => {
            let mut elements = Elements::open(c, r)?;
            let value = visitor.visit_map(&mut elements)?;
            elements.close().map(|()| value)
        }
        _ => {
            let mut elements = Elements::open(c, r)?;
            let value = visitor.visit_seq(&mut elements)?;
            elements.close().map(|()| value)
        }
    }
}

impl<'de> Elements<'de> {
    /// Takes a list, map or array.
    fn open(constructor: u8, reader: &mut Reader<'de>) -> Result<Self, DecodeError> {
        let mut shared = None;
        let (left, inner) = match constructor {
            code::LIST0 => (0, Reader::inner(&[], reader.offset(), 0)),
            code::LIST8 => reader.compound(false)?,
            code::LIST32 => reader.compound(true)?,
            code::MAP8 | code::MAP32 => {
                // Checks the count.
                crate::Map::decode_data(constructor, &mut reader.clone())?;
                reader.compound(constructor == code::MAP32)?
            }
            code::ARRAY8 | code::ARRAY32 => {
                // Checks what the elements have in common, and the count.
                Array::decode_data(constructor, &mut reader.clone())?;
                let (count, mut inner) = reader.compound(constructor == code::ARRAY32)?;
                let (start, at) = (inner.rest(), inner.offset());
                while inner.octet()? == code::DESCRIBED {
                    inner.descend()?;
                    inner.skip()?;
                }
                shared = start.get(..inner.offset().saturating_sub(at));
                (count, inner)
            }
            _ => return Err(reader.unexpected("a value", constructor)),
        };
        if shared.is_none() && left as usize > inner.rest().len() {
            return Err(inner.error(crate::DecodeErrorKind::CountTooLarge));
        }
        Ok(Self { reader: inner, left, shared })
    }

    fn next<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(Deserializer { reader: &mut self.reader, shared: self.shared }).map(Some)
    }

    /// Checks that there is nothing that was not asked for.
    fn close(self) -> Result<(), Error> {
        if self.left > 0 {
            return Err(Error::new("there are more elements than expected").at(self.reader.offset()));
        }
        Ok(self.reader.finish()?)
    }
}

impl<'de> de::SeqAccess<'de> for &mut Elements<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left as usize)
    }
}

impl<'de> de::MapAccess<'de> for &mut Elements<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.next(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.next(seed)?.ok_or_else(|| Error::new("a value was asked for twice"))
    }

    fn size_hint(&self) -> Option<usize> {
        Some((self.left / 2) as usize)
    }
}

/// An enum's variant: what is behind its name in a map.
impl<'de> de::EnumAccess<'de> for &mut Elements<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name = self.next(seed)?.ok_or_else(|| Error::new("expected the name of a variant"))?;
        Ok((name, self))
    }
}

impl<'de> de::VariantAccess<'de> for &mut Elements<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        de::MapAccess::next_value_seed(&mut &mut *self, core::marker::PhantomData)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        de::MapAccess::next_value_seed(&mut &mut *self, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.newtype_variant_seed(Any(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.newtype_variant_seed(Any(visitor))
    }
}

/// What a visitor makes of any value.
struct Any<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Any<V> {
    type Value = V::Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.with_constructor(|constructor, reader| any(constructor, reader, visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null()? {
            return self.with_constructor(|_, _| visitor.visit_none());
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match Special::named(name) {
            Some(Special::Encoded) => self.encoded(visitor),
            Some(special) => self.special(special, visitor),
            None => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.with_constructor(|constructor, reader| match constructor {
            code::STR8 | code::STR32 => {
                let name = <&str>::decode_data(constructor, reader)?;
                visitor.visit_enum(de::value::BorrowedStrDeserializer::new(name))
            }
            code::SYM8 | code::SYM32 => {
                let name = Symbol::decode_text(constructor, reader)?;
                visitor.visit_enum(de::value::BorrowedStrDeserializer::new(name))
            }
            code::MAP8 | code::MAP32 => {
                let mut elements = Elements::open(constructor, reader)?;
                let value = visitor.visit_enum(&mut elements)?;
                elements.close().map(|()| value)
            }
            _ => Err(reader.unexpected("the name of a variant, or a map of one entry", constructor).into()),
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.with_constructor(|constructor, reader| {
            reader.skip_data(constructor)?;
            visitor.visit_unit()
        })
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}
