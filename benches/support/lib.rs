//! What the benchmarks share: messages, frames, how they are read, and the cases that `benches/check` measures.

mod cases;
mod engine;
mod floods;
mod floor;
mod frames;
// Not in `measure`: counting allocations takes instructions.
#[cfg(test)]
mod memory;
mod messages;

pub use cases::{CASES, Case, Work, measured_step};
pub use engine::{Receiving, Sending};
pub use floods::Flood;
pub use floor::floor;
pub use frames::{
    attach, attach_frame, disposition, disposition_frame, flow, flow_frame, read_frame, transfer, transfer_frame,
    write_frame,
};
pub use messages::{
    Aligned, built_device_message, built_map_message, data_message, device_message, encode, encoded, map_keys,
    map_message, read_map, read_message,
};
