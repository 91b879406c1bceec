//! A message built field by field.

use bytes::Bytes;

use crate::{
    Binary, Encode, List, Map, Message, MessageBody, MessageError, MessageId, MessageView, Milliseconds, Multiple,
    SequenceNo, Str, Symbol, Timestamp, Uuid, Value,
};

macro_rules! setters {
    ($section:ident { $($(#[$doc:meta])* $field:ident : $type:ty, $convert:expr;)* }) => { $(
        $(#[$doc])*
        #[must_use]
        #[inline(always)]
        pub fn $field(mut self, $field: $type) -> Self {
            made(&mut self.$section).$field = $convert;
            self
        }
    )* };
}

/// The section, made if there is none.
///
/// Made without dropping the none, which would be a call: without calls in between the setters work in one place.
#[inline(always)]
fn made<T: Default>(section: &mut Option<T>) -> &mut T {
    if section.is_none() {
        core::mem::forget(section.replace(T::default()));
    }
    section.get_or_insert_default()
}

impl Message {
    /// A message with nothing but a body.
    #[inline(always)]
    const fn new(body: MessageBody) -> Self {
        Self {
            header: None,
            delivery_annotations: None,
            message_annotations: None,
            properties: None,
            application_properties: None,
            body,
            footer: None,
        }
    }

    /// A message with one data section. §3.2.6
    #[inline(always)]
    pub fn data(octets: impl Into<Bytes>) -> Self {
        Self::new(MessageBody::Data(Multiple::one(octets.into())))
    }

    /// A message with one amqp-sequence section. §3.2.7
    pub fn sequence(list: List<'static>) -> Self {
        Self::new(MessageBody::Sequence(alloc::vec![list]))
    }

    /// A message with one value. §3.2.8
    pub fn value(value: impl Into<Value<'static>>) -> Self {
        Self::new(MessageBody::Value(value.into()))
    }

    /// The message that these octets are.
    ///
    /// # Errors
    /// As [`MessageView::parse`] and [`MessageView::to_message`].
    pub fn decode(octets: &[u8]) -> Result<Self, MessageError> {
        MessageView::parse(octets)?.to_message()
    }

    /// The message that these octets are; data sections share them instead of being copied.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_shared(octets: &Bytes) -> Result<Self, MessageError> {
        MessageView::parse(octets)?.message_with(|section| octets.slice_ref(section))
    }

    setters! {
        header {
            /// Sets whether the message is durable. §3.2.1
            durable: bool, durable;
            /// Sets the priority. §3.2.1
            priority: u8, priority;
            /// Sets how long the message is worth keeping. §3.2.1
            ttl: Milliseconds, Some(ttl);
            /// Sets whether nobody has acquired the message before. §3.2.1
            first_acquirer: bool, first_acquirer;
            /// Sets how often delivering the message has failed. §3.2.1
            delivery_count: u32, delivery_count;
        }
    }

    setters! {
        properties {
            /// Sets the message-id. §3.2.4
            message_id: impl Into<MessageId<'static>>, Some(message_id.into());
            /// Sets the user who made the message. §3.2.4
            user_id: impl Into<Binary<'static>>, Some(user_id.into());
            /// Sets the address of the node the message is destined for. §3.2.4
            to: impl Into<Str<'static>>, Some(to.into());
            /// Sets what the message is about. §3.2.4
            subject: impl Into<Str<'static>>, Some(subject.into());
            /// Sets the address of the node that replies go to. §3.2.4
            reply_to: impl Into<Str<'static>>, Some(reply_to.into());
            /// Sets the id of the message that this one belongs to. §3.2.4
            correlation_id: impl Into<MessageId<'static>>, Some(correlation_id.into());
            /// Sets the MIME type of the body. §3.2.4
            content_type: Symbol<'static>, Some(content_type);
            /// Sets the MIME content encoding of the body. §3.2.4
            content_encoding: Symbol<'static>, Some(content_encoding);
            /// Sets when the message expires. §3.2.4
            absolute_expiry_time: Timestamp, Some(absolute_expiry_time);
            /// Sets when the message was made. §3.2.4
            creation_time: Timestamp, Some(creation_time);
            /// Sets the group the message belongs to. §3.2.4
            group_id: impl Into<Str<'static>>, Some(group_id.into());
            /// Sets the place of the message in its group. §3.2.4
            group_sequence: SequenceNo, Some(group_sequence);
            /// Sets the group that replies belong to. §3.2.4
            reply_to_group_id: impl Into<Str<'static>>, Some(reply_to_group_id.into());
        }
    }

    /// Adds a delivery-annotation; the key is a symbol, or a ulong that the specification reserves. §3.2.2
    #[must_use]
    #[inline(always)]
    pub fn delivery_annotation(mut self, key: Symbol<'_>, value: impl Encode) -> Self {
        self.delivery_annotations.get_or_insert_default().push(&key, &value);
        self
    }

    /// Adds a message-annotation. §3.2.3
    #[must_use]
    #[inline(always)]
    pub fn message_annotation(mut self, key: Symbol<'_>, value: impl Encode) -> Self {
        self.message_annotations.get_or_insert_default().push(&key, &value);
        self
    }

    /// Adds an application-property; its value is to be a simple one, neither compound nor described. §3.2.5
    #[must_use]
    #[inline(always)]
    pub fn application_property(mut self, key: &str, value: impl Encode) -> Self {
        self.application_properties.get_or_insert_default().push(key, &value);
        self
    }

    /// Sets the application-properties, all at once, which is quicker than one by one. §3.2.5
    #[must_use]
    #[inline(always)]
    pub fn application_properties(mut self, properties: Map<'static>) -> Self {
        self.application_properties = Some(properties);
        self
    }

    /// Adds an entry to the footer. §3.2.9
    #[must_use]
    #[inline(always)]
    pub fn footer_entry(mut self, key: Symbol<'_>, value: impl Encode) -> Self {
        self.footer.get_or_insert_default().push(&key, &value);
        self
    }

    /// Checks what the types do not: keys and values of the maps, as [`MessageView::validate`] does.
    ///
    /// # Errors
    /// When a peer with the strict reading would refuse the message. Offsets are those of its encoded form.
    pub fn validate(&self) -> Result<(), MessageError> {
        let mut octets = alloc::vec::Vec::new();
        self.encode(&mut octets);
        MessageView::parse(&octets)?.validate()
    }

    /// How many octets [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        let mut head = alloc::vec::Vec::new();
        self.encode_head(&mut head);
        self.encode_footer(&mut head);
        // Of a section: 0x00, the two octets of its number.
        let section = |value: usize| value.saturating_add(3);
        let body: usize = match &self.body {
            MessageBody::Empty => section(2),
            MessageBody::Data(sections) if sections.is_empty() => section(2),
            MessageBody::Data(sections) => sections.iter().map(|octets| section(octets[..].encoded_len())).sum(),
            MessageBody::Sequence(lists) if lists.is_empty() => section(1),
            MessageBody::Sequence(lists) => lists.iter().map(|list| section(list.encoded_len())).sum(),
            MessageBody::Value(value) => section(value.encoded_len()),
        };
        head.len().saturating_add(body)
    }
}

impl TryFrom<&MessageView<'_>> for Message {
    type Error = MessageError;

    fn try_from(view: &MessageView<'_>) -> Result<Self, MessageError> {
        view.to_message()
    }
}

macro_rules! id_from {
    ($($from:ty => $variant:ident;)*) => { $(
        impl<'a> From<$from> for MessageId<'a> {
            fn from(id: $from) -> Self {
                MessageId::$variant(id.into())
            }
        }
    )* };
}

id_from! {
    u64 => Ulong;
    Uuid => Uuid;
    Binary<'a> => Binary;
    Str<'a> => String;
    &'a str => String;
    alloc::string::String => String;
}
