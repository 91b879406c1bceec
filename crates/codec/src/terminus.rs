//! Sources and targets, §3.5.

use alloc::vec::Vec;

use crate::codec::owned_already;
use crate::composite::composite;
use crate::transport::choice;
use crate::{
    Decode, DecodeError, DecodeErrorKind, DeliveryState, Encode, Fields, Map, Multiple, Reader, Seconds, Str, Symbol,
    Value,
};

choice! {
    /// What of a terminus survives. §3.5.5
    pub enum TerminusDurability(u32) "terminus-durability" {
        /// Nothing is kept.
        None = 0 => 0_u32,
        /// That the terminus exists is kept.
        Configuration = 1 => 1_u32,
        /// The unsettled state is kept too.
        UnsettledState = 2 => 2_u32,
    }
}

/// When the expiry of a terminus starts counting down. §3.5.6
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpiryPolicy {
    /// When the link is detached.
    LinkDetach,
    /// When the session ends.
    SessionEnd,
    /// When the connection closes.
    ConnectionClose,
    /// Never.
    Never,
}

impl ExpiryPolicy {
    const ALL: [(Self, &'static str); 4] = [
        (Self::LinkDetach, "link-detach"),
        (Self::SessionEnd, "session-end"),
        (Self::ConnectionClose, "connection-close"),
        (Self::Never, "never"),
    ];
}

impl<'a> Decode<'a> for ExpiryPolicy {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let name = Symbol::decode_data(constructor, reader)?;
        let known = Self::ALL.iter().find(|(_, symbol)| *symbol == name.as_str());
        known.map(|(policy, _)| *policy).ok_or(DecodeError::new(DecodeErrorKind::InvalidValue("expiry-policy"), at))
    }
}

impl Encode for ExpiryPolicy {
    fn encode(&self, out: &mut Vec<u8>) {
        let name = Self::ALL.iter().find(|(policy, _)| policy == self).map_or("session-end", |(_, symbol)| symbol);
        Symbol::from_const(name).encode(out);
    }
}

owned_already!(ExpiryPolicy);

composite! {
    /// Where the messages of a link come from. §3.5.3
    pub struct Source<'a>: "amqp:source:list" = 0x28 {
        /// The address of the node, usually a string.
        address: Option<Value<'a>>,
        /// What of the terminus survives.
        durable: TerminusDurability = TerminusDurability::None,
        /// When the expiry of the terminus starts counting down.
        expiry_policy: ExpiryPolicy = ExpiryPolicy::SessionEnd,
        /// How long the terminus is kept after that.
        timeout: Seconds = Seconds(0),
        /// Whether the node is to be created by the peer.
        dynamic: bool = false,
        /// Properties of the node to be created.
        dynamic_node_properties: Option<Fields<'a>>,
        /// Whether messages are moved or copied: `move` or `copy`.
        distribution_mode: Option<Symbol<'a>>,
        /// Predicates that the messages must fulfil, by name.
        filter: Option<Map<'a>>,
        /// The outcome of deliveries that are settled without one.
        default_outcome: Option<DeliveryState<'a>>,
        /// The outcomes that can be chosen.
        outcomes: Multiple<Symbol<'a>>,
        /// Extensions that the terminus supports or desires.
        capabilities: Multiple<Symbol<'a>>,
    }

    /// Where the messages of a link go to. §3.5.4
    pub struct Target<'a>: "amqp:target:list" = 0x29 {
        /// The address of the node, usually a string.
        address: Option<Value<'a>>,
        /// What of the terminus survives.
        durable: TerminusDurability = TerminusDurability::None,
        /// When the expiry of the terminus starts counting down.
        expiry_policy: ExpiryPolicy = ExpiryPolicy::SessionEnd,
        /// How long the terminus is kept after that.
        timeout: Seconds = Seconds(0),
        /// Whether the node is to be created by the peer.
        dynamic: bool = false,
        /// Properties of the node to be created.
        dynamic_node_properties: Option<Fields<'a>>,
        /// Extensions that the terminus supports or desires.
        capabilities: Multiple<Symbol<'a>>,
    }
}

impl Default for Source<'_> {
    fn default() -> Self {
        Self {
            address: None,
            durable: TerminusDurability::None,
            expiry_policy: ExpiryPolicy::SessionEnd,
            timeout: Seconds(0),
            dynamic: false,
            dynamic_node_properties: None,
            distribution_mode: None,
            filter: None,
            default_outcome: None,
            outcomes: Multiple::default(),
            capabilities: Multiple::default(),
        }
    }
}

impl Default for Target<'_> {
    fn default() -> Self {
        Self {
            address: None,
            durable: TerminusDurability::None,
            expiry_policy: ExpiryPolicy::SessionEnd,
            timeout: Seconds(0),
            dynamic: false,
            dynamic_node_properties: None,
            capabilities: Multiple::default(),
        }
    }
}

impl<'a> Source<'a> {
    /// A source with this address and defaults for the rest.
    pub fn at(address: impl Into<Str<'a>>) -> Self {
        Self { address: Some(Value::String(address.into())), ..Self::default() }
    }
}

impl<'a> Target<'a> {
    /// A target with this address and defaults for the rest.
    pub fn at(address: impl Into<Str<'a>>) -> Self {
        Self { address: Some(Value::String(address.into())), ..Self::default() }
    }
}
