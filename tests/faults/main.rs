//! Bad days of the network.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use amqp10_broker::Emulator;
use amqp10_iot::{
    AkSign, BoxFuture, Consumer, CredentialProvider, Credentials, CredentialsError, DeviceMessage, SignIn,
};

const GRACE: Duration = Duration::from_secs(10);

/// A provider that remembers what it was asked.
struct Recorder {
    inner: AkSign,
    timestamps: Arc<Mutex<Vec<u64>>>,
}

impl CredentialProvider for Recorder {
    fn credentials<'a>(&'a self, sign_in: SignIn<'a>) -> BoxFuture<'a, Result<Credentials, CredentialsError>> {
        self.timestamps.lock().unwrap().push(sign_in.timestamp);
        self.inner.credentials(sign_in)
    }
}

/// A consumer of the emulator, and the timestamps that its provider was asked with.
async fn consumer(emulator: &Emulator) -> (Consumer, Arc<Mutex<Vec<u64>>>) {
    let identity = emulator.identity();
    let timestamps = Arc::new(Mutex::new(Vec::new()));
    let inner = AkSign::new(identity.access_key_id.clone(), identity.access_key_secret.clone());
    let provider = Recorder { inner, timestamps: Arc::clone(&timestamps) };
    let builder = Consumer::builder("127.0.0.1", identity.consumer_group.clone(), provider)
        .port(emulator.address().port())
        .instance_id(identity.instance_id.clone().unwrap())
        .ca_pem(identity.authority.ca_pem())
        // A clock that never shows the same time twice.
        .clock({
            let ticks = AtomicU64::new(0);
            move || SystemTime::now() + Duration::from_millis(ticks.fetch_add(1, Ordering::Relaxed))
        });
    (builder.connect().await.unwrap(), timestamps)
}

/// Waits until the emulator has seen so many messages accepted.
async fn accepted(emulator: &Emulator, messages: u64) {
    while emulator.counts().accepted < messages {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How often every message was received.
#[derive(Default)]
struct Received(HashMap<String, u64>);

impl Received {
    fn add(&mut self, message: &DeviceMessage) {
        *self.0.entry(message.id().to_owned()).or_default() += 1;
    }

    fn duplicates(&self) -> u64 {
        self.0.values().map(|times| times - 1).sum()
    }
}

/// The network is cut again and again in mid-stream, whatever is on its way, and comes back on its port.
///
/// On one thread, so that a message that has left the emulator has reached this machine's network when the cut comes.
#[tokio::test]
async fn a_network_that_is_cut_in_mid_stream_loses_nothing() {
    const MESSAGES: u64 = 3000;
    let emulator = Emulator::builder().devices(5, 2_000.0, Some(MESSAGES)).start().await.unwrap();
    let port = emulator.address().port();
    let (mut consumer, timestamps) = consumer(&emulator).await;
    let mut received = Received::default();
    let mut in_hand = Vec::new();
    let mut cuts = 0;
    let mut total = 0_u64;
    loop {
        let message = tokio::select! {
            biased;
            message = consumer.next() => message.unwrap().unwrap(),
            () = accepted(&emulator, MESSAGES) => break,
        };
        received.add(&message);
        in_hand.push(message);
        total += 1;
        // Some are in hand when the network is cut: their acceptance comes too late.
        if total.is_multiple_of(900) {
            emulator.cut();
            cuts += 1;
            emulator.resume();
        }
        if in_hand.len() >= 20 || received.0.len() as u64 == MESSAGES {
            in_hand.drain(..).for_each(DeviceMessage::accept);
        }
    }
    let attempts = consumer.attempts();
    consumer.close(GRACE).await;
    let sign_ins = emulator.sign_ins();
    assert_eq!(emulator.address().port(), port);
    let counts = emulator.shutdown(GRACE).await;

    assert!(cuts >= 3, "{cuts} cuts");
    assert_eq!((received.0.len() as u64, counts.produced, counts.accepted), (MESSAGES, MESSAGES, MESSAGES));
    assert_eq!((counts.waiting, counts.leased), (0, 0));
    assert!(counts.redelivered >= cuts, "{counts:?}");
    assert_eq!(received.duplicates(), counts.redelivered, "{counts:?}");

    let asked = timestamps.lock().unwrap().clone();
    let different: HashSet<_> = asked.iter().collect();
    assert_eq!(
        (asked.len() as u64, different.len()),
        (attempts, asked.len()),
        "asked once an attempt, with a new time"
    );
    assert!(attempts > cuts, "{attempts} attempts, {cuts} cuts");
    let accepted = sign_ins.iter().filter(|record| record.accepted).count() as u64;
    assert_eq!(accepted, cuts + 1, "one connection more than cuts");
    for record in &sign_ins {
        assert!(record.timestamp.is_some_and(|timestamp| different.contains(&timestamp)));
    }
}

/// The network stays away for several attempts.
#[tokio::test]
async fn a_network_that_stays_away_is_tried_until_it_is_back() {
    let emulator = Emulator::start().await.unwrap();
    let (mut consumer, timestamps) = consumer(&emulator).await;
    emulator.publish("/topic", "before").unwrap();
    consumer.next().await.unwrap().unwrap().accept();
    // Messages are settled a little later than they are accepted.
    tokio::select! {
        _ = consumer.next() => panic!("a message that nobody published"),
        () = accepted(&emulator, 1) => {}
    }
    emulator.cut();
    emulator.publish("/topic", "meanwhile").unwrap();
    // An attempt that has begun may still succeed, so two have failed once a third after them has begun.
    let mended = async {
        while timestamps.lock().unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        emulator.resume();
    };
    let (message, ()) = tokio::join!(consumer.next(), mended);
    let message = message.unwrap().unwrap();
    assert_eq!(message.text_lossy(), "meanwhile");
    message.accept();
    assert!(consumer.attempts() >= 4);
    consumer.close(GRACE).await;
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.produced, counts.accepted), (2, 2));
}
