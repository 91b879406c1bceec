//! The unsettled state of a link, which outlives it, and how attaches tell it. §2.6.13

use std::collections::HashMap;

use amqp10_codec::{
    Attach, DeliveryState, DeliveryTag, IntoOwned, Map, MessageFormat, Reader, Received, ReceiverSettleMode, Role,
    ValueRef, encode_to_vec,
};

use crate::deliveries::{Delivery, Payload};
use crate::link::{ReceiverEnd, SenderEnd, UnsettledIn, UnsettledOut};
use crate::sections::Progress;
use crate::slots::Key;
use crate::violation::Violation;

/// The point at which a receiver that has the whole message stands, whatever number of sections that has.
const ALL_OF_IT: Received = Received { section_number: u32::MAX, section_offset: 0 };

/// The unsettled state of a link, which belongs to its terminus and outlives link, session and connection. §2.6.13
#[derive(Clone, Debug, Default)]
pub struct Terminus {
    /// The deliveries that are unsettled here.
    pub unsettled: Vec<UnsettledDelivery>,
}

/// A delivery that is unsettled at one end of a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnsettledDelivery {
    /// Its tag.
    pub tag: DeliveryTag,
    /// Its state at this end, if it has one.
    ///
    /// At a sender [`Received`] is the earliest point from which it can be sent again, none is the beginning, and an outcome says that it
    /// will never be sent again; at a receiver none stands for what [`arrived`](Self::arrived) says. §3.4.6
    pub state: Option<DeliveryState<'static>>,
    /// How the payload is laid out. §2.8.11
    pub message_format: MessageFormat,
    /// At a receiver: what has arrived and was not taken by the application; none if it has taken all of the message.
    pub arrived: Option<Box<Arrived>>,
    /// At a sender: what [`Sender::resolve`](crate::Sender::resolve) sends again, for whoever puts it here. The engine keeps no message
    /// that it has sent.
    pub message: Option<Payload>,
}

/// What a receiver holds of a delivery. Octets that the application has taken already are not in it.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub(crate) payload: Payload,
    /// Where the payload begins; `None` if all of the message has arrived.
    pub(crate) before: Option<Progress>,
}

/// Sent deliveries of an earlier link.
pub(crate) type Doubts = HashMap<Key, Doubt>;

/// What is known of a sent delivery of an earlier link.
#[derive(Debug)]
pub(crate) struct Doubt {
    /// Its state at this end.
    pub(crate) state: Option<DeliveryState<'static>>,
    pub(crate) message: Option<Payload>,
    pub(crate) remote: Remote,
    /// It is being resumed or sent again.
    pub(crate) queued: bool,
}

/// How a delivery stands at the other end, as far as that has told. §2.6.13
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Remote {
    /// It is not in the map, and the map is whole: settled, or never heard of.
    Absent,
    /// It is not in the map, but the map is not whole.
    Untold,
    Unsettled(Option<DeliveryState<'static>>),
}

impl UnsettledDelivery {
    /// A delivery without a state, of which a receiver has taken everything.
    pub fn new(tag: DeliveryTag) -> Self {
        Self { tag, state: None, message_format: MessageFormat(0), arrived: None, message: None }
    }

    /// What the attach of this end says of it.
    fn told(&self, role: Role) -> Option<DeliveryState<'static>> {
        match (&self.state, role) {
            (None, Role::Receiver) => {
                let held = self.arrived.as_deref().and_then(Arrived::point);
                Some(DeliveryState::Received(held.unwrap_or(ALL_OF_IT)))
            }
            (state, _) => state.clone(),
        }
    }
}

impl Arrived {
    /// Of a delivery whose octets before `point` are with the application.
    pub fn up_to(point: &Received, message_format: MessageFormat) -> Self {
        Self { payload: Payload::default(), before: Some(Progress::at(point, message_format)) }
    }

    /// The octets that were not taken.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Where the next octet stands that has not arrived; none if all have. §3.4.1
    pub fn point(&self) -> Option<Received> {
        self.progress().map(|progress| progress.point())
    }

    /// The way to the end of what has arrived.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let mut progress = self.before.clone()?;
        self.payload.parts().for_each(|part| progress.advance(part));
        Some(progress)
    }
}

/// What the attach of this end says of its deliveries, and whether that is all of them: the frame may have `limit` octets, of which
/// `size` are taken.
pub(crate) fn unsettled_map(
    role: Role,
    unsettled: &[UnsettledDelivery],
    size: usize,
    limit: usize,
) -> (Map<'static>, bool) {
    let mut map = Map::new();
    // The size and count of the map and of the attach around it become wide, and incomplete-unsettled is told.
    let mut size = size.saturating_add(16);
    for delivery in unsettled {
        let state = delivery.told(role);
        let octets = state.as_ref().map_or(1, |state| encode_to_vec(state).len());
        size = size.saturating_add(octets).saturating_add(encode_to_vec(&delivery.tag).len());
        if size > limit {
            return (map, false);
        }
        match &state {
            Some(state) => map.push(&delivery.tag, state),
            None => map.push(&delivery.tag, &()),
        }
    }
    (map, true)
}

/// The deliveries that an attach calls unsettled. §2.7.3
pub(crate) fn unsettled_of(
    attach: &Attach<'_>,
) -> impl Iterator<Item = Result<(DeliveryTag, Option<DeliveryState<'static>>), Violation>> {
    attach.unsettled.iter().flat_map(Map::entries).map(|entry| {
        let (key, value) = entry.map_err(|_| Violation::UnsettledMap)?;
        let ValueRef::Binary(tag) = key else {
            return Err(Violation::UnsettledMap);
        };
        let tag = DeliveryTag::new(tag).map_err(|_| Violation::UnsettledMap)?;
        if matches!(value, ValueRef::Null) {
            return Ok((tag, None));
        }
        let octets = encode_to_vec(&value.to_value().map_err(|_| Violation::UnsettledMap)?);
        let state = Reader::new(&octets).read::<DeliveryState<'_>>().map_err(|_| Violation::UnsettledMap)?;
        Ok((tag, Some(state.into_owned())))
    })
}

/// The same by tag. Violations were told when the attach came in.
pub(crate) fn remote_map(attach: &Attach<'_>) -> HashMap<DeliveryTag, Option<DeliveryState<'static>>> {
    unsettled_of(attach).flatten().collect()
}

impl ReceiverEnd {
    /// Puts deliveries of an earlier link into this one. They have no delivery-ids until they are resumed. §2.6.13
    pub(crate) fn take_terminus(&mut self, terminus: Terminus, mode: ReceiverSettleMode) {
        for delivery in terminus.unsettled {
            let key = self.unsettled.insert(UnsettledIn {
                id: None,
                tag: delivery.tag,
                state: delivery.state.map(Box::new),
                mode,
                decided: false,
                complete: delivery.arrived.as_deref().is_none_or(|arrived| arrived.before.is_none()),
            });
            if let (Some(key), Some(arrived)) = (key, delivery.arrived) {
                self.arrived.insert(key, *arrived);
            }
        }
    }

    /// The unsettled deliveries, with what nobody has taken of them.
    pub(crate) fn unsettled(&self) -> Vec<UnsettledDelivery> {
        let ready: HashMap<Key, &Delivery> =
            self.ready.as_slice().iter().flatten().map(|ready| (ready.key.delivery, ready)).collect();
        let entry = |(key, unsettled): (Key, &UnsettledIn)| {
            let mut delivery = UnsettledDelivery::new(unsettled.tag);
            delivery.state = unsettled.state.as_deref().cloned();
            if let Some(arrived) = self.arrived.get(&key) {
                delivery.arrived = Some(Box::new(arrived.clone()));
            } else if let Some(ready) = ready.get(&key) {
                delivery.message_format = ready.message_format;
                delivery.arrived = Some(Box::new(Arrived { payload: ready.payload.clone(), before: None }));
            } else if !unsettled.complete {
                // Of which the receiver has nothing is better left out; and what the sender has settled it has forgotten. §3.4.6
                let incoming = self.incoming.as_ref().map(|incoming| (&incoming.head, incoming));
                let (head, incoming) = incoming.filter(|(head, _)| head.key.delivery == key && !head.settled)?;
                let before = incoming.progress.as_deref().cloned();
                let before = before.unwrap_or_else(|| Progress::new(head.message_format));
                let mut payload = incoming.payload.clone();
                payload.push(self.joined.clone().freeze());
                let arrived = Arrived { payload, before: Some(before) };
                arrived.point().filter(|point| (point.section_number, point.section_offset) != (0, 0))?;
                delivery.message_format = head.message_format;
                delivery.arrived = Some(Box::new(arrived));
            }
            Some(delivery)
        };
        self.unsettled.iter().filter_map(entry).collect()
    }
}

impl SenderEnd {
    /// Puts deliveries of an earlier link into this one. They have no delivery-ids until they are resumed. §2.6.13
    pub(crate) fn take_terminus(&mut self, terminus: Terminus) {
        for delivery in terminus.unsettled {
            let unsettled = UnsettledOut::new(delivery.tag, delivery.message_format, false);
            let key = self.unsettled.insert(UnsettledOut { in_doubt: true, ..unsettled });
            let Some(key) = key else { continue };
            let doubt =
                Doubt { state: delivery.state, message: delivery.message, remote: Remote::Untold, queued: false };
            self.doubts.insert(key, doubt);
        }
    }

    /// The receiver has decided on an outcome without settling; that counts when the link is resumed.
    #[cold]
    pub(crate) fn remember(&mut self, delivery: Key, outcome: &DeliveryState<'static>) {
        let doubt = self.doubts.entry(delivery).or_insert(Doubt {
            state: None,
            message: None,
            remote: Remote::Untold,
            queued: true,
        });
        if doubt.state.as_ref().is_none_or(|state| !state.is_outcome()) {
            doubt.state = Some(outcome.clone());
        }
    }

    /// The outcome of a delivery that the receiver settles without telling one: the one it told before, or the default. §3.5.3
    #[cold]
    pub(crate) fn outcome_of(&self, delivery: Key) -> Option<DeliveryState<'static>> {
        let told = self.doubts.get(&delivery).and_then(|doubt| doubt.state.clone());
        told.filter(DeliveryState::is_outcome).or_else(|| self.default_outcome.as_deref().cloned())
    }

    /// The unsettled deliveries: those that have begun to leave, on this link or an earlier one.
    pub(crate) fn unsettled(&self) -> Vec<UnsettledDelivery> {
        let live = |(_, unsettled): &(Key, &UnsettledOut)| {
            !unsettled.settled && (unsettled.id.is_some() || unsettled.in_doubt)
        };
        let entry = |(key, unsettled): (Key, &UnsettledOut)| {
            let doubt = self.doubts.get(&key);
            UnsettledDelivery {
                state: doubt.and_then(|doubt| doubt.state.clone()),
                message_format: unsettled.message_format,
                message: doubt.and_then(|doubt| doubt.message.clone()),
                ..UnsettledDelivery::new(unsettled.tag)
            }
        };
        self.unsettled.iter().filter(live).map(entry).collect()
    }
}
