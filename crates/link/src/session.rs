//! One end of a session. §2.5

use std::collections::{HashMap, VecDeque};

use amqp10_codec::{
    Begin, Channel, DeliveryNumber, DeliveryState, Disposition, Flow, Handle, IntoOwned, Role, TransferNumber,
};
use bytes::Bytes;

use crate::SessionConfig;
use crate::deliveries::Ledger;
use crate::reattach::Errant;
use crate::slots::Key;
use crate::state::SessionState;

/// Settlements of consecutive deliveries that share one disposition.
#[derive(Debug)]
pub(crate) struct Settlements {
    role: Role,
    first: DeliveryNumber,
    last: DeliveryNumber,
    settled: bool,
    state: Option<DeliveryState<'static>>,
}

impl Settlements {
    pub(crate) fn into_disposition(self) -> Disposition<'static> {
        Disposition {
            role: self.role,
            first: self.first,
            last: (self.first != self.last).then_some(self.last),
            settled: self.settled,
            state: self.state,
            batchable: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: SessionConfig,
    pub(crate) state: SessionState,
    /// Nobody waits for the answer to our begin any more.
    pub(crate) abandoned: bool,
    /// Our channel, once our begin is out.
    pub(crate) channel: Option<Channel>,
    pub(crate) remote_channel: Option<Channel>,
    /// What the peer said when it began the session.
    pub(crate) remote_begin: Option<Box<Begin<'static>>>,
    pub(crate) remote_handle_max: Handle,
    /// The peer's begin answered ours, so its flows must say what they expect next.
    pub(crate) answered: bool,

    pub(crate) next_outgoing_id: TransferNumber,
    /// The peer's next-outgoing-id; none before its begin.
    pub(crate) next_incoming_id: Option<TransferNumber>,
    /// How many transfers the peer may still send.
    pub(crate) incoming_left: u32,
    /// How many transfers the peer can still take.
    pub(crate) remote_incoming_window: u32,
    pub(crate) next_delivery_id: DeliveryNumber,
    /// The delivery-id that the peer's next delivery is to have; none before its first.
    pub(crate) next_incoming_delivery: Option<DeliveryNumber>,
    /// Octets that links of this session hold.
    pub(crate) held: usize,
    /// Those among them that nobody can take yet.
    pub(crate) unfinished: usize,

    /// Links by our handle.
    pub(crate) handles: Vec<Option<Key>>,
    /// Links by the peer's handle.
    remote_handles: RemoteHandles,
    /// Unsettled deliveries that came in.
    pub(crate) incoming: Ledger,
    /// Unsettled deliveries that went out.
    pub(crate) outgoing: Ledger,

    /// Links whose endpoints were destroyed by an error, but not closed.
    pub(crate) errant: Errant,
    /// Frames that came before our begin was out; nothing may be answered until it is.
    pub(crate) early: Vec<Bytes>,
    /// A flow is wanted even if no link has one.
    pub(crate) flow_due: bool,
    /// Links that want a flow.
    pub(crate) flows: VecDeque<Key>,
    /// Senders that have something to send, in the order of their turns.
    pub(crate) senders: VecDeque<Key>,
    pub(crate) settlements: VecDeque<Settlements>,
}

impl Session {
    pub(crate) fn new(config: SessionConfig, state: SessionState) -> Self {
        Self {
            state,
            abandoned: false,
            channel: None,
            remote_channel: None,
            remote_begin: None,
            remote_handle_max: Handle(u32::MAX),
            answered: false,
            next_outgoing_id: config.next_outgoing_id,
            next_incoming_id: None,
            incoming_left: config.incoming_window,
            remote_incoming_window: 0,
            next_delivery_id: DeliveryNumber(config.next_outgoing_id.0),
            next_incoming_delivery: None,
            held: 0,
            unfinished: 0,
            handles: Vec::new(),
            remote_handles: RemoteHandles::default(),
            incoming: Ledger::default(),
            outgoing: Ledger::default(),
            errant: Errant::default(),
            early: Vec::new(),
            flow_due: false,
            flows: VecDeque::new(),
            senders: VecDeque::new(),
            settlements: VecDeque::new(),
            config,
        }
    }

    /// Our begin.
    pub(crate) fn begin(&self) -> Begin<'static> {
        Begin {
            remote_channel: self.remote_channel,
            handle_max: self.config.handle_max,
            offered_capabilities: self.config.offered_capabilities.clone(),
            desired_capabilities: self.config.desired_capabilities.clone(),
            properties: self.config.properties.clone(),
            ..Begin::new(self.next_outgoing_id, self.incoming_left, self.config.outgoing_window)
        }
    }

    /// Takes over what the peer's begin says.
    pub(crate) fn receive_begin(&mut self, channel: Channel, begin: &Begin<'_>) {
        self.remote_channel = Some(channel);
        self.remote_begin = Some(Box::new(begin.clone().into_owned()));
        self.remote_handle_max = begin.handle_max;
        self.answered = begin.remote_channel.is_some();
        self.next_incoming_id = Some(begin.next_outgoing_id);
        self.remote_incoming_window = begin.incoming_window;
    }

    /// A flow that tells the state of the session. Renews the window as far as what is held permits.
    pub(crate) fn flow(&mut self) -> Flow<'static> {
        self.flow_due = false;
        if self.has_room() {
            self.incoming_left = self.config.incoming_window;
        }
        Flow {
            next_incoming_id: self.next_incoming_id,
            incoming_window: self.incoming_left,
            next_outgoing_id: self.next_outgoing_id,
            outgoing_window: self.config.outgoing_window,
            handle: None,
            delivery_count: None,
            link_credit: None,
            available: None,
            drain: false,
            echo: false,
            properties: None,
        }
    }

    /// Whether a disposition names what was unsettled when an error of ours ended its link. §2.6.5
    #[inline]
    pub(crate) fn names_errant(&mut self, role: Role, first: DeliveryNumber, last: DeliveryNumber) -> bool {
        if !self.errant.has_deliveries() {
            return false;
        }
        // The peer's receivers speak of what our senders have sent.
        let (ours, next) = match role {
            Role::Receiver => (Role::Sender, self.next_delivery_id),
            Role::Sender => (Role::Receiver, self.next_incoming_delivery.unwrap_or_default()),
        };
        self.errant.names(ours, first, last, next)
    }

    /// Takes over the session's part of the peer's flow, §2.5.6.
    pub(crate) fn receive_flow(&mut self, flow: &Flow<'_>) {
        self.next_incoming_id = Some(flow.next_outgoing_id);
        let base = flow.next_incoming_id.unwrap_or(self.config.next_outgoing_id);
        // A window may exceed half the number space, so what is in flight is taken off it instead of comparing its end with ours.
        let in_flight = self.next_outgoing_id.ahead_of(base).max(0).unsigned_abs();
        self.remote_incoming_window = flow.incoming_window.saturating_sub(in_flight);
        self.flow_due |= flow.echo;
    }

    /// A transfer came in. `false` says that there was no window for it.
    #[inline]
    pub(crate) fn receive_transfer(&mut self) -> bool {
        let Some(left) = self.incoming_left.checked_sub(1) else {
            return false;
        };
        self.incoming_left = left;
        self.next_incoming_id = self.next_incoming_id.map(TransferNumber::next);
        true
    }

    /// Whether a flow is to be sent for the session itself: it was asked for, or half of the window is used up and there is room.
    pub(crate) fn wants_flow(&self) -> bool {
        let window = self.config.incoming_window;
        self.flow_due || (self.incoming_left < window && self.incoming_left <= window / 2 && self.has_room())
    }

    /// Whether more may come before something is taken. What nobody can take yet must not keep away the rest of it.
    #[inline]
    fn has_room(&self) -> bool {
        self.held.saturating_sub(self.unfinished) < self.config.session_buffer
    }

    /// Octets that were held have been taken or thrown away.
    #[inline]
    pub(crate) fn release_octets(&mut self, octets: usize) {
        self.held = self.held.saturating_sub(octets);
    }

    /// Queues a settlement, merged with the one before if they belong together.
    #[inline(always)]
    pub(crate) fn settle(
        &mut self,
        role: Role,
        id: DeliveryNumber,
        settled: bool,
        state: Option<DeliveryState<'static>>,
    ) {
        if let Some(last) = self.settlements.back_mut()
            && last.role == role
            && last.last.next() == id
            && last.settled == settled
            && matches!((&last.state, &state), (Some(DeliveryState::Accepted), Some(DeliveryState::Accepted)))
        {
            // Nearly always. Nothing is to be dropped of such a state.
            std::mem::forget(state);
            last.last = id;
            return;
        }
        self.settle_otherwise(Settlements { role, first: id, last: id, settled, state });
    }

    #[inline(never)]
    fn settle_otherwise(&mut self, new: Settlements) {
        if let Some(last) = self.settlements.back_mut()
            && (last.role, last.last.next(), last.settled) == (new.role, new.first, new.settled)
            && last.state == new.state
        {
            last.last = new.last;
            return;
        }
        self.settlements.push_back(new);
    }

    /// The lowest free handle that the peer permits.
    pub(crate) fn free_handle(&mut self) -> Option<Handle> {
        let at = self.handles.iter().position(Option::is_none).unwrap_or(self.handles.len());
        let handle = u32::try_from(at).ok().filter(|handle| *handle <= self.remote_handle_max.0)?;
        if at == self.handles.len() {
            self.handles.push(None);
        }
        Some(Handle(handle))
    }

    pub(crate) fn set_handle(&mut self, handle: Handle, link: Option<Key>) {
        if let Some(place) = self.handles.get_mut(handle.0 as usize) {
            *place = link;
        }
    }

    /// The link that the peer calls by this handle.
    #[inline]
    pub(crate) fn by_remote_handle(&self, handle: Handle) -> Option<Key> {
        self.remote_handles.get(handle)
    }

    /// The links that have a handle here, on either side.
    pub(crate) fn links(&self) -> Vec<Key> {
        let theirs = self.remote_handles.low.iter().flatten().chain(self.remote_handles.high.values());
        let mut links: Vec<Key> = self.handles.iter().flatten().chain(theirs).copied().collect();
        links.sort_unstable();
        links.dedup();
        links
    }

    pub(crate) fn set_remote_handle(&mut self, handle: Handle, link: Option<Key>) {
        self.remote_handles.set(handle, link);
    }
}

/// Links by the peer's handle. The peer may choose any up to handle-max, so only low ones have a place of their own.
#[derive(Debug, Default)]
struct RemoteHandles {
    low: Vec<Option<Key>>,
    high: HashMap<u32, Key>,
}

impl RemoteHandles {
    /// How many handles may have a place of their own.
    const LOW: usize = 256;

    #[inline]
    fn get(&self, handle: Handle) -> Option<Key> {
        match self.low.get(handle.0 as usize) {
            Some(place) => *place,
            None if self.high.is_empty() => None,
            None => self.high.get(&handle.0).copied(),
        }
    }

    fn set(&mut self, handle: Handle, link: Option<Key>) {
        let at = handle.0 as usize;
        if at < Self::LOW {
            if at >= self.low.len() {
                self.low.resize(at.saturating_add(1), None);
            }
            if let Some(place) = self.low.get_mut(at) {
                *place = link;
            }
        } else if let Some(link) = link {
            self.high.insert(handle.0, link);
        } else {
            self.high.remove(&handle.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped() -> Session {
        let mut session = Session::new(SessionConfig::default(), SessionState::Mapped);
        session.receive_begin(Channel(0), &Begin::new(TransferNumber(7), 10, 10));
        session
    }

    #[test]
    fn settlements_of_consecutive_deliveries_are_merged() {
        let mut session = mapped();
        for id in [u32::MAX, 0, 1, 3] {
            session.settle(Role::Receiver, DeliveryNumber(id), true, Some(DeliveryState::Accepted));
        }
        session.settle(Role::Receiver, DeliveryNumber(4), true, Some(DeliveryState::Released));
        let ranges: Vec<_> = session
            .settlements
            .into_iter()
            .map(|settlements| settlements.into_disposition())
            .map(|disposition| (disposition.first.0, disposition.last.map(|last| last.0)))
            .collect();
        assert_eq!(ranges, [(u32::MAX, Some(1)), (3, None), (4, None)]);
    }

    #[test]
    fn h14_a_window_that_shrank_below_what_is_in_flight_is_no_window() {
        let mut session = mapped();
        session.next_outgoing_id = TransferNumber(8);
        let flow = |base, window| Flow {
            next_incoming_id: base,
            incoming_window: window,
            next_outgoing_id: TransferNumber(50),
            ..mapped().flow()
        };
        for (base, window, expected) in
            [(Some(5), 10, 7), (Some(5), 2, 0), (None, 10, 2), (Some(8), u32::MAX, u32::MAX)]
        {
            session.receive_flow(&flow(base.map(TransferNumber), window));
            assert_eq!(session.remote_incoming_window, expected, "base {base:?}, window {window}");
        }
        assert_eq!(session.next_incoming_id, Some(TransferNumber(50)));
    }
}
