//! Our codec, our receiver and our emulator with codecs, servers and a client that are not ours.

mod codec;
mod receive;
mod vendor;

/// Peers run one at a time: some are slow, and heartbeats are in real time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
