use std::time::{Duration, SystemTime};

use amqp10::codec::Value;
use amqp10_iot::{AkSign, Consumer, ConsumerBuilder, ConsumerError, CredentialProvider, SignIn};
use amqp10_tests::certificate::Certificate;
use amqp10_tests::peer::{Peer, program, variable};
use serde_json::json;
use tokio::process::Command;

const KEY: &str = "testAccessKeyId";
const SECRET: &str = "testAccessKeySecret";
const GROUP: &str = "group-1";
const CLIENT: &str = "client-1";
const INSTANCE: &str = "iot-x";
const TIMESTAMP: u64 = 1_573_489_088_171;
/// The password of this key at this instant, from the documents of the service.
const PASSWORD: &str = "uHLT1fhV2F46fGiA9Eh1t95WTQI=";
const MESSAGES: usize = 1000;
const BODIES: [usize; 4] = [0, 256, 70_000, 300_000];

/// A server that is not ours; it knows the one user name and password of the instant.
#[derive(Clone, Copy, Debug)]
enum Server {
    Proton,
    Rhea,
}

impl Server {
    fn command(self) -> Command {
        let (variable_name, program_name) = match self {
            Self::Proton => ("AMQP10_PEER_PYTHON", "proton_server.py"),
            Self::Rhea => ("AMQP10_PEER_NODE", "rhea_server.js"),
        };
        let mut command = Command::new(variable(variable_name));
        command.arg(program(program_name));
        command
    }

    async fn start(self, certificate: &Certificate, user: &str, messages: usize, max_frame_size: u32) -> (Peer, u16) {
        let mut command = self.command();
        command.arg("--certificate").arg(certificate.chain()).arg("--key").arg(certificate.key());
        command.args(["--count", &messages.to_string(), "--max-frame-size", &max_frame_size.to_string()]);
        command.env("AMQP10_PEER_USER", user).env("AMQP10_PEER_PASSWORD", PASSWORD);
        let mut peer = Peer::start(&mut command);
        let port = peer.port().await;
        (peer, port)
    }
}

async fn user_name() -> String {
    let mut sign_in = SignIn::new(CLIENT, GROUP, TIMESTAMP);
    sign_in.instance_id = Some(INSTANCE);
    let made = AkSign::new(KEY, SECRET).credentials(sign_in).await.unwrap();
    assert_eq!(made.password.expose(), PASSWORD);
    made.user_name.expose().to_owned()
}

fn consumer(certificate: &Certificate, port: u16, secret: &str) -> ConsumerBuilder {
    Consumer::builder("localhost", GROUP, AkSign::new(KEY, secret))
        .port(port)
        .client_id(CLIENT)
        .instance_id(INSTANCE)
        .clock(|| SystemTime::UNIX_EPOCH + Duration::from_millis(TIMESTAMP))
        .ca_pem(certificate.ca_pem.clone())
}

/// Octets of the body of message `index`, as the servers make them.
fn body(index: usize) -> Vec<u8> {
    (0..BODIES[index % BODIES.len()]).map(|octet| ((index + octet) % 251) as u8).collect()
}

async fn receive_everything(server: Server, max_frame_size: u32) {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    let certificate = Certificate::new();
    let user = user_name().await;
    let (peer, port) = server.start(&certificate, &user, MESSAGES, max_frame_size).await;
    let builder = consumer(&certificate, port, SECRET).max_frame_size(max_frame_size).limit(MESSAGES as u64);
    let mut consumer = builder.connect().await.unwrap();
    for index in 0..MESSAGES {
        let message = consumer.next().await.unwrap().expect("a message");
        assert!(message.error().is_none(), "{index}: {:?}", message.error());
        assert_eq!(message.id(), format!("peer-{index}"));
        assert_eq!(message.topic(), format!("/peer/device-{}/user/data", index % 3));
        assert_eq!(message.generate_time(), Some(TIMESTAMP as i64 + index as i64));
        assert_eq!(message.properties(), [("qos".to_owned(), Value::Int(index as i32 % 2))]);
        assert!(message.body() == &body(index), "the body of message {index}");
        message.accept();
    }
    assert!(consumer.next().await.unwrap().is_none());
    assert_eq!((consumer.handle().accepted(), consumer.handle().released()), (MESSAGES as u64, 0));
    consumer.close(Duration::from_secs(10)).await;
    let (lines, success) = peer.end().await;
    let counts: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let expected = json!({
        "sent": MESSAGES, "accepted": MESSAGES, "settled": MESSAGES,
        "rejected": 0, "released": 0, "modified": 0, "refused": 0, "sasl_user": user,
    });
    assert_eq!(counts, expected);
    assert!(success);
}

async fn a_wrong_secret_is_refused(server: Server) {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    let certificate = Certificate::new();
    let (peer, port) = server.start(&certificate, &user_name().await, 1, 65_536).await;
    let refused = consumer(&certificate, port, "wrong").connect().await.unwrap_err();
    assert!(matches!(&refused, ConsumerError::AuthenticationRefused { key_id } if key_id == KEY), "{refused}");
    drop(peer);
}

#[tokio::test]
#[ignore = "needs Qpid Proton: run tests/run"]
async fn everything_from_proton_in_frames_of_512_octets() {
    receive_everything(Server::Proton, 512).await;
}

#[tokio::test]
#[ignore = "needs Qpid Proton: run tests/run"]
async fn everything_from_proton_in_frames_of_64_kib() {
    receive_everything(Server::Proton, 65_536).await;
}

#[tokio::test]
#[ignore = "needs rhea: run tests/run"]
async fn everything_from_rhea_in_frames_of_512_octets() {
    receive_everything(Server::Rhea, 512).await;
}

#[tokio::test]
#[ignore = "needs rhea: run tests/run"]
async fn everything_from_rhea_in_frames_of_64_kib() {
    receive_everything(Server::Rhea, 65_536).await;
}

#[tokio::test]
#[ignore = "needs Qpid Proton: run tests/run"]
async fn proton_refuses_a_wrong_secret() {
    a_wrong_secret_is_refused(Server::Proton).await;
}

#[tokio::test]
#[ignore = "needs rhea: run tests/run"]
async fn rhea_refuses_a_wrong_secret() {
    a_wrong_secret_is_refused(Server::Rhea).await;
}
