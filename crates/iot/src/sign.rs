use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};

/// How a password is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SignMethod {
    /// HMAC-MD5.
    HmacMd5,
    /// HMAC-SHA1, the default.
    #[default]
    HmacSha1,
    /// HMAC-SHA256.
    HmacSha256,
}

/// A name that is none of the sign methods.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sign method {0:?} is not known: use hmacmd5, hmacsha1 or hmacsha256")]
pub struct UnknownSignMethod(String);

impl SignMethod {
    /// The name in user names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacMd5 => "hmacmd5",
            Self::HmacSha1 => "hmacsha1",
            Self::HmacSha256 => "hmacsha256",
        }
    }

    /// The password: the standard Base64, padded, of the HMAC of `text` under `secret`.
    pub fn sign(self, secret: &str, text: &str) -> String {
        STANDARD.encode(self.mac(secret, text))
    }

    fn mac(self, secret: &str, text: &str) -> Vec<u8> {
        fn of<M: Mac + KeyInit>(secret: &str, text: &str) -> Vec<u8> {
            // An HMAC takes keys of any length.
            let mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(text));
            mac.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default()
        }
        match self {
            Self::HmacMd5 => of::<Hmac<md5::Md5>>(secret, text),
            Self::HmacSha1 => of::<Hmac<sha1::Sha1>>(secret, text),
            Self::HmacSha256 => of::<Hmac<sha2::Sha256>>(secret, text),
        }
    }

    /// Whether `password` is the signature of `text` under `secret`; takes the same time wherever they differ.
    pub fn verify(self, secret: &str, text: &str, password: &str) -> bool {
        fn of<M: Mac + KeyInit>(secret: &str, text: &str, tag: &[u8]) -> bool {
            let mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(text));
            mac.is_ok_and(|mac| mac.verify_slice(tag).is_ok())
        }
        let Ok(tag) = STANDARD.decode(password) else { return false };
        match self {
            Self::HmacMd5 => of::<Hmac<md5::Md5>>(secret, text, &tag),
            Self::HmacSha1 => of::<Hmac<sha1::Sha1>>(secret, text, &tag),
            Self::HmacSha256 => of::<Hmac<sha2::Sha256>>(secret, text, &tag),
        }
    }
}

impl fmt::Display for SignMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignMethod {
    type Err = UnknownSignMethod;

    /// Ignores case, as the service does.
    fn from_str(name: &str) -> Result<Self, UnknownSignMethod> {
        let all = [Self::HmacMd5, Self::HmacSha1, Self::HmacSha256];
        let found = all.into_iter().find(|method| method.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| UnknownSignMethod(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_verified() {
        for method in [SignMethod::HmacMd5, SignMethod::HmacSha1, SignMethod::HmacSha256] {
            let password = method.sign("secret", "text");
            assert!(method.verify("secret", "text", &password));
            assert!(!method.verify("Secret", "text", &password));
            assert!(!method.verify("secret", "texT", &password));
            assert!(!method.verify("secret", "text", "not base64!"));
            assert_eq!(method.name().to_uppercase().parse(), Ok(method));
        }
        assert!("hmacsha512".parse::<SignMethod>().is_err());
    }
}
