//! Composite types: described lists of fields, §1.4.

use alloc::vec::Vec;

use crate::constructor as code;
use crate::text::short_string;
use crate::{Decode, DecodeError, DecodeErrorKind, Encode, Reader};

/// A type of §1.4: a list of fields behind a descriptor.
pub trait Composite {
    /// The symbolic descriptor.
    const NAME: &'static str;
    /// The numeric descriptor.
    const CODE: u64;
    /// The names of the fields, in order, as they stand in the declaration.
    const FIELDS: &'static [&'static str] = &[];
}

/// Decodes a composite whose descriptor has been read.
pub(crate) trait DecodeList<'a>: Sized {
    /// Decodes the fields of the list.
    fn decode_fields(list: ListReader<'a>) -> Result<Self, DecodeError>;

    /// Decodes the list behind its `constructor`, which has been read too.
    #[inline(always)]
    fn decode_list(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Self::decode_fields(ListReader::open(constructor, reader)?)
    }
}

/// A composite that is encoded field by field, as it was declared.
pub(crate) trait WriteList {
    /// Appends the descriptor and the list.
    fn write_list(&self, out: &mut Vec<u8>);
}

/// A composite that is decoded where it is to stay: its fields are not moved once they have been read.
pub(crate) trait InPlace<'a>: Sized {
    /// One whose fields are all absent; what stands in the mandatory ones means nothing.
    fn blank() -> Self;

    /// Reads the `left` fields in `rest` into a blank one. In parts, so that they can stay in registers.
    fn fill(&mut self, left: u32, rest: &'a [u8], offset: usize, depth_left: u8) -> Result<(), DecodeError>;

    /// Reads the list behind its `constructor`, which has been read, into a blank one.
    #[inline(always)]
    fn read_list(&mut self, constructor: u8, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        let ListReader { left, fields } = ListReader::open(constructor, reader)?;
        self.fill(left, fields.rest(), fields.offset(), fields.depth_left())
    }
}

impl<'a, T: InPlace<'a>> DecodeList<'a> for T {
    #[inline(always)]
    fn decode_fields(ListReader { fields, left }: ListReader<'a>) -> Result<Self, DecodeError> {
        let mut composite = Self::blank();
        composite.fill(left, fields.rest(), fields.offset(), fields.depth_left())?;
        Ok(composite)
    }
}

/// Appends everything of a described value that stands before the value underneath: 0x00 and the numeric descriptor. §1.1.2
pub fn begin_described(code: u64, out: &mut Vec<u8>) {
    out.push(code::DESCRIBED);
    code.encode(out);
}

/// Takes the descriptor of a described value behind its `constructor`, which has been read, and returns the constructor of
/// the value underneath. §1.1.2
///
/// # Errors
/// When it is no described value, or its descriptor is neither `name` nor `code`.
pub fn expect_descriptor(
    constructor: u8,
    reader: &mut Reader<'_>,
    name: &'static str,
    code: u64,
) -> Result<u8, DecodeError> {
    if constructor != code::DESCRIBED {
        return Err(reader.unexpected(name, constructor));
    }
    let at = reader.offset();
    match take_descriptor(reader, name, code)? {
        Some(found) if found == code => reader.octet(),
        found => {
            let kind = DecodeErrorKind::unexpected_descriptor(name, found.unwrap_or(u64::MAX));
            Err(DecodeError::new(kind, at))
        }
    }
}

/// Takes a descriptor and returns its number, if it has one; `name` counts as `code`.
fn take_descriptor(reader: &mut Reader<'_>, name: &str, code: u64) -> Result<Option<u64>, DecodeError> {
    let by_name = |found: &[u8]| (found == name.as_bytes()).then_some(code);
    Ok(match reader.octet()? {
        code::SMALLULONG => Some(u64::from(reader.octet()?)),
        code::ULONG => Some(u64::from_be_bytes(reader.octets()?)),
        code::ULONG0 => Some(0),
        code::SYM8 => by_name(reader.variable(false)?),
        code::SYM32 => by_name(reader.variable(true)?),
        other => {
            reader.skip_data(other)?;
            None
        }
    })
}

/// Reads the fields of a composite in the order of their declaration.
///
/// Fields that the list is too short for count as null; fields that it has beyond the declaration are skipped.
#[derive(Debug)]
pub struct ListReader<'a> {
    fields: Reader<'a>,
    left: u32,
}

impl<'a> ListReader<'a> {
    /// Takes the list behind `constructor`, which has been read.
    ///
    /// # Errors
    /// When it is no list, or its size or count exceed the input.
    #[inline(always)]
    pub fn open(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (left, fields) = match constructor {
            code::LIST0 => (0, Reader::inner(&[], reader.offset(), 0)),
            code::LIST8 => reader.compound(false)?,
            code::LIST32 => reader.compound(true)?,
            _ => return Err(reader.unexpected("list", constructor)),
        };
        if left as usize > fields.rest().len() {
            return Err(fields.error(DecodeErrorKind::CountTooLarge));
        }
        Ok(Self { fields, left })
    }

    /// A list of `left` fields.
    pub(crate) const fn inner(left: u32, fields: Reader<'a>) -> Self {
        Self { fields, left }
    }

    /// How many fields are left, and where they stand.
    pub(crate) fn into_parts(self) -> (u32, Reader<'a>) {
        (self.left, self.fields)
    }

    /// Whether no field is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Where the next field stands, counted from the start of the whole input.
    pub(crate) const fn offset(&self) -> usize {
        self.fields.offset()
    }

    /// The next field, if it is neither absent nor null.
    ///
    /// # Errors
    /// When it is malformed or of another type.
    #[inline(always)]
    pub fn optional<T: Decode<'a>>(&mut self) -> Result<Option<T>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let constructor = self.fields.octet()?;
        if constructor == code::NULL {
            return Ok(None);
        }
        // By a reader of its own, so that the list's can stay in registers whatever becomes of this one.
        let mut field = self.fields.clone();
        let value = T::decode_data(constructor, &mut field)?;
        self.fields.go_to(field.rest());
        Ok(Some(value))
    }

    /// The next field, as [`optional`](Self::optional), into `place`, where it is to stay.
    #[inline(always)]
    pub(crate) fn optional_into<T: Decode<'a>>(&mut self, place: &mut Option<T>) -> Result<(), DecodeError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(());
        };
        self.left = left;
        let constructor = self.fields.octet()?;
        if constructor == code::NULL {
            return Ok(());
        }
        let mut field = self.fields.clone();
        T::decode_into(place, constructor, &mut field)?;
        self.fields.go_to(field.rest());
        Ok(())
    }

    /// The next field, which must be there; `name` is told if it is not.
    ///
    /// # Errors
    /// When it is absent, null, malformed or of another type.
    #[inline(always)]
    pub fn mandatory<T: Decode<'a>>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(self.fields.error(DecodeErrorKind::MissingField(name)));
        };
        self.left = left;
        let constructor = self.fields.octet()?;
        if constructor == code::NULL {
            return Err(self.fields.unexpected_null(name));
        }
        let mut field = self.fields.clone();
        let value = T::decode_data(constructor, &mut field)?;
        self.fields.go_to(field.rest());
        Ok(value)
    }

    /// The next field, as [`optional`](Self::optional), but decoded by a call, so that the list can stay in registers.
    #[inline(always)]
    pub(crate) fn optional_apart<T: Decode<'a>>(&mut self) -> Result<Option<T>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        if let [code::NULL, rest @ ..] = self.fields.rest() {
            self.fields.go_to(rest);
            return Ok(None);
        }
        let (value, rest) = decode_apart(self.fields.rest(), self.fields.offset(), self.fields.depth_left())?;
        self.fields.go_to(rest);
        Ok(Some(value))
    }

    /// Takes the next field if it is a string of at most 255 octets.
    #[inline(always)]
    pub(crate) fn short_string(&mut self) -> Option<&'a str> {
        let left = self.left.checked_sub(1)?;
        let (text, rest) = short_string(self.fields.rest())?;
        self.left = left;
        self.fields.go_to(rest);
        Some(text)
    }

    /// Skips what is left and checks that the list ends where its size said.
    ///
    /// # Errors
    /// When a field beyond the declaration is malformed, or octets are left over.
    #[inline(always)]
    pub fn close(self) -> Result<(), DecodeError> {
        if self.left == 0 && self.fields.is_empty() {
            return Ok(());
        }
        // In parts, so that they can stay in registers until here.
        let Self { fields, left } = self;
        skip_left(left, fields.rest(), fields.offset(), fields.depth_left())
    }
}

/// Decodes the field at the start of `rest`; returns it and what stands behind it.
#[inline(never)]
fn decode_apart<'a, T: Decode<'a>>(
    rest: &'a [u8],
    offset: usize,
    depth_left: u8,
) -> Result<(T, &'a [u8]), DecodeError> {
    let mut reader = Reader::inner(rest, offset, depth_left);
    let value = T::decode(&mut reader)?;
    Ok((value, reader.rest()))
}

#[cold]
#[inline(never)]
fn skip_left(left: u32, rest: &[u8], offset: usize, depth_left: u8) -> Result<(), DecodeError> {
    let mut fields = Reader::inner(rest, offset, depth_left);
    for _ in 0..left {
        fields.skip()?;
    }
    fields.finish()
}

/// Writes the fields of a composite in the order of their declaration.
///
/// Nulls at the end are left out, and the list takes its shortest form.
#[derive(Debug)]
pub struct ListWriter<'o> {
    out: &'o mut Vec<u8>,
    /// Where the list's constructor stands in `out`.
    start: usize,
    count: u32,
    nulls: u32,
}

impl<'o> ListWriter<'o> {
    /// Begins the list of a composite behind its descriptor.
    #[inline]
    pub fn described(code: u64, out: &'o mut Vec<u8>) -> Self {
        match u8::try_from(code) {
            // In one go: every composite of the specification begins so.
            Ok(code) if code > 0 => {
                out.extend_from_slice(&[code::DESCRIBED, code::SMALLULONG, code, code::LIST8, 0, 0]);
            }
            _ => {
                begin_described(code, out);
                out.extend_from_slice(&[code::LIST8, 0, 0]);
            }
        }
        let start = out.len().saturating_sub(3);
        Self { out, start, count: 0, nulls: 0 }
    }

    /// Writes a field that is null.
    #[inline]
    pub fn null(&mut self) {
        self.nulls = self.nulls.saturating_add(1);
    }

    /// Writes a field.
    #[inline]
    pub fn field(&mut self, value: &(impl Encode + ?Sized)) {
        for _ in 0..self.nulls {
            self.out.push(code::NULL);
        }
        self.count = self.count.saturating_add(self.nulls).saturating_add(1);
        self.nulls = 0;
        value.encode(self.out);
    }

    /// Writes a field that is null if there is no value.
    #[inline]
    pub fn optional(&mut self, value: Option<&(impl Encode + ?Sized)>) {
        match value {
            Some(value) => self.field(value),
            None => self.null(),
        }
    }

    /// Ends the list.
    #[inline]
    pub fn close(self) {
        if self.count == 0 {
            self.out.truncate(self.start);
            self.out.push(code::LIST0);
            return;
        }
        let size = self.out.len().saturating_sub(self.start).saturating_sub(2);
        match (u8::try_from(size), u8::try_from(self.count)) {
            (Ok(size), Ok(count)) => {
                if let Some([_, head @ ..]) = self.out.get_mut(self.start..)
                    && let Some(head) = head.first_chunk_mut()
                {
                    *head = [size, count];
                }
            }
            _ => self.widen(size),
        }
    }

    /// Ends the list in its wide form.
    #[cold]
    fn widen(self, size: usize) {
        let [s0, s1, s2, s3] = (size as u32).saturating_add(3).to_be_bytes();
        let [c0, c1, c2, c3] = self.count.to_be_bytes();
        let head = [code::LIST32, s0, s1, s2, s3, c0, c1, c2, c3];
        self.out.splice(self.start..self.start.saturating_add(3), head);
    }
}

/// A field of a composite: how it is read from and written to a list. A plain type is mandatory, an `Option` is not,
/// a `Multiple` is null when empty.
pub(crate) trait Field<'a>: Sized {
    /// What stands in its place before it is read.
    fn blank() -> Self;
    /// Reads it into a blank place.
    fn read(&mut self, list: &mut ListReader<'a>, name: &'static str) -> Result<(), DecodeError>;
    fn write(&self, list: &mut ListWriter<'_>);
}

impl<'a, T: Decode<'a> + Encode> Field<'a> for Option<T> {
    #[inline(always)]
    fn blank() -> Self {
        None
    }

    #[inline(always)]
    fn read(&mut self, list: &mut ListReader<'a>, _: &'static str) -> Result<(), DecodeError> {
        list.optional_into(self)
    }

    #[inline]
    fn write(&self, list: &mut ListWriter<'_>) {
        list.optional(self.as_ref());
    }
}

impl<'a, T: Decode<'a>> Field<'a> for crate::Multiple<T>
where
    Self: Encode,
{
    #[inline(always)]
    fn blank() -> Self {
        Self::default()
    }

    #[inline(always)]
    fn read(&mut self, list: &mut ListReader<'a>, _: &'static str) -> Result<(), DecodeError> {
        if let Some(values) = list.optional()? {
            *self = values;
        }
        Ok(())
    }

    fn write(&self, list: &mut ListWriter<'_>) {
        if self.is_empty() { list.null() } else { list.field(self) }
    }
}

/// Marks the types whose fields are mandatory when they stand alone; each with what stands there before it is read.
macro_rules! mandatory_fields {
    ($($type:ty = $blank:expr),* $(,)?) => { $(
        impl<'a> $crate::composite::Field<'a> for $type {
            #[inline(always)]
            fn blank() -> Self {
                $blank
            }

            #[inline(always)]
            fn read(
                &mut self,
                list: &mut $crate::ListReader<'a>,
                name: &'static str,
            ) -> Result<(), $crate::DecodeError> {
                *self = list.mandatory(name)?;
                Ok(())
            }

            #[inline]
            fn write(&self, list: &mut $crate::ListWriter<'_>) {
                list.field(self);
            }
        }
    )* };
}

/// Declares composites in the order and the words of the specification.
///
/// One declaration yields the struct and its decoding, encoding and descriptor. A plain type is mandatory, `Option` is not,
/// `Multiple` holds one or many, `= x` is a default that is left out on the wire. `or by f` names a method that encodes the ordinary
/// ones faster and says whether it did.
macro_rules! composite {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident $(<$life:lifetime>)? : $symbol:literal = $code:literal $(or by $ordinary:ident)? {
            $( $(#[$field_doc:meta])* $field:ident : $type:ty $(= $default:expr)? ),* $(,)?
        }
    )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name $(<$life>)? {
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        impl $(<$life>)? $crate::Composite for $name $(<$life>)? {
            const NAME: &'static str = $symbol;
            const CODE: u64 = $code;
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }

        $crate::composite::composite!(@decode $name $(<$life>)? { $($field: $type $(= $default)?),* });

        impl $(<$life>)? $crate::Encode for $name $(<$life>)? {
            #[inline]
            fn encode(&self, out: &mut alloc::vec::Vec<u8>) {
                $(
                    if self.$ordinary(out) {
                        return;
                    }
                )?
                $crate::composite::WriteList::write_list(self, out);
            }
        }

        impl $(<$life>)? $crate::composite::WriteList for $name $(<$life>)? {
            fn write_list(&self, out: &mut alloc::vec::Vec<u8>) {
                #[allow(unused_mut)]
                let mut list = $crate::ListWriter::described($code, out);
                $( $crate::composite::composite!(@write list, self.$field $(, $default)?); )*
                list.close();
            }
        }

        $crate::composite::composite!(@owned $name $(<$life>)? { $($field),* });
    )* };

    (@decode $name:ident <$life:lifetime> { $($field:ident : $type:ty $(= $default:expr)?),* }) => {
        $crate::composite::composite!(@decode_as $life, $name<$life>, { $($field: $type $(= $default)?),* });
    };
    (@decode $name:ident { $($field:ident : $type:ty $(= $default:expr)?),* }) => {
        $crate::composite::composite!(@decode_as 'a, $name, { $($field: $type $(= $default)?),* });
    };
    (@decode_as $life:lifetime, $name:ty, { $($field:ident : $type:ty $(= $default:expr)?),* }) => {
        impl<$life> $crate::composite::InPlace<$life> for $name {
            #[inline(always)]
            fn blank() -> Self {
                Self { $( $field: $crate::composite::composite!(@blank $($default)?), )* }
            }

            #[inline]
            fn fill(
                &mut self,
                left: u32,
                rest: &$life [u8],
                offset: usize,
                depth_left: u8,
            ) -> Result<(), $crate::DecodeError> {
                #[allow(unused_mut)]
                let mut list = $crate::ListReader::inner(left, $crate::Reader::inner(rest, offset, depth_left));
                $( $crate::composite::composite!(@read list, self.$field $(, $default)?); )*
                list.close()
            }
        }

        impl<$life> $crate::Decode<$life> for $name {
            fn decode_data(
                constructor: u8,
                reader: &mut $crate::Reader<$life>,
            ) -> Result<Self, $crate::DecodeError> {
                let constructor = $crate::composite::expect_descriptor(
                    constructor,
                    reader,
                    <$name as $crate::Composite>::NAME,
                    <$name as $crate::Composite>::CODE,
                )?;
                <Self as $crate::composite::DecodeList>::decode_list(constructor, reader)
            }
        }
    };

    (@blank $default:expr) => { $default };
    (@blank) => { $crate::composite::Field::blank() };
    (@read $list:ident, $self:ident.$field:ident, $default:expr) => {
        if let Some(value) = $list.optional()? {
            $self.$field = value;
        }
    };
    (@read $list:ident, $self:ident.$field:ident) => {
        $crate::composite::Field::read(&mut $self.$field, &mut $list, stringify!($field))?
    };
    (@write $list:ident, $self:ident.$field:ident, $default:expr) => {
        if $self.$field == $default { $list.null() } else { $list.field(&$self.$field) }
    };
    (@write $list:ident, $self:ident.$field:ident) => { $crate::composite::Field::write(&$self.$field, &mut $list) };

    (@owned $name:ident <$life:lifetime> { $($field:ident),* }) => {
        impl $crate::IntoOwned for $name<'_> {
            type Owned = $name<'static>;
            fn into_owned(self) -> Self::Owned {
                $name { $( $field: $crate::IntoOwned::into_owned(self.$field), )* }
            }
        }
    };
    (@owned $name:ident { $($field:ident),* }) => { $crate::codec::owned_already!($name); };
}
pub(crate) use composite;

mandatory_fields!(
    bool = false,
    u32 = 0,
    u64 = 0,
    crate::Handle = crate::Handle(0),
    crate::DeliveryNumber = crate::DeliveryNumber(0),
    crate::TransferNumber = crate::TransferNumber(0),
    crate::Role = crate::Role::Sender,
    crate::Str<'a> = crate::Str::default(),
    crate::Symbol<'a> = crate::Symbol::default(),
    crate::Binary<'a> = crate::Binary::default(),
    crate::ErrorCondition<'a> = crate::ErrorCondition::INTERNAL_ERROR,
    crate::TransactionId = crate::TransactionId::from(0),
    crate::sasl::SaslCode = crate::sasl::SaslCode::Sys,
);
