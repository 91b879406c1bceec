//! TLS by rustls, with a cryptography provider that is passed and never taken from the process.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, PeerIncompatible, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::verifier::{SelfSigned, Verifier};

/// Where TLS takes its cryptography from.
#[derive(Clone)]
pub struct Crypto(Arc<CryptoProvider>);

impl Crypto {
    /// The `ring` crate.
    #[cfg(feature = "ring")]
    pub fn ring() -> Self {
        Self(Arc::new(rustls::crypto::ring::default_provider()))
    }

    /// The `aws-lc-rs` crate.
    #[cfg(feature = "aws-lc-rs")]
    pub fn aws_lc_rs() -> Self {
        Self(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
    }

    /// A provider of somebody else's.
    pub fn custom(provider: Arc<CryptoProvider>) -> Self {
        Self(provider)
    }

    /// `ring` if this build has it, else `aws-lc-rs`, else none.
    fn of_this_build() -> Option<Self> {
        #[cfg(feature = "ring")]
        return Some(Self::ring());
        #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
        return Some(Self::aws_lc_rs());
        #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
        None
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crypto { .. }")
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// This build has no cryptography.
    #[error("no cryptography: build with the feature `ring` or `aws-lc-rs`, or pass a provider")]
    NoCrypto,
    /// There is no certificate in what should hold some.
    #[error("no certificate found in the PEM data of {0}")]
    NoCertificate(&'static str),
    /// Nobody is trusted: no server could be.
    #[error("no certificate authority is trusted: trust those of the web, or give one")]
    NoAuthority,
    /// The PEM data cannot be read.
    #[error("the PEM data of {0} cannot be read: {1}")]
    Pem(&'static str, String),
    /// rustls refuses the combination.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    /// The server name is neither a DNS name nor an IP address.
    #[error("{0:?} is not a TLS server name: use a DNS name or an IP address")]
    ServerName(String),
}

/// How a client does TLS; cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Settings of a [`TlsClient`].
#[derive(Clone, Debug)]
pub struct TlsClientBuilder {
    crypto: Option<Crypto>,
    web_roots: bool,
    ca_pem: Vec<Vec<u8>>,
    server_name: Option<String>,
}

impl TlsClient {
    /// Trusts the certificate authorities of the web, checks names, speaks TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// When this build has no cryptography.
    pub fn new() -> Result<Self, TlsConfigError> {
        Self::builder().build()
    }

    /// Settings to change first.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder { crypto: None, web_roots: true, ca_pem: Vec::new(), server_name: None }
    }

    /// Encrypts a stream to `host`, or to the server name that was set instead.
    ///
    /// # Errors
    /// When the handshake fails; see [`TlsError`].
    pub async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::ServerName(host.to_owned()))?,
        };
        let expected = name.to_str().into_owned();
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(name, stream).await;
        stream.map(TlsStream::from).map_err(|error| TlsError::from_io(error, &expected))
    }
}

impl TlsClientBuilder {
    /// Takes the cryptography from here instead of the default of this build.
    #[must_use]
    pub fn crypto(mut self, crypto: Crypto) -> Self {
        self.crypto = Some(crypto);
        self
    }

    /// Trusts these certificate authorities, in PEM, instead of those of the web. May be called several times.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.web_roots = false;
        self.ca_pem.push(pem.into());
        self
    }

    /// Whether the certificate authorities of the web are trusted; they are unless others were given.
    #[must_use]
    pub fn web_roots(mut self, trusted: bool) -> Self {
        self.web_roots = trusted;
        self
    }

    /// Expects this name in the server's certificate, and asks for it, instead of the host that is dialled.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The finished settings.
    ///
    /// # Errors
    /// When there is no cryptography, nobody is trusted, or PEM data or the server name are not valid.
    pub fn build(self) -> Result<TlsClient, TlsConfigError> {
        let crypto = self.crypto.or_else(Crypto::of_this_build).ok_or(TlsConfigError::NoCrypto)?;
        let mut roots = RootCertStore::empty();
        if self.web_roots {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for pem in &self.ca_pem {
            for certificate in certificates(pem, "the certificate authority")? {
                roots.add(certificate)?;
            }
        }
        let server_name = match self.server_name {
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| TlsConfigError::ServerName(name))?),
            None => None,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&crypto.0));
        // Without lists of revoked certificates it fails for want of an authority only.
        let verifier = verifier.build().map_err(|_| TlsConfigError::NoAuthority)?;
        let config = ClientConfig::builder_with_provider(crypto.0)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(verifier)))
            .with_no_client_auth();
        Ok(TlsClient { config: Arc::new(config), server_name })
    }
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| TlsConfigError::Pem(what, error.to_string()))?;
    if found.is_empty() { Err(TlsConfigError::NoCertificate(what)) } else { Ok(found) }
}

/// How a server does TLS; cheap to clone.
#[derive(Clone)]
pub struct TlsServer(TlsAcceptor);

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsServer { .. }")
    }
}

impl TlsServer {
    /// Shows the certificates of `chain_pem`, its own first, and proves them with the key of `key_pem`.
    ///
    /// # Errors
    /// When there is no cryptography, or the PEM data are not valid or do not fit together.
    pub fn new(crypto: Option<Crypto>, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsConfigError> {
        let crypto = crypto.or_else(Crypto::of_this_build).ok_or(TlsConfigError::NoCrypto)?;
        let chain = certificates(chain_pem, "the certificate chain")?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| TlsConfigError::Pem("the private key", error.to_string()))?;
        let config = ServerConfig::builder_with_provider(crypto.0)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Encrypts a stream that was accepted.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await.map(TlsStream::from)
    }
}

/// Why a TLS handshake failed, from the client's side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The host cannot stand in a certificate.
    #[error("{0:?} is not a TLS server name: use a DNS name or an IP address")]
    ServerName(String),
    /// The certificate's time is over, or has not come.
    #[error("the server's certificate is not valid at this time (expired, or this machine's clock is wrong): {0}")]
    Expired(rustls::Error),
    /// The certificate belongs to somebody else.
    #[error("the server's certificate is not for {expected}: {source}")]
    WrongName {
        /// The name that was asked for.
        expected: String,
        /// What rustls says, with the names that the certificate has.
        source: rustls::Error,
    },
    /// The certificate is signed by itself, and not among those that we trust.
    #[error("the server's certificate is self-signed, and not one that we trust: {0}")]
    SelfSigned(rustls::Error),
    /// Nobody we trust has signed the certificate.
    #[error("the server's certificate is signed by nobody we trust (its certificate authority is not known here): {0}")]
    UnknownIssuer(rustls::Error),
    /// The certificate is unusable for another reason.
    #[error("the server's certificate is not acceptable: {0}")]
    Certificate(rustls::Error),
    /// The server speaks older versions of TLS only.
    #[error("the server offers no TLS version that we speak (1.2 or 1.3): {0}")]
    Version(rustls::Error),
    /// What answered does not speak TLS.
    #[error("the server does not speak TLS on this port: {0}")]
    NotTls(rustls::Error),
    /// The server hung up in the middle.
    #[error("the server closed the stream during the TLS handshake: {0}")]
    Closed(io::Error),
    /// Anything else.
    #[error("the TLS handshake failed: {0}")]
    Other(io::Error),
}

impl TlsError {
    fn from_io(error: io::Error, expected: &str) -> Self {
        let found = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
        let Some(tls) = found else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    Self::Closed(error)
                }
                _ => Self::Other(error),
            };
        };
        match &tls {
            rustls::Error::InvalidCertificate(reason) => match reason {
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired(tls),
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::WrongName { expected: expected.to_owned(), source: tls }
                }
                CertificateError::UnknownIssuer => Self::UnknownIssuer(tls),
                CertificateError::Other(other) if other.0.is::<SelfSigned>() => Self::SelfSigned(tls),
                _ => Self::Certificate(tls),
            },
            rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            )
            | rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion) => Self::Version(tls),
            rustls::Error::InvalidMessage(_) => Self::NotTls(tls),
            _ => Self::Other(error),
        }
    }
}

#[cfg(all(test, feature = "ring", feature = "aws-lc-rs"))]
mod tests {
    use super::*;

    #[test]
    fn of_both_providers_ring_is_taken_unless_another_is_passed() {
        let name = |crypto: Crypto| format!("{:?}", crypto.0.key_provider);
        assert_ne!(name(Crypto::ring()), name(Crypto::aws_lc_rs()));
        assert_eq!(name(Crypto::of_this_build().unwrap()), name(Crypto::ring()));
        for (passed, taken) in [(None, Crypto::ring()), (Some(Crypto::aws_lc_rs()), Crypto::aws_lc_rs())] {
            let builder = TlsClient::builder();
            let client = match passed {
                Some(crypto) => builder.crypto(crypto),
                None => builder,
            };
            let config = client.build().unwrap().config;
            assert_eq!(name(Crypto(Arc::clone(config.crypto_provider()))), name(taken));
        }
    }
}
