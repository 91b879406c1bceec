use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

/// Leaves every decision to webpki; of what it refuses it tells a certificate that signed itself from one whose issuer is unknown.
#[derive(Debug)]
pub(crate) struct Verifier(Arc<WebPkiServerVerifier>);

/// A certificate has signed itself and is not trusted.
#[derive(Debug)]
pub(crate) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its issuer is itself")
    }
}

impl std::error::Error for SelfSigned {}

impl Verifier {
    pub(crate) fn new(webpki: Arc<WebPkiServerVerifier>) -> Self {
        Self(webpki)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        result.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) if issued_itself(end_entity) => {
                Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(SelfSigned))))
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Whether issuer and subject of a certificate are the same; RFC 5280, section 4.1. Decides about a text only.
fn issued_itself(certificate: &[u8]) -> bool {
    fn names(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
        let (signed, _) = element(certificate)?;
        let (mut fields, _) = element(signed)?;
        if fields.first() == Some(&0xa0) {
            // The version, which the first one leaves out.
            (_, fields) = element(fields)?;
        }
        let (_serial_number, fields) = element(fields)?;
        let (_algorithm, fields) = element(fields)?;
        let (issuer, fields) = element(fields)?;
        let (_validity, fields) = element(fields)?;
        let (subject, _) = element(fields)?;
        Some((issuer, subject))
    }
    names(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}

/// The contents of the DER element at the front, and what follows it.
fn element(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, octets) = octets.split_first()?;
    let (first, octets) = octets.split_first()?;
    if *first < 0x80 {
        return octets.split_at_checked(usize::from(*first));
    }
    let (size, octets) = octets.split_at_checked(usize::from(*first & 0x7f))?;
    let size = size.iter().try_fold(0_usize, |size, octet| size.checked_mul(256)?.checked_add(usize::from(*octet)));
    octets.split_at_checked(size?)
}
