//! Sources and targets, §3.5.

use alloc::vec::Vec;

use crate::codec::owned_already;
use crate::composite::{InPlace, composite};
use crate::performative::take_code;
use crate::symbol::open_symbols;
use crate::transport::choice;
use crate::{
    Composite, Coordinator, Decode, DecodeError, DecodeErrorKind, Described, Encode, Fields, IntoOwned, ListReader,
    ListWriter, Map, Multiple, Outcome, Reader, Seconds, Str, Symbol, Value,
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
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
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

open_symbols! {
    /// What becomes of a message for others once a link has transferred it. §3.5.7
    pub struct DistributionMode {
        /// It is no longer available to other links.
        MOVE = "move";
        /// It is still available to other links.
        COPY = "copy";
    }
}

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
        /// Whether messages are moved or copied.
        distribution_mode: Option<DistributionMode<'a>>,
        /// Predicates that the messages must fulfil, by name.
        filter: Option<Map<'a>>,
        /// The outcome of deliveries that are settled without one.
        default_outcome: Option<Outcome<'a>>,
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

/// What the source of an attach may be: what `provides="source"`. §2.7.3
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "the other one is rare")]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum SourceArchetype<'a> {
    /// §3.5.3
    Source(Source<'a>),
    /// A source that is not known here, kept as it came: the link can be refused, nothing else need suffer.
    Other(Described<'a>),
}

/// What the target of an attach may be: what `provides="target"`. §2.7.3
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum TargetArchetype<'a> {
    /// §3.5.4
    Target(Target<'a>),
    /// §4.5.1
    Coordinator(Coordinator<'a>),
    /// A target that is not known here, kept as it came: the link can be refused, nothing else need suffer.
    Other(Described<'a>),
}

impl<'a> SourceArchetype<'a> {
    /// The source, if it is one of messaging.
    pub const fn as_source(&self) -> Option<&Source<'a>> {
        if let Self::Source(source) = self { Some(source) } else { None }
    }
}

impl<'a> TargetArchetype<'a> {
    /// The target, if it is one of messaging.
    pub const fn as_target(&self) -> Option<&Target<'a>> {
        if let Self::Target(target) = self { Some(target) } else { None }
    }

    /// The coordinator, if it is one.
    pub const fn as_coordinator(&self) -> Option<&Coordinator<'a>> {
        if let Self::Coordinator(coordinator) = self { Some(coordinator) } else { None }
    }
}

/// An enum of the composites that provide an archetype, and of what is not known.
macro_rules! archetype {
    ($($type:ident, $what:literal, { $($name:ident),* };)*) => { $(
        impl Default for $type<'_> {
            /// The one of messaging, with defaults throughout.
            fn default() -> Self {
                archetype!(@first $($name),*)
            }
        }

        $(
            impl<'a> From<$name<'a>> for $type<'a> {
                fn from(terminus: $name<'a>) -> Self {
                    Self::$name(terminus)
                }
            }
        )*

        impl<'a> Decode<'a> for $type<'a> {
            fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let mut place = None;
                Self::decode_into(&mut place, constructor, reader)?;
                // It is always there.
                place.ok_or_else(|| reader.unexpected($what, constructor))
            }

            #[inline(always)]
            fn decode_into(
                place: &mut Option<Self>,
                constructor: u8,
                reader: &mut Reader<'a>,
            ) -> Result<(), DecodeError> {
                let mut ahead = reader.clone();
                let (code, list) = take_code(constructor, &mut ahead, $what, &[$(($name::NAME, $name::CODE)),*])?;
                match code {
                    $( $name::CODE => {
                        *place = Some(Self::$name($name::blank()));
                        if let Some(Self::$name(terminus)) = place {
                            terminus.read_list(list, &mut ahead)?;
                        }
                        reader.go_to(ahead.rest());
                    } )*
                    _ => *place = Some(Self::Other(Described::decode_data(constructor, reader)?)),
                }
                Ok(())
            }
        }

        impl Encode for $type<'_> {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$name(terminus) => terminus.encode(out), )*
                    Self::Other(terminus) => terminus.encode(out),
                }
            }
        }

        impl IntoOwned for $type<'_> {
            type Owned = $type<'static>;

            fn into_owned(self) -> $type<'static> {
                match self {
                    $( Self::$name(terminus) => $type::$name(terminus.into_owned()), )*
                    Self::Other(terminus) => $type::Other(terminus.into_owned()),
                }
            }
        }
    )* };
    (@first $first:ident $(, $name:ident)*) => { Self::$first($first::default()) };
}

archetype! {
    SourceArchetype, "a source", { Source };
    TargetArchetype, "a target", { Target, Coordinator };
}

/// How long a node lives that was created for a link: a value of `lifetime-policy` in the properties of the node. §3.5.9
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum LifetimePolicy {
    /// As long as the link that caused it. §3.5.10
    DeleteOnClose,
    /// Until there are no links to it. §3.5.11
    DeleteOnNoLinks,
    /// Until that link and all messages are gone. §3.5.12
    DeleteOnNoMessages,
    /// Until there are neither links to it nor messages. §3.5.13
    DeleteOnNoLinksOrMessages,
}

impl LifetimePolicy {
    const ALL: [(Self, &'static str, u64); 4] = [
        (Self::DeleteOnClose, "amqp:delete-on-close:list", 0x2b),
        (Self::DeleteOnNoLinks, "amqp:delete-on-no-links:list", 0x2c),
        (Self::DeleteOnNoMessages, "amqp:delete-on-no-messages:list", 0x2d),
        (Self::DeleteOnNoLinksOrMessages, "amqp:delete-on-no-links-or-messages:list", 0x2e),
    ];
}

impl<'a> Decode<'a> for LifetimePolicy {
    fn decode_data(constructor: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let names = Self::ALL.map(|(_, name, code)| (name, code));
        let (code, list) = take_code(constructor, reader, "a lifetime-policy", &names)?;
        let Some((policy, ..)) = Self::ALL.iter().find(|(.., known)| *known == code) else {
            let kind = DecodeErrorKind::unexpected_descriptor("a lifetime-policy", code);
            return Err(DecodeError::new(kind, at));
        };
        ListReader::open(list, reader)?.close()?;
        Ok(*policy)
    }
}

impl Encode for LifetimePolicy {
    fn encode(&self, out: &mut Vec<u8>) {
        let code = Self::ALL.iter().find(|(policy, ..)| policy == self).map_or(0x2b, |(.., code)| *code);
        ListWriter::described(code, out).close();
    }
}

owned_already!(LifetimePolicy);
