//! The emulator and the rules it enforces.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use amqp10::codec::{
    Attach, Begin, Channel, FrameType, Handle, Milliseconds, Open, Performative, ProtocolHeader, Reader, Role,
    TransferNumber, encode_frame, next_frame,
};
use amqp10::transport::{ConnectOptions, SaslProfile, TlsClient, connect};
use amqp10::{
    ConnectError, Connection, ConnectionBuilder, ConnectionError, Error, ErrorCondition, LinkError, Message, Source,
    Target,
};
use amqp10_broker::{Emulator, EmulatorBuilder};
use amqp10_iot::{AkSign, CredentialProvider, Credentials, Keys, SignIn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const GRACE: Duration = Duration::from_secs(10);

/// What a provider makes for a sign-in at `emulator`.
async fn credentials(
    emulator: &Emulator,
    provider: impl CredentialProvider,
    change: impl FnOnce(&mut SignIn<'_>),
) -> Credentials {
    let identity = emulator.identity();
    let timestamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut sign_in = SignIn::new("client-1", &identity.consumer_group, timestamp);
    sign_in.instance_id = identity.instance_id.as_deref();
    change(&mut sign_in);
    provider.credentials(sign_in).await.unwrap()
}

fn keys(emulator: &Emulator) -> AkSign {
    let identity = emulator.identity();
    AkSign::new(identity.access_key_id.clone(), identity.access_key_secret.clone())
}

fn builder(emulator: &Emulator, credentials: &Credentials) -> ConnectionBuilder {
    let tls = TlsClient::builder().ca_pem(emulator.identity().authority.ca_pem()).build().unwrap();
    Connection::builder().tls(tls).plain(credentials.user_name.expose(), credentials.password.clone())
}

async fn connection(emulator: &Emulator) -> Connection {
    let credentials = credentials(emulator, keys(emulator), |_| {}).await;
    builder(emulator, &credentials).connect(&emulator.url()).await.unwrap()
}

async fn closed_with(connection: &Connection) -> Error<'static> {
    match connection.closed().await {
        ConnectionError::ClosedByPeer(Some(error)) => error,
        other => panic!("{other}"),
    }
}

/// An emulator whose rules take milliseconds where those of the service take seconds.
fn quick() -> EmulatorBuilder {
    Emulator::builder().rules(|rules| {
        rules.acknowledge_within = Duration::from_millis(50);
        rules.retry_after = Duration::from_millis(10);
    })
}

#[tokio::test]
async fn messages_of_devices_are_received_and_accepted() {
    // 3.4.2-02
    let emulator = Emulator::builder().devices(3, 10_000.0, Some(500)).start().await.unwrap();
    let mut consumer = emulator.consumer().limit(500).connect().await.unwrap();
    let mut ids = HashSet::new();
    while let Some(message) = consumer.next().await.unwrap() {
        assert!(message.topic().starts_with('/') && message.generate_time().is_some());
        assert!(!message.body().is_empty());
        ids.insert(message.id().to_owned());
        message.accept();
    }
    consumer.close(GRACE).await;
    assert_eq!(ids.len(), 500);
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.produced, counts.sent, counts.accepted, counts.redelivered), (500, 500, 500, 0));
}

#[tokio::test]
async fn the_clients_of_a_group_share_its_messages_and_another_group_gets_them_all() {
    // 3.3-02, 3.3-06, 3.5.2-01
    let emulator = Emulator::builder().consumer_group("other").start().await.unwrap();
    let mut first = emulator.consumer().client_id("first").credit(1).connect().await.unwrap();
    let mut second = emulator.consumer().client_id("second").credit(1).connect().await.unwrap();
    for n in 0..2 {
        emulator.publish("/topic", format!("{n}")).unwrap();
    }
    // Each has one in hand, so neither can have taken both.
    let (one, two) = tokio::join!(first.next(), second.next());
    let (one, two) = (one.unwrap().unwrap(), two.unwrap().unwrap());
    assert_ne!(one.id(), two.id());
    one.accept();
    two.accept();
    first.close(GRACE).await;
    second.close(GRACE).await;
    let other = credentials(&emulator, keys(&emulator), |sign_in| sign_in.consumer_group = "other").await;
    let connection = builder(&emulator, &other).connect(&emulator.url()).await.unwrap();
    let receiver = connection.begin().await.unwrap().receiver("default").attach().await.unwrap();
    for _ in 0..2 {
        receiver.recv().await.unwrap().accept();
    }
    connection.close().await;
    assert_eq!(emulator.shutdown(GRACE).await.accepted, 4);
}

#[tokio::test]
async fn what_is_released_or_not_decided_in_time_comes_back() {
    // 3.4.4-02
    let emulator = quick().start().await.unwrap();
    let id = emulator.publish("/topic", "x").unwrap();
    let mut consumer = emulator.consumer().connect().await.unwrap();
    consumer.next().await.unwrap().unwrap().release();
    let undecided = consumer.next().await.unwrap().unwrap();
    let again = consumer.next().await.unwrap().unwrap();
    assert_eq!((again.id(), undecided.id()), (&*id, &*id));
    again.accept();
    drop(undecided);
    consumer.close(GRACE).await;
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.sent, counts.redelivered, counts.released, counts.timed_out), (3, 2, 1, 1));
    assert_eq!((counts.accepted, counts.waiting, counts.leased), (1, 0, 0));
}

#[tokio::test]
async fn the_heartbeat_has_to_be_in_range_both_ends_included() {
    let emulator = Emulator::start().await.unwrap();
    let credentials = credentials(&emulator, keys(&emulator), |_| {}).await;
    let open = async |millis: Option<u64>| {
        let builder = builder(&emulator, &credentials).idle_time_out(millis.map(Duration::from_millis));
        let connection = builder.connect(&emulator.url()).await?;
        // The refusal follows the open that it answers.
        match connection.begin().await {
            Ok(_) => Ok(connection.remote_open().unwrap().idle_time_out.unwrap().0),
            Err(_) => Err(ConnectError::Refused(connection.closed().await)),
        }
    };
    for (millis, own) in [(30_000, 30_000), (60_000, 30_000), (300_000, 30_000)] {
        assert_eq!(open(Some(millis)).await.unwrap(), own, "{millis}");
    }
    for millis in [None, Some(1_000), Some(29_999), Some(300_001)] {
        let error = open(millis).await.unwrap_err();
        let ConnectError::Refused(ConnectionError::ClosedByPeer(Some(error))) = error else { panic!("{error}") };
        assert_eq!(error.condition, ErrorCondition::NOT_ALLOWED);
        assert!(error.to_string().contains("from 30000 to 300000 ms"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_has_exactly_one_receiver_and_no_sender() {
    let emulator = Emulator::start().await.unwrap();
    let connection = connection(&emulator).await;
    let session = connection.begin().await.unwrap();
    let refused = |error: LinkError| error.remote_error().unwrap().condition == ErrorCondition::NOT_ALLOWED;
    assert!(refused(session.sender("default").attach().await.unwrap_err()));
    let receiver = session.receiver("default").attach().await.unwrap();
    assert!(refused(session.receiver("default").attach().await.unwrap_err()));
    emulator.publish("/topic", "still works").unwrap();
    receiver.recv().await.unwrap().accept();
    receiver.close(None).await.unwrap();
    connection.close().await;
}

#[tokio::test]
async fn who_does_not_sign_in_or_attach_in_time_is_closed() {
    let emulator = Emulator::builder().rules(|rules| {
        rules.authenticate_within = Duration::from_millis(300);
        rules.attach_within = Duration::from_millis(300);
    });
    let emulator = emulator.start().await.unwrap();
    let connection = connection(&emulator).await;
    let error = closed_with(&connection).await;
    assert_eq!(error.condition, ErrorCondition::NOT_ALLOWED);
    assert!(error.to_string().contains("no receiver was attached in time"), "{error}");
    let mut mute = tokio::net::TcpStream::connect(emulator.address()).await.unwrap();
    let mut nothing = Vec::new();
    // Whether by end or by reset: the stream is over.
    let _ = mute.read_to_end(&mut nothing).await;
    assert_eq!(emulator.connections(), 0);
}

#[tokio::test]
async fn a_silent_client_is_closed_after_what_it_announced() {
    // 5.1-03
    let emulator =
        Emulator::builder().rules(|rules| rules.heartbeat = Duration::from_millis(100)..=Duration::from_secs(300));
    let emulator = emulator.start().await.unwrap();
    let made = credentials(&emulator, keys(&emulator), |_| {}).await;
    let mut options = ConnectOptions::new("127.0.0.1", emulator.address().port());
    options.tls = Some(TlsClient::builder().ca_pem(emulator.identity().authority.ca_pem()).build().unwrap());
    options.sasl = SaslProfile::Plain { user: made.user_name.expose().to_owned(), password: made.password.clone() };
    let mut stream = connect(&options).await.unwrap().stream;
    let mut wire = ProtocolHeader::AMQP.to_octets().to_vec();
    let open = Open { idle_time_out: Some(Milliseconds(200)), ..Open::new("silent") };
    let source = Some(Source::at("default").into());
    let attach =
        Attach { source, target: Some(Target::default().into()), ..Attach::new("link", Handle(0), Role::Receiver) };
    encode_frame(FrameType::Amqp, Channel(0), &open, &mut wire);
    encode_frame(FrameType::Amqp, Channel(0), &Begin::new(TransferNumber(0), 100, 100), &mut wire);
    encode_frame(FrameType::Amqp, Channel(0), &attach, &mut wire);
    stream.write_all(&wire).await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    let mut rest = &received[ProtocolHeader::SIZE..];
    let mut last = None;
    while let Some(frame) = next_frame(rest, 65_536).unwrap() {
        rest = &rest[frame.header.size as usize..];
        if !frame.body.is_empty() {
            last = Some(Reader::sized(frame.body).read::<Performative<'_>>().unwrap());
        }
    }
    let Some(Performative::Close(close)) = last else { panic!("{last:?}") };
    assert_eq!(close.error.unwrap().condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
}

#[tokio::test]
async fn connections_of_a_group_are_limited() {
    // 2.8.15-05
    let emulator = Emulator::builder().rules(|rules| rules.connections = 1).start().await.unwrap();
    let first = connection(&emulator).await;
    let _receiver = first.begin().await.unwrap().receiver("default").attach().await.unwrap();
    let error = closed_with(&connection(&emulator).await).await;
    assert_eq!(error.condition, ErrorCondition::RESOURCE_LIMIT_EXCEEDED);
    first.close().await;
}

#[tokio::test]
async fn sign_ins_are_judged_by_everything_they_say() {
    let now = SystemTime::now();
    let emulator =
        Emulator::builder().clock(move || now).rules(|rules| rules.max_clock_skew = Some(Duration::from_secs(60)));
    let emulator = emulator.start().await.unwrap();
    let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let identity = emulator.identity().clone();
    let good = || keys(&emulator);
    let attempts = [
        ("right", credentials(&emulator, good(), |s| s.timestamp = millis).await, true),
        ("a minute early", credentials(&emulator, good(), |s| s.timestamp = millis - 60_000).await, true),
        ("too early", credentials(&emulator, good(), |s| s.timestamp = millis - 60_001).await, false),
        ("too late", credentials(&emulator, good(), |s| s.timestamp = millis + 60_001).await, false),
        ("another instance", credentials(&emulator, good(), |s| s.instance_id = Some("iot-other")).await, false),
        ("no instance", credentials(&emulator, good(), |s| s.instance_id = None).await, false),
        ("another group", credentials(&emulator, good(), |s| s.consumer_group = "other").await, false),
        ("wrong secret", credentials(&emulator, AkSign::new(&*identity.access_key_id, "wrong"), |_| {}).await, false),
        (
            "unknown key",
            credentials(&emulator, AkSign::new("other", identity.access_key_secret.clone()), |_| {}).await,
            false,
        ),
        (
            "a token where none is due",
            {
                let keys = Keys::new(&*identity.access_key_id, identity.access_key_secret.clone()).with_token("token");
                credentials(&emulator, AkSign::from_source(keys), |_| {}).await
            },
            false,
        ),
    ];
    for (what, credentials, expected) in &attempts {
        let result = builder(&emulator, credentials).connect(&emulator.url()).await;
        assert_eq!(result.is_ok(), *expected, "{what}");
        if !expected {
            assert!(result.unwrap_err().to_string().contains("SASL code 1"), "{what}");
        }
    }
    let accepted: Vec<bool> = emulator.sign_ins().iter().map(|record| record.accepted).collect();
    assert_eq!(accepted, attempts.map(|(_, _, expected)| expected));
}

#[tokio::test]
async fn a_temporary_key_needs_its_token() {
    let mut identity = amqp10_broker::emulator::Identity::generate().unwrap();
    identity.security_token = Some("token+/=".into());
    let emulator = Emulator::builder().identity(identity).start().await.unwrap();
    emulator.publish("/topic", "x").unwrap();
    let mut consumer = emulator.consumer().limit(1).connect().await.unwrap();
    consumer.next().await.unwrap().unwrap().accept();
    consumer.close(GRACE).await;
    let without = credentials(&emulator, keys(&emulator), |_| {}).await;
    assert!(builder(&emulator, &without).connect(&emulator.url()).await.is_err());
    let other = Keys::new(emulator.identity().access_key_id.clone(), emulator.identity().access_key_secret.clone());
    let other = credentials(&emulator, AkSign::from_source(other.with_token("other")), |_| {}).await;
    assert!(builder(&emulator, &other).connect(&emulator.url()).await.is_err());
}

#[tokio::test]
async fn a_message_larger_than_the_client_takes_waits_for_another_client() {
    let emulator = Emulator::start().await.unwrap();
    emulator.publish("/topic", vec![0; 2000]).unwrap();
    emulator.publish("/topic", "small").unwrap();
    let connection = connection(&emulator).await;
    let session = connection.begin().await.unwrap();
    let receiver = session.receiver("default").max_message_size(1000).attach().await.unwrap();
    assert!(receiver.recv().await.unwrap().octets().len() < 1000);
    assert_eq!(emulator.counts().waiting, 1);
    connection.close().await;
}

#[tokio::test]
async fn a_message_of_any_shape_can_be_published() {
    let emulator = Emulator::start().await.unwrap();
    emulator.publish_message(&Message::value("text")).unwrap();
    let mut consumer = emulator.consumer().limit(1).connect().await.unwrap();
    let message = consumer.next().await.unwrap().unwrap();
    assert_eq!((message.text_lossy().as_ref(), message.id(), message.topic()), ("text", "", ""));
    message.accept();
    consumer.close(GRACE).await;
}

#[tokio::test]
async fn names_of_the_certificate() {
    let emulator = Emulator::builder().tls_name("iot-x.amqp.example").start().await.unwrap();
    let made = credentials(&emulator, keys(&emulator), |_| {}).await;
    for name in ["localhost", "127.0.0.1", "::1", "iot-x.amqp.example"] {
        let tls =
            TlsClient::builder().ca_pem(emulator.identity().authority.ca_pem()).server_name(name).build().unwrap();
        let connected = builder(&emulator, &made).tls(tls).connect(&emulator.url()).await;
        assert!(connected.is_ok(), "{name}: {connected:?}");
    }
    let tls = TlsClient::builder()
        .ca_pem(emulator.identity().authority.ca_pem())
        .server_name("other.example")
        .build()
        .unwrap();
    let error = builder(&emulator, &made).tls(tls).connect(&emulator.url()).await.unwrap_err();
    assert!(error.to_string().contains("not for other.example"), "{error}");
}

#[tokio::test]
async fn the_authority_of_another_emulator_is_nobody_to_trust() {
    let (emulator, other) = (Emulator::start().await.unwrap(), Emulator::start().await.unwrap());
    let made = credentials(&emulator, keys(&emulator), |_| {}).await;
    let error = builder(&other, &made).connect(&emulator.url()).await.unwrap_err();
    assert!(error.to_string().contains("signed by nobody we trust"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_is_free_after_shutdown() {
    let mut emulator = Emulator::start().await.unwrap();
    let address = emulator.address();
    for _ in 0..200 {
        emulator.shutdown(GRACE).await;
        emulator = Emulator::builder().listen(address).start().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_survives_a_cut_however_short() {
    let emulator = Emulator::start().await.unwrap();
    for n in 0..50 {
        let connection = connection(&emulator).await;
        let _receiver = connection.begin().await.unwrap().receiver("default").attach().await.unwrap();
        emulator.cut();
        if n % 2 == 0 {
            emulator.resume();
        }
        let closed = tokio::time::timeout(GRACE, connection.closed()).await;
        assert!(closed.is_ok(), "it is still connected the {n}th time");
        emulator.resume();
    }
}
