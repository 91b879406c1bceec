//! TLS over real sockets: what is refused, and why.

use std::net::{IpAddr, Ipv4Addr};

use amqp10_transport::{
    AcceptError, AcceptOptions, ConnectError, ConnectOptions, Crypto, TlsClient, TlsConfigError, TlsError, TlsServer,
    accept, connect,
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A server whose certificate this authority signed.
    fn server(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> TlsServer {
        self.server_with(None, names, change)
    }

    fn server_with(
        &self,
        crypto: Option<Crypto>,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> TlsServer {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        TlsServer::new(crypto, certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    fn client(&self) -> TlsClient {
        TlsClient::builder().ca_pem(self.certificate.pem()).build().unwrap()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "server");
    params
}

/// Listens, lets one client in, and tells the port.
async fn serve(tls: TlsServer) -> (u16, JoinHandle<Result<(), AcceptError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut options = AcceptOptions::default();
        (options.tls, options.without_sasl) = (Some(tls), true);
        accept(tcp, &options, |_| async { unreachable!("no client signs in") }).await.map(|_| ())
    });
    (port, serving)
}

/// Connects and begins to speak AMQP, so that the server has something to read.
async fn reach_with(options: &ConnectOptions) -> Result<(), TlsError> {
    match connect(options).await {
        Ok(mut established) => {
            established.stream.write_all(b"AMQP\0\x01\0\0").await.unwrap();
            established.stream.flush().await.unwrap();
            Ok(())
        }
        Err(ConnectError::Tls(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

async fn reach(host: &str, port: u16, tls: TlsClient) -> Result<(), TlsError> {
    let mut options = ConnectOptions::new(host, port);
    options.tls = Some(tls);
    reach_with(&options).await
}

/// What the client says of a server.
async fn refusal(host: &str, server: TlsServer, client: TlsClient) -> TlsError {
    let (port, serving) = serve(server).await;
    let error = reach(host, port, client).await.unwrap_err();
    assert!(serving.await.unwrap().is_err(), "the server knows of it too");
    error
}

fn begins(error: &TlsError, text: &str) {
    assert!(error.to_string().starts_with(text), "{error}");
}

#[tokio::test]
async fn a_certificate_by_an_authority_that_is_trusted() {
    // 2.8.19-03, 5.2.1-01, 5.2.1-02
    let authority = Authority::new("authority");
    let (port, serving) = serve(authority.server(&["localhost"], |_| {})).await;
    reach("localhost", port, authority.client()).await.unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn h33_expired_certificate() {
    let authority = Authority::new("authority");
    let server = authority.server(&["localhost"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let error = refusal("localhost", server, authority.client()).await;
    assert!(matches!(error, TlsError::Expired(_)), "{error:?}");
    begins(&error, "the server's certificate is not valid at this time");
    let server = authority.server(&["localhost"], |params| params.not_before = date_time_ymd(2999, 1, 1));
    let error = refusal("localhost", server, authority.client()).await;
    assert!(matches!(error, TlsError::Expired(_)), "not yet valid: {error:?}");
}

#[tokio::test]
async fn h33_self_signed_certificate() {
    // 5.2-05
    let key = KeyPair::generate().unwrap();
    let certificate = params(&["localhost"]).self_signed(&key).unwrap();
    let server = || TlsServer::new(None, certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    for client in [Authority::new("another").client(), TlsClient::new().unwrap()] {
        let error = refusal("localhost", server(), client).await;
        assert!(matches!(error, TlsError::SelfSigned(_)), "{error:?}");
        begins(&error, "the server's certificate is self-signed");
    }
    // It may be trusted itself.
    let (port, serving) = serve(server()).await;
    let client = TlsClient::builder().ca_pem(certificate.pem()).build().unwrap();
    reach("localhost", port, client).await.unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn h33_wrong_name() {
    let authority = Authority::new("authority");
    let error = refusal("localhost", authority.server(&["host.example"], |_| {}), authority.client()).await;
    assert!(matches!(&error, TlsError::WrongName { expected, .. } if expected == "localhost"), "{error:?}");
    begins(&error, "the server's certificate is not for localhost");
    assert!(error.to_string().contains("host.example"), "the names that it has are told: {error}");
}

#[tokio::test]
async fn h33_unknown_authority() {
    let authority = Authority::new("authority");
    for client in [Authority::new("another").client(), TlsClient::new().unwrap()] {
        let error = refusal("localhost", authority.server(&["localhost"], |_| {}), client).await;
        assert!(matches!(error, TlsError::UnknownIssuer(_)), "{error:?}");
        begins(&error, "the server's certificate is signed by nobody we trust");
    }
    // An authority that only has the name of one that is trusted.
    let namesake = Authority::new("authority");
    let error = refusal("localhost", authority.server(&["localhost"], |_| {}), namesake.client()).await;
    assert!(matches!(error, TlsError::UnknownIssuer(_) | TlsError::Certificate(_)), "{error:?}");
    let nobody = TlsClient::builder().web_roots(false).build();
    assert!(matches!(nobody, Err(TlsConfigError::NoAuthority)), "{nobody:?}");
}

#[tokio::test]
async fn h33_ip_address_host() {
    let authority = Authority::new("authority");
    let error = refusal("127.0.0.1", authority.server(&["localhost"], |_| {}), authority.client()).await;
    assert!(matches!(&error, TlsError::WrongName { expected, .. } if expected == "127.0.0.1"), "{error:?}");
    begins(&error, "the server's certificate is not for 127.0.0.1");
    // An address in the certificate counts, a name that reads like one does not.
    let (address, name) = (IpAddr::V4(Ipv4Addr::LOCALHOST), "127.0.0.1".try_into().unwrap());
    for (entry, counts) in [(SanType::IpAddress(address), true), (SanType::DnsName(name), false)] {
        let (port, _serving) = serve(authority.server(&[], |params| params.subject_alt_names = vec![entry])).await;
        assert_eq!(reach("127.0.0.1", port, authority.client()).await.is_ok(), counts);
    }
}

/// A server that reads the hello of the client, says this, and waits until the client has gone.
async fn says(octets: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut head = [0; 5];
        tcp.read_exact(&mut head).await.unwrap();
        let [.., high, low] = head;
        tcp.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([high, low]))]).await.unwrap();
        tcp.write_all(octets).await.unwrap();
        if !octets.is_empty() {
            let _ = tcp.read_to_end(&mut Vec::new()).await;
        }
    });
    port
}

#[tokio::test]
async fn h33_tls_1_1_only() {
    let alert = b"\x15\x03\x02\x00\x02\x02\x46";
    // A ServerHello of version 3.2 without extensions.
    let hello = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x020123456789abcdef0123456789abcdef\x00\x00\x2f\x00";
    for answer in [&alert[..], hello] {
        let port = says(answer).await;
        let error = reach("localhost", port, TlsClient::new().unwrap()).await.unwrap_err();
        assert!(matches!(error, TlsError::Version(_)), "{error:?}");
        begins(&error, "the server offers no TLS version that we speak (1.2 or 1.3)");
    }
}

#[tokio::test]
async fn h33_what_is_not_tls_or_another_failure_is_not_taken_for_an_old_version() {
    let port = says(b"AMQP\x03\x01\x00\x00").await;
    let error = reach("localhost", port, TlsClient::new().unwrap()).await.unwrap_err();
    assert!(matches!(error, TlsError::NotTls(_)), "{error:?}");
    let port = says(b"").await;
    let error = reach("localhost", port, TlsClient::new().unwrap()).await.unwrap_err();
    assert!(matches!(error, TlsError::Closed(_)), "{error:?}");
    // handshake_failure, and a ServerHello that chooses a cipher nobody offered.
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    let hello = b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x030123456789abcdef0123456789abcdef\x00\x00\x00\x00";
    for answer in [&alert[..], hello] {
        let port = says(answer).await;
        let error = reach("localhost", port, TlsClient::new().unwrap()).await.unwrap_err();
        assert!(matches!(error, TlsError::Other(_)), "{error:?}");
    }
}

#[tokio::test]
async fn h33_server_name_override() {
    let authority = Authority::new("authority");
    let named = || TlsClient::builder().ca_pem(authority.certificate.pem()).server_name("host.example");
    // The client's own name counts before that of the options, and that before the host that is dialled.
    for (client, option) in [
        (named().build().unwrap(), None),
        (named().build().unwrap(), Some("another.example")),
        (authority.client(), Some("host.example")),
    ] {
        let (port, serving) = serve(authority.server(&["host.example"], |_| {})).await;
        let mut options = ConnectOptions::new("127.0.0.1", port);
        (options.tls, options.tls_server_name) = (Some(client), option.map(str::to_owned));
        reach_with(&options).await.unwrap();
        serving.await.unwrap().unwrap();
    }
    // And it is the only one that counts.
    let error = refusal("localhost", authority.server(&["localhost"], |_| {}), named().build().unwrap()).await;
    assert!(matches!(&error, TlsError::WrongName { expected, .. } if expected == "host.example"), "{error:?}");
    let nonsense = named().server_name("no host").build();
    assert!(matches!(nonsense, Err(TlsConfigError::ServerName(_))), "{nonsense:?}");
}

/// Built with both features, as the tests of the whole workspace are.
#[cfg(all(feature = "ring", feature = "aws-lc-rs"))]
#[tokio::test]
async fn both_providers_of_cryptography_in_one_tree() {
    let authority = Authority::new("authority");
    let providers = || [Some(Crypto::ring()), Some(Crypto::aws_lc_rs()), None];
    for ours in providers() {
        for theirs in providers() {
            let builder = TlsClient::builder().ca_pem(authority.certificate.pem());
            let builder = match ours.clone() {
                Some(crypto) => builder.crypto(crypto),
                None => builder,
            };
            let (port, serving) = serve(authority.server_with(theirs, &["localhost"], |_| {})).await;
            reach("localhost", port, builder.build().unwrap()).await.unwrap();
            serving.await.unwrap().unwrap();
        }
    }
    assert!(rustls::crypto::CryptoProvider::get_default().is_none(), "nothing was installed in the process");
}

#[tokio::test]
async fn the_client_greets_first_and_names_the_server() {
    // 5.2-03, 5.2-04
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeted = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut head = [0; 5];
        tcp.read_exact(&mut head).await.unwrap();
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        tcp.read_exact(&mut hello).await.unwrap();
        (head[0], hello)
    });
    let mut options = ConnectOptions::new("127.0.0.1", port);
    (options.tls, options.tls_server_name) = (Some(TlsClient::new().unwrap()), Some("host.example".to_owned()));
    reach_with(&options).await.unwrap_err();
    let (kind, hello) = greeted.await.unwrap();
    // A handshake record with a ClientHello, whose server_name is a host_name.
    assert_eq!((kind, hello[0]), (0x16, 1));
    assert!(hello.windows(15).any(|found| found == b"\0\0\x0chost.example"), "{hello:?}");
}
