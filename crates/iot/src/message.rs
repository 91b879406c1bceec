use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use amqp10::codec::{Body, IntoOwned, MessageError, Value};
use amqp10::{Delivery, DeliveryState};
use bytes::Bytes;

use crate::consumer::Shared;

/// A message of a device.
///
/// It is accepted by [`accept`](Self::accept). Dropped undecided it is released: the service delivers it again, later and perhaps to
/// somebody else of the group; that is counted and warned about.
pub struct DeviceMessage {
    id: String,
    topic: String,
    generate_time: Option<i64>,
    body: Bytes,
    error: Option<MessageError>,
    delivery: Option<Delivery>,
    consumer: Arc<Shared>,
}

/// What was found in a message.
#[derive(Default)]
struct Contents {
    id: Option<String>,
    topic: Option<String>,
    generate_time: Option<i64>,
    body: Bytes,
}

impl Contents {
    fn read(delivery: &Delivery) -> (Self, Option<MessageError>) {
        let mut contents = Self::default();
        let error = contents.fill(delivery).err();
        if error.is_some() {
            // Whatever it is, its octets are still worth something.
            contents.body = delivery.octets().clone();
        }
        (contents, error)
    }

    fn fill(&mut self, delivery: &Delivery) -> Result<(), MessageError> {
        let view = delivery.message()?;
        for entry in view.application_properties()?.iter() {
            let Ok((Value::String(key), value)) = entry else { continue };
            match (key.as_str(), value) {
                ("messageId", Value::String(id)) => self.id = Some(id.as_str().to_owned()),
                ("topic", Value::String(topic)) => self.topic = Some(topic.as_str().to_owned()),
                ("generateTime", Value::Long(time)) => self.generate_time = Some(time),
                _ => {}
            }
        }
        if self.id.is_none() {
            self.id = view.properties()?.and_then(|properties| Some(properties.message_id?.to_string()));
        }
        self.body = match view.body()? {
            Body::Data(mut sections) => match (sections.next().transpose()?, sections.next().transpose()?) {
                (Some(first), None) => delivery.octets().slice_ref(first),
                (Some(first), Some(second)) => {
                    let mut joined = [first, second].concat();
                    for section in sections {
                        joined.extend_from_slice(section?);
                    }
                    joined.into()
                }
                _ => Bytes::new(),
            },
            Body::Value(Value::String(text)) => Bytes::copy_from_slice(text.as_bytes()),
            Body::Value(Value::Binary(octets)) => Bytes::copy_from_slice(&octets),
            _ => Bytes::new(),
        };
        Ok(())
    }
}

impl DeviceMessage {
    pub(crate) fn new(delivery: Delivery, consumer: Arc<Shared>) -> Self {
        let (contents, error) = Contents::read(&delivery);
        if let Some(error) = &error {
            tracing::warn!(%error, "a message could not be decoded");
        }
        consumer.taken();
        Self {
            id: contents.id.unwrap_or_default(),
            topic: contents.topic.unwrap_or_default(),
            generate_time: contents.generate_time,
            body: contents.body,
            error,
            delivery: Some(delivery),
            consumer,
        }
    }

    /// The id by which repeats are recognised: the application property `messageId`, else the message-id; empty if there is neither.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The topic; empty if the message has none.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// When the message was made, in milliseconds since 1970, by the clock of the service. Not a key to order by.
    pub fn generate_time(&self) -> Option<i64> {
        self.generate_time
    }

    /// What the device sent: any octets, often JSON. Shares the memory of the delivery.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text, what is not UTF-8 replaced.
    pub fn text_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The application properties besides `topic`, `messageId` and `generateTime`.
    pub fn properties(&self) -> Vec<(String, Value<'static>)> {
        let view = self.delivery.as_ref().and_then(|delivery| delivery.message().ok());
        let Some(map) = view.and_then(|view| view.application_properties().ok()) else { return Vec::new() };
        let entries = map.iter().filter_map(|entry| match entry {
            Ok((Value::String(key), value)) => Some((key.as_str().to_owned(), value.into_owned())),
            _ => None,
        });
        entries.filter(|(key, _)| !matches!(key.as_str(), "topic" | "messageId" | "generateTime")).collect()
    }

    /// What is wrong with the message, if it could not be decoded; then the body holds all its octets.
    pub fn error(&self) -> Option<&MessageError> {
        self.error.as_ref()
    }

    /// How long ago it arrived. The service takes it back 30 s after it was pushed.
    pub fn age(&self) -> Duration {
        let now = tokio::time::Instant::now().into_std();
        self.delivery.as_ref().map_or(Duration::ZERO, |delivery| now.saturating_duration_since(delivery.arrived()))
    }

    /// It is done with; the service forgets it. Never blocks, works from any task.
    pub fn accept(mut self) {
        self.decide(DeliveryState::Accepted);
    }

    /// It was not processed; the service delivers it again later.
    pub fn release(mut self) {
        self.decide(DeliveryState::Released);
    }

    fn decide(&mut self, state: DeliveryState<'static>) {
        if let Some(delivery) = self.delivery.take() {
            self.consumer.decided(delivery, state);
        }
    }
}

impl Drop for DeviceMessage {
    fn drop(&mut self) {
        if self.delivery.is_some() {
            if !self.consumer.is_closing() {
                tracing::warn!(id = %self.id, "a message was dropped undecided and is released");
            }
            self.decide(DeliveryState::Released);
        }
    }
}

impl fmt::Debug for DeviceMessage {
    /// Without the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceMessage")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .field("generate_time", &self.generate_time)
            .field("octets", &self.body.len())
            .finish_non_exhaustive()
    }
}
