//! What the benchmarks share: messages, frames, how they are read, and the cases that `benches/check` measures.

mod cases;
mod engine;
mod frames;
mod messages;

pub use cases::{CASES, Case, Work, measured_step};
pub use engine::{Receiving, Sending};
pub use frames::{attach_frame, disposition_frame, flow_frame, read_frame, transfer_frame};
pub use messages::{Aligned, data_message, device_message, encoded, map_message, read_map, read_message};
