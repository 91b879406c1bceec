//! What the application does with sessions and links.

use amqp10_codec::{
    Attach, Begin, DeliveryNumber, Error, ErrorCondition, FrameType, Role, SenderSettleMode, encode_frame,
};

use crate::connection::Connection;
use crate::event::{Ended, Event, SessionEvent};
use crate::link::Link;
use crate::reattach::Whose;
use crate::session::Session;
use crate::slots::{Key, LinkId, SessionId};
use crate::state::{LinkState, SessionState};
use crate::{CommandError, LinkConfig, Receiver, Sender, SessionConfig, Terminus};

/// The largest message taken on a control link, unless the application says otherwise.
const MAX_REQUEST: u64 = 64 * 1024;

impl Connection {
    /// Begins a session; it may be used at once. §2.5.1
    ///
    /// # Errors
    /// When the connection is closed or has no channel left.
    pub fn begin(&mut self, config: SessionConfig) -> Result<SessionId, CommandError> {
        if !self.state.may_send() {
            return Err(CommandError::Closed);
        }
        let key = self.sessions.insert(Session::new(config, SessionState::BeginSent));
        match self.send_begin(key) {
            Ok(()) => Ok(SessionId(key)),
            Err(error) => {
                self.sessions.remove(key);
                Err(error)
            }
        }
    }

    /// Answers the peer's begin. What the peer sent behind it is handled from now on. §2.5.1
    ///
    /// # Errors
    /// When it was answered already, the session is gone, or there is no channel left.
    pub fn accept_begin(&mut self, id: SessionId, config: SessionConfig) -> Result<(), CommandError> {
        self.answering(|this| this.answer_begin(id.0, config))?;
        self.events.push_back(Event::Session(id, SessionEvent::Begun));
        self.answering(|this| this.handle_early_in_session(id.0));
        Ok(())
    }

    /// Answers the peer's begin and ends the session with an error. §2.5.1
    ///
    /// # Errors
    /// As [`accept_begin`](Self::accept_begin).
    pub fn refuse_begin(&mut self, id: SessionId, error: Error<'static>) -> Result<(), CommandError> {
        self.answering(|this| {
            this.answer_begin(id.0, SessionConfig::default())?;
            this.end(id, Some(error));
            Ok(())
        })
    }

    pub(crate) fn answer_begin(&mut self, key: Key, config: SessionConfig) -> Result<(), CommandError> {
        let session = self.sessions.get_mut(key).ok_or(CommandError::Gone)?;
        if session.state != SessionState::BeginReceived {
            return Err(CommandError::NotWaiting);
        }
        session.next_outgoing_id = config.next_outgoing_id;
        session.next_delivery_id = DeliveryNumber(config.next_outgoing_id.0);
        session.incoming_left = config.incoming_window;
        session.config = config;
        self.send_begin(key)?;
        if let Some(session) = self.sessions.get_mut(key) {
            session.state = SessionState::Mapped;
        }
        Ok(())
    }

    /// Ends a session, with an error if there is one to tell. Its links end with it. §2.5.3
    ///
    /// What the application has settled and sent before is sent first as far as windows permit.
    pub fn end(&mut self, id: SessionId, error: Option<Error<'static>>) {
        let Some(session) = self.sessions.get(id.0) else {
            return;
        };
        if matches!(session.state, SessionState::EndSent | SessionState::Discarding) {
            return;
        }
        if session.state == SessionState::BeginReceived {
            let refusal = error.unwrap_or_else(|| Error::new(ErrorCondition::NOT_ALLOWED, "the session was refused"));
            let _ = self.refuse_begin(id, refusal);
            return;
        }
        self.flush_session(id.0);
        self.end_links(id.0, &Ended::Below);
        let state = if error.is_some() { SessionState::Discarding } else { SessionState::EndSent };
        self.send_end(id.0, error, state);
    }

    /// Nobody waits for the answer to a begin any more: when it comes, the session is ended without a word.
    pub fn abandon_session(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(id.0) {
            session.abandoned = true;
            self.end(id, None);
        }
    }

    /// Attaches a link. §2.6.3
    ///
    /// # Errors
    /// When the session is gone or has no handle left, the name is in use, or the attach exceeds the peer's max-frame-size.
    pub fn attach(&mut self, session: SessionId, mut config: LinkConfig) -> Result<LinkId, CommandError> {
        let state = self.sessions.get(session.0).ok_or(CommandError::Gone)?.state;
        if !self.state.may_send() {
            return Err(CommandError::Closed);
        }
        if !state.may_send() {
            return Err(if state == SessionState::BeginReceived {
                CommandError::SessionNotBegun
            } else {
                CommandError::Gone
            });
        }
        if self.find_link(&config.name, config.role, |_| true).is_some() {
            return Err(CommandError::NameInUse);
        }
        let known = self.sessions.get_mut(session.0);
        let errant = known.is_some_and(|session| session.errant.remove(&config.name, config.role).is_some());
        let mut link = Link::new(session.0, &mut config, LinkState::AttachSent);
        // After an error it can only be resumed, with an unsettled map. That of a control link is empty. §2.6.5
        link.resumes |= errant;
        let key = self.links.insert(link);
        match self.send_attach(key, config) {
            Ok(()) => {
                self.reattach(key);
                Ok(LinkId(key))
            }
            Err(error) => {
                self.links.remove(key);
                Err(error)
            }
        }
    }

    /// What the peer said when it began this session, if it has.
    pub fn remote_begin(&self, id: SessionId) -> Option<&Begin<'static>> {
        self.sessions.get(id.0)?.remote_begin.as_deref()
    }

    /// What the peer said when it attached this link, if it has.
    pub fn remote_attach(&self, id: LinkId) -> Option<&Attach<'static>> {
        self.links.get(id.0)?.remote_attach.as_deref()
    }

    /// The session that a link belongs to.
    pub fn session_of(&self, id: LinkId) -> Option<SessionId> {
        self.links.get(id.0).map(|link| SessionId(link.session))
    }

    /// Answers the peer's attach; name and role of `config` are replaced by what the peer's attach demands. §2.6.3
    ///
    /// # Errors
    /// When it was answered already, the link is gone, or its session has no handle left.
    pub fn accept_attach(&mut self, id: LinkId, mut config: LinkConfig) -> Result<(), CommandError> {
        let link = self.links.get(id.0).ok_or(CommandError::Gone)?;
        let remote = self.answerable(link)?.clone();
        config.name = remote.name.clone();
        config.role = link.role();
        let for_coordinator = remote.target.as_ref().is_some_and(|target| target.as_coordinator().is_some());
        if for_coordinator && config.target.as_ref().is_some_and(|target| target.as_coordinator().is_some()) {
            // The source belongs to the controller, and requests are small.
            config.source = remote.source.clone();
            config.max_message_size.get_or_insert(MAX_REQUEST);
        }
        match config.role {
            // The receiver's wish counts for how the receiver settles, the sender's for how the sender does. §2.7.3
            Role::Receiver => config.snd_settle_mode = remote.snd_settle_mode,
            Role::Sender => {
                config.rcv_settle_mode = remote.rcv_settle_mode;
                if config.snd_settle_mode == SenderSettleMode::Mixed {
                    // We can do either, so the receiver has its wish.
                    config.snd_settle_mode = remote.snd_settle_mode;
                }
            }
        }
        let mut link = Link::new(link.session, &mut config, LinkState::AttachReceived);
        link.receive_attach(&remote);
        let reattaches = remote.unsettled.is_none();
        link.remote_attach = Some(Box::new(remote));
        if let Some(place) = self.links.get_mut(id.0) {
            link.take_early_flow(place);
            *place = link;
        }
        self.answering(|this| this.send_attach(id.0, config))?;
        if reattaches {
            self.reattach(id.0);
        }
        self.attached(id.0);
        Ok(())
    }

    /// Refuses the peer's attach: answers it with a null terminus and detaches with the error. §2.6.3
    ///
    /// # Errors
    /// As [`accept_attach`](Self::accept_attach).
    pub fn refuse_attach(&mut self, id: LinkId, error: Error<'static>) -> Result<(), CommandError> {
        let link = self.links.get(id.0).ok_or(CommandError::Gone)?;
        let remote = self.answerable(link)?.clone();
        let mut config = match link.role() {
            Role::Receiver => LinkConfig::receiver(remote.name.clone(), remote.source.clone().unwrap_or_default()),
            Role::Sender => LinkConfig::sender(remote.name.clone(), remote.target.clone().unwrap_or_default()),
        };
        match config.role {
            Role::Receiver => config.target = None,
            Role::Sender => config.source = None,
        }
        self.answering(|this| {
            this.send_attach(id.0, config)?;
            if let Some(link) = this.links.get_mut(id.0) {
                // Nothing will come of it, however long the peer takes to agree.
                link.remote_attach = None;
            }
            this.detach(id, true, Some(error));
            Ok(())
        })
    }

    fn answerable<'l>(&self, link: &'l Link) -> Result<&'l Attach<'static>, CommandError> {
        let session = self.sessions.get(link.session).ok_or(CommandError::Gone)?;
        match (link.remote_attach.as_deref(), session.state) {
            (Some(attach), SessionState::Mapped) if link.state == LinkState::AttachReceived => Ok(attach),
            _ => Err(CommandError::NotWaiting),
        }
    }

    /// Detaches a link; `closed` gives its terminus up too. §2.6.4, §2.6.6
    ///
    /// What the application has settled and sent before is sent first as far as credit and windows permit. The peer's answer is
    /// told by [`LinkEvent::Detached`](crate::LinkEvent::Detached).
    pub fn detach(&mut self, id: LinkId, closed: bool, error: Option<Error<'static>>) {
        let Some(link) = self.links.get(id.0) else {
            return;
        };
        if !link.state.is_alive() {
            return;
        }
        if link.state == LinkState::AttachReceived && link.handle.is_none() {
            let refusal = error.unwrap_or_else(|| Error::new(ErrorCondition::NOT_ALLOWED, "the link was refused"));
            let _ = self.refuse_attach(id, refusal);
            return;
        }
        let (session, control) = (link.session, link.is_control());
        self.flush_session(session);
        if control {
            self.link_over(id.0, false, error.clone());
        }
        let destroyed = closed || error.is_some();
        if destroyed
            && !closed
            && let (Some(link), Some(session)) = (self.links.get(id.0), self.sessions.get_mut(session))
        {
            session.errant.push(link, Whose::Ours);
        }
        self.send_detach(id.0, closed, error);
        if let Some(link) = self.links.get_mut(id.0) {
            link.destroyed = destroyed;
            link.state = LinkState::DetachSent;
        }
        self.forget_flow(session, id.0);
    }

    /// Nobody waits for the answer to an attach any more, or holds the link: it is closed without a word, and forgotten once the
    /// peer has agreed.
    pub fn abandon_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id.0) else {
            return;
        };
        link.abandoned = true;
        if !self.forget_detached(id.0) {
            self.detach(id, true, None);
        }
    }

    /// Forgets a link that nobody holds if it is detached on both sides.
    fn forget_detached(&mut self, key: Key) -> bool {
        let Some(link) = self.links.get(key).filter(|link| link.state == LinkState::Detached) else {
            return false;
        };
        if link.suspended
            && let Some(session) = self.sessions.get_mut(link.session)
        {
            session.incoming.remove_link(key);
            session.outgoing.remove_link(key);
        }
        self.links.remove(key);
        true
    }

    /// Takes the unsettled state of a link whose end was told, for [`LinkConfig::terminus`] of the next; its name finds nothing from then
    /// on. What has arrived on it can be taken before.
    ///
    /// A link that was detached without an error, and not closed, lives on for as long as its terminus is here and its session lasts:
    /// deliveries are settled at both ends as before, and attaching it again finds them. §2.6.4
    pub fn take_terminus(&mut self, id: LinkId) -> Option<Terminus> {
        let link = self.links.get_mut(id.0).filter(|link| link.told && !link.abandoned)?;
        let unsettled = link.unsettled();
        // Where the peer has not answered our detach yet, its numbers stay taken until it has.
        link.abandoned = true;
        self.forget_detached(id.0);
        Some(Terminus { unsettled })
    }

    /// A view of a link that receives.
    #[inline]
    pub fn receiver(&mut self, id: LinkId) -> Option<Receiver<'_>> {
        let link = self.links.get_mut(id.0).filter(|link| link.role() == Role::Receiver && !link.abandoned)?;
        let session = self.sessions.get_mut(link.session);
        let (max_frame, transactions) = (self.peer_max_frame, self.transactions.as_deref_mut());
        Some(Receiver { key: id.0, link, session, transactions, max_frame })
    }

    /// A view of a link that sends.
    #[inline]
    pub fn sender(&mut self, id: LinkId) -> Option<Sender<'_>> {
        let link = self.links.get_mut(id.0).filter(|link| link.role() == Role::Sender && !link.abandoned)?;
        let session = self.sessions.get_mut(link.session);
        let (max_frame, transactions) = (self.peer_max_frame, self.transactions.as_deref_mut());
        Some(Sender { key: id.0, link, session, transactions, max_frame })
    }

    /// Asks the peer for a flow on a session; a sign of life in both directions. §2.7.4
    pub fn request_flow(&mut self, id: SessionId) {
        let may_send = self.state.may_send();
        if let Some(session) = self.sessions.get_mut(id.0).filter(|session| may_send && session.state.may_send()) {
            let mut flow = session.flow();
            flow.echo = true;
            if let Some(channel) = session.channel {
                self.control.small(|out| encode_frame(FrameType::Amqp, channel, &flow, out));
            }
        }
    }

    /// A link of this name and direction that is not detached on both sides.
    pub(crate) fn find_link(&self, name: &str, role: Role, which: impl Fn(&Link) -> bool) -> Option<Key> {
        let mut links = self.links.named(name, role);
        links.find(|(_, link)| link.state != LinkState::Detached && which(link)).map(|(key, _)| key)
    }
}
