//! What a consumer tells about its connection: the four callbacks of the vendor's sample.

use std::time::Duration;

use amqp10::codec::Error;

/// The connection is open and the receiver attached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The host.
    pub host: String,
    /// The id of this client.
    pub client_id: String,
    /// The consumer group.
    pub consumer_group: String,
    /// The heartbeat.
    pub heartbeat: Duration,
}

/// The connection was closed without an error, by either side.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// Who closed it, for people.
    pub reason: String,
    /// How long until the next attempt; `None` if there will be none.
    pub next_attempt: Option<Duration>,
}

/// The service closed the connection, session or link with an error, or refused to begin.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionFailed {
    /// The error that the service told.
    pub error: Error<'static>,
    /// How long until the next attempt; `None` if there will be none.
    pub next_attempt: Option<Duration>,
}

/// Name resolution, TCP, TLS, SASL or the stream failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransportFailed {
    /// What happened, for people.
    pub reason: String,
    /// How long until the next attempt; `None` if there will be none.
    pub next_attempt: Option<Duration>,
}

type Hook<T> = Box<dyn Fn(&T) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) opened: Option<Hook<Opened>>,
    pub(crate) closed: Option<Hook<Closed>>,
    pub(crate) connection_error: Option<Hook<ConnectionFailed>>,
    pub(crate) transport_error: Option<Hook<TransportFailed>>,
}

impl Hooks {
    pub(crate) fn opened(&self, event: &Opened) {
        tracing::info!(host = %event.host, client_id = %event.client_id, "connection opened");
        if let Some(hook) = &self.opened {
            hook(event);
        }
    }

    pub(crate) fn closed(&self, event: &Closed) {
        tracing::info!(reason = %event.reason, "connection closed");
        if let Some(hook) = &self.closed {
            hook(event);
        }
    }

    pub(crate) fn connection_error(&self, event: &ConnectionFailed) {
        tracing::info!(error = %event.error, "connection error");
        if let Some(hook) = &self.connection_error {
            hook(event);
        }
    }

    pub(crate) fn transport_error(&self, event: &TransportFailed) {
        tracing::info!(reason = %event.reason, "transport error");
        if let Some(hook) = &self.transport_error {
            hook(event);
        }
    }
}
