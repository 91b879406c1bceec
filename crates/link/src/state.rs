//! The states of connection, session and link endpoints, and what moves them.

use crate::Violation;

/// How far one direction of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Nothing,
    Header,
    Open,
    Close,
}

/// The state of a connection endpoint, §2.4.6: every state there is a pair of how far each direction has come.
///
/// START is (Nothing, Nothing), OPENED is (Open, Open), CLOSE_SENT is (Close, Open), and so on; DISCARDING is CLOSE_SENT after an
/// error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionState {
    pub(crate) sent: Stage,
    pub(crate) received: Stage,
    /// Our close carried an error: everything but the peer's close is discarded.
    pub(crate) discarding: bool,
    /// The octets ended, or nobody waits for them any more.
    pub(crate) over: bool,
}

impl ConnectionState {
    pub(crate) const START: Self =
        Self { sent: Stage::Nothing, received: Stage::Nothing, discarding: false, over: false };

    /// A performative has arrived; `Ok(false)` says that it is to be discarded.
    pub(crate) fn receive(&mut self, name: &'static str) -> Result<bool, Violation> {
        if self.received == Stage::Close {
            return Err(Violation::ConnectionState(name));
        }
        match name {
            "open" if self.received == Stage::Header => {
                self.received = Stage::Open;
                Ok(!self.discarding)
            }
            "close" if self.received == Stage::Open => {
                self.received = Stage::Close;
                Ok(true)
            }
            "open" | "close" => Err(Violation::ConnectionState(name)),
            _ if self.received < Stage::Open => Err(Violation::ConnectionState(name)),
            _ => Ok(self.sent < Stage::Close),
        }
    }

    /// Whether both opens and no close have been exchanged.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.sent == Stage::Open && self.received == Stage::Open && !self.over
    }

    /// Whether both directions are closed, or the connection broke.
    pub(crate) fn is_over(&self) -> bool {
        self.over || (self.sent == Stage::Close && self.received == Stage::Close)
    }

    /// Whether the peer's open waits for ours.
    pub(crate) fn waits_for_our_open(&self) -> bool {
        self.received == Stage::Open && self.sent < Stage::Open
    }

    /// Whether frames of sessions may be sent.
    pub(crate) fn may_send(&self) -> bool {
        self.sent == Stage::Open && !self.over
    }
}

/// The state of a session endpoint, §2.5.5. UNMAPPED is a session that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    BeginSent,
    BeginReceived,
    Mapped,
    EndSent,
    /// Our end carried an error.
    Discarding,
}

impl SessionState {
    /// Whether a frame that is neither begin nor end is to be handled (`true`) or discarded.
    pub(crate) fn receive(self, name: &'static str) -> Result<bool, Violation> {
        match self {
            Self::BeginReceived | Self::Mapped => Ok(true),
            Self::EndSent | Self::Discarding => Ok(false),
            Self::BeginSent => Err(Violation::SessionState(name)),
        }
    }

    /// Whether frames of the session may be sent. Our begin may be followed at once, §2.5.5.
    pub(crate) fn may_send(self) -> bool {
        matches!(self, Self::BeginSent | Self::Mapped)
    }
}

/// The state of a link endpoint, §2.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Our attach is out, the peer's is not in.
    AttachSent,
    /// The peer's attach waits for an answer.
    AttachReceived,
    Attached,
    /// The peer answered with a null terminus; its detach will follow. §2.6.3
    Refused,
    /// Our detach is out; frames that may have crossed it are discarded.
    DetachSent,
    /// Both detaches are done, or what the link stood on is gone.
    Detached,
}

impl LinkState {
    /// Whether frames of this link mean something: not before its attach, not after our detach.
    pub(crate) fn is_attached(self) -> bool {
        self == Self::Attached
    }

    /// Whether the link is neither detached nor about to be.
    pub(crate) fn is_alive(self) -> bool {
        matches!(self, Self::AttachSent | Self::AttachReceived | Self::Attached | Self::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All performatives in all states of a connection: `ok` handled, `--` discarded, `!!` a violation.
    #[test]
    fn connection_states() {
        use Stage::*;
        let names = ["open", "begin", "close"];
        let states = [
            (Nothing, Nothing, false, "!! !! !!"),
            (Header, Header, false, "ok !! !!"),
            (Open, Header, false, "ok !! !!"),
            (Header, Open, false, "!! ok ok"),
            (Open, Open, false, "!! ok ok"),
            (Close, Header, true, "-- !! !!"),
            (Close, Open, false, "!! -- ok"),
            (Close, Open, true, "!! -- ok"),
            (Open, Close, false, "!! !! !!"),
            (Close, Close, false, "!! !! !!"),
        ];
        for (sent, received, discarding, expected) in states {
            let found = names.map(|name| {
                let mut state = ConnectionState { sent, received, discarding, over: false };
                match state.receive(name) {
                    Ok(true) => "ok",
                    Ok(false) => "--",
                    Err(_) => "!!",
                }
            });
            assert_eq!(found.join(" "), expected, "sent {sent:?}, received {received:?}");
        }
    }

    #[test]
    fn session_states() {
        use SessionState::*;
        let handled = [BeginSent, BeginReceived, Mapped, EndSent, Discarding].map(|state| state.receive("flow").ok());
        assert_eq!(handled, [None, Some(true), Some(true), Some(false), Some(false)]);
    }
}
