#![doc = include_str!("../README.md")]

#[cfg(feature = "iot-emulator")]
pub mod emulator;
mod queue;

#[cfg(feature = "iot-emulator")]
pub use emulator::{Emulator, EmulatorBuilder};
pub use queue::{Counts, End, Lease, Queue, QueueFull};
