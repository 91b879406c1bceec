use std::time::Duration;

use amqp10_broker::{Emulator, EmulatorBuilder};
use amqp10_tests::peer::{Peer, program, variable};
use tempfile::NamedTempFile;
use tokio::process::Command;

const GRACE: Duration = Duration::from_secs(10);

/// The vendor's program as a client of an emulator.
async fn start(builder: EmulatorBuilder, settings: &[(&str, &str)]) -> (Emulator, Peer, NamedTempFile) {
    let emulator = builder.start().await.unwrap();
    let identity = emulator.identity();
    let ca = NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), identity.authority.ca_pem()).unwrap();
    let mut command = Command::new(variable("AMQP10_PEER_VENDOR_PYTHON"));
    command
        .arg(program("vendor_client.py"))
        .env("AMQP10_PEER_URL", format!("amqps://localhost:{}", emulator.address().port()))
        .env("AMQP10_PEER_CA", ca.path())
        .env("AMQP10_PEER_ACCESS_KEY_ID", &identity.access_key_id)
        .env("AMQP10_PEER_ACCESS_KEY_SECRET", identity.access_key_secret.expose())
        .env("AMQP10_PEER_CONSUMER_GROUP", &identity.consumer_group)
        .env("AMQP10_PEER_INSTANCE_ID", identity.instance_id.as_deref().unwrap());
    for (name, value) in settings {
        command.env(format!("AMQP10_PEER_{name}"), value);
    }
    (emulator, Peer::start(&mut command), ca)
}

#[tokio::test]
#[ignore = "needs the vendor's program: run tests/run"]
async fn the_vendors_program_receives_from_our_emulator() {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    let builder = Emulator::builder().devices(3, 1_000.0, Some(300));
    let (emulator, mut peer, _ca) = start(builder, &[("COUNT", "303"), ("DURATION", "60")]).await;
    let id = emulator.publish("/p/d/user/large", vec![b'x'; 256 * 1024]).unwrap();
    emulator.publish("/p/d/user/empty", "").unwrap();
    emulator.publish("/p/d/user/binary", vec![0xff, 0, b'\n']).unwrap();
    assert_eq!(peer.line().await.unwrap(), "connection opened: localhost");
    let (lines, success) = peer.end().await;
    assert!(success, "{:?}", lines.iter().rev().take(3).collect::<Vec<_>>());
    let (end, messages) = lines.split_last().unwrap();
    assert_eq!((end.as_str(), messages.len()), ("end: received=303 connected=yes", 303));
    let large = format!("receive message: message_id={id}, topic=/p/d/user/large, content={}", "x".repeat(256 * 1024));
    assert!(messages.contains(&large));
    for content in ["topic=/p/d/user/empty, content=", r"topic=/p/d/user/binary, content=\xff\x00\x0a"] {
        assert!(messages.iter().any(|line| line.ends_with(content)), "{content}");
    }
    let counts = emulator.shutdown(GRACE).await;
    assert_eq!((counts.produced, counts.sent, counts.accepted, counts.redelivered), (303, 303, 303, 0));
}

#[tokio::test]
#[ignore = "needs the vendor's program: run tests/run"]
async fn the_vendors_program_keeps_the_heartbeat_that_its_setting_means() {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    // Proton puts half of its setting on the wire, and hears nothing of the devices.
    let builder =
        Emulator::builder().rules(|rules| rules.heartbeat = Duration::from_secs(1)..=Duration::from_secs(300));
    let (emulator, peer, _ca) = start(builder, &[("HEARTBEAT", "2"), ("DURATION", "5")]).await;
    let (lines, success) = peer.end().await;
    assert_eq!(lines, ["connection opened: localhost", "end: received=0 connected=yes"]);
    assert!(success);
    emulator.shutdown(GRACE).await;
}
