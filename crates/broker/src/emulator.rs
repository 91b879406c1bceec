//! An emulator of the Alibaba Cloud IoT Platform's AMQP server-side subscription, for tests and demonstrations.
//!
//! It signs clients in as the service does, enforces the rules of [`Rules`], shares the messages of simulated devices among the clients
//! of a consumer group, and delivers again what was not acknowledged.

mod access;
mod builder;
mod client;
mod devices;
mod identity;
mod network;

pub use access::SignInRecord;
pub use builder::{EmulatorBuilder, Rules, StartError};
pub use identity::{Authority, Identity};

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amqp10::Message;
use amqp10_iot::{AkSign, Consumer, ConsumerBuilder, Keys};
use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Counts, Queue, QueueFull};
use access::Access;
use network::Network;

/// A running emulator. Dropped, it ends at once; [`shutdown`](Self::shutdown) says good-bye to its clients first.
#[derive(Debug)]
pub struct Emulator {
    service: Arc<Service>,
    network: Arc<Network>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

/// What the clients' tasks share.
#[derive(Debug)]
struct Service {
    access: Access,
    rules: Rules,
    groups: HashMap<String, Arc<Queue>>,
    first_id: u64,
}

impl Service {
    /// Puts a message of a device into every group.
    fn publish(&self, octets: &Bytes) -> Result<(), QueueFull> {
        self.groups.values().try_for_each(|group| group.push(octets.clone()))
    }

    /// The time, in milliseconds since 1970.
    fn millis(&self) -> u64 {
        self.access.millis()
    }
}

impl Emulator {
    /// Settings to change first.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    /// Starts an emulator with defaults for everything on a free port of 127.0.0.1: no devices, messages come from
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    /// When it cannot listen, or TLS cannot be set up.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect to: `amqps://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("amqps://{}", self.address)
    }

    /// The keys, the group and the certificate authority that clients need.
    pub fn identity(&self) -> &Identity {
        self.service.access.identity()
    }

    /// A consumer of this emulator: host, group, keys and certificate authority are set.
    pub fn consumer(&self) -> ConsumerBuilder {
        let identity = self.identity();
        let mut keys = Keys::new(identity.access_key_id.clone(), identity.access_key_secret.clone());
        if let Some(token) = &identity.security_token {
            keys = keys.with_token(token.clone());
        }
        let host = self.address.ip().to_string();
        let consumer = Consumer::builder(host, identity.consumer_group.clone(), AkSign::from_source(keys));
        let instance = identity.instance_id.clone().unwrap_or_default();
        consumer.port(self.address.port()).instance_id(instance).ca_pem(identity.authority.ca_pem())
    }

    /// Makes a device say `body` on `topic`, and returns the id of the message.
    ///
    /// # Errors
    /// When the queue of a group is full.
    pub fn publish(&self, topic: &str, body: impl Into<Bytes>) -> Result<String, QueueFull> {
        devices::publish(&self.service, topic, body.into(), 0)
    }

    /// Puts a message into every group as it is, also one that no device would make.
    ///
    /// # Errors
    /// When the queue of a group is full.
    pub fn publish_message(&self, message: &Message) -> Result<(), QueueFull> {
        let mut octets = Vec::new();
        message.encode(&mut octets);
        self.publish_octets(octets)
    }

    /// Puts octets into every group that are delivered as a message, even if they are none: to see what a client makes of that.
    ///
    /// # Errors
    /// When the queue of a group is full.
    pub fn publish_octets(&self, octets: impl Into<Bytes>) -> Result<(), QueueFull> {
        self.service.publish(&octets.into())
    }

    /// What became of the messages so far, all groups together.
    pub fn counts(&self) -> Counts {
        self.service.groups.values().fold(Counts::default(), |sum, group| sum.plus(group.counts()))
    }

    /// The latest sign-ins, at most 1,024, the oldest first.
    pub fn sign_ins(&self) -> Vec<SignInRecord> {
        self.service.access.sign_ins()
    }

    /// How many clients are connected and open now.
    pub fn connections(&self) -> usize {
        self.network.connections()
    }

    /// Breaks the network: every stream is dropped without a close, and whoever connects is dropped too, until
    /// [`resume`](Self::resume). Queue, keys, certificate and port stay.
    pub fn cut(&self) {
        self.network.cut();
    }

    /// Mends the network.
    pub fn resume(&self) {
        self.network.resume();
    }

    /// Closes every connection, waits at most `grace` for the clients to agree, and tells what became of the messages.
    pub async fn shutdown(mut self, grace: Duration) -> Counts {
        for task in self.tasks.drain(..) {
            task.abort();
            // Only then is the port free.
            let _ = task.await;
        }
        if timeout(grace, self.network.close()).await.is_err() {
            tracing::debug!("not every client agreed to the close in time");
        }
        self.counts()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.network.cut();
    }
}
