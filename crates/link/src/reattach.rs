//! A link attached again while its endpoint lives: its deliveries go on under their delivery-ids. §2.6.4

use amqp10_codec::{DeliveryState, Role};

use crate::connection::Connection;
use crate::link::{End, Link, UnsettledOut};
use crate::slots::Key;
use crate::state::LinkState;

impl Connection {
    /// The suspended endpoint that a link attached without an unsettled map continues.
    pub(crate) fn suspended(&self, link: &Link) -> Option<Key> {
        let mut links = self.links.iter().filter(|(_, old)| old.state == LinkState::Detached && old.suspended);
        let same = |old: &Link| old.session == link.session && old.role() == link.role() && old.name == link.name;
        links.find(|(_, old)| same(old)).map(|(key, _)| key)
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
                    && let Some(unsettled) = old.unsettled.remove(incoming.head.key.delivery)
                    && let Some(id) = unsettled.id
                {
                    // The rest of it will not come.
                    session.incoming.remove(id);
                    session.settle(Role::Receiver, id, true, Some(DeliveryState::Released));
                }
                old.ready.iter_mut().for_each(|delivery| delivery.key.link = key);
                let held = old.ready.iter().fold(0_usize, |sum, delivery| sum.saturating_add(delivery.payload.len()));
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
