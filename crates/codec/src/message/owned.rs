use alloc::vec::Vec;

use bytes::Bytes;

use crate::constructor as code;
use crate::{Encode, Header, List, Map, Multiple, Properties, Section, Value};

/// The octets that everything but the body has room for at first.
const HEAD_CAPACITY: usize = 256;

/// A message that owns everything, to be built and encoded. §3.2
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// §3.2.1
    pub header: Option<Header>,
    /// §3.2.2
    pub delivery_annotations: Option<Map<'static>>,
    /// §3.2.3
    pub message_annotations: Option<Map<'static>>,
    /// §3.2.4
    pub properties: Option<Properties<'static>>,
    /// §3.2.5
    pub application_properties: Option<Map<'static>>,
    /// §3.2.6 to §3.2.8
    pub body: MessageBody,
    /// §3.2.9
    pub footer: Option<Map<'static>>,
}

/// The body of a [`Message`].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MessageBody {
    /// There is none; encoded as an empty data section, since §3.2 demands a body.
    #[default]
    Empty,
    /// Octets, in one or more sections.
    Data(Multiple<Bytes>),
    /// Lists of values, in one or more sections.
    Sequence(Vec<List<'static>>),
    /// One value.
    Value(Value<'static>),
}

impl Message {
    /// Appends the encoded message to `out`, whole.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_to_footer(out);
        self.encode_footer(out);
    }

    /// Encodes the message as slices, without copying a body of data: in the order in which they are to be sent.
    pub fn to_slices(&self) -> Vec<Bytes> {
        // What is encoded stands in one buffer, which the slices before, between and behind the bodies share.
        let mut encoded = Vec::with_capacity(HEAD_CAPACITY);
        let sections = match &self.body {
            MessageBody::Data(sections) if !sections.is_empty() => sections,
            _ => {
                self.encode(&mut encoded);
                return alloc::vec![Bytes::from(encoded)];
            }
        };
        self.encode_head(&mut encoded);
        let mut before = encoded.len();
        for section in sections {
            encode_data_head(section.len(), &mut encoded);
        }
        self.encode_footer(&mut encoded);
        let mut encoded = Bytes::from(encoded);
        let mut slices = Vec::with_capacity(sections.len().saturating_mul(2).saturating_add(1));
        for section in sections {
            let head = before.saturating_add(data_head_len(section.len()));
            slices.push(encoded.split_to(head));
            slices.push(section.clone());
            before = 0;
        }
        if !encoded.is_empty() {
            slices.push(encoded);
        }
        slices
    }

    pub(super) fn encode_head(&self, out: &mut Vec<u8>) {
        if let Some(header) = &self.header {
            header.encode(out);
        }
        encode_map(Section::DeliveryAnnotations, self.delivery_annotations.as_ref(), out);
        encode_map(Section::MessageAnnotations, self.message_annotations.as_ref(), out);
        if let Some(properties) = &self.properties {
            properties.encode(out);
        }
        encode_map(Section::ApplicationProperties, self.application_properties.as_ref(), out);
    }

    /// Encodes everything up to the footer.
    fn encode_to_footer(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        match &self.body {
            MessageBody::Empty => encode_data_head(0, out),
            MessageBody::Data(sections) => {
                for section in sections {
                    encode_data_head(section.len(), out);
                    out.extend_from_slice(section);
                }
                if sections.is_empty() {
                    encode_data_head(0, out);
                }
            }
            MessageBody::Sequence(lists) => {
                for list in lists {
                    encode_descriptor(Section::AmqpSequence, out);
                    list.encode(out);
                }
                if lists.is_empty() {
                    encode_descriptor(Section::AmqpSequence, out);
                    List::new().encode(out);
                }
            }
            MessageBody::Value(value) => {
                encode_descriptor(Section::AmqpValue, out);
                value.encode(out);
            }
        }
    }

    pub(super) fn encode_footer(&self, out: &mut Vec<u8>) {
        encode_map(Section::Footer, self.footer.as_ref(), out);
    }
}

fn encode_descriptor(section: Section, out: &mut Vec<u8>) {
    out.extend_from_slice(&descriptor(section));
}

/// The descriptor of a section, which is a number of one octet, and the constructor of the description before it.
const fn descriptor(section: Section) -> [u8; 3] {
    [code::DESCRIBED, code::SMALLULONG, section.code() as u8]
}

fn encode_map(section: Section, map: Option<&Map<'_>>, out: &mut Vec<u8>) {
    if let Some(map) = map {
        encode_descriptor(section, out);
        map.encode(out);
    }
}

/// How many octets [`encode_data_head`] appends.
const fn data_head_len(len: usize) -> usize {
    if len <= u8::MAX as usize { 5 } else { 8 }
}

/// Everything of a data section that stands before its octets.
fn encode_data_head(len: usize, out: &mut Vec<u8>) {
    let [d0, d1, d2] = const { descriptor(Section::Data) };
    match u8::try_from(len) {
        Ok(len) => out.extend_from_slice(&[d0, d1, d2, code::VBIN8, len]),
        Err(_) => {
            let [s0, s1, s2, s3] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
            out.extend_from_slice(&[d0, d1, d2, code::VBIN32, s0, s1, s2, s3]);
        }
    }
}
