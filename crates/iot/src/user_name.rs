use std::fmt;

use amqp10::transport::Secret;

use crate::SignMethod;

/// The user name of a sign-in: `clientId|key=value,key=value,…|`.
#[derive(Clone, PartialEq, Eq)]
pub struct UserName {
    /// The free choice of the client, at most 64 characters.
    pub client_id: String,
    /// Keys and values in the order in which they stand.
    pub fields: Vec<(String, String)>,
}

/// Why a text is not a user name of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserNameError {
    /// The list between two pipes is missing.
    #[error("a user name is CLIENT-ID|key=value,…| with two pipes")]
    Pipes,
    /// A field without an equals sign.
    #[error("every field between the pipes is key=value")]
    Field,
}

/// Why a sign-in is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A key is missing.
    #[error("the user name lacks {0}")]
    Missing(&'static str),
    /// authMode or signMethod is not known.
    #[error("the {0} of the user name is not known")]
    Unknown(&'static str),
    /// The password is not the signature of the user name.
    #[error("the signature is wrong")]
    Signature,
}

impl UserName {
    /// Takes a user name apart. Keys may stand in any order; unknown ones are kept.
    ///
    /// # Errors
    /// When it has not the shape of one.
    pub fn parse(text: &str) -> Result<Self, UserNameError> {
        let (client_id, rest) = text.split_once('|').ok_or(UserNameError::Pipes)?;
        let list = rest.strip_suffix('|').ok_or(UserNameError::Pipes)?;
        let fields = list.split(',').filter(|field| !field.is_empty()).map(|field| {
            // Tokens may hold equals signs.
            let (key, value) = field.split_once('=').ok_or(UserNameError::Field)?;
            Ok((key.to_owned(), value.to_owned()))
        });
        Ok(Self { client_id: client_id.to_owned(), fields: fields.collect::<Result<_, _>>()? })
    }

    /// The value of a key; keys are case-sensitive.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn need(&self, key: &'static str) -> Result<&str, VerifyError> {
        self.get(key).ok_or(VerifyError::Missing(key))
    }

    /// The text that the password signs, and how.
    ///
    /// # Errors
    /// When keys are missing or not known.
    pub fn signed_text(&self) -> Result<(SignMethod, String), VerifyError> {
        let method = |name: &str| name.parse().map_err(|_| VerifyError::Unknown("signMethod"));
        match self.need("authMode")? {
            "aksign" => {
                let text = aksign_text(self.need("authId")?, self.need("timestamp")?);
                Ok((method(self.need("signMethod")?)?, text))
            }
            "ststoken" => {
                let (id, token) = (self.need("authId")?, self.need("securityToken")?);
                let text = ststoken_text(id, token, self.need("timestamp")?);
                Ok((method(self.need("signMethod")?)?, text))
            }
            "appkey" => Ok((SignMethod::HmacSha256, appkey_text(self.need("random")?))),
            _ => Err(VerifyError::Unknown("authMode")),
        }
    }

    /// Checks that `password` was made with `secret` for this user name.
    ///
    /// # Errors
    /// When it was not, or keys are missing or not known.
    pub fn verify(&self, password: &Secret, secret: &Secret) -> Result<(), VerifyError> {
        let (method, text) = self.signed_text()?;
        let good = method.verify(secret.expose(), &text, password.expose());
        if good { Ok(()) } else { Err(VerifyError::Signature) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|", self.client_id)?;
        for (at, (key, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{key}={value}", if at > 0 { "," } else { "" })?;
        }
        f.write_str("|")
    }
}

impl fmt::Debug for UserName {
    /// Without the security token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.fields.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("UserName").field("client_id", &self.client_id).field("keys", &keys).finish()
    }
}

pub(crate) fn aksign_text(id: &str, timestamp: &str) -> String {
    format!("authId={id}&timestamp={timestamp}")
}

pub(crate) fn ststoken_text(id: &str, token: &str, timestamp: &str) -> String {
    format!("authId={id}&securityToken={token}&timestamp={timestamp}")
}

pub(crate) fn appkey_text(random: &str) -> String {
    format!("random={random}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_comes_apart_and_together() {
        let text = "c1|authMode=ststoken,securityToken=a+/==,new=1|";
        let name = UserName::parse(text).unwrap();
        assert_eq!(
            (name.client_id.as_str(), name.get("securityToken"), name.get("new")),
            ("c1", Some("a+/=="), Some("1"))
        );
        assert_eq!(name.to_string(), text);
        assert!(!format!("{name:?}").contains("a+/"));
        for broken in ["c1", "c1|a=b", "c1|ab|"] {
            assert!(UserName::parse(broken).is_err(), "{broken}");
        }
        assert_eq!(name.verify(&"x".into(), &"y".into()), Err(VerifyError::Missing("authId")));
    }
}
