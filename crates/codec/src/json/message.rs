use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;
use serde_json::Value as Json;

use super::read::{self, Fields, elements, integer, string_map, symbol, symbol_map, text, text_or_binary, timestamp};
use super::{JsonError, Object, single, value_from_json, value_to_json, write};
use crate::{
    DecodeError, Header, MAX_DEPTH, Message, MessageBody, MessageId, Milliseconds, Properties, SequenceNo, Str, Symbol,
    Value,
};

/// The text form of a message.
///
/// # Errors
/// When octets inside of a section are malformed.
pub fn message_to_json(message: &Message) -> Result<Json, DecodeError> {
    let mut object = Object::new();
    let mut put = |name: &str, section: Json| object.insert(name.into(), section);
    if let Some(section) = &message.header {
        put("header", header(section));
    }
    if let Some(section) = &message.delivery_annotations {
        put("delivery_annotations", write::map(section, write::as_symbol)?);
    }
    if let Some(section) = &message.message_annotations {
        put("message_annotations", write::map(section, write::as_symbol)?);
    }
    if let Some(section) = &message.properties {
        put("properties", properties(section)?);
    }
    if let Some(section) = &message.application_properties {
        put("application_properties", write::map(section, write::as_string)?);
    }
    if let Some(section) = body(&message.body)? {
        put("body", section);
    }
    if let Some(section) = &message.footer {
        put("footer", write::map(section, write::as_symbol)?);
    }
    Ok(Json::Object(object))
}

fn header(header: &Header) -> Json {
    let mut object = Object::new();
    let default = Header::default();
    let mut put = |name: &str, field: Json| object.insert(name.into(), field);
    if header.durable != default.durable {
        put("durable", header.durable.into());
    }
    if header.priority != default.priority {
        put("priority", header.priority.into());
    }
    if let Some(ttl) = header.ttl {
        put("ttl", ttl.0.into());
    }
    if header.first_acquirer != default.first_acquirer {
        put("first_acquirer", header.first_acquirer.into());
    }
    if header.delivery_count != default.delivery_count {
        put("delivery_count", header.delivery_count.into());
    }
    Json::Object(object)
}

fn properties(properties: &Properties<'_>) -> Result<Json, DecodeError> {
    let string = |field: &Option<Str<'_>>| field.as_ref().map(|text| Json::from(text.as_str()));
    let symbol = |field: &Option<Symbol<'_>>| field.as_ref().map(|text| Json::from(text.as_str()));
    let fields = [
        ("message_id", properties.message_id.as_ref().map(id).transpose()?),
        ("user_id", properties.user_id.as_deref().map(write::octets)),
        ("to", string(&properties.to)),
        ("subject", string(&properties.subject)),
        ("reply_to", string(&properties.reply_to)),
        ("correlation_id", properties.correlation_id.as_ref().map(id).transpose()?),
        ("content_type", symbol(&properties.content_type)),
        ("content_encoding", symbol(&properties.content_encoding)),
        ("absolute_expiry_time", properties.absolute_expiry_time.map(|time| time.0.into())),
        ("creation_time", properties.creation_time.map(|time| time.0.into())),
        ("group_id", string(&properties.group_id)),
        ("group_sequence", properties.group_sequence.map(|number| number.0.into())),
        ("reply_to_group_id", string(&properties.reply_to_group_id)),
    ];
    Ok(fields.into_iter().filter_map(|(name, field)| Some((name.into(), field?))).collect::<Object>().into())
}

fn id(id: &MessageId<'_>) -> Result<Json, DecodeError> {
    value_to_json(&match id.clone() {
        MessageId::Ulong(id) => id.into(),
        MessageId::Uuid(id) => id.into(),
        MessageId::Binary(id) => id.into(),
        MessageId::String(id) => id.into(),
        MessageId::Other(id) => Value::Described(*id),
    })
}

fn body(body: &MessageBody) -> Result<Option<Json>, DecodeError> {
    Ok(Some(match body {
        MessageBody::Empty => return Ok(None),
        MessageBody::Data(sections) => single(
            "data",
            match &**sections {
                [section] => write::octets(section),
                sections => sections.iter().map(|section| write::octets(section)).collect(),
            },
        ),
        MessageBody::Sequence(lists) => {
            let list = |list: &crate::List<'static>| value_to_json(&Value::List(list.clone()));
            single("sequence", Json::Array(lists.iter().map(list).collect::<Result<_, _>>()?))
        }
        MessageBody::Value(value) => single("value", value_to_json(value)?),
    }))
}

/// The message of a text form.
///
/// # Errors
/// When it is not of the grammar of the [module](super), or nested deeper than [`MAX_DEPTH`].
pub fn message_from_json(json: &Json) -> Result<Message, JsonError> {
    let sections = Fields::new(
        json,
        &[
            "header",
            "delivery_annotations",
            "message_annotations",
            "properties",
            "application_properties",
            "body",
            "footer",
        ],
    )?;
    Ok(Message {
        header: sections.optional("header", read_header)?,
        delivery_annotations: sections.optional("delivery_annotations", |json| symbol_map(json, MAX_DEPTH))?,
        message_annotations: sections.optional("message_annotations", |json| symbol_map(json, MAX_DEPTH))?,
        properties: sections.optional("properties", read_properties)?,
        application_properties: sections.optional("application_properties", |json| string_map(json, MAX_DEPTH))?,
        body: sections.optional("body", read_body)?.unwrap_or_default(),
        footer: sections.optional("footer", |json| symbol_map(json, MAX_DEPTH))?,
    })
}

fn boolean(json: &Json) -> Result<bool, JsonError> {
    json.as_bool().ok_or_else(|| JsonError::expected("true or false", json))
}

fn uint(json: &Json) -> Result<u32, JsonError> {
    integer(json, u32::MIN, u32::MAX)
}

fn read_header(json: &Json) -> Result<Header, JsonError> {
    let fields = Fields::new(json, &["durable", "priority", "ttl", "first_acquirer", "delivery_count"])?;
    let default = Header::default();
    Ok(Header {
        durable: fields.optional("durable", boolean)?.unwrap_or(default.durable),
        priority: fields.optional("priority", |json| integer(json, u8::MIN, u8::MAX))?.unwrap_or(default.priority),
        ttl: fields.optional("ttl", uint)?.map(Milliseconds),
        first_acquirer: fields.optional("first_acquirer", boolean)?.unwrap_or(default.first_acquirer),
        delivery_count: fields.optional("delivery_count", uint)?.unwrap_or(default.delivery_count),
    })
}

fn read_properties(json: &Json) -> Result<Properties<'static>, JsonError> {
    let fields = Fields::new(
        json,
        &[
            "message_id",
            "user_id",
            "to",
            "subject",
            "reply_to",
            "correlation_id",
            "content_type",
            "content_encoding",
            "absolute_expiry_time",
            "creation_time",
            "group_id",
            "group_sequence",
            "reply_to_group_id",
        ],
    )?;
    let string = |name| fields.optional(name, |json| Ok(Str::from(text(json)?.to_string())));
    let symbol = |name| fields.optional(name, |json| symbol(text(json)?));
    Ok(Properties {
        message_id: fields.optional("message_id", read_id)?,
        user_id: fields.optional("user_id", text_or_binary)?.map(Into::into),
        to: string("to")?,
        subject: string("subject")?,
        reply_to: string("reply_to")?,
        correlation_id: fields.optional("correlation_id", read_id)?,
        content_type: symbol("content_type")?,
        content_encoding: symbol("content_encoding")?,
        absolute_expiry_time: fields.optional("absolute_expiry_time", timestamp)?,
        creation_time: fields.optional("creation_time", timestamp)?,
        group_id: string("group_id")?,
        group_sequence: fields.optional("group_sequence", uint)?.map(SequenceNo),
        reply_to_group_id: string("reply_to_group_id")?,
    })
}

fn read_id(json: &Json) -> Result<MessageId<'static>, JsonError> {
    match value_from_json(json)? {
        Value::Ulong(id) => Ok(MessageId::Ulong(id)),
        Value::Uuid(id) => Ok(MessageId::Uuid(id)),
        Value::Binary(id) => Ok(MessageId::Binary(id)),
        Value::String(id) => Ok(MessageId::String(id)),
        Value::Described(id) => Ok(MessageId::Other(Box::new(id))),
        _ => Err(JsonError::expected("a text, or an id as {\"$ulong\":1}, {\"$uuid\":…} or {\"$binary\":…}", json)),
    }
}

fn read_body(json: &Json) -> Result<MessageBody, JsonError> {
    let kinds = ["data", "sequence", "value"];
    Fields::new(json, &kinds)?;
    let mut found = kinds.iter().filter_map(|kind| Some((*kind, json.get(kind)?)));
    let (Some((kind, json)), None) = (found.next(), found.next()) else {
        return Err(JsonError::new(format!("a body is one of {}", kinds.join(", "))));
    };
    let several = |json| Ok::<_, JsonError>(elements(json)?.iter().enumerate());
    let read = || match kind {
        "data" if json.is_array() => {
            let section = |(at, json)| text_or_binary(json).map(Bytes::from).map_err(|error| error.under(at));
            several(json)?.map(section).collect::<Result<_, _>>().map(MessageBody::Data)
        }
        "data" => text_or_binary(json).map(Message::data).map(|message| message.body),
        "sequence" => {
            let section = |(at, json)| read::list(json, MAX_DEPTH).map_err(|error: JsonError| error.under(at));
            several(json)?.map(section).collect::<Result<Vec<_>, _>>().map(MessageBody::Sequence)
        }
        _ => value_from_json(json).map(MessageBody::Value),
    };
    read().map_err(|error| error.under(kind))
}
