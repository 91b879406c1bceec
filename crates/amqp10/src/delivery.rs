use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use amqp10_codec::{DeliveryState, DeliveryTag, Error, MessageError, MessageFormat, MessageView, Modified, Rejected};
use amqp10_link::DeliveryKey;
use bytes::Bytes;

use crate::mailbox::{Arrived, LinkBox};

/// A message that was received. It owns its octets and settles itself, from any task, without blocking.
///
/// Dropped undecided it is released, so that it is delivered again: never accepted, never rejected. A link can be configured to
/// leave such deliveries unsettled instead: [`ReceiverBuilder::release_dropped`](crate::ReceiverBuilder::release_dropped).
///
/// Settling takes the delivery, so nobody settles twice:
///
/// ```compile_fail,E0382
/// fn twice(delivery: amqp10::Delivery) {
///     delivery.accept();
///     delivery.release();
/// }
/// ```
pub struct Delivery {
    key: DeliveryKey,
    tag: DeliveryTag,
    message_format: MessageFormat,
    octets: Bytes,
    arrived: Instant,
    /// None once it is decided, or if the sender had settled it.
    open: Option<Arc<LinkBox>>,
}

impl Delivery {
    pub(crate) fn new(arrived: Arrived, mailbox: &Arc<LinkBox>) -> Self {
        let delivery = arrived.delivery;
        Self {
            key: delivery.key,
            tag: delivery.tag,
            message_format: delivery.message_format,
            octets: delivery.payload.into_bytes(),
            arrived: arrived.at,
            open: (!delivery.settled).then(|| Arc::clone(mailbox)),
        }
    }

    /// The octets of the message.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The message, its sections located and ready to be decoded. §3.2
    ///
    /// # Errors
    /// When the octets are not a message; the delivery stays usable, and is still to be settled.
    pub fn message(&self) -> Result<MessageView<'_>, MessageError> {
        MessageView::parse(&self.octets)
    }

    /// The tag that the sender gave it. §2.6.12
    pub fn tag(&self) -> DeliveryTag {
        self.tag
    }

    /// How the octets are laid out. §2.8.11
    pub fn message_format(&self) -> MessageFormat {
        self.message_format
    }

    /// When it arrived.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Whether the sender had settled it already: then there is nothing to settle.
    pub fn is_settled(&self) -> bool {
        self.open.is_none()
    }

    /// It was processed. §3.4.2
    pub fn accept(self) {
        self.settle(DeliveryState::Accepted);
    }

    /// It is invalid and cannot be processed. §3.4.3
    pub fn reject(self, error: Option<Error<'static>>) {
        self.settle(DeliveryState::Rejected(Box::new(Rejected { error })));
    }

    /// It was not and will not be processed here; it may be delivered again. §3.4.4
    pub fn release(self) {
        self.settle(DeliveryState::Released);
    }

    /// It was not processed, and is to be changed. §3.4.5
    pub fn modify(self, modified: Modified<'static>) {
        self.settle(DeliveryState::Modified(Box::new(modified)));
    }

    /// Settles it with this state. Does nothing if the sender had settled it, or its link is gone. §2.6.12
    pub fn settle(mut self, state: DeliveryState<'static>) {
        if let Some(mailbox) = self.open.take() {
            mailbox.settle(self.key, state);
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(mailbox) = self.open.take() {
            mailbox.dropped.fetch_add(1, Ordering::Relaxed);
            if mailbox.release_dropped {
                mailbox.settle(self.key, DeliveryState::Released);
            }
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("tag", &self.tag)
            .field("octets", &self.octets.len())
            .field("settled", &self.is_settled())
            .finish_non_exhaustive()
    }
}
