//! How connections, sessions and links end, each told once.

use amqp10_codec::Error;

use crate::SessionConfig;
use crate::connection::Connection;
use crate::event::{ConnectionEnd, Ended, Event, LinkEvent, SessionEvent};
use crate::slots::{Key, LinkId, SessionId};
use crate::state::{LinkState, SessionState, Stage};
use crate::timer::{Timer, Timers};
use crate::violation::{Scope, Violation};

impl Connection {
    /// The connection cannot go on: tells the peer, and the application once.
    pub(crate) fn fail(&mut self, end: ConnectionEnd, error: Error<'static>) {
        if self.state.sent >= Stage::Close || self.state.is_over() {
            return;
        }
        if self.state.sent < Stage::Header {
            self.send_header();
        }
        if self.state.sent < Stage::Open && self.send_open().is_err() {
            // A close cannot be the first frame.
            return self.finish(end);
        }
        self.state.discarding = true;
        self.send_close(Some(error));
        self.tell_end(end);
    }

    /// Answers a rule that the peer broke at the scope that the rule demands.
    pub(crate) fn violation(&mut self, violation: Violation, session: Option<Key>, link: Option<Key>) {
        tracing::debug!(%violation, "the peer broke a rule");
        match (violation.scope(), session, link) {
            // Our detach is out already, and says all that there is to say of the link.
            (Scope::Link, Some(_), Some(link))
                if self.links.get(link).is_some_and(|link| link.state == LinkState::DetachSent) => {}
            (Scope::Link, Some(session), Some(link)) => {
                let unanswered = self.links.get(link).is_some_and(|link| link.handle.is_none());
                if unanswered && self.refuse_attach(LinkId(link), violation.to_error()).is_err() {
                    // It cannot even be attached, so that it could be detached.
                    return self.violation(violation, Some(session), None);
                }
                if !unanswered {
                    self.send_detach(link, true, Some(violation.to_error()));
                }
                if let Some(link) = self.links.get_mut(link) {
                    link.destroyed = true;
                    link.state = LinkState::DetachSent;
                }
                self.tell_detached(link, true, Ended::Violation(violation));
                self.forget_flow(session, link);
            }
            (Scope::Session | Scope::Link, Some(session), _) => {
                let unanswered = self.sessions.get(session).is_some_and(|session| session.channel.is_none());
                if unanswered && self.answer_begin(session, SessionConfig::default()).is_err() {
                    // It cannot even be begun, so that it could be ended.
                    return self.fail(ConnectionEnd::Violation(violation), violation.to_error());
                }
                self.flush_session(session);
                self.end_links(session, &Ended::Below);
                self.send_end(session, Some(violation.to_error()), SessionState::Discarding);
                self.tell_ended(session, Ended::Violation(violation));
            }
            _ => self.fail(ConnectionEnd::Violation(violation), violation.to_error()),
        }
    }

    pub(crate) fn tell_end(&mut self, end: ConnectionEnd) {
        if !std::mem::replace(&mut self.end_told, true) {
            self.end_everything(Ended::Below);
            self.events.push_back(Event::Closed(end));
        }
    }

    /// Nothing is waited for any more.
    pub(crate) fn finish(&mut self, end: ConnectionEnd) {
        self.state.over = true;
        self.timers = Timers::default();
        self.early.clear();
        self.tell_end(end);
    }

    pub(crate) fn end_everything(&mut self, end: Ended) {
        for key in self.sessions.keys() {
            self.end_links(key, &end);
            self.tell_ended(key, end.clone());
            self.remove_session(key);
        }
        self.channels.clear();
        self.remote_channels.clear();
        self.unanswered.clear();
        self.unanswered_octets = 0;
        self.timers.set(Timer::Answer, None);
    }

    /// Tells once that a session has ended.
    pub(crate) fn tell_ended(&mut self, key: Key, end: Ended) {
        if let Some(session) = self.sessions.get_mut(key)
            && !std::mem::replace(&mut session.abandoned, true)
        {
            self.events.push_back(Event::Session(SessionId(key), SessionEvent::Ended(end)));
        }
    }

    /// Ends all links of a session that ends.
    pub(crate) fn end_links(&mut self, session: Key, end: &Ended) {
        let mine = self.sessions.get(session).map(crate::session::Session::links);
        for key in mine.unwrap_or_default() {
            self.detached(key, false, end.clone());
        }
    }

    /// A session is gone from both sides, or with its connection.
    pub(crate) fn remove_session(&mut self, key: Key) {
        let Some(session) = self.sessions.remove(key) else {
            return;
        };
        if let Some(place) = session.channel.and_then(|channel| self.channels.get_mut(usize::from(channel.0))) {
            *place = None;
        }
    }

    /// Tells once that a link is over, and what it held counts no longer.
    pub(crate) fn tell_detached(&mut self, key: Key, closed: bool, end: Ended) {
        if self.transactions.is_some() {
            let error = if let Ended::Remote(error) = &end { error.clone() } else { None };
            self.link_over(key, true, error);
        }
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let (held, unfinished) = match &mut link.end {
            // What has arrived can be taken until the terminus is.
            crate::link::End::Receiver(receiver) => {
                (std::mem::take(&mut receiver.held), std::mem::take(&mut receiver.unfinished))
            }
            crate::link::End::Sender(sender) => {
                sender.queue.clear();
                sender.waiting = 0;
                (0, 0)
            }
        };
        // Ledgers are walked only for what is in them.
        let stood_in_ledger = match &link.end {
            crate::link::End::Receiver(receiver) => receiver.unsettled.len() > 0,
            crate::link::End::Sender(sender) => sender.unsettled.len() > 0,
        };
        let told = std::mem::replace(&mut link.told, true) || link.abandoned;
        let suspended = link.suspended;
        if let Some(session) = self.sessions.get_mut(link.session) {
            session.unfinished = session.unfinished.saturating_sub(unfinished);
            session.release_octets(held);
            if stood_in_ledger && !suspended {
                session.incoming.remove_link(key);
                session.outgoing.remove_link(key);
            }
        }
        if !told {
            self.events.push_back(Event::Link(LinkId(key), LinkEvent::Detached { closed, end }));
        }
    }

    /// A link is detached on both sides, or what it stood on is gone: tells so once and frees its handles.
    pub(crate) fn detached(&mut self, key: Key, closed: bool, end: Ended) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.state == LinkState::Detached {
            return;
        }
        let forgotten = link.abandoned;
        let peaceful = matches!(end, Ended::Local | Ended::Remote(None));
        link.suspended = peaceful && !closed && !forgotten && !link.destroyed && !link.told;
        self.tell_detached(key, closed, end);
        if let Some(link) = self.links.get_mut(key) {
            link.state = LinkState::Detached;
            let (session, handle, remote) = (link.session, link.handle.take(), link.remote_handle.take());
            if let Some(session) = self.sessions.get_mut(session) {
                if let Some(handle) = handle {
                    session.set_handle(handle, None);
                }
                if let Some(remote) = remote {
                    session.set_remote_handle(remote, None);
                }
            }
            let suspended = link.suspended;
            self.forget_flow(session, key);
            if !suspended {
                self.links.forget_name(key);
            }
        }
        if forgotten {
            self.links.remove(key);
        }
    }

    /// Removes a link from the queues of its session.
    pub(crate) fn forget_flow(&mut self, session: Key, key: Key) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.flows.retain(|link| *link != key);
            session.senders.retain(|link| *link != key);
        }
    }
}
