//! Flows, dispositions and transfers that come in.

use std::collections::hash_map::Entry;

use amqp10_codec::{DeliveryState, Disposition, Flow, IntoOwned, Role, SenderSettleMode, Transfer};
use bytes::Bytes;

use crate::connection::Connection;
use crate::deliveries::{Delivery, DeliveryKey, Incoming, Payload};
use crate::event::{Event, LinkEvent};
use crate::link::UnsettledIn;
use crate::slots::{Key, LinkId};
use crate::state::LinkState;
use crate::violation::Violation;
use crate::{Outcome, Replenish, coordinator, transaction};

/// Transfers without payload that one delivery may have.
const MAX_EMPTY_TRANSFERS: u32 = 64;

impl Connection {
    pub(crate) fn handle_flow(&mut self, key: Key, flow: Flow<'_>) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if flow.next_incoming_id.is_none() && session.answered {
            return self.violation(Violation::NextIncomingId, Some(key), None);
        }
        let Some(handle) = flow.handle else {
            if flow.delivery_count.is_some() || flow.link_credit.is_some() || flow.drain {
                return self.violation(Violation::FlowWithoutHandle, Some(key), None);
            }
            session.receive_flow(&flow);
            return;
        };
        session.receive_flow(&flow);
        let Some(link_key) = session.by_remote_handle(handle) else {
            return self.violation(Violation::UnattachedHandle("flow"), Some(key), None);
        };
        let Some(link) = self.links.get_mut(link_key) else {
            return;
        };
        // A receiver may grant credit right behind its attach; that is told once the link is attached. §2.6.7
        let early = link.state == LinkState::AttachReceived && link.role() == Role::Sender;
        if !link.state.is_attached() && !early {
            return;
        }
        let id = LinkId(link_key);
        let mut told = Vec::new();
        if let Some(end) = link.receiver() {
            end.available = flow.available;
            let count = flow.delivery_count.unwrap_or(end.delivery_count);
            if end.delivery_count.precedes(count) {
                end.credit.give_back(count.ahead_of(end.delivery_count).unsigned_abs());
                end.delivery_count = count;
            }
            if end.credit.finish_drain() {
                told.push(LinkEvent::Drained);
            }
        } else if let Some(end) = link.sender() {
            if let Some(credit) = flow.link_credit {
                let before = end.credit.saturating_sub(end.waiting);
                // Before our attach the peer cannot know a count.
                let count = flow.delivery_count.filter(|_| !early);
                let base = count.unwrap_or(end.initial_delivery_count);
                let in_flight = end.delivery_count.ahead_of(base).max(0).unsigned_abs();
                end.credit = credit.saturating_sub(in_flight);
                if end.credit.saturating_sub(end.waiting) > before {
                    told.push(LinkEvent::Sendable);
                }
                let resumes = !end.queue.is_empty() && !end.queued;
                if resumes {
                    end.queued = true;
                    session.senders.push_back(link_key);
                }
            }
            let wanted = std::mem::replace(&mut end.drain, flow.drain);
            end.drained &= flow.drain;
            if end.finish_drain() {
                link.flow_due = true;
            } else if flow.drain && !wanted {
                told.push(LinkEvent::Drain);
            }
        }
        link.flow_due |= flow.echo;
        if early {
            told.clear();
        }
        let wants_flow = link.flow_due || link.receiver().is_some_and(|end| end.wants_flow());
        if wants_flow && !early && !std::mem::replace(&mut link.flow_queued, true) {
            session.flows.push_back(link_key);
        }
        if let Some(properties) = flow.properties {
            if link.role() == Role::Sender
                && let Some(wanted) = coordinator::transaction_property(&properties)
            {
                if early {
                    // Whether the link may do that is known when it is attached.
                    link.acquisition = coordinator::named(&wanted).map(Box::new);
                } else if let Err(violation) = self.acquire(key, link_key, &wanted) {
                    return self.violation(violation, Some(key), Some(link_key));
                }
            }
            told.push(LinkEvent::Properties(properties.into_owned()));
        }
        self.events.extend(told.into_iter().map(|event| Event::Link(id, event)));
    }

    pub(crate) fn handle_disposition(&mut self, key: Key, disposition: Disposition<'_>) {
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        if last.precedes(first) {
            return self.violation(Violation::DispositionRange, Some(key), None);
        }
        if (self.transactions.is_some() || matches!(disposition.state, Some(DeliveryState::Transactional(_))))
            && !self.disposition_in_transactions(key, &disposition)
        {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let mut answers = Vec::new();
        let state = disposition.state.into_owned();
        match disposition.role {
            // The peer speaks of what it has received from us.
            Role::Receiver => {
                for entry in session.outgoing.range(first, last) {
                    let Some(link) = self.links.get_mut(entry.link) else {
                        continue;
                    };
                    let control = link.is_control();
                    let Some(end) = link.sender() else { continue };
                    let key = DeliveryKey { link: entry.link, delivery: entry.delivery };
                    let outcome = Outcome { key, state: state.clone(), settled: disposition.settled };
                    if control {
                        answers.push(outcome);
                    } else if end.tell(outcome) {
                        self.events.push_back(Event::Link(LinkId(entry.link), LinkEvent::Outcomes));
                    }
                    if disposition.settled {
                        end.forget(entry.delivery);
                        session.outgoing.remove(entry.id);
                    }
                }
            }
            // The peer speaks of what it has sent to us.
            Role::Sender if disposition.settled => {
                for entry in session.incoming.range(first, last) {
                    let Some(link) = self.links.get_mut(entry.link) else {
                        continue;
                    };
                    let Some(end) = link.receiver() else { continue };
                    let Some(unsettled) = end.unsettled.get(entry.delivery) else {
                        continue;
                    };
                    if !unsettled.complete {
                        // It is settled, but the rest of it still comes.
                        if let Some(incoming) = &mut end.incoming {
                            incoming.settled = true;
                        }
                        continue;
                    }
                    end.forget(entry.delivery);
                    session.incoming.remove(entry.id);
                    end.credit.make_room(Replenish::Settled);
                    if end.wants_flow() && !std::mem::replace(&mut link.flow_queued, true) {
                        session.flows.push_back(entry.link);
                    }
                }
            }
            Role::Sender => {}
        }
        for answer in answers {
            self.handle_answer(answer);
        }
    }

    pub(crate) fn handle_transfer(&mut self, session_key: Key, transfer: &Transfer<'_>, payload: Bytes) {
        let Some(session) = self.sessions.get_mut(session_key) else {
            return;
        };
        if !session.receive_transfer() {
            return self.violation(Violation::WindowViolation, Some(session_key), None);
        }
        let Some(key) = session.by_remote_handle(transfer.handle) else {
            return self.violation(Violation::UnattachedHandle("transfer"), Some(session_key), None);
        };
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        match link.state {
            LinkState::Attached => {}
            LinkState::AttachReceived | LinkState::Refused => {
                return self.violation(Violation::TransferLimitExceeded, Some(session_key), Some(key));
            }
            // It may have crossed our detach.
            _ => return,
        }
        if let Some(state) = &transfer.state
            && let Err(violation) =
                transaction::check_transfer(self.transactions.as_deref(), session_key, key, link, state)
        {
            return self.violation(violation, Some(session_key), Some(key));
        }
        let snd_settle_mode = link.snd_settle_mode;
        let rcv_settle_mode = transfer.rcv_settle_mode.unwrap_or(link.rcv_settle_mode);
        let Some(end) = link.receiver() else {
            return self.violation(Violation::TransferFromReceiver, Some(session_key), None);
        };
        // Taken out while it is worked on, so that a delivery of one transfer is never put in.
        let check = || -> Result<Incoming, Violation> {
            let mut incoming = match end.incoming.take() {
                Some(incoming) => {
                    if transfer.delivery_id.is_some_and(|id| id != incoming.id) {
                        return Err(Violation::ChangedInDelivery("delivery-id"));
                    }
                    if transfer.delivery_tag.is_some_and(|tag| tag != incoming.tag) {
                        return Err(Violation::ChangedInDelivery("delivery-tag"));
                    }
                    if transfer.message_format.is_some_and(|format| format != incoming.message_format) {
                        return Err(Violation::ChangedInDelivery("message-format"));
                    }
                    incoming
                }
                None => {
                    let id = transfer.delivery_id.ok_or(Violation::MissingOnFirstTransfer("delivery-id"))?;
                    let tag = transfer.delivery_tag.ok_or(Violation::MissingOnFirstTransfer("delivery-tag"))?;
                    if session.next_incoming_delivery.is_some_and(|next| id.precedes(next))
                        || !session.incoming.admits(id)
                    {
                        return Err(Violation::DeliveryId);
                    }
                    let Entry::Vacant(place_of_tag) = end.tags.entry(tag) else {
                        return Err(Violation::DuplicateTag);
                    };
                    end.credit.spend().map_err(|_| Violation::TransferLimitExceeded)?;
                    end.delivery_count = end.delivery_count.next();
                    session.next_incoming_delivery = Some(id.next());
                    let delivery = end.unsettled.insert(UnsettledIn {
                        id: Some(id),
                        tag,
                        state: None,
                        mode: rcv_settle_mode,
                        complete: false,
                    });
                    place_of_tag.insert(delivery);
                    session.incoming.push(id, key, delivery);
                    Incoming {
                        key: delivery,
                        id,
                        tag,
                        message_format: transfer.message_format.unwrap_or_default(),
                        settled: snd_settle_mode == SenderSettleMode::Settled,
                        transactional: false,
                        payload: Payload::new(Bytes::new()),
                        octets: 0,
                        empty_transfers: 0,
                        started: false,
                        told: false,
                    }
                }
            };
            incoming.settled |= transfer.settled == Some(true);
            if transfer.aborted {
                return Ok(incoming);
            }
            if payload.is_empty() && transfer.more {
                incoming.empty_transfers = incoming.empty_transfers.saturating_add(1);
                if incoming.empty_transfers > MAX_EMPTY_TRANSFERS {
                    return Err(Violation::EmptyTransfers);
                }
            }
            incoming.octets = incoming.octets.saturating_add(payload.len() as u64);
            if end.max_message_size.is_some_and(|limit| incoming.octets > limit) {
                return Err(Violation::MessageSizeExceeded);
            }
            end.held = end.held.saturating_add(payload.len());
            session.held = session.held.saturating_add(payload.len());
            incoming.payload.push(payload);
            if transfer.more && !incoming.told && !end.control {
                let delivery = DeliveryKey { link: key, delivery: incoming.key };
                let id = LinkId(key);
                if !std::mem::replace(&mut incoming.started, true) {
                    self.events.push_back(Event::Link(id, LinkEvent::DeliveryStarted(delivery)));
                }
                self.events.push_back(Event::Link(id, LinkEvent::DataReady(delivery)));
                incoming.told = true;
            }
            Ok(incoming)
        };
        let mut incoming = match check() {
            Ok(incoming) => incoming,
            Err(violation) => return self.violation(violation, Some(session_key), Some(key)),
        };
        if let Some(transactions) = self.transactions.as_deref_mut() {
            let delivery = DeliveryKey { link: key, delivery: incoming.key };
            incoming.transactional |= transactions.received(delivery, transfer, incoming.settled, end.asked);
        }
        if transfer.more && !transfer.aborted {
            end.incoming = Some(incoming);
            return;
        }
        if transfer.aborted || incoming.settled {
            end.forget(incoming.key);
            session.incoming.remove(incoming.id);
        } else if let Some(unsettled) = end.unsettled.get_mut(incoming.key) {
            unsettled.complete = true;
        }
        let delivery = DeliveryKey { link: key, delivery: incoming.key };
        if transfer.aborted {
            let octets = incoming.payload.len();
            end.held = end.held.saturating_sub(octets);
            session.release_octets(octets);
            end.credit.make_room_now();
            if !end.control {
                self.events.push_back(Event::Link(LinkId(key), LinkEvent::DeliveryAborted(delivery)));
            }
        } else {
            end.ready.push_back(Delivery {
                key: delivery,
                tag: incoming.tag,
                message_format: incoming.message_format,
                settled: incoming.settled,
                transactional: incoming.transactional,
                payload: incoming.payload,
            });
            if !std::mem::replace(&mut end.ready_told, true) {
                self.events.push_back(Event::Link(LinkId(key), LinkEvent::DeliveryComplete));
            }
        }
        if end.credit.finish_drain() {
            // The sender need not say so if it has used up everything by sending. §2.6.7
            self.events.push_back(Event::Link(LinkId(key), LinkEvent::Drained));
        }
        let control = end.control;
        if end.wants_flow() && !std::mem::replace(&mut link.flow_queued, true) {
            session.flows.push_back(key);
        }
        if control {
            self.handle_requests(session_key, key);
        }
    }
}
