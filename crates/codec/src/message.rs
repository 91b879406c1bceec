//! Messages and their sections, §3.2.

mod body;
mod build;
mod compound;
mod owned;
mod section;
mod sections;
mod view;

pub use body::{Body, DataIter, SequenceIter};
pub use owned::{Message, MessageBody};
pub use section::Section;
pub use sections::{Header, MessageId, MessageIdRef, Properties, PropertiesRef};
pub use view::{MessageError, MessageView};
