use core::fmt;

use crate::composite::composite;
use crate::symbol::open_symbols;
use crate::{Fields, Str};

open_symbols! {
    /// The symbol that says what went wrong: one of §2.8.15 to §2.8.18 and §4.5.8, or of the peer's own making.
    pub struct ErrorCondition {
        /// An internal error; operator intervention may be needed. §2.8.15
        INTERNAL_ERROR = "amqp:internal-error";
        /// The peer named something that does not exist. §2.8.15
        NOT_FOUND = "amqp:not-found";
        /// The peer may not do what it tried. §2.8.15
        UNAUTHORIZED_ACCESS = "amqp:unauthorized-access";
        /// Data could not be decoded. §2.8.15
        DECODE_ERROR = "amqp:decode-error";
        /// The peer exceeded its allocation. §2.8.15
        RESOURCE_LIMIT_EXCEEDED = "amqp:resource-limit-exceeded";
        /// The peer tried something that the rules of an entity forbid. §2.8.15
        NOT_ALLOWED = "amqp:not-allowed";
        /// A field holds a value that is not valid there. §2.8.15
        INVALID_FIELD = "amqp:invalid-field";
        /// The peer tried something that is not implemented. §2.8.15
        NOT_IMPLEMENTED = "amqp:not-implemented";
        /// The resource is in use by somebody else. §2.8.15
        RESOURCE_LOCKED = "amqp:resource-locked";
        /// A precondition did not hold. §2.8.15
        PRECONDITION_FAILED = "amqp:precondition-failed";
        /// The entity has been deleted. §2.8.15
        RESOURCE_DELETED = "amqp:resource-deleted";
        /// The peer sent a frame that its state does not permit. §2.8.15
        ILLEGAL_STATE = "amqp:illegal-state";
        /// The performative does not fit into the peer's max-frame-size. §2.8.15
        FRAME_SIZE_TOO_SMALL = "amqp:frame-size-too-small";
        /// An operator closed the connection. §2.8.16
        CONNECTION_FORCED = "amqp:connection:forced";
        /// The frames could not be told apart, or one broke the rules of framing. §2.8.16
        FRAMING_ERROR = "amqp:connection:framing-error";
        /// The container is reached elsewhere. §2.8.16
        CONNECTION_REDIRECT = "amqp:connection:redirect";
        /// The peer exceeded the session's incoming window. §2.8.17
        WINDOW_VIOLATION = "amqp:session:window-violation";
        /// A frame came in for a link that was detached with an error. §2.8.17
        ERRANT_LINK = "amqp:session:errant-link";
        /// A handle in use was attached again. §2.8.17
        HANDLE_IN_USE = "amqp:session:handle-in-use";
        /// A frame named a handle that is not attached. §2.8.17
        UNATTACHED_HANDLE = "amqp:session:unattached-handle";
        /// An operator detached the link. §2.8.18
        DETACH_FORCED = "amqp:link:detach-forced";
        /// More was transferred than the link's credit allows. §2.8.18
        TRANSFER_LIMIT_EXCEEDED = "amqp:link:transfer-limit-exceeded";
        /// A message is larger than the link allows. §2.8.18
        MESSAGE_SIZE_EXCEEDED = "amqp:link:message-size-exceeded";
        /// The address is reached elsewhere. §2.8.18
        LINK_REDIRECT = "amqp:link:redirect";
        /// The link was attached elsewhere. §2.8.18
        STOLEN = "amqp:link:stolen";
        /// There is no such transaction. §4.5.8
        TRANSACTION_UNKNOWN_ID = "amqp:transaction:unknown-id";
        /// The transaction was rolled back. §4.5.8
        TRANSACTION_ROLLBACK = "amqp:transaction:rollback";
        /// The transaction took too long. §4.5.8
        TRANSACTION_TIMEOUT = "amqp:transaction:timeout";
    }
}

composite! {
    /// What went wrong, as told to or by the peer. §2.8.14
    pub struct Error<'a>: "amqp:error:list" = 0x1d {
        /// The condition.
        condition: ErrorCondition<'a>,
        /// Supplementary detail for people.
        description: Option<Str<'a>>,
        /// Supplementary detail for programs.
        info: Option<Fields<'a>>,
    }
}

impl<'a> Error<'a> {
    /// An error with this condition and description.
    ///
    /// # Panics
    /// If the description has more than 2^31 octets.
    pub fn new(condition: ErrorCondition<'a>, description: impl Into<Str<'a>>) -> Self {
        Self { condition, description: Some(description.into()), info: None }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(f, "{}: {description}", self.condition),
            None => write!(f, "{}", self.condition),
        }
    }
}
