//! Our receiver with servers that are not ours, and our emulator with a client that is not ours.

mod receive;
mod vendor;

/// Peers run one at a time: some are slow, and heartbeats are in real time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
