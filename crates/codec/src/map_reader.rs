use crate::constructor as code;
use crate::{Decode, DecodeError, DecodeErrorKind, Reader, Symbol};

/// Reads a map of named entries in the order of the wire: a composite in the form of a map.
///
/// After each key, its value is to be read or skipped. Entries that are not known are to be skipped, as new ones may come up.
///
/// ```
/// use amqp10_codec::{Decode, Map, MapReader, Reader, encode_to_vec};
///
/// let octets = encode_to_vec(&Map::from_iter([("colour", "red"), ("size", "xl")]));
/// let mut map = MapReader::read(&mut Reader::sized(&octets))?;
/// let mut size = None;
/// while let Some(key) = map.key()? {
///     match key {
///         "size" => map.value(&mut size)?,
///         _ => map.skip()?,
///     }
/// }
/// map.close()?;
/// assert_eq!(size.flatten(), Some("xl"));
/// # Ok::<(), amqp10_codec::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct MapReader<'a> {
    entries: Reader<'a>,
    left: u32,
}

impl<'a> MapReader<'a> {
    /// Takes a map.
    ///
    /// # Errors
    /// When it is no map, or its size or count exceed the input.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let constructor = reader.octet()?;
        Self::open(constructor, reader)
    }

    /// Takes the map behind `constructor`, which has been read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn open(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let (count, entries) = match constructor {
            code::MAP8 => reader.compound(false)?,
            code::MAP32 => reader.compound(true)?,
            _ => return Err(reader.unexpected("map", constructor)),
        };
        if count as usize > entries.rest().len() {
            return Err(entries.error(DecodeErrorKind::CountTooLarge));
        }
        if count % 2 == 1 {
            return Err(DecodeError::new(DecodeErrorKind::OddMapCount, at));
        }
        Ok(Self { entries, left: count / 2 })
    }

    /// The next key that is a string or a symbol; entries with other keys are skipped.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn key(&mut self) -> Result<Option<&'a str>, DecodeError> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            match self.entries.peek()? {
                code::STR8 | code::STR32 => return self.entries.read().map(Some),
                found @ (code::SYM8 | code::SYM32) => {
                    self.entries.octet()?;
                    return Symbol::decode_text(found, &mut self.entries).map(Some);
                }
                _ => {
                    self.entries.skip()?;
                    self.entries.skip()?;
                }
            }
        }
        Ok(None)
    }

    /// Reads the value of the key before it into `slot`: null as `Some(None)`.
    ///
    /// # Errors
    /// When it is malformed or of another type, or the slot has been filled, so that the key stands there twice.
    pub fn value<T: Decode<'a>>(&mut self, slot: &mut Option<Option<T>>) -> Result<(), DecodeError> {
        if slot.is_some() {
            return Err(self.entries.error(DecodeErrorKind::DuplicateKey));
        }
        *slot = Some(match self.entries.octet()? {
            code::NULL => None,
            constructor => Some(T::decode_data(constructor, &mut self.entries)?),
        });
        Ok(())
    }

    /// Skips the value of the key before it.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        self.entries.skip()
    }

    /// What `slot` was filled with; `name` is told if that is nothing or null.
    ///
    /// # Errors
    /// When there is no value.
    pub fn mandatory<T>(&self, slot: Option<Option<T>>, name: &'static str) -> Result<T, DecodeError> {
        slot.flatten().ok_or(self.entries.error(DecodeErrorKind::MissingField(name)))
    }

    /// Checks that all entries were read and that the map ends where its size said.
    ///
    /// # Errors
    /// When entries or octets are left over.
    pub fn close(self) -> Result<(), DecodeError> {
        self.entries.finish()
    }
}
