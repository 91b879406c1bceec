//! Values and messages as JSON that keeps the types of AMQP, both ways.
//!
//! Where JSON alone would lose the type, the value stands in an object with one key: `$` and the name of the type, its *tag*.
//!
//! | AMQP | JSON | what stands behind the tag |
//! | --- | --- | --- |
//! | null | `null` | `{"$null":null}` |
//! | boolean | `true`, `false` | `{"$boolean":true}` |
//! | ubyte, ushort, uint, ulong | `{"$uint":1}` | an integer |
//! | byte, short, int | `{"$int":-1}` | an integer |
//! | long | `-1` | `{"$long":-1}`: an integer |
//! | float | `{"$float":0.5}` | a number, or a text of the forms below |
//! | double | `0.5`, `1e300`, `1.0` | `{"$double":0.5}`: a number, or a text of the forms below |
//! | decimal32, decimal64, decimal128 | `{"$decimal32":"2250000a"}` | its octets, hexadecimal |
//! | char | `{"$char":"x"}` | a text of one character |
//! | timestamp | `{"$timestamp":0}` | an integer: milliseconds since 1970 |
//! | uuid | `{"$uuid":"00112233-4455-6677-8899-aabbccddeeff"}` | a text, with or without hyphens |
//! | binary | `{"$binary":"00ff"}` | its octets, hexadecimal |
//! | string | `"x"` | `{"$string":"x"}` |
//! | symbol | `{"$symbol":"x"}` | a text |
//! | list | `[1,"x"]` | `{"$list":[1,"x"]}` |
//! | map | `{"a":1}` | `{"$map":[["a",1],[{"$uint":7},true]]}`: its entries in order, each a key and a value |
//! | array | `{"$array":{"of":"uint","items":[1,2]}}` | see below |
//! | described | `{"$described":{"descriptor":{"$ulong":36},"value":[]}}` | the two |
//!
//! The second column is what is written; all forms are read. The rules for what has no tag:
//!
//! * An integer is a long; one outside of the long's range needs its tag. Any other number is a double.
//! * An object is a map with strings as keys. A map is written so if that loses nothing: its keys are strings, none is there twice,
//!   and none begins with `$`. An object with a key that begins with `$` must be a tag, alone in its object.
//! * A float or double that is no number JSON knows is the text `"Infinity"`, `"-Infinity"`, `"NaN"` (the quiet one without payload,
//!   7fc00000 or 7ff8000000000000) or `"NaN(ffc00001)"`, with all bits in hexadecimal.
//! * An array has the name of its elements' type, `of`, and `items`: what would stand behind the tag of each. Of described elements,
//!   `descriptors` are the common descriptors, outermost first. If the elements occupy no octets, as those of `null`, the one item
//!   stands for `count` of them: `{"$array":{"of":"null","count":1000,"items":[null]}}`.
//!
//! Values survive the way to the text and back, and so do their octets if they were in the form that this crate encodes. Where
//! a peer chose a longer form, the shortest takes its place.
//!
//! # Messages
//! A message is an object of its sections, each of which may be absent. `null` stands for an absent section or field.
//!
//! ```json
//! {
//!   "header": {"durable": true, "priority": 4, "ttl": 1000, "first_acquirer": false, "delivery_count": 0},
//!   "delivery_annotations": {"x-opt-a": 1},
//!   "message_annotations": {"x-opt-b": {"$timestamp": 0}},
//!   "properties": {
//!     "message_id": "m-1", "user_id": "me", "to": "q", "subject": "s", "reply_to": "r", "correlation_id": {"$ulong": 7},
//!     "content_type": "text/plain", "content_encoding": "gzip", "absolute_expiry_time": 0, "creation_time": 0,
//!     "group_id": "g", "group_sequence": 1, "reply_to_group_id": "h"
//!   },
//!   "application_properties": {"topic": "/a/b"},
//!   "body": {"data": "text"},
//!   "footer": {"x-opt-c": {"$binary": "00ff"}}
//! }
//! ```
//!
//! * The fields of header and properties have the types of §3.2 without tags, but ids that are no strings are tagged. Fields that have
//!   their default are not written.
//! * In the annotations and the footer, keys of an object are symbols. A map with other keys is `{"$map":[…]}`.
//! * The body is `{"data":…}`, `{"value":…}` or `{"sequence":[[…],…]}`. Octets of data and of the user-id are their text if
//!   they are UTF-8, otherwise `{"$binary":"00ff"}`. Several sections of data are `{"data":["a","b"]}`.
//!
//! ```
//! use amqp10_codec::{Message, json};
//! use serde_json::json;
//!
//! let text = json!({"properties": {"to": "q"}, "body": {"value": {"celsius": 20.5, "sensor": {"$uint": 7}}}});
//! let message = json::message_from_json(&text)?;
//! assert_eq!(message.properties.as_ref().and_then(|properties| properties.to.as_deref()), Some("q"));
//! assert_eq!(json::message_to_json(&message)?, text);
//!
//! let error = json::value_from_json(&json!([1, {"a": {"$ubyte": 256}}])).unwrap_err();
//! assert_eq!(error.to_string(), "at /1/a/$ubyte: expected an integer from 0 to 255, found 256");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod message;
mod read;
mod write;

pub use error::JsonError;
pub use message::{message_from_json, message_to_json};
use serde_json::Value as Json;

use crate::{DecodeError, MAX_DEPTH, Value};

/// The text form of a value.
///
/// # Errors
/// When octets inside of the value are malformed.
pub fn value_to_json(value: &Value<'_>) -> Result<Json, DecodeError> {
    write::value(value)
}

/// The value of a text form.
///
/// # Errors
/// When it is not of the grammar above, or nested deeper than [`MAX_DEPTH`].
pub fn value_from_json(json: &Json) -> Result<Value<'static>, JsonError> {
    read::value(json, MAX_DEPTH)
}

/// An object of JSON; what it has is in order.
type Object = serde_json::Map<alloc::string::String, Json>;

/// An object with this one entry.
fn single(key: impl Into<alloc::string::String>, value: Json) -> Json {
    let mut object = Object::new();
    object.insert(key.into(), value);
    Json::Object(object)
}
