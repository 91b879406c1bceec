//! The performatives of Part 2 and their types.

use alloc::vec::Vec;

use crate::codec::owned_already;
use crate::composite::composite;
use crate::constructor as code;
use crate::{
    Channel, Composite, Decode, DecodeError, DecodeErrorKind, DeliveryNumber, DeliveryState, DeliveryTag, Encode,
    Error, Fields, Handle, ListReader, Map, MessageFormat, Milliseconds, Multiple, Reader, SequenceNo, SourceArchetype,
    Str, Symbol, TargetArchetype, TransferNumber,
};

/// Declares a restricted type whose values are chosen from a list, §1.4.
macro_rules! choice {
    ($(
        $(#[$doc:meta])*
        pub enum $name:ident($source:ty) $what:literal { $( $(#[$variant_doc:meta])* $variant:ident = $value:pat => $encoded:expr, )* }
    )*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub enum $name { $( $(#[$variant_doc])* $variant, )* }

        impl<'a> Decode<'a> for $name {
            #[inline(always)]
            fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let at = reader.offset();
                match <$source>::decode_data(constructor, reader)? {
                    $( $value => Ok(Self::$variant), )*
                    #[allow(unreachable_patterns)]
                    _ => Err(DecodeError::new(DecodeErrorKind::InvalidValue($what), at)),
                }
            }
        }

        impl Encode for $name {
            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                match self { $( Self::$variant => $encoded.encode(out), )* }
            }
        }

        owned_already!($name);
    )* };
}
pub(crate) use choice;

choice! {
    /// Which end of a link somebody is. §2.8.1
    pub enum Role(bool) "role" {
        /// Sends deliveries.
        Sender = false => false,
        /// Receives deliveries.
        Receiver = true => true,
    }

    /// How the sender settles. §2.8.2
    pub enum SenderSettleMode(u8) "snd-settle-mode" {
        /// Every delivery is sent unsettled.
        Unsettled = 0 => 0_u8,
        /// Every delivery is sent settled.
        Settled = 1 => 1_u8,
        /// The sender chooses for every delivery.
        Mixed = 2 => 2_u8,
    }

    /// How the receiver settles. §2.8.3
    pub enum ReceiverSettleMode(u8) "rcv-settle-mode" {
        /// Settles as soon as it has an outcome.
        First = 0 => 0_u8,
        /// Settles only after the sender has.
        Second = 1 => 1_u8,
    }
}

composite! {
    /// Negotiates the parameters of a connection. §2.7.1
    pub struct Open<'a>: "amqp:open:list" = 0x10 {
        /// The id of the sending container.
        container_id: Str<'a>,
        /// The name of the host that is meant, as in DNS.
        hostname: Option<Str<'a>>,
        /// The largest frame the sender takes, in octets, header included; at least 512.
        max_frame_size: u32 = u32::MAX,
        /// The highest channel number that may be used.
        channel_max: Channel = Channel(u16::MAX),
        /// Half of the silence after which the sender gives the connection up; none or 0 for never.
        idle_time_out: Option<Milliseconds>,
        /// Locales for texts from the sender, in order of preference.
        outgoing_locales: Multiple<Symbol<'a>>,
        /// Locales for texts to the sender, in order of preference.
        incoming_locales: Multiple<Symbol<'a>>,
        /// Extensions that the sender supports.
        offered_capabilities: Multiple<Symbol<'a>>,
        /// Extensions that the sender would use.
        desired_capabilities: Multiple<Symbol<'a>>,
        /// Properties of the sender.
        properties: Option<Fields<'a>>,
    }

    /// Begins a session on a channel. §2.7.2
    pub struct Begin<'a>: "amqp:begin:list" = 0x11 {
        /// The peer's channel of the session, in an answer.
        remote_channel: Option<Channel>,
        /// The transfer-id of the first transfer that the sender will send.
        next_outgoing_id: TransferNumber,
        /// How many transfers the sender can take.
        incoming_window: u32,
        /// How many transfers the sender may send.
        outgoing_window: u32,
        /// The highest handle that may be used.
        handle_max: Handle = Handle(u32::MAX),
        /// Extensions that the sender supports.
        offered_capabilities: Multiple<Symbol<'a>>,
        /// Extensions that the sender would use.
        desired_capabilities: Multiple<Symbol<'a>>,
        /// Properties of the session.
        properties: Option<Fields<'a>>,
    }

    /// Attaches a link to a session. §2.7.3
    pub struct Attach<'a>: "amqp:attach:list" = 0x12 {
        /// The name of the link.
        name: Str<'a>,
        /// The sender's handle of the link.
        handle: Handle,
        /// The end of the link that the sender of this frame is.
        role: Role,
        /// How the link's sender settles.
        snd_settle_mode: SenderSettleMode = SenderSettleMode::Mixed,
        /// How the link's receiver settles.
        rcv_settle_mode: ReceiverSettleMode = ReceiverSettleMode::First,
        /// Where messages come from.
        source: Option<SourceArchetype<'a>>,
        /// Where messages go to.
        target: Option<TargetArchetype<'a>>,
        /// The state of unsettled deliveries by delivery-tag.
        unsettled: Option<Map<'a>>,
        /// Whether `unsettled` leaves some out.
        incomplete_unsettled: bool = false,
        /// The delivery-count at the start; only told by the link's sender, who must.
        initial_delivery_count: Option<SequenceNo>,
        /// The largest message the sender of this frame takes or sends, in octets; none or 0 for no limit.
        max_message_size: Option<u64>,
        /// Extensions that the sender supports.
        offered_capabilities: Multiple<Symbol<'a>>,
        /// Extensions that the sender would use.
        desired_capabilities: Multiple<Symbol<'a>>,
        /// Properties of the link.
        properties: Option<Fields<'a>>,
    }

    /// Updates the flow state of a session, and of a link if it has a handle. §2.7.4
    pub struct Flow<'a>: "amqp:flow:list" = 0x13 {
        /// The transfer-id that the sender expects next; none before the peer's begin was seen.
        next_incoming_id: Option<TransferNumber>,
        /// How many transfers the sender can take.
        incoming_window: u32,
        /// The transfer-id of the next transfer that the sender will send.
        next_outgoing_id: TransferNumber,
        /// How many transfers the sender may send.
        outgoing_window: u32,
        /// The sender's handle of the link.
        handle: Option<Handle>,
        /// The delivery-count of the link as the sender knows it.
        delivery_count: Option<SequenceNo>,
        /// How many deliveries may be sent, counted from `delivery_count`.
        link_credit: Option<u32>,
        /// How many messages wait at the link's sender.
        available: Option<u32>,
        /// Whether the link's sender is to use up its credit.
        drain: bool = false,
        /// Whether the sender wants a flow in return.
        echo: bool = false,
        /// Properties of the link's state.
        properties: Option<Fields<'a>>,
    }

    /// Carries all or part of one delivery; its payload follows in the frame. §2.7.5
    pub struct Transfer<'a>: "amqp:transfer:list" = 0x14 or by encode_ordinary {
        /// The sender's handle of the link.
        handle: Handle,
        /// The number of the delivery; required on its first transfer.
        delivery_id: Option<DeliveryNumber>,
        /// The tag of the delivery; required on its first transfer.
        delivery_tag: Option<DeliveryTag>,
        /// The format of the payload; required on the first transfer.
        message_format: Option<MessageFormat>,
        /// Whether the sender has settled; absent means as on the transfers before.
        settled: Option<bool>,
        /// Whether more transfers of this delivery follow.
        more: bool = false,
        /// How the receiver is to settle this delivery.
        rcv_settle_mode: Option<ReceiverSettleMode>,
        /// The state of the delivery at the sender.
        state: Option<DeliveryState<'a>>,
        /// Whether this resumes a delivery of an earlier link.
        resume: bool = false,
        /// Whether the delivery is given up; what came of it is to be discarded.
        aborted: bool = false,
        /// Whether the sender does not wait for a prompt answer.
        batchable: bool = false,
    }

    /// Tells the state of deliveries. §2.7.6
    pub struct Disposition<'a>: "amqp:disposition:list" = 0x15 {
        /// The end that the sender of this frame is: a receiver speaks of what it has received.
        role: Role,
        /// The first delivery meant.
        first: DeliveryNumber,
        /// The last delivery meant; none if that is the first.
        last: Option<DeliveryNumber>,
        /// Whether the sender has settled them.
        settled: bool = false,
        /// Their state.
        state: Option<DeliveryState<'a>>,
        /// Whether the sender does not wait for a prompt answer.
        batchable: bool = false,
    }

    /// Detaches a link from its session. §2.7.7
    pub struct Detach<'a>: "amqp:detach:list" = 0x16 {
        /// The sender's handle of the link.
        handle: Handle,
        /// Whether the terminus of the sender is gone too.
        closed: bool = false,
        /// Why, if something went wrong.
        error: Option<Error<'a>>,
    }

    /// Ends a session. §2.7.8
    pub struct End<'a>: "amqp:end:list" = 0x17 {
        /// Why, if something went wrong.
        error: Option<Error<'a>>,
    }

    /// Closes a connection. §2.7.9
    pub struct Close<'a>: "amqp:close:list" = 0x18 {
        /// Why, if something went wrong.
        error: Option<Error<'a>>,
    }
}

impl<'a> Open<'a> {
    /// An open of this container with defaults for the rest.
    pub fn new(container_id: impl Into<Str<'a>>) -> Self {
        Self {
            container_id: container_id.into(),
            hostname: None,
            max_frame_size: u32::MAX,
            channel_max: Channel(u16::MAX),
            idle_time_out: None,
            outgoing_locales: Multiple::default(),
            incoming_locales: Multiple::default(),
            offered_capabilities: Multiple::default(),
            desired_capabilities: Multiple::default(),
            properties: None,
        }
    }
}

impl Begin<'_> {
    /// A begin of an own session with these windows and defaults for the rest.
    pub fn new(next_outgoing_id: TransferNumber, incoming_window: u32, outgoing_window: u32) -> Self {
        Self {
            remote_channel: None,
            next_outgoing_id,
            incoming_window,
            outgoing_window,
            handle_max: Handle(u32::MAX),
            offered_capabilities: Multiple::default(),
            desired_capabilities: Multiple::default(),
            properties: None,
        }
    }
}

impl<'a> Attach<'a> {
    /// An attach with neither source nor target and with defaults for the rest.
    pub fn new(name: impl Into<Str<'a>>, handle: Handle, role: Role) -> Self {
        Self {
            name: name.into(),
            handle,
            role,
            snd_settle_mode: SenderSettleMode::Mixed,
            rcv_settle_mode: ReceiverSettleMode::First,
            source: None,
            target: None,
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: None,
            max_message_size: None,
            offered_capabilities: Multiple::default(),
            desired_capabilities: Multiple::default(),
            properties: None,
        }
    }
}

impl<'a> Transfer<'a> {
    /// Decodes a transfer into this one, which costs less than to move a new one here: for frames that follow each other.
    ///
    /// # Errors
    /// When `reader` does not stand before a transfer, or that cannot be decoded; then what is in this one means nothing.
    pub fn read_from(&mut self, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        if let [code::DESCRIBED, code::SMALLULONG, number, list, rest @ ..] = reader.rest()
            && u64::from(*number) == Self::CODE
        {
            reader.go_to(rest);
            let (left, fields) = ListReader::open(*list, reader)?.into_parts();
            *self = Self::new(Handle(0));
            return self.read_fields(left, fields.rest(), fields.offset(), fields.depth_left());
        }
        *self = reader.read()?;
        Ok(())
    }

    /// Reads the `left` fields in `rest` into the places where they are to stay, which keeps them from being moved.
    #[inline(always)]
    pub(crate) fn read_fields(
        &mut self,
        left: u32,
        rest: &'a [u8],
        offset: usize,
        depth_left: u8,
    ) -> Result<(), DecodeError> {
        let mut list = ListReader::inner(left, Reader::inner(rest, offset, depth_left));
        self.handle = list.mandatory("handle")?;
        self.delivery_id = list.optional()?;
        // Not by way of a result in which the octets of a tag and an error share their place: it would be taken apart.
        if let Some(octets) = list.optional::<&[u8]>()? {
            match <[u8; 8]>::try_from(octets) {
                // Most tags are a number of eight octets.
                Ok(number) => self.delivery_tag = Some(DeliveryTag::from(u64::from_be_bytes(number))),
                Err(_) => match DeliveryTag::new(octets) {
                    Ok(tag) => self.delivery_tag = Some(tag),
                    Err(_) => return Err(DeliveryTag::too_long(octets, list.offset())),
                },
            }
        }
        self.message_format = list.optional()?;
        self.settled = list.optional()?;
        if list.is_empty() {
            return list.close();
        }
        self.more = list.optional()?.unwrap_or(false);
        if list.is_empty() {
            return list.close();
        }
        self.rcv_settle_mode = list.optional()?;
        self.state = list.optional()?;
        self.resume = list.optional()?.unwrap_or(false);
        self.aborted = list.optional()?.unwrap_or(false);
        self.batchable = list.optional()?.unwrap_or(false);
        list.close()
    }
}

/// A few octets that are put together in one place and appended in one go.
struct Short {
    octets: [u8; Short::MOST],
    len: usize,
}

impl Short {
    const MOST: usize = 64;

    /// Adds the first `len` of these octets: to move all of them is cheaper than to ask how many they are.
    #[inline(always)]
    fn put<const N: usize>(&mut self, octets: [u8; N], len: usize) {
        if let Some(place) = self.octets.get_mut(self.len..).and_then(|rest| rest.first_chunk_mut()) {
            *place = octets;
            self.len = self.len.wrapping_add(len);
        }
    }

    #[inline(always)]
    fn uint(&mut self, number: u32) {
        let [n0, n1, n2, n3] = number.to_be_bytes();
        match number {
            0 => self.put([code::UINT0], 1),
            1..=0xff => self.put([code::SMALLUINT, n3], 2),
            _ => self.put([code::UINT, n0, n1, n2, n3], 5),
        }
    }
}

impl Transfer<'_> {
    /// Encodes the first transfer of a delivery that says nothing out of the ordinary.
    #[inline(always)]
    fn encode_ordinary(&self, out: &mut Vec<u8>) -> bool {
        if self.rcv_settle_mode.is_some() || self.state.is_some() || self.resume || self.aborted || self.batchable {
            return false;
        }
        let (Some(id), Some(tag), Some(format)) = (self.delivery_id, &self.delivery_tag, self.message_format) else {
            return false;
        };
        let mut short = Short { octets: [0; Short::MOST], len: 0 };
        let descriptor = <Self as Composite>::CODE as u8;
        let (settled, count) = match (self.settled, self.more) {
            (None, false) => (code::NULL, 4),
            (None, true) => (code::NULL, 6),
            (Some(false), more) => (code::FALSE, if more { 6 } else { 5 }),
            (Some(true), more) => (code::TRUE, if more { 6 } else { 5 }),
        };
        short.put([code::DESCRIBED, code::SMALLULONG, descriptor, code::LIST8, 0, count], 6);
        short.uint(self.handle.0);
        short.uint(id.0);
        short.put([code::VBIN8, tag.len()], 2);
        short.put(tag.padded(), usize::from(tag.len()));
        short.uint(format.0);
        short.put([settled, code::TRUE], usize::from(count.wrapping_sub(4)));
        // The size counts what stands behind it.
        let [_, _, _, _, size, ..] = &mut short.octets;
        *size = short.len.wrapping_sub(5) as u8;
        let end = out.len().wrapping_add(short.len);
        out.extend_from_slice(&short.octets);
        out.truncate(end);
        true
    }

    /// A transfer on this link with defaults for the rest.
    pub const fn new(handle: Handle) -> Self {
        Self {
            handle,
            delivery_id: None,
            delivery_tag: None,
            message_format: None,
            settled: None,
            more: false,
            rcv_settle_mode: None,
            state: None,
            resume: false,
            aborted: false,
            batchable: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::composite::WriteList;
    use crate::encode_to_vec;

    fn number() -> impl Strategy<Value = u32> {
        prop_oneof![Just(0), 1..=0xff_u32, Just(0x100), any::<u32>()]
    }

    fn tag() -> impl Strategy<Value = DeliveryTag> {
        proptest::collection::vec(any::<u8>(), 0..=DeliveryTag::MAX)
            .prop_map(|octets| DeliveryTag::new(&octets).unwrap())
    }

    proptest! {
        #[test]
        fn the_ordinary_transfer_is_encoded_as_declared(
            (handle, id, tag, format) in (number(), number(), tag(), number()),
            (settled, more) in (any::<Option<bool>>(), any::<bool>()),
            left_out in proptest::option::weighted(0.2, 0..3),
            other in proptest::option::weighted(0.2, 0..5),
        ) {
            let transfer = Transfer {
                delivery_id: (left_out != Some(0)).then_some(DeliveryNumber(id)),
                delivery_tag: (left_out != Some(1)).then_some(tag),
                message_format: (left_out != Some(2)).then_some(MessageFormat(format)),
                settled,
                more,
                rcv_settle_mode: (other == Some(0)).then_some(ReceiverSettleMode::First),
                state: (other == Some(1)).then_some(DeliveryState::Accepted),
                resume: other == Some(2),
                aborted: other == Some(3),
                batchable: other == Some(4),
                ..Transfer::new(Handle(handle))
            };
            let mut ordinary = Vec::new();
            prop_assert_eq!(transfer.encode_ordinary(&mut ordinary), left_out.is_none() && other.is_none());
            let mut declared = Vec::new();
            transfer.write_list(&mut declared);
            prop_assert_eq!(encode_to_vec(&transfer), declared);
        }
    }
}
