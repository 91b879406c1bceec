//! An independent model of what one end of a connection may say: everything that an engine emits is held against it.
//!
//! It sees the octets that went in and the octets that came out, and nothing else. Between two looks at the output the engine may
//! have encoded a frame before something came in, so a number that the peer moves counts with every value that it had since the
//! last look. What a peer says wrongly is taken as it is or left out: it is never the engine's fault.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use amqp10_codec::{
    Attach, Begin, DeliveryTag, Disposition, Flow, FrameType, Performative, ProtocolHeader, Reader, ReceiverSettleMode,
    Role, SenderSettleMode, Transfer, next_frame,
};

/// A value, and those it had since the engine was last looked at.
#[derive(Clone, Debug, Default)]
struct Recent<T> {
    now: T,
    before: Vec<T>,
}

impl<T: Clone> Recent<T> {
    fn new(now: T) -> Self {
        Self { now, before: Vec::new() }
    }

    fn set(&mut self, value: T) {
        self.before.push(std::mem::replace(&mut self.now, value));
    }

    fn any(&self, fits: impl Fn(&T) -> bool) -> bool {
        fits(&self.now) || self.before.iter().any(fits)
    }

    fn each(&mut self, change: impl Fn(&mut T)) {
        change(&mut self.now);
        self.before.iter_mut().for_each(change);
    }

    fn settle(&mut self) {
        self.before.clear();
    }
}

/// Room for so many, counted from a serial number: a window, or credit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Grant {
    base: u32,
    room: u32,
}

impl Grant {
    /// What is left of it for one that has come to `count`.
    fn left(self, count: u32) -> u32 {
        let used = (count.wrapping_sub(self.base) as i32).max(0).unsigned_abs();
        self.room.saturating_sub(used)
    }
}

/// A delivery that is being sent.
#[derive(Debug)]
struct Sending {
    id: u32,
    tag: DeliveryTag,
    format: u32,
    settled: bool,
    octets: u64,
}

/// One end of a link as attached.
#[derive(Debug)]
struct Attached {
    handle: u32,
    detached: bool,
    snd_settle_mode: SenderSettleMode,
    rcv_settle_mode: ReceiverSettleMode,
    max_message_size: u64,
}

impl Attached {
    fn new(attach: &Attach<'_>) -> Self {
        Self {
            handle: attach.handle.0,
            detached: false,
            snd_settle_mode: attach.snd_settle_mode,
            rcv_settle_mode: attach.rcv_settle_mode,
            max_message_size: attach.max_message_size.unwrap_or(0),
        }
    }
}

#[derive(Debug)]
struct Link {
    name: String,
    /// The engine's role.
    role: Role,
    ours: Option<Attached>,
    theirs: Option<Attached>,
    /// The delivery-count of the engine that sends, or of the peer that sends.
    count: Recent<u32>,
    /// What the peer's count is if the engine believes it, which says to have given back over half of all numbers.
    leap: Option<u32>,
    initial_count: u32,
    /// What the peer that receives last knew of the engine's count.
    known_count: u32,
    /// What the peer has granted an engine that sends.
    credit: Recent<Grant>,
    /// Credit that was granted before the engine's attach was seen: it may stand for any count.
    early_credit: Vec<(Option<u32>, u32)>,
    drain: Recent<bool>,
    sending: Option<Sending>,
    /// A delivery of the peer has begun and not ended.
    receiving: Option<u32>,
    /// The tags of deliveries that the engine has sent and nobody has settled.
    tags: HashMap<DeliveryTag, u32>,
}

impl Link {
    fn new(name: &str, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            role,
            ours: None,
            theirs: None,
            count: Recent::default(),
            leap: None,
            initial_count: 0,
            known_count: 0,
            credit: Recent::default(),
            early_credit: Vec::new(),
            drain: Recent::default(),
            sending: None,
            receiving: None,
            tags: HashMap::new(),
        }
    }

    fn is_over(&self) -> bool {
        let over = |end: &Option<Attached>| end.as_ref().is_some_and(|end| end.detached);
        over(&self.ours) && over(&self.theirs)
    }

    fn grant(&mut self, count: Option<u32>, room: u32) {
        let base = count.unwrap_or(self.initial_count);
        let [told, unknown] = [base, self.count.now].map(|count| count.wrapping_sub(self.known_count));
        if let Some(in_flight) = unknown.checked_sub(told) {
            self.known_count = base;
            self.credit.set(Grant { base: self.count.now, room: room.saturating_sub(in_flight) });
            return;
        }
        // A peer that is ahead of the engine does not know what it says.
        if (base.wrapping_sub(self.count.now) as i32) > 0 {
            self.credit.set(Grant { base, room });
            self.credit.set(Grant { base: self.count.now, room });
        } else {
            self.credit.set(Grant { base, room });
        }
    }
}

#[derive(Debug, Default)]
struct Session {
    ours: Option<u16>,
    ours_ended: bool,
    theirs: Option<u16>,
    theirs_ended: bool,
    /// The channel of the engine that the peer's begin answers.
    answers: Option<u16>,
    /// Whether the peer's begin was here when the engine was last looked at.
    theirs_seen: bool,
    handle_max: u32,
    /// The most that the engine may announce.
    incoming_window: u32,
    initial_outgoing_id: u32,
    next_outgoing_id: u32,
    next_incoming_id: Recent<u32>,
    window: Recent<Grant>,
    last_delivery: Option<u32>,
    links: Vec<Link>,
    /// Deliveries that came in and are not settled, and how their receiver is to settle.
    incoming: BTreeMap<u32, ReceiverSettleMode>,
    /// Those that the peer has settled since the last look.
    just_settled: BTreeSet<u32>,
    /// Deliveries that went out and are not settled, by id: whether all of it left.
    outgoing: BTreeSet<u32>,
}

impl Session {
    fn by_our_handle(&mut self, handle: u32) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.ours.as_ref().is_some_and(|ours| ours.handle == handle))
    }

    fn by_their_handle(&mut self, handle: u32) -> Option<&mut Link> {
        let here = |theirs: &Attached| theirs.handle == handle && !theirs.detached;
        self.links.iter_mut().find(|link| link.theirs.as_ref().is_some_and(here))
    }

    /// The peer's begin is known.
    fn receive_begin(&mut self, channel: u16, begin: &Begin<'_>) {
        self.theirs = Some(channel);
        self.handle_max = begin.handle_max.0;
        self.next_incoming_id = Recent::new(begin.next_outgoing_id.0);
        self.window = Recent::new(Grant { base: self.initial_outgoing_id, room: begin.incoming_window });
    }
}

/// What an engine has said and heard so far.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// From here on nothing is checked.
    away: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    header_sent: bool,
    header_received: bool,
    /// What comes in cannot be told apart any more.
    deaf: bool,
    open_sent: bool,
    close_sent: bool,
    /// Of the peer's open: max-frame-size and channel-max.
    limits: Option<(u32, u16)>,
    sessions: Vec<Session>,
}

impl Checker {
    /// The peer's octets, handed to the engine.
    pub(crate) fn received(&mut self, octets: &[u8]) {
        if self.away {
            return;
        }
        self.input.extend_from_slice(octets);
        if !self.header_received {
            let Some(header) = self.input.first_chunk::<8>() else { return };
            self.deaf |= *header != ProtocolHeader::AMQP.to_octets();
            self.input.drain(..8);
            self.header_received = true;
        }
        let mut input = std::mem::take(&mut self.input);
        let mut at = 0;
        while !self.deaf {
            match next_frame(&input[at..], u32::MAX) {
                Ok(Some(frame)) => {
                    at += frame.header.size as usize;
                    let mut reader = Reader::sized(frame.body);
                    if frame.header.frame_type == FrameType::Amqp
                        && let Ok(performative) = reader.read::<Performative<'_>>()
                    {
                        self.hear(frame.header.channel.0, &performative);
                    }
                }
                Ok(None) => break,
                Err(_) => self.deaf = true,
            }
        }
        input.drain(..at);
        self.input = input;
    }

    fn by_their_channel(&mut self, channel: u16) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.theirs == Some(channel) && !session.theirs_ended)
    }

    fn hear(&mut self, channel: u16, performative: &Performative<'_>) {
        match performative {
            Performative::Open(open) => {
                self.limits.get_or_insert((open.max_frame_size, open.channel_max.0));
                return;
            }
            Performative::Close(_) => {
                self.deaf = true;
                return;
            }
            Performative::Begin(begin) => return self.hear_begin(channel, begin),
            _ => {}
        }
        let Some(session) = self.by_their_channel(channel) else { return };
        match performative {
            Performative::End(_) => {
                session.theirs_ended = true;
                self.sessions.retain(|session| !(session.ours_ended && session.theirs_ended));
            }
            Performative::Attach(attach) => session.hear_attach(attach),
            Performative::Detach(detach) => {
                if let Some(theirs) = session.by_their_handle(detach.handle.0).and_then(|link| link.theirs.as_mut()) {
                    theirs.detached = true;
                }
                session.links.retain(|link| !link.is_over());
            }
            Performative::Flow(flow) => session.hear_flow(flow),
            Performative::Transfer(transfer) => session.hear_transfer(transfer),
            Performative::Disposition(disposition) => session.hear_disposition(disposition),
            _ => {}
        }
    }

    fn hear_begin(&mut self, channel: u16, begin: &Begin<'_>) {
        if self.by_their_channel(channel).is_some() {
            return;
        }
        let answers = begin.remote_channel.map(|channel| channel.0);
        let waits = |session: &&mut Session| session.ours == answers && session.theirs.is_none();
        match self.sessions.iter_mut().find(waits).filter(|_| answers.is_some()) {
            Some(session) => session.receive_begin(channel, begin),
            None => {
                let mut session = Session { answers, ..Session::default() };
                session.receive_begin(channel, begin);
                self.sessions.push(session);
            }
        }
    }

    pub(crate) fn look_away(&mut self) {
        self.away = true;
    }

    /// Octets that the engine has sent, all that there were.
    #[track_caller]
    pub(crate) fn sent(&mut self, octets: &[u8]) {
        if self.away {
            return;
        }
        self.output.extend_from_slice(octets);
        let output = std::mem::take(&mut self.output);
        let mut rest = &output[..];
        if !self.header_sent && !rest.is_empty() {
            let header = ProtocolHeader::AMQP.to_octets();
            rest = rest.strip_prefix(&header).expect("the protocol header first, §2.2");
            self.header_sent = true;
        }
        let (most, channel_max) = self.limits.unwrap_or((512, 0));
        while let Some(frame) = next_frame(rest, most.max(512)).expect("a frame that the peer takes, §2.7.1") {
            rest = &rest[frame.header.size as usize..];
            assert_eq!(frame.header.frame_type, FrameType::Amqp, "§2.3.1");
            assert!(!self.close_sent, "a frame after close, §2.7.9");
            let channel = frame.header.channel.0;
            assert!(channel <= channel_max, "channel {channel} of {channel_max}, §2.7.1");
            if frame.body.is_empty() {
                assert!(self.open_sent && channel == 0, "an empty frame, §2.4.5");
                continue;
            }
            let mut reader = Reader::sized(frame.body);
            let performative = reader.read::<Performative<'_>>().expect("a performative that decodes, §2.7");
            let payload = reader.rest().len();
            assert!(payload == 0 || matches!(performative, Performative::Transfer(_)), "{performative:?} and more");
            self.say(channel, &performative, payload);
        }
        assert!(rest.is_empty(), "half a frame");
        self.settle();
    }

    /// The engine has been looked at.
    fn settle(&mut self) {
        for session in &mut self.sessions {
            session.theirs_seen = session.theirs.is_some();
            session.next_incoming_id.settle();
            session.window.settle();
            session.just_settled.clear();
            for link in &mut session.links {
                link.count.settle();
                link.credit.settle();
                link.drain.settle();
            }
        }
    }

    #[track_caller]
    fn say(&mut self, channel: u16, performative: &Performative<'_>, payload: usize) {
        let is_open = matches!(performative, Performative::Open(_));
        assert!(self.open_sent != is_open, "{} is not the first, or a second one, §2.4.1", performative.name());
        match performative {
            Performative::Open(open) => {
                assert!(channel == 0 && open.max_frame_size >= 512, "§2.4.1, §2.7.1");
                self.open_sent = true;
                return;
            }
            Performative::Close(_) => {
                assert_eq!(channel, 0, "§2.4.3");
                self.close_sent = true;
                return;
            }
            Performative::Begin(begin) => return self.say_begin(channel, begin),
            _ => {}
        }
        if let Performative::Attach(attach) = performative {
            let mut links = self.sessions.iter().filter(|session| !session.ours_ended).flat_map(|one| &one.links);
            let same = |link: &Link| {
                link.name == *attach.name
                    && link.role == attach.role
                    && link.ours.as_ref().is_some_and(|ours| !ours.detached)
            };
            assert!(!links.any(same), "a second link {} of this direction, §2.6.1", attach.name);
        }
        let here = |session: &&mut Session| session.ours == Some(channel) && !session.ours_ended;
        let session = self.sessions.iter_mut().find(here);
        let session =
            session.unwrap_or_else(|| panic!("{} on channel {channel} without a session", performative.name()));
        match performative {
            Performative::End(_) => {
                session.ours_ended = true;
                self.sessions.retain(|session| !(session.ours_ended && session.theirs_ended));
            }
            Performative::Attach(attach) => session.say_attach(attach),
            Performative::Detach(detach) => {
                let ours = session.by_our_handle(detach.handle.0).and_then(|link| link.ours.as_mut());
                let ours = ours.filter(|ours| !ours.detached).expect("detach of what is attached, §2.6.5");
                ours.detached = true;
                session.links.retain(|link| !link.is_over());
            }
            Performative::Flow(flow) => session.say_flow(flow),
            Performative::Transfer(transfer) => session.say_transfer(transfer, payload),
            Performative::Disposition(disposition) => session.say_disposition(disposition),
            _ => {}
        }
    }

    #[track_caller]
    fn say_begin(&mut self, channel: u16, begin: &Begin<'_>) {
        assert!(self.sessions.iter().all(|one| one.ours != Some(channel)), "channel {channel} is in use, §2.5.1");
        let answers = begin.remote_channel.map(|channel| channel.0);
        let waits = |session: &Session| match answers {
            Some(theirs) => session.theirs == Some(theirs) && session.answers.is_none(),
            None => session.answers == Some(channel),
        };
        let found = self.sessions.iter().position(|session| session.ours.is_none() && waits(session));
        assert!(answers.is_none() || found.is_some(), "an answer to no begin, §2.5.1");
        let at = found.unwrap_or(self.sessions.len());
        if found.is_none() {
            self.sessions.push(Session { handle_max: u32::MAX, ..Session::default() });
        }
        let session = &mut self.sessions[at];
        session.ours = Some(channel);
        session.incoming_window = begin.incoming_window;
        session.initial_outgoing_id = begin.next_outgoing_id.0;
        session.next_outgoing_id = begin.next_outgoing_id.0;
        if session.theirs.is_some() {
            // What the peer said before counts from here, unless it knew better.
            let room = |grant: &Grant| Grant { base: begin.next_outgoing_id.0, room: grant.room };
            let grants: Vec<Grant> = session.window.before.iter().chain([&session.window.now]).map(room).collect();
            grants.into_iter().for_each(|grant| session.window.set(grant));
        }
    }
}

impl Session {
    fn hear_attach(&mut self, attach: &Attach<'_>) {
        if self.by_their_handle(attach.handle.0).is_some() {
            return;
        }
        let role = if attach.role == Role::Sender { Role::Receiver } else { Role::Sender };
        let waits = |link: &Link| link.theirs.is_none() && link.role == role && link.name == *attach.name;
        let at = self.links.iter().position(waits).unwrap_or_else(|| {
            self.links.push(Link::new(&attach.name, role));
            self.links.len() - 1
        });
        let link = &mut self.links[at];
        link.theirs = Some(Attached::new(attach));
        if role == Role::Receiver {
            link.count = Recent::new(attach.initial_delivery_count.map_or(0, |count| count.0));
        }
    }

    fn hear_flow(&mut self, flow: &Flow<'_>) {
        self.next_incoming_id.set(flow.next_outgoing_id.0);
        let base = flow.next_incoming_id.map_or(self.initial_outgoing_id, |id| id.0);
        let ahead = (base.wrapping_sub(self.next_outgoing_id) as i32) > 0;
        self.window.set(Grant { base, room: flow.incoming_window });
        if ahead {
            self.window.set(Grant { base: self.next_outgoing_id, room: flow.incoming_window });
        }
        let Some(link) = flow.handle.and_then(|handle| self.by_their_handle(handle.0)) else { return };
        if link.role == Role::Receiver {
            let ahead = |count: &u32| (count.wrapping_sub(link.count.now) as i32) > 0;
            if let Some(count) = flow.delivery_count.map(|count| count.0).filter(ahead) {
                link.count.set(count);
                link.leap = None;
            } else {
                link.leap = flow.delivery_count.map(|count| count.0);
            }
            return;
        }
        link.drain.set(flow.drain);
        let Some(credit) = flow.link_credit else { return };
        let count = flow.delivery_count.map(|count| count.0);
        if link.ours.is_none() {
            link.early_credit.push((count, credit));
        } else {
            link.grant(count, credit);
        }
    }

    fn hear_transfer(&mut self, transfer: &Transfer<'_>) {
        let next = self.next_incoming_id.now.wrapping_add(1);
        self.next_incoming_id.set(next);
        let Some(link) = self.by_their_handle(transfer.handle.0).filter(|link| link.role == Role::Receiver) else {
            return;
        };
        let modes = [&link.ours, &link.theirs].map(|end| end.as_ref().map(|end| end.rcv_settle_mode));
        // The engine's own wish counts, unless the transfer says otherwise; if the engine's is not known yet, either may.
        let mode = transfer.rcv_settle_mode.or(modes[0]).unwrap_or(ReceiverSettleMode::First);
        let id = match link.receiving {
            Some(id) => id,
            None => {
                let Some(id) = transfer.delivery_id else { return };
                link.count.set(link.count.now.wrapping_add(1));
                link.leap = link.leap.map(|count| count.wrapping_add(1));
                id.0
            }
        };
        let first = link.receiving.is_none();
        link.receiving = (transfer.more && !transfer.aborted).then_some(id);
        if first {
            self.incoming.insert(id, mode);
        }
        if transfer.settled == Some(true) || transfer.aborted {
            self.peer_settles(id);
        }
    }

    fn peer_settles(&mut self, id: u32) {
        if self.incoming.remove(&id).is_some() {
            self.just_settled.insert(id);
        }
    }

    fn hear_disposition(&mut self, disposition: &Disposition<'_>) {
        if !disposition.settled {
            return;
        }
        let first = disposition.first.0;
        let length = disposition.last.map_or(0, |last| last.0.wrapping_sub(first));
        let within = |id: &u32| id.wrapping_sub(first) <= length;
        if disposition.role == Role::Sender {
            let settled: Vec<u32> = self.incoming.keys().copied().filter(within).collect();
            settled.into_iter().for_each(|id| self.peer_settles(id));
        } else {
            let settled: Vec<u32> = self.outgoing.iter().copied().filter(within).collect();
            for id in settled {
                self.forget_outgoing(id);
                self.just_settled.insert(id);
            }
        }
    }

    fn forget_outgoing(&mut self, id: u32) {
        self.outgoing.remove(&id);
        for link in &mut self.links {
            link.tags.retain(|_, other| *other != id);
        }
    }

    #[track_caller]
    fn say_attach(&mut self, attach: &Attach<'_>) {
        let handle = attach.handle.0;
        assert!(handle <= self.handle_max || !self.theirs_seen, "handle {handle} of {}, §2.7.2", self.handle_max);
        assert!(self.by_our_handle(handle).is_none(), "handle {handle} is in use, §2.6.2");
        let waits = |link: &Link| link.ours.is_none() && link.role == attach.role && link.name == *attach.name;
        let at = self.links.iter().position(waits).unwrap_or_else(|| {
            self.links.push(Link::new(&attach.name, attach.role));
            self.links.len() - 1
        });
        let link = &mut self.links[at];
        link.ours = Some(Attached::new(attach));
        if attach.role == Role::Sender {
            let count = attach.initial_delivery_count.expect("a sender's initial-delivery-count, §2.7.3").0;
            (link.initial_count, link.known_count, link.count) = (count, count, Recent::new(count));
            for (base, credit) in std::mem::take(&mut link.early_credit) {
                link.grant(None, credit);
                link.grant(base, credit);
            }
        } else {
            assert!(attach.initial_delivery_count.is_none(), "a receiver's initial-delivery-count, §2.7.3");
        }
    }

    #[track_caller]
    fn say_flow(&mut self, flow: &Flow<'_>) {
        match flow.next_incoming_id {
            Some(id) => {
                assert!(self.theirs.is_some(), "next-incoming-id before the peer's begin, §2.7.4");
                assert!(self.next_incoming_id.any(|known| *known == id.0), "next-incoming-id {id:?}, §2.5.6: {self:?}");
            }
            None => assert!(!self.theirs_seen, "no next-incoming-id, §2.7.4"),
        }
        assert_eq!(flow.next_outgoing_id.0, self.next_outgoing_id, "next-outgoing-id, §2.5.6");
        assert!(flow.incoming_window <= self.incoming_window, "a window of {}, §2.5.6", flow.incoming_window);
        let Some(handle) = flow.handle else {
            let nothing = flow.delivery_count.is_none() && flow.link_credit.is_none() && flow.available.is_none();
            assert!(nothing && !flow.drain && flow.properties.is_none(), "{flow:?} without handle, §2.7.4");
            return;
        };
        let link = self.by_our_handle(handle.0).expect("flow of a link that is attached, §2.6.2");
        assert!(link.ours.as_ref().is_some_and(|ours| !ours.detached), "flow after detach, §2.6.5");
        let credit = flow.link_credit.expect("link-credit, §2.7.4");
        if link.role == Role::Receiver {
            // Before the peer's attach there is no count to tell.
            let known = link.theirs.is_some();
            assert_eq!(flow.delivery_count.is_some(), known, "delivery-count, §2.7.4");
            let known = |count| link.count.any(|known| *known == count);
            if let Some(count) = flow.delivery_count.map(|count| count.0).filter(|count| !known(*count))
                && link.leap.take_if(|leap| *leap == count).is_some()
            {
                link.count = Recent::new(count);
            }
            let fits = |count| link.count.any(|known| *known == count);
            assert!(flow.delivery_count.is_none_or(|count| fits(count.0)), "{flow:?}, §2.7.4, but {:?}", link.count);
            return;
        }
        let count = flow.delivery_count.expect("a sender's delivery-count, §2.7.4").0;
        let before = link.count.now;
        if count != before {
            // Credit that was given up for a drain. The peer may have granted more since.
            let given_up = count.wrapping_sub(before);
            assert!(link.drain.any(|drain| *drain), "count {before} became {count}, §2.6.7");
            assert!(
                link.credit.any(|grant| grant.left(before) == given_up),
                "{given_up} given up of {:?}",
                link.credit
            );
            link.count = Recent::new(count);
            // Counted anew from here, since it may have been more than serial numbers can tell apart.
            link.credit.each(|grant| {
                if grant.base.wrapping_sub(before) as i32 <= 0 {
                    *grant = Grant { base: count, room: grant.left(before).saturating_sub(given_up) };
                }
            });
        }
        let fits = link.credit.any(|grant| grant.left(count) == credit);
        assert!(fits, "credit {credit} of {:?} at {count}, §2.6.7", link.credit);
    }

    #[track_caller]
    fn say_transfer(&mut self, transfer: &Transfer<'_>, payload: usize) {
        let id = self.next_outgoing_id;
        assert!(self.window.any(|window| window.left(id) > 0), "transfer {id} into {:?}, §2.5.6", self.window);
        self.next_outgoing_id = id.wrapping_add(1);
        let last_delivery = self.last_delivery;
        let link = self.by_our_handle(transfer.handle.0).expect("transfer on a link that is attached, §2.6.2");
        assert_eq!(link.role, Role::Sender, "§2.7.5");
        let ours = link.ours.as_ref().filter(|ours| !ours.detached).expect("transfer before detach, §2.6.5");
        let theirs = link.theirs.as_ref().expect("transfer after the peer's attach, §2.6.7");
        assert!(!transfer.aborted || payload == 0, "payload of what is aborted, §2.7.5");
        assert!(!(transfer.aborted && transfer.more), "more of what is aborted, §2.7.5");
        let settled = transfer.settled == Some(true);
        if ours.snd_settle_mode == SenderSettleMode::Unsettled {
            assert!(!settled || transfer.aborted, "settled on an unsettled link, §2.7.5");
        }
        if theirs.rcv_settle_mode == ReceiverSettleMode::First {
            assert_ne!(transfer.rcv_settle_mode, Some(ReceiverSettleMode::Second), "§2.7.5");
        }
        let most = theirs.max_message_size;
        let settled_mode = ours.snd_settle_mode == SenderSettleMode::Settled;
        let mut first = None;
        let mut sending = match link.sending.take() {
            Some(sending) => {
                assert!(transfer.delivery_id.is_none_or(|id| id.0 == sending.id), "another delivery-id, §2.7.5");
                assert!(transfer.delivery_tag.is_none_or(|tag| tag == sending.tag), "another tag, §2.7.5");
                assert!(transfer.message_format.is_none_or(|format| format.0 == sending.format), "§2.7.5");
                sending
            }
            None => {
                let id = transfer.delivery_id.expect("a delivery-id, §2.7.5").0;
                let tag = transfer.delivery_tag.expect("a delivery-tag, §2.7.5");
                let format = transfer.message_format.expect("a message-format, §2.7.5").0;
                assert!(last_delivery.is_none_or(|last| last.wrapping_add(1) == id), "{id} after {last_delivery:?}");
                assert!(transfer.resume || !link.tags.contains_key(&tag), "a tag in use, §2.6.12");
                let count = link.count.now;
                assert!(link.credit.any(|grant| grant.left(count) > 0), "{count} of {:?}, §2.6.7", link.credit);
                link.count = Recent::new(count.wrapping_add(1));
                link.tags.insert(tag, id);
                first = Some(id);
                Sending { id, tag, format, settled: false, octets: 0 }
            }
        };
        assert!(settled || transfer.settled.is_none() || !sending.settled, "unsettled again, §2.7.5");
        sending.settled |= settled;
        sending.octets += payload as u64;
        assert!(most == 0 || sending.octets <= most, "{} octets of {most}, §2.7.3", sending.octets);
        let id = sending.id;
        let over = sending.settled || transfer.aborted;
        if transfer.more {
            link.sending = Some(sending);
        } else {
            assert!(over || !settled_mode, "unsettled on a settled link, §2.7.5");
        }
        self.last_delivery = first.or(self.last_delivery);
        self.outgoing.extend(first);
        if over {
            self.forget_outgoing(id);
        }
    }

    #[track_caller]
    fn say_disposition(&mut self, disposition: &Disposition<'_>) {
        let first = disposition.first.0;
        let length = disposition.last.map_or(0, |last| last.0.wrapping_sub(first));
        assert!(length as i32 >= 0, "{disposition:?}, §2.7.6");
        for n in 0..=length {
            let id = first.wrapping_add(n);
            if disposition.role == Role::Receiver {
                let mode = self.incoming.get(&id);
                assert!(mode.is_some() || self.just_settled.contains(&id), "{id} of {disposition:?} is not unsettled");
                if disposition.settled {
                    assert_ne!(mode, Some(&ReceiverSettleMode::Second), "settled before the sender, §2.6.12");
                    self.incoming.remove(&id);
                }
            } else {
                let known = self.outgoing.contains(&id) || self.just_settled.contains(&id);
                assert!(known, "{id} of {disposition:?} is not unsettled");
                if disposition.settled {
                    self.forget_outgoing(id);
                }
            }
            if disposition.settled {
                self.just_settled.remove(&id);
            }
        }
    }
}
