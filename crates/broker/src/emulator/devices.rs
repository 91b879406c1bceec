//! Devices that have something to say.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amqp10::Message;
use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use super::Service;
use crate::QueueFull;

/// How long devices wait when a queue is full.
const PAUSE: Duration = Duration::from_millis(100);
const PRODUCT: &str = "a1emulator";

/// Simulated devices.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    pub(super) devices: u32,
    /// Messages a second, of all devices together.
    pub(super) rate: f64,
    pub(super) count: Option<u64>,
}

/// Puts a message like those of the service into every group, and returns its id.
pub(super) fn publish(service: &Service, topic: &str, body: Bytes, qos: i32) -> Result<String, QueueFull> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = (service.first_id + NEXT.fetch_add(1, Ordering::Relaxed)).to_string();
    let generated = i64::try_from(service.millis()).unwrap_or(i64::MAX);
    let message = Message::data(body)
        .durable(true)
        .application_property("topic", topic.to_owned())
        .application_property("messageId", id.clone())
        .application_property("generateTime", generated)
        .application_property("qos", qos);
    let mut octets = Vec::new();
    message.encode(&mut octets);
    service.publish(&octets.into())?;
    Ok(id)
}

/// What the `n`th message says: a device comes on-line first, then reports, and now and then says something of its own.
fn message(n: u64, devices: u32) -> (String, String) {
    let device = format!("device-{}", n % u64::from(devices) + 1);
    let turn = n / u64::from(devices);
    if turn == 0 {
        let body = format!(r#"{{"status":"online","productKey":"{PRODUCT}","deviceName":"{device}"}}"#);
        return (format!("/as/mqtt/status/{PRODUCT}/{device}"), body);
    }
    if turn % 5 == 4 {
        let body = format!(r#"{{"event":"button","presses":{}}}"#, turn / 5 + 1);
        return (format!("/{PRODUCT}/{device}/user/update"), body);
    }
    let temperature = 20.0 + f64::from(fastrand::u32(0..100)) / 10.0;
    let body = format!(r#"{{"deviceType":"Thermometer","items":{{"temperature":{{"value":{temperature}}}}}}}"#);
    (format!("/{PRODUCT}/{device}/thing/event/property/post"), body)
}

pub(super) async fn run(fleet: Fleet, service: Arc<Service>) {
    let began = Instant::now();
    let mut n = 0_u64;
    while fleet.count.is_none_or(|count| n < count) {
        // Rates may be so small that the next message is beyond all time.
        let due = Duration::try_from_secs_f64(n as f64 / fleet.rate).ok().and_then(|after| began.checked_add(after));
        match due {
            Some(due) => sleep_until(due).await,
            None => pending().await,
        }
        let (topic, body) = message(n, fleet.devices);
        while let Err(error) = publish(&service, &topic, body.clone().into(), 0) {
            tracing::debug!(%error, "the devices wait");
            sleep(PAUSE).await;
        }
        n += 1;
    }
}
