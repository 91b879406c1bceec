//! A certificate authority and a server certificate for localhost, made anew for every test.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// PEM files in a folder that goes with this.
#[derive(Debug)]
pub struct Certificate {
    folder: TempDir,
    /// The certificate of the authority, in PEM.
    pub ca_pem: String,
}

impl Certificate {
    /// Makes everything.
    ///
    /// # Panics
    /// If that fails.
    #[expect(clippy::new_without_default, reason = "it writes files")]
    pub fn new() -> Self {
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "amqp10 tests CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca_key = KeyPair::generate().unwrap();
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let mut leaf = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let chain = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("certificate.pem"), chain.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { folder, ca_pem }
    }

    /// The file with the server's certificate.
    pub fn chain(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The file with the server's private key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
