//! Messages and their sections, §3.2.

mod build;
mod owned;
mod sections;
mod view;

pub use owned::{Message, MessageBody};
pub use sections::{Header, MessageId, MessageIdRef, Properties, PropertiesRef};
pub use view::{Body, DataIter, MessageError, MessageView, Section, SequenceIter};
