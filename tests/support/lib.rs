//! What the tests that span crates share: certificates and foreign peers.

pub mod certificate;
pub mod peer;
