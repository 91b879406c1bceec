use alloc::vec::Vec;

use serde::ser::{self, Serialize};

use super::{Error, Special};
use crate::constructor as code;
use crate::text::MAX_OCTETS;
use crate::{Decimal32, Decimal64, Decimal128, Encode, Reader, Symbol, Timestamp, Uuid, Value};

/// Writes one value.
pub(super) struct Serializer<'o> {
    out: &'o mut Vec<u8>,
    depth_left: u8,
    /// Which type of this crate comes next.
    special: Option<Special>,
}

/// Writes the elements of a list or map.
pub(super) struct Compound<'o> {
    out: &'o mut Vec<u8>,
    /// What may still be nested in it.
    depth_left: u8,
    /// Where the map around it begins that names an enum's variant.
    variant: Option<usize>,
    /// Where it begins.
    start: usize,
    count: u32,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    List,
    Map,
}

impl<'o> Serializer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, depth_left: u8) -> Self {
        Self { out, depth_left, special: None }
    }

    fn put(self, value: &(impl Encode + ?Sized)) -> Result<(), Error> {
        value.encode(self.out);
        Ok(())
    }

    fn begin(self, kind: Kind) -> Result<Compound<'o>, Error> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| Error::new("values are nested too deeply"))?;
        let start = begin(kind, self.out);
        Ok(Compound { out: self.out, depth_left, variant: None, start, count: 0, kind })
    }

    fn begin_variant(self, name: &str, kind: Kind) -> Result<Compound<'o>, Error> {
        let map = self.begin(Kind::Map)?;
        name.encode(map.out);
        let inner = Serializer::new(map.out, map.depth_left).begin(kind)?;
        Ok(Compound { variant: Some(map.start), ..inner })
    }
}

/// Begins a compound in its short form and returns where it begins.
fn begin(kind: Kind, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&match kind {
        Kind::List => [code::LIST8, 0, 0],
        Kind::Map => [code::MAP8, 0, 0],
    });
    start
}

/// Ends the compound that begins at `start`, in its shortest form.
fn finish(kind: Kind, start: usize, count: u32, out: &mut Vec<u8>) -> Result<(), Error> {
    let body = start.saturating_add(3);
    let octets = out.len().saturating_sub(body);
    if octets > MAX_OCTETS {
        return Err(too_large());
    }
    let head = match (kind, u8::try_from(octets.saturating_add(1)), u8::try_from(count)) {
        (Kind::List, _, Ok(0)) => {
            out.truncate(start);
            out.push(code::LIST0);
            return Ok(());
        }
        (Kind::List, Ok(size), Ok(count)) => Vec::from([code::LIST8, size, count]),
        (Kind::Map, Ok(size), Ok(count)) => Vec::from([code::MAP8, size, count]),
        (kind, ..) => {
            let size = (octets as u32).saturating_add(4).to_be_bytes();
            let constructor = if matches!(kind, Kind::List) { code::LIST32 } else { code::MAP32 };
            [&[constructor][..], &size, &count.to_be_bytes()].concat()
        }
    };
    out.splice(start..body, head);
    Ok(())
}

fn too_large() -> Error {
    Error::new("a value has more than 2^31 octets")
}

fn wrong(special: Special) -> Error {
    serde::ser::Error::custom(format_args!("{} is not what it says", special.name()))
}

impl Compound<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.count = self.count.checked_add(1).ok_or_else(too_large)?;
        value.serialize(Serializer::new(self.out, self.depth_left))
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.element(key)?;
        self.element(value)
    }

    fn finish(self) -> Result<(), Error> {
        finish(self.kind, self.start, self.count, self.out)?;
        self.variant.map_or(Ok(()), |start| finish(Kind::Map, start, 2, self.out))
    }
}

macro_rules! put {
    ($($method:ident: $type:ty;)*) => { $(
        fn $method(self, value: $type) -> Result<(), Error> {
            self.put(&value)
        }
    )* };
}

impl<'o> ser::Serializer for Serializer<'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'o>;
    type SerializeTuple = Compound<'o>;
    type SerializeTupleStruct = Compound<'o>;
    type SerializeTupleVariant = Compound<'o>;
    type SerializeMap = Compound<'o>;
    type SerializeStruct = Compound<'o>;
    type SerializeStructVariant = Compound<'o>;

    put! {
        serialize_bool: bool;
        serialize_u8: u8;
        serialize_u16: u16;
        serialize_u32: u32;
        serialize_u64: u64;
        serialize_i8: i8;
        serialize_i16: i16;
        serialize_i32: i32;
        serialize_f32: f32;
        serialize_f64: f64;
        serialize_char: char;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        match self.special {
            Some(Special::Timestamp) => self.put(&Timestamp(value)),
            _ => self.put(&value),
        }
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        if text.len() > MAX_OCTETS {
            return Err(too_large());
        }
        match self.special {
            Some(Special::Symbol) => self.put(&Symbol::new(text).map_err(<Error as ser::Error>::custom)?),
            _ => self.put(text),
        }
    }

    fn serialize_bytes(self, octets: &[u8]) -> Result<(), Error> {
        if octets.len() > MAX_OCTETS {
            return Err(too_large());
        }
        fn fixed<const N: usize>(octets: &[u8], special: Special) -> Result<[u8; N], Error> {
            octets.try_into().map_err(|_| wrong(special))
        }
        match self.special {
            Some(special @ Special::Uuid) => self.put(&Uuid(fixed(octets, special)?)),
            Some(special @ Special::Decimal32) => self.put(&Decimal32(fixed(octets, special)?)),
            Some(special @ Special::Decimal64) => self.put(&Decimal64(fixed(octets, special)?)),
            Some(special @ Special::Decimal128) => self.put(&Decimal128(fixed(octets, special)?)),
            Some(Special::Encoded) => {
                // It may be nested too deeply for here.
                let mut reader = Reader::inner(octets, 0, self.depth_left);
                reader.read::<Value<'_>>()?.validate()?;
                reader.finish()?;
                self.out.extend_from_slice(octets);
                Ok(())
            }
            _ => self.put(octets),
        }
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.put(&())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.put(&())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.put(&())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.put(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(Serializer { special: Special::named(name), ..self })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut map = self.begin(Kind::Map)?;
        map.field(variant, value)?;
        map.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'o>, Error> {
        self.begin(Kind::List)
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'o>, Error> {
        self.begin(Kind::List)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'o>, Error> {
        self.begin(Kind::List)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'o>, Error> {
        self.begin_variant(variant, Kind::List)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'o>, Error> {
        self.begin(Kind::Map)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'o>, Error> {
        self.begin(Kind::Map)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'o>, Error> {
        self.begin_variant(variant, Kind::Map)
    }
}

/// Implements the traits of serde for the parts of a compound, which differ in the names of their methods.
macro_rules! compound {
    ($($trait:ident: $method:ident $(($key:ident: $key_type:ty))?, $element:ident;)*) => { $(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $key_type,)? value: &T) -> Result<(), Error> {
                self.$element($($key,)? value)
            }

            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        }
    )* };
}

compound! {
    SerializeSeq: serialize_element, element;
    SerializeTuple: serialize_element, element;
    SerializeTupleStruct: serialize_field, element;
    SerializeTupleVariant: serialize_field, element;
    SerializeStruct: serialize_field(key: &'static str), field;
    SerializeStructVariant: serialize_field(key: &'static str), field;
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}
