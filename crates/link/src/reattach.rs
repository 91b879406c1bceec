//! A link attached again while its endpoint lives: its deliveries go on under their delivery-ids. §2.6.4

use amqp10_codec::{Attach, DeliveryNumber, DeliveryState, Handle, ReceiverSettleMode, Role, Str};

use crate::LinkConfig;
use crate::connection::Connection;
use crate::link::{End, Link, UnsettledOut};
use crate::slots::{Key, LinkId};
use crate::state::LinkState;
use crate::violation::Violation;

/// How many links that ended with an error a session remembers, how many handles, and how many runs of delivery-ids.
const MOST_ERRANT: usize = 64;

/// Links that were detached with an error. §2.6.5
#[derive(Debug, Default)]
pub(crate) struct Errant {
    /// Those that were not closed: they can only be resumed.
    links: Vec<(Str<'static>, Role, Whose)>,
    /// The handles that the peer had given them, until it gives them to others.
    handles: Vec<Handle>,
    /// What was unsettled when an error of ours had ended its link on both sides: our role, the first delivery-id and the last.
    deliveries: Vec<(Role, DeliveryNumber, DeliveryNumber)>,
}

/// Whose error it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Theirs,
}

impl Errant {
    pub(crate) fn push(&mut self, link: &Link, whose: Whose) {
        self.remove(&link.name, link.role());
        if self.links.len() >= MOST_ERRANT {
            self.links.remove(0);
        }
        self.links.push((link.name.clone(), link.role(), whose));
    }

    /// Forgets a link that is attached anew; `role` is that of our end.
    pub(crate) fn remove(&mut self, name: &str, role: Role) -> Option<Whose> {
        let at = self.links.iter().position(|(known, known_role, _)| *known == *name && *known_role == role)?;
        Some(self.links.remove(at).2)
    }

    /// The peer has detached a link that ended with an error, so that nothing of it is on its way any more.
    pub(crate) fn push_handle(&mut self, handle: Handle) {
        if self.handles.len() >= MOST_ERRANT {
            self.handles.remove(0);
        }
        self.handles.push(handle);
    }

    /// The same of the deliveries of a link that ended with an error of ours.
    pub(crate) fn push_deliveries(&mut self, link: &Link) {
        let mut ids: Vec<DeliveryNumber> = match &link.end {
            End::Receiver(end) => end.unsettled.iter().filter_map(|(_, unsettled)| unsettled.id).collect(),
            End::Sender(end) => end.unsettled.iter().filter_map(|(_, unsettled)| unsettled.id).collect(),
        };
        let base = ids.first().copied().unwrap_or_default();
        // They are less than half the number space apart, so this is an order.
        ids.sort_unstable_by_key(|id| id.ahead_of(base));
        let mut runs: Vec<(Role, DeliveryNumber, DeliveryNumber)> = Vec::new();
        for id in ids {
            match runs.last_mut() {
                Some((_, _, last)) if last.next() == id => *last = id,
                _ => runs.push((link.role(), id, id)),
            }
        }
        self.deliveries.extend(runs);
        let surplus = self.deliveries.len().saturating_sub(MOST_ERRANT);
        self.deliveries.drain(..surplus);
    }

    /// Whether a frame names such a delivery by its delivery-id. `next` is the id of the next delivery of this direction.
    #[cold]
    pub(crate) fn names(
        &mut self,
        role: Role,
        first: DeliveryNumber,
        last: DeliveryNumber,
        next: DeliveryNumber,
    ) -> bool {
        // What is not behind the next one stems from before the ids wrapped.
        self.deliveries.retain(|(known, _, end)| *known != role || end.precedes(next));
        let mut known = self.deliveries.iter().filter(|(known, _, _)| *known == role);
        known.any(|(_, start, end)| !end.precedes(first) && !last.precedes(*start))
    }

    /// Whether there may be such a delivery.
    #[inline]
    pub(crate) fn has_deliveries(&self) -> bool {
        !self.deliveries.is_empty()
    }

    /// The peer has given this handle to a link.
    pub(crate) fn remove_handle(&mut self, handle: Handle) {
        self.handles.retain(|known| *known != handle);
    }

    /// What is wrong with a frame for this handle, which no link has.
    #[cold]
    pub(crate) fn unattached(&self, handle: Handle, frame: &'static str) -> Violation {
        if self.handles.contains(&handle) { Violation::ErrantLink } else { Violation::UnattachedHandle(frame) }
    }
}

impl Connection {
    /// The peer has closed a link while our detach, which did not, was on its way: it is attached once more and closed. §2.6.6
    pub(crate) fn close_anew(&mut self, session: Key, attach: &Attach<'static>) {
        let mut config = match attach.role {
            Role::Sender => LinkConfig::receiver(attach.name.clone(), attach.source.clone().unwrap_or_default()),
            Role::Receiver => LinkConfig::sender(attach.name.clone(), attach.target.clone().unwrap_or_default()),
        };
        if self.find_link(&config.name, config.role, |_| true).is_some() {
            // The peer had attached it anew before it closed the older one: there is no endpoint left to close. §2.6.1
            return;
        }
        let link = Link::new(session, &mut config, LinkState::AttachSent);
        let key = self.links.insert(Link { abandoned: true, ..link });
        if self.send_attach(key, config).is_err() {
            self.links.remove(key);
            return;
        }
        self.detach(LinkId(key), true, None);
    }

    /// The suspended endpoint that a link attached without an unsettled map continues.
    pub(crate) fn suspended(&self, link: &Link) -> Option<Key> {
        let mut links = self.links.named(&link.name, link.role());
        let goes_on = |old: &Link| old.state == LinkState::Detached && old.suspended && old.session == link.session;
        links.find(|(_, old)| goes_on(old)).map(|(key, _)| key)
    }

    /// Lets a link that was just attached go on with the deliveries of the endpoint that had its name before, if there is one.
    pub(crate) fn reattach(&mut self, key: Key) {
        let Some(link) = self.links.get(key).filter(|link| !link.resumes) else { return };
        let Some(old) = self.suspended(link) else { return };
        let Some(old_link) = self.links.remove(old) else { return };
        let (Some(link), Some(session)) = (self.links.get_mut(key), self.sessions.get_mut(old_link.session)) else {
            return;
        };
        match (&mut link.end, old_link.end) {
            (End::Receiver(end), End::Receiver(mut old)) => {
                if let Some(incoming) = old.incoming.take()
                    && let Some(unsettled) = old.unsettled.get_mut(incoming.head.key.delivery)
                    && let Some(id) = unsettled.id
                {
                    // The rest of it will not come. In mode second it is for the sender to settle first, and of what it has settled
                    // there is nothing to tell. §2.6.12, §2.7.5
                    let (settled, settles) = (incoming.head.settled, unsettled.mode == ReceiverSettleMode::First);
                    if !settled {
                        session.settle(Role::Receiver, id, settles, Some(DeliveryState::Released));
                    }
                    if settled || settles {
                        session.incoming.remove(id);
                        old.unsettled.forget(incoming.head.key.delivery);
                    } else {
                        (unsettled.state, unsettled.complete) = (Some(Box::new(DeliveryState::Released)), true);
                    }
                }
                old.ready.as_mut_slice().iter_mut().flatten().for_each(|delivery| delivery.key.link = key);
                let held = old.ready.as_slice().iter().flatten();
                let held = held.fold(0_usize, |sum, delivery| sum.saturating_add(delivery.payload.len()));
                (end.held, session.held) = (held, session.held.saturating_add(held));
                (end.unsettled, end.arrived, end.ready) = (old.unsettled, old.arrived, old.ready);
            }
            (End::Sender(end), End::Sender(mut old)) => {
                let begun = |unsettled: &UnsettledOut| unsettled.id.is_some() || unsettled.in_doubt;
                let waited = old.unsettled.iter().filter(|(_, unsettled)| !begun(unsettled)).map(|(key, _)| key);
                for delivery in waited.collect::<Vec<_>>() {
                    old.forget(delivery);
                }
                old.outcomes.iter_mut().for_each(|outcome| outcome.key.link = key);
                (end.outcomes, end.outcomes_taken, end.outcomes_told) =
                    (old.outcomes, old.outcomes_taken, old.outcomes_told);
                (end.unsettled, end.doubts, end.next_tag) = (old.unsettled, old.doubts, old.next_tag);
            }
            _ => {}
        }
        session.incoming.move_link(old, key);
        session.outgoing.move_link(old, key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h16_errant_deliveries_are_forgotten_when_their_ids_come_round_again() {
        let id = DeliveryNumber;
        let deliveries = vec![(Role::Sender, id(u32::MAX), id(1)), (Role::Receiver, id(5), id(5))];
        let mut errant = Errant { deliveries, ..Errant::default() };
        for (first, last, named) in [(2, 9, false), (u32::MAX - 9, u32::MAX - 1, false), (0, 0, true), (1, 4, true)] {
            assert_eq!(errant.names(Role::Sender, id(first), id(last), id(2)), named, "{first} to {last}");
        }
        assert!(errant.names(Role::Sender, id(1), id(1), id(0x8000_0000)), "as far as serial numbers reach");
        assert!(!errant.names(Role::Sender, id(1), id(1), id(0x8000_0002)));
        assert!(!errant.names(Role::Sender, id(1), id(1), id(2)), "for good");
        assert!(errant.names(Role::Receiver, id(5), id(5), id(6)), "but no other");
    }
}
