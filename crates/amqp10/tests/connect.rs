//! Where a connection goes, and what it calls its peer.

use std::time::Duration;

use amqp10::transport::sasl::{Attempt, Verdict};
use amqp10::transport::{self, AcceptOptions, TlsClient, TlsServer};
use amqp10::{ConnectError, Connection, ConnectionBuilder, Listener, ServerBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a server learns of a client that connects: the host in sasl-init, and the one in open.
async fn learned(listener: Listener, tls: TlsServer) -> Option<(Option<String>, Option<String>)> {
    let mut options = AcceptOptions::default();
    options.tls = Some(tls);
    let stream = listener.accept().await.unwrap().authenticate(&options, |_| async { Verdict::Accept }).await.ok()?;
    let Some(Attempt::Plain { hostname: meant, .. }) = stream.attempt().cloned() else { panic!("PLAIN") };
    let pending = stream.open(ServerBuilder::new()).await.unwrap();
    let opened = pending.remote_open().unwrap().hostname.clone().map(|host| host.as_str().to_owned());
    let settings = pending.settings();
    pending.accept(settings).await.unwrap().closed().await;
    Some((meant, opened))
}

struct Server {
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Server {
    /// A server whose certificate is for this name.
    fn new(name: &str) -> Self {
        Self { certificate: rcgen::generate_simple_self_signed([name.to_owned()]).unwrap() }
    }

    fn client(&self) -> TlsClient {
        TlsClient::builder().ca_pem(self.certificate.cert.pem()).build().unwrap()
    }

    /// Connects by this builder, and tells what the server learned.
    async fn reached(
        &self,
        url: &str,
        build: impl FnOnce(ConnectionBuilder, u16) -> ConnectionBuilder,
    ) -> Result<(Option<String>, Option<String>), ConnectError> {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (chain, key) = (self.certificate.cert.pem(), self.certificate.signing_key.serialize_pem());
        let tls = TlsServer::new(None, chain.as_bytes(), key.as_bytes()).unwrap();
        let serving = tokio::spawn(learned(listener, tls));
        build(Connection::builder(), port).connect(url).await?.close().await;
        Ok(serving.await.unwrap().unwrap())
    }
}

const URL: &str = "amqps://user:password@host.example:1";

#[tokio::test]
async fn dialled_address_tls_server_name_and_amqp_hostname_are_separate() {
    // 2.7.1-06, 5.1-01, 5.3-03, 5.3.3.2-06, 5.3.3.5-02
    let server = Server::new("host.example");
    // The URL's host counts for all of them; only the dialled address is another.
    let found =
        server.reached(URL, |builder, port| builder.dial("127.0.0.1", port).tls(server.client())).await.unwrap();
    let host = || Some("host.example".to_owned());
    assert_eq!(found, (host(), host()));
    // The name told to the peer.
    let build = |builder: ConnectionBuilder, port| builder.dial("127.0.0.1", port).tls(server.client());
    let found = server.reached(URL, |builder, port| build(builder, port).hostname("tenant.example")).await.unwrap();
    let tenant = || Some("tenant.example".to_owned());
    assert_eq!(found, (tenant(), tenant()));
    // The name in the certificate.
    let other = Server::new("tls.example");
    let pem = other.certificate.cert.pem();
    let named = TlsClient::builder().ca_pem(pem).server_name("tls.example").build().unwrap();
    let found = other.reached(URL, |builder, port| builder.dial("127.0.0.1", port).tls(named)).await.unwrap();
    assert_eq!(found, (host(), host()));
    // The dialled address does not stand in for the name that the URL asks for.
    let address = Server::new("127.0.0.1");
    let refused = address.reached(URL, |builder, port| builder.dial("127.0.0.1", port).tls(address.client())).await;
    let Err(ConnectError::Transport(transport::ConnectError::Tls(error))) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("host.example"), "{error}");
}

#[tokio::test]
async fn a_name_without_address_and_a_closed_port_are_errors_of_their_own() {
    // No label is longer than 63 octets, so nobody is asked.
    let nowhere = format!("{}.invalid", "x".repeat(64));
    let error = Connection::connect(&format!("amqp://{nowhere}")).await.unwrap_err();
    let ConnectError::Transport(error) = error else { panic!("{error:?}") };
    assert!(matches!(&error, transport::ConnectError::Resolve { host, .. } if *host == nowhere), "{error:?}");
    assert!(error.to_string().starts_with(&format!("the host name {nowhere} cannot be resolved")), "{error}");
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let error = Connection::connect(&format!("amqp://127.0.0.1:{port}")).await.unwrap_err();
    let ConnectError::Transport(error) = error else { panic!("{error:?}") };
    assert!(matches!(&error, transport::ConnectError::Tcp { port: found, .. } if *found == port), "{error:?}");
    assert!(error.to_string().starts_with(&format!("cannot connect to 127.0.0.1 port {port}: ")), "{error}");
}

/// A server of octets: it says what a real one does, the last part cut in two.
#[tokio::test(start_paused = true)]
async fn h31_outcome_header_and_open_in_one_segment_and_split_at_every_octet() {
    use amqp10::codec::sasl::{Mechanisms, SaslCode, SaslMechanisms, SaslOutcome};
    use amqp10::codec::{Channel, FrameType, Open, ProtocolHeader, Symbol, encode_frame};
    let offer = Mechanisms([Symbol::from_static("PLAIN")].into_iter().collect());
    let (mut mechanisms, mut rest) = (Vec::new(), Vec::new());
    encode_frame(FrameType::Sasl, Channel(0), &SaslMechanisms { sasl_server_mechanisms: offer }, &mut mechanisms);
    let outcome = SaslOutcome { code: SaslCode::Ok, additional_data: None };
    encode_frame(FrameType::Sasl, Channel(0), &outcome, &mut rest);
    rest.extend_from_slice(&ProtocolHeader::AMQP.to_octets());
    encode_frame(FrameType::Amqp, Channel(0), &Open::new("server"), &mut rest);
    for cut in 0..=rest.len() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let (first, second) = rest.split_at(cut);
        let serving = async {
            theirs.write_all(&ProtocolHeader::SASL.to_octets()).await.unwrap();
            theirs.write_all(&mechanisms).await.unwrap();
            theirs.read_exact(&mut [0; ProtocolHeader::SIZE + 1]).await.unwrap();
            theirs.write_all(first).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            theirs.write_all(second).await.unwrap();
        };
        let connecting = Connection::builder().plain("user", "password").connect_over(ours, true);
        let (client, ()) = tokio::join!(connecting, serving);
        assert_eq!(client.unwrap().remote_open().unwrap().container_id, *"server", "cut at {cut}");
    }
}
