use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::composite::{DecodeList, InPlace};
use crate::constructor as code;
use crate::{
    Attach, Begin, Close, Composite, Decode, DecodeError, DecodeErrorKind, Detach, Disposition, Encode, End, Flow,
    Handle, IntoOwned, ListReader, Open, Reader, Transfer,
};

/// The body of an AMQP frame, §2.7. Rare and large ones are boxed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Performative<'a> {
    /// §2.7.1
    Open(Box<Open<'a>>),
    /// §2.7.2
    Begin(Box<Begin<'a>>),
    /// §2.7.3
    Attach(Box<Attach<'a>>),
    /// §2.7.4
    Flow(Flow<'a>),
    /// §2.7.5; the payload follows in the frame
    Transfer(Transfer<'a>),
    /// §2.7.6
    Disposition(Disposition<'a>),
    /// §2.7.7
    Detach(Detach<'a>),
    /// §2.7.8
    End(End<'a>),
    /// §2.7.9
    Close(Close<'a>),
}

const NAMES: [(&str, u64); 9] = [
    (Open::NAME, Open::CODE),
    (Begin::NAME, Begin::CODE),
    (Attach::NAME, Attach::CODE),
    (Flow::NAME, Flow::CODE),
    (Transfer::NAME, Transfer::CODE),
    (Disposition::NAME, Disposition::CODE),
    (Detach::NAME, Detach::CODE),
    (End::NAME, End::CODE),
    (Close::NAME, Close::CODE),
];

/// The numeric descriptor that follows, without taking it; a name among `names` counts as its number.
pub(crate) fn peek_code(
    constructor: u8,
    reader: &Reader<'_>,
    expected: &'static str,
    names: &[(&str, u64)],
) -> Result<u64, DecodeError> {
    if constructor != code::DESCRIBED {
        return Err(reader.unexpected(expected, constructor));
    }
    let mut ahead = reader.clone();
    Ok(match ahead.peek()? {
        code::SYM8 | code::SYM32 => {
            let name = ahead.read::<crate::Symbol<'_>>()?;
            names.iter().find(|(known, _)| name == **known).map_or(u64::MAX, |(_, code)| *code)
        }
        code::SMALLULONG | code::ULONG | code::ULONG0 => ahead.read()?,
        _ => {
            ahead.skip()?;
            u64::MAX
        }
    })
}

/// Takes the descriptor whose 0x00 was read already, and the constructor behind it; a name among `names` counts as its number.
#[inline(always)]
pub(crate) fn take_code<'a>(
    constructor: u8,
    reader: &mut Reader<'a>,
    expected: &'static str,
    names: &[(&str, u64)],
) -> Result<(u64, u8), DecodeError> {
    // Nearly every descriptor on a wire is a number of one octet.
    if constructor == code::DESCRIBED
        && let [code::SMALLULONG, number, list, rest @ ..] = reader.rest()
    {
        reader.go_to(rest);
        return Ok((u64::from(*number), *list));
    }
    // By value, so that the caller's reader can stay in registers.
    let (number, list, rest) = take_other_code(constructor, reader.clone(), expected, names)?;
    reader.go_to(rest);
    Ok((number, list))
}

/// Takes any descriptor; returns its number, the constructor behind it, and what stands behind that.
#[inline(never)]
fn take_other_code<'a>(
    constructor: u8,
    mut reader: Reader<'a>,
    expected: &'static str,
    names: &[(&str, u64)],
) -> Result<(u64, u8, &'a [u8]), DecodeError> {
    let number = peek_code(constructor, &reader, expected, names)?;
    reader.skip()?;
    let list = reader.octet()?;
    Ok((number, list, reader.rest()))
}

impl Performative<'_> {
    /// The name of this performative in the specification.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Begin(_) => "begin",
            Self::Attach(_) => "attach",
            Self::Flow(_) => "flow",
            Self::Transfer(_) => "transfer",
            Self::Disposition(_) => "disposition",
            Self::Detach(_) => "detach",
            Self::End(_) => "end",
            Self::Close(_) => "close",
        }
    }
}

impl<'a> Decode<'a> for Performative<'a> {
    #[inline(always)]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        // Nearly every descriptor on a wire is a number of one octet.
        if let [code::DESCRIBED, code::SMALLULONG, number, list, rest @ ..] = reader.rest() {
            let at = reader.offset().wrapping_add(1);
            reader.go_to(rest);
            return Self::decode_list(u64::from(*number), *list, reader, at);
        }
        let constructor = reader.octet()?;
        Self::decode_data(constructor, reader)
    }

    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let (code, list) = take_code(constructor, reader, "a performative", &NAMES)?;
        Self::decode_list(code, list, reader, at)
    }
}

impl<'a> Performative<'a> {
    /// Decodes the list behind a descriptor that stands at `at`.
    #[inline(always)]
    fn decode_list(code: u64, list: u8, reader: &mut Reader<'a>, at: usize) -> Result<Self, DecodeError> {
        match code {
            Transfer::CODE => Self::decode_transfer(list, reader),
            Flow::CODE => Flow::decode_list(list, reader).map(Self::Flow),
            Disposition::CODE => Disposition::decode_list(list, reader).map(Self::Disposition),
            _ => Self::decode_rare(code, list, reader, at),
        }
    }
}

impl<'a> Performative<'a> {
    /// Decodes a transfer.
    #[inline(always)]
    fn decode_transfer(list: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (left, fields) = ListReader::open(list, reader)?.into_parts();
        Self::read_transfer(left, fields.rest(), fields.offset(), fields.depth_left())
    }

    /// Decodes the `left` fields of a transfer in `rest` to where they are to stay, which keeps them from being moved.
    #[inline(never)]
    fn read_transfer(left: u32, rest: &'a [u8], offset: usize, depth_left: u8) -> Result<Self, DecodeError> {
        let mut result = Ok(Self::Transfer(Transfer::new(Handle(0))));
        if let Ok(Self::Transfer(transfer)) = &mut result
            && let Err(error) = transfer.read_fields(left, rest, offset, depth_left)
        {
            result = Err(error);
        }
        result
    }

    /// Decodes a performative that comes once in a while; `at` is where its descriptor stands.
    #[inline(never)]
    fn decode_rare(code: u64, list: u8, reader: &mut Reader<'a>, at: usize) -> Result<Self, DecodeError> {
        Ok(match code {
            Open::CODE => Self::Open(Box::new(Open::decode_list(list, reader)?)),
            Begin::CODE => Self::Begin(Box::new(Begin::decode_list(list, reader)?)),
            Attach::CODE => {
                let mut attach = Box::write(Box::new_uninit(), Attach::blank());
                attach.read_list(list, reader)?;
                Self::Attach(attach)
            }
            Detach::CODE => Self::Detach(Detach::decode_list(list, reader)?),
            End::CODE => Self::End(End::decode_list(list, reader)?),
            Close::CODE => Self::Close(Close::decode_list(list, reader)?),
            _ => {
                let kind = DecodeErrorKind::unexpected_descriptor("a performative", code);
                return Err(DecodeError::new(kind, at));
            }
        })
    }
}

impl Encode for Performative<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(body) => body.encode(out),
            Self::Begin(body) => body.encode(out),
            Self::Attach(body) => body.encode(out),
            Self::Flow(body) => body.encode(out),
            Self::Transfer(body) => body.encode(out),
            Self::Disposition(body) => body.encode(out),
            Self::Detach(body) => body.encode(out),
            Self::End(body) => body.encode(out),
            Self::Close(body) => body.encode(out),
        }
    }
}

impl IntoOwned for Performative<'_> {
    type Owned = Performative<'static>;

    fn into_owned(self) -> Performative<'static> {
        match self {
            Self::Open(body) => Performative::Open(Box::new(body.into_owned())),
            Self::Begin(body) => Performative::Begin(Box::new(body.into_owned())),
            Self::Attach(body) => Performative::Attach(Box::new(body.into_owned())),
            Self::Flow(body) => Performative::Flow(body.into_owned()),
            Self::Transfer(body) => Performative::Transfer(body.into_owned()),
            Self::Disposition(body) => Performative::Disposition(body.into_owned()),
            Self::Detach(body) => Performative::Detach(body.into_owned()),
            Self::End(body) => Performative::End(body.into_owned()),
            Self::Close(body) => Performative::Close(body.into_owned()),
        }
    }
}
