//! The frames that begin and end things, encoded at once.

use std::time::Duration;

use amqp10_codec::{
    Channel, Close, Detach, Encode, End, Error, FrameType, MIN_MAX_FRAME_SIZE, Milliseconds, Open, ProtocolHeader,
    encode_frame,
};

use crate::connection::Connection;
use crate::session::Session;
use crate::slots::Key;
use crate::state::{SessionState, Stage};
use crate::terminus::unsettled_map;
use crate::timer::Timer;
use crate::{CommandError, LinkConfig};

impl Connection {
    pub(crate) fn send_header(&mut self) {
        self.control.small(|out| out.extend_from_slice(&ProtocolHeader::AMQP.to_octets()));
        self.state.sent = Stage::Header;
    }

    /// Queues a frame unless it exceeds what the peer takes.
    pub(crate) fn send(&mut self, channel: Channel, body: &impl Encode) -> Result<(), CommandError> {
        let limit = self.peer_max_frame;
        self.control.small(|out| {
            let start = out.len();
            let size = encode_frame(FrameType::Amqp, channel, body, out);
            if size > limit {
                out.truncate(start);
                return Err(CommandError::FrameTooLarge(size));
            }
            Ok(())
        })
    }

    pub(crate) fn send_open(&mut self) -> Result<(), CommandError> {
        let config = &self.config;
        let millis = |time: Duration| Milliseconds(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        let open = Open {
            hostname: config.hostname.clone(),
            max_frame_size: config.max_frame_size.max(MIN_MAX_FRAME_SIZE),
            channel_max: Channel(config.channel_max),
            idle_time_out: config.bears_silence_for().map(millis),
            offered_capabilities: config.offered_capabilities.clone(),
            desired_capabilities: config.desired_capabilities.clone(),
            properties: config.properties.clone(),
            ..Open::new(config.container_id.clone())
        };
        self.send(Channel(0), &open)?;
        self.state.sent = Stage::Open;
        Ok(())
    }

    /// Sends a close; an error whose text does not fit is told without it.
    pub(crate) fn send_close(&mut self, error: Option<Error<'static>>) {
        let bare = error.as_ref().map(|error| Error { description: None, info: None, ..error.clone() });
        if self.send(Channel(0), &Close { error }).is_err() {
            let _ = self.send(Channel(0), &Close { error: bare });
        }
        self.state.sent = Stage::Close;
        self.heartbeat_due = false;
        self.timers.set(Timer::Heartbeat, None);
        self.timers.set(Timer::PeerSilent, None);
        self.await_close();
        self.timers_due = true;
    }

    pub(crate) fn send_begin(&mut self, key: Key) -> Result<(), CommandError> {
        // Before the peer's open only channel 0 may be counted on. §2.4.1
        let most = self.remote_open.as_ref().map_or(0, |open| open.channel_max.0);
        let at = self.channels.iter().position(Option::is_none).unwrap_or(self.channels.len());
        let channel = u16::try_from(at).ok().filter(|channel| *channel <= most).ok_or(CommandError::NoChannel)?;
        let begin = self.sessions.get(key).map(Session::begin).ok_or(CommandError::Gone)?;
        self.send(Channel(channel), &begin)?;
        if at == self.channels.len() {
            self.channels.push(None);
        }
        if let Some(place) = self.channels.get_mut(at) {
            *place = Some(key);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.channel = Some(Channel(channel));
        }
        Ok(())
    }

    pub(crate) fn send_end(&mut self, key: Key, error: Option<Error<'static>>, state: SessionState) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.state = state;
        session.early.clear();
        let Some(channel) = session.channel else {
            return;
        };
        let bare = error.as_ref().map(|error| Error { description: None, info: None, ..error.clone() });
        if self.send(channel, &End { error }).is_err() {
            let _ = self.send(channel, &End { error: bare });
        }
    }

    pub(crate) fn send_attach(&mut self, key: Key, config: LinkConfig) -> Result<(), CommandError> {
        let link = self.links.get(key).ok_or(CommandError::Gone)?;
        let session = self.sessions.get_mut(link.session).ok_or(CommandError::Gone)?;
        let handle = session.free_handle().ok_or(CommandError::NoHandle)?;
        let channel = session.channel.ok_or(CommandError::SessionNotBegun)?;
        let mut attach = link.attach(handle, config);
        if link.resumes {
            let size = encode_frame(FrameType::Amqp, channel, &attach, &mut Vec::new()) as usize;
            let (map, whole) = unsettled_map(link.role(), &link.unsettled(), size, self.peer_max_frame as usize);
            (attach.unsettled, attach.incomplete_unsettled) = (Some(map), !whole);
        }
        let incomplete = attach.incomplete_unsettled;
        self.send(channel, &attach)?;
        if let Some(link) = self.links.get_mut(key) {
            link.handle = Some(handle);
            link.incomplete |= incomplete;
            if let Some(session) = self.sessions.get_mut(link.session) {
                session.set_handle(handle, Some(key));
            }
        }
        Ok(())
    }

    pub(crate) fn send_detach(&mut self, key: Key, closed: bool, error: Option<Error<'static>>) {
        let Some(link) = self.links.get(key) else {
            return;
        };
        let channel = self.sessions.get(link.session).and_then(|session| session.channel);
        let (Some(handle), Some(channel)) = (link.handle, channel) else {
            return;
        };
        let bare = error.as_ref().map(|error| Error { description: None, info: None, ..error.clone() });
        if self.send(channel, &Detach { handle, closed, error }).is_err() {
            let _ = self.send(channel, &Detach { handle, closed, error: bare });
        }
    }
}
