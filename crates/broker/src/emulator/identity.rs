use std::fmt;

use amqp10::transport::TlsServer;
use amqp10_iot::Secret;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::StartError;

/// Whom an emulator takes for a client, and whom clients take it for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The id of the one access key.
    pub access_key_id: String,
    /// The key itself.
    pub access_key_secret: Secret,
    /// The token that clients have to present too, if the key is a temporary one.
    pub security_token: Option<Secret>,
    /// The consumer group.
    pub consumer_group: String,
    /// The instance; `None` for a legacy public one.
    pub instance_id: Option<String>,
    /// Who signs the server's certificate.
    pub authority: Authority,
}

impl Identity {
    /// Random keys, and an authority of its own.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn generate() -> Result<Self, StartError> {
        let random = |length| std::iter::repeat_with(fastrand::alphanumeric).take(length).collect::<String>();
        Ok(Self {
            access_key_id: format!("emulator{}", random(16)),
            access_key_secret: random(30).into(),
            security_token: None,
            consumer_group: "emulator-group".to_owned(),
            instance_id: Some("iot-emulator".to_owned()),
            authority: Authority::generate()?,
        })
    }
}

/// A certificate authority of one emulator. Its certificate is what clients have to trust; the server's own certificate is made
/// anew at every start.
#[derive(Clone)]
pub struct Authority {
    ca_pem: String,
    key_pem: Secret,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority { .. }")
    }
}

fn params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    // Whoever trusts another emulator must not take this authority for that one with a broken signature.
    let mark: String = key.public_key_raw().iter().rev().take(8).map(|octet| format!("{octet:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("amqp10 IoT emulator CA {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn generate() -> Result<Self, StartError> {
        let key = KeyPair::generate()?;
        let certificate = params(&key).self_signed(&key)?;
        Ok(Self { ca_pem: certificate.pem(), key_pem: key.serialize_pem().into() })
    }

    /// An authority that was kept: what [`ca_pem`](Self::ca_pem) and [`key_pem`](Self::key_pem) gave.
    ///
    /// # Errors
    /// When `key_pem` is not a private key.
    pub fn from_pem(ca_pem: impl Into<String>, key_pem: impl Into<Secret>) -> Result<Self, StartError> {
        let authority = Self { ca_pem: ca_pem.into(), key_pem: key_pem.into() };
        KeyPair::from_pem(authority.key_pem.expose())?;
        Ok(authority)
    }

    /// The certificate that clients have to trust, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The private key, in PEM.
    pub fn key_pem(&self) -> &Secret {
        &self.key_pem
    }

    /// A server certificate for localhost, 127.0.0.1, ::1 and these names.
    pub(super) fn server(&self, names: &[String]) -> Result<TlsServer, StartError> {
        let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let names: Vec<String> = local.into_iter().chain(names.iter().cloned()).collect();
        let mut leaf = CertificateParams::new(names)?;
        leaf.distinguished_name.push(DnType::CommonName, "amqp10 IoT emulator");
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let authority = KeyPair::from_pem(self.key_pem.expose())?;
        let issuer = Issuer::new(params(&authority), authority);
        let certificate = leaf.signed_by(&key, &issuer)?;
        let key_pem = Secret::from(key.serialize_pem());
        Ok(TlsServer::new(None, certificate.pem().as_bytes(), key_pem.expose().as_bytes())?)
    }
}
