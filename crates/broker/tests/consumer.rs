//! The consumer of `amqp10-iot` and the emulator.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amqp10_broker::Emulator;
use amqp10_iot::{AkSign, Consumer, ConsumerBuilder, ConsumerError, CredentialsError, Keys};

const GRACE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(50);

/// An emulator that delivers again soon.
async fn emulator() -> Emulator {
    Emulator::builder().rules(|rules| rules.retry_after = Duration::from_millis(10)).start().await.unwrap()
}

/// What the hooks of a consumer told, a word each.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn listen(&self, builder: ConsumerBuilder) -> ConsumerBuilder {
        let tell = || {
            let told = Arc::clone(&self.0);
            move |word: &str, more: bool| {
                told.lock().unwrap().push(format!("{word}{}", if more { ", again" } else { "" }));
            }
        };
        let (opened, closed, error, transport) = (tell(), tell(), tell(), tell());
        builder
            .on_opened(move |_| opened("opened", false))
            .on_closed(move |event| closed("closed", event.next_attempt.is_some()))
            .on_connection_error(move |event| error(event.error.condition.as_str(), event.next_attempt.is_some()))
            .on_transport_error(move |event| transport("transport error", event.next_attempt.is_some()))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A consumer of the emulator with other keys than its own.
fn with_keys(emulator: &Emulator, keys: impl amqp10_iot::KeySource) -> ConsumerBuilder {
    let identity = emulator.identity();
    Consumer::builder("127.0.0.1", identity.consumer_group.clone(), AkSign::from_source(keys))
        .port(emulator.address().port())
        .instance_id(identity.instance_id.clone().unwrap())
        .ca_pem(identity.authority.ca_pem())
}

#[tokio::test]
async fn a_handler_decides_by_what_it_returns() {
    let emulator = emulator().await;
    for body in ["good", "bad", "ugly"] {
        emulator.publish("/topic", body).unwrap();
    }
    let mut consumer = emulator.consumer().limit(3).connect().await.unwrap();
    let handle = consumer.handle();
    let (mut failed, mut panicked) = (false, false);
    let result = consumer
        .run(async |message| match message.text_lossy().as_ref() {
            "bad" if !std::mem::replace(&mut failed, true) => Err("no".into()),
            "ugly" if !std::mem::replace(&mut panicked, true) => panic!("a handler may panic"),
            _ => Ok(()),
        })
        .await;
    result.unwrap();
    assert!(failed && panicked);
    assert_eq!((handle.accepted(), handle.released()), (3, 2));
    consumer.close(GRACE).await;
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.accepted, counts.released, counts.redelivered), (3, 2, 2));
}

#[tokio::test]
async fn a_message_dropped_undecided_is_released_and_counted() {
    let emulator = emulator().await;
    emulator.publish("/topic", "x").unwrap();
    let mut consumer = emulator.consumer().connect().await.unwrap();
    drop(consumer.next().await.unwrap().unwrap());
    assert_eq!((consumer.handle().accepted(), consumer.handle().released()), (0, 1));
    consumer.next().await.unwrap().unwrap().accept();
    consumer.close(GRACE).await;
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.accepted, counts.released), (1, 1));
}

#[tokio::test]
async fn credit_bounds_what_is_in_hand() {
    let emulator = emulator().await;
    for _ in 0..10 {
        emulator.publish("/topic", "x").unwrap();
    }
    let mut consumer = emulator.consumer().credit(3).connect().await.unwrap();
    let mut in_hand = Vec::new();
    for _ in 0..3 {
        in_hand.push(consumer.next().await.unwrap().unwrap());
    }
    assert!(tokio::time::timeout(SOON, consumer.next()).await.is_err(), "a fourth one");
    assert_eq!(emulator.counts().leased, 3);
    // From another task, while this one waits for the next message.
    let accepting = tokio::spawn(async move { in_hand.into_iter().for_each(|message| message.accept()) });
    consumer.next().await.unwrap().unwrap().accept();
    accepting.await.unwrap();
    for _ in 0..6 {
        consumer.next().await.unwrap().unwrap().accept();
    }
    consumer.close(GRACE).await;
    assert_eq!(emulator.shutdown(GRACE).await.accepted, 10);
}

#[tokio::test]
async fn never_more_is_asked_for_than_is_still_wanted() {
    let emulator = emulator().await;
    for _ in 0..50 {
        emulator.publish("/topic", "x").unwrap();
    }
    let mut consumer = emulator.consumer().credit(100).limit(7).connect().await.unwrap();
    let mut received = 0;
    while let Some(message) = consumer.next().await.unwrap() {
        received += 1;
        message.accept();
    }
    consumer.close(GRACE).await;
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((received, counts.sent, counts.accepted, counts.waiting), (7, 7, 7, 43));
}

#[tokio::test]
async fn the_end_waits_for_what_is_in_hand_and_releases_the_rest() {
    let emulator = emulator().await;
    for _ in 0..5 {
        emulator.publish("/topic", "x").unwrap();
    }
    let mut consumer = emulator.consumer().connect().await.unwrap();
    let in_hand = consumer.next().await.unwrap().unwrap();
    while emulator.counts().leased < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let handle = consumer.handle();
    handle.close();
    assert!(consumer.next().await.unwrap().is_none());
    let closing = tokio::spawn(consumer.close(GRACE));
    tokio::time::sleep(SOON).await;
    assert!(!closing.is_finished(), "a message is in hand");
    in_hand.accept();
    closing.await.unwrap();
    assert_eq!((handle.accepted(), handle.released()), (1, 4));
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.accepted, counts.released, counts.waiting), (1, 4, 4));
}

#[tokio::test]
async fn the_end_does_not_wait_for_longer_than_its_grace() {
    let emulator = emulator().await;
    emulator.publish("/topic", "x").unwrap();
    let mut consumer = emulator.consumer().connect().await.unwrap();
    let in_hand = consumer.next().await.unwrap().unwrap();
    tokio::time::timeout(GRACE, consumer.close(SOON)).await.unwrap();
    in_hand.accept();
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.accepted, counts.leased), (0, 0), "it came too late");
}

#[tokio::test]
async fn hooks_tell_what_happens_to_the_connection() {
    let emulator = emulator().await;
    let told = Told::default();
    let mut consumer = told.listen(emulator.consumer()).connect().await.unwrap();
    assert_eq!(told.take(), ["opened"]);
    emulator.cut();
    emulator.resume();
    emulator.publish("/topic", "x").unwrap();
    consumer.next().await.unwrap().unwrap().accept();
    assert_eq!(told.take(), ["transport error, again", "opened"]);
    let identity = emulator.identity().clone();
    let address = emulator.address();
    emulator.shutdown(GRACE).await;
    let again = Emulator::builder().identity(identity).listen(address).start().await.unwrap();
    again.publish("/topic", "y").unwrap();
    consumer.next().await.unwrap().unwrap().accept();
    let events = told.take();
    assert_eq!(events.first().unwrap(), "amqp:connection:forced, again");
    assert_eq!(events.last().unwrap(), "opened");
    consumer.close(GRACE).await;
    assert_eq!(told.take(), ["closed"]);
}

#[tokio::test]
async fn refused_keys_that_do_not_change_end_a_consumer() {
    let emulator = emulator().await;
    let told = Told::default();
    let id = emulator.identity().access_key_id.clone();
    let builder = told.listen(with_keys(&emulator, Keys::new(id.clone(), "wrong")));
    let error = builder.keep_trying(true).connect().await.unwrap_err();
    assert!(matches!(&error, ConsumerError::AuthenticationRefused { key_id } if *key_id == id), "{error}");
    assert_eq!(told.take(), ["amqp:unauthorized-access"]);
}

#[tokio::test]
async fn refused_keys_that_change_are_tried() {
    let emulator = emulator().await;
    let identity = emulator.identity().clone();
    let asked = AtomicU32::new(0);
    // As a file would be that is replaced after the first attempt.
    let keys = move || match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(Keys::new(identity.access_key_id.clone(), "stale")),
        _ => Ok(Keys::new(identity.access_key_id.clone(), identity.access_key_secret.clone())),
    };
    let told = Told::default();
    let consumer = told.listen(with_keys(&emulator, keys)).keep_trying(true).connect().await.unwrap();
    assert_eq!(told.take(), ["amqp:unauthorized-access, again", "opened"]);
    consumer.close(GRACE).await;
}

#[tokio::test]
async fn a_provider_that_has_no_keys_now_is_asked_again() {
    let emulator = emulator().await;
    let identity = emulator.identity().clone();
    let ready = Arc::new(AtomicBool::new(false));
    let keys = {
        let ready = Arc::clone(&ready);
        move || match ready.swap(true, Ordering::Relaxed) {
            false => Err(CredentialsError::Source("the token is being renewed".to_owned())),
            true => Ok(Keys::new(identity.access_key_id.clone(), identity.access_key_secret.clone())),
        }
    };
    let error = with_keys(&emulator, || Err(CredentialsError::Source("none".to_owned()))).connect().await.unwrap_err();
    assert!(error.to_string().contains("none"), "{error}");
    let consumer = with_keys(&emulator, keys).keep_trying(true).connect().await.unwrap();
    assert_eq!(consumer.attempts(), 2);
    consumer.close(GRACE).await;
}

#[tokio::test]
async fn settings_that_the_service_would_not_accept_name_the_rule() {
    let emulator = emulator().await;
    let consumer = || emulator.consumer();
    let cases = [
        (consumer().heartbeat(Duration::from_millis(29_999)), "from 30000 to 300000 ms"),
        (consumer().heartbeat(Duration::from_millis(300_001)), "from 30000 to 300000 ms"),
        (consumer().client_id("x".repeat(65)), "at most 64"),
        (consumer().client_id("a|b"), "'|' or ','"),
        (consumer().client_id(""), "the client id is empty"),
        (consumer().credit(0), "at least 1"),
        (Consumer::builder("host/path", "group", AkSign::new("id", "secret")), "is not a host name"),
        (Consumer::builder("host", "", AkSign::new("id", "secret")), "the consumer group is empty"),
    ];
    for (builder, rule) in cases {
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, ConsumerError::Config(_)) && error.to_string().contains(rule), "{error}");
    }
    assert!(emulator.sign_ins().is_empty(), "nothing was tried");
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_handed_over_with_its_octets() {
    let emulator = emulator().await;
    let connection_goes_on = "fine";
    emulator.publish_octets(&b"\x00\x53\x75\xb0\xff"[..]).unwrap();
    emulator.publish("/topic", connection_goes_on).unwrap();
    let mut consumer = emulator.consumer().limit(2).connect().await.unwrap();
    let broken = consumer.next().await.unwrap().unwrap();
    assert!(broken.error().is_some());
    assert_eq!(&broken.body()[..], b"\x00\x53\x75\xb0\xff");
    broken.accept();
    let message = consumer.next().await.unwrap().unwrap();
    assert_eq!(message.text_lossy(), connection_goes_on);
    message.accept();
    consumer.close(GRACE).await;
}
