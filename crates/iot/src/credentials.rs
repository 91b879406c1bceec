use std::env;
use std::fmt;
use std::pin::Pin;

use amqp10::transport::Secret;
use sha2::{Digest, Sha256};

use crate::SignMethod;
use crate::user_name::{UserName, aksign_text, appkey_text, ststoken_text};

/// A future that a trait object can return.
pub type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// What a provider is told about the attempt that it makes credentials for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SignIn<'a> {
    /// The id of this client.
    pub client_id: &'a str,
    /// The consumer group.
    pub consumer_group: &'a str,
    /// The instance; none on a legacy public instance.
    pub instance_id: Option<&'a str>,
    /// The time of the attempt, in milliseconds since 1970.
    pub timestamp: u64,
}

impl<'a> SignIn<'a> {
    /// An attempt of this client and group at this time, in milliseconds since 1970, without an instance.
    pub const fn new(client_id: &'a str, consumer_group: &'a str, timestamp: u64) -> Self {
        Self { client_id, consumer_group, instance_id: None, timestamp }
    }
}

/// User name and password for one attempt.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user name; may hold a security token, so it is kept like a secret.
    pub user_name: Secret,
    /// The password.
    pub password: Secret,
    /// What people call the keys by, for error texts.
    pub key_id: String,
    /// Tells whether two attempts were made with the same keys, without telling which.
    pub fingerprint: [u8; 32],
}

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// An environment variable is not set.
    #[error("the environment variable {0} is not set")]
    MissingVariable(&'static str),
    /// A value would break the user name apart.
    #[error("the {what} may not hold '|' or ',', which separate the parts of the user name")]
    Separator {
        /// Which value.
        what: &'static str,
    },
    /// A value is empty.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// The keys could not be had.
    #[error("{0}")]
    Source(String),
}

/// Makes user name and password, afresh for every attempt.
pub trait CredentialProvider: Send + Sync + 'static {
    /// The credentials for one attempt.
    ///
    /// # Errors
    /// When there are none now; the attempt fails, and the next one asks again.
    fn credentials<'a>(&'a self, sign_in: SignIn<'a>) -> BoxFuture<'a, Result<Credentials, CredentialsError>>;
}

/// An access key, and the token that goes with a temporary one.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keys {
    /// The id of the key.
    pub access_key_id: String,
    /// The key itself.
    pub access_key_secret: Secret,
    /// The token of a temporary key.
    pub security_token: Option<Secret>,
}

impl Keys {
    /// A lasting key.
    pub fn new(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { access_key_id: id.into(), access_key_secret: secret.into(), security_token: None }
    }

    /// With the token of a temporary key.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<Secret>) -> Self {
        self.security_token = Some(token.into());
        self
    }

    /// The keys in `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET` and, if set, `ALIBABA_CLOUD_SECURITY_TOKEN`.
    ///
    /// # Errors
    /// When one of the first two is not set.
    pub fn from_env() -> Result<Self, CredentialsError> {
        let read = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let need = |name| read(name).ok_or(CredentialsError::MissingVariable(name));
        Ok(Self {
            access_key_id: need("ALIBABA_CLOUD_ACCESS_KEY_ID")?,
            access_key_secret: need("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?.into(),
            security_token: read("ALIBABA_CLOUD_SECURITY_TOKEN").map(Secret::from),
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Where keys come from; asked for every attempt, so that temporary ones can be renewed.
pub trait KeySource: Send + Sync + 'static {
    /// The keys to use now.
    ///
    /// # Errors
    /// When there are none now.
    fn keys(&self) -> BoxFuture<'_, Result<Keys, CredentialsError>>;
}

impl KeySource for Keys {
    fn keys(&self) -> BoxFuture<'_, Result<Keys, CredentialsError>> {
        let keys = self.clone();
        Box::pin(async move { Ok(keys) })
    }
}

impl<F> KeySource for F
where
    F: Fn() -> Result<Keys, CredentialsError> + Send + Sync + 'static,
{
    fn keys(&self) -> BoxFuture<'_, Result<Keys, CredentialsError>> {
        let keys = self();
        Box::pin(async move { keys })
    }
}

/// Signs with an access key: mode `aksign`, or `ststoken` if the key comes with a security token.
pub struct AkSign {
    source: Box<dyn KeySource>,
    method: SignMethod,
}

impl AkSign {
    /// Signs with a lasting key.
    pub fn new(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self::from_source(Keys::new(id, secret))
    }

    /// Signs with the key that the environment holds now; see [`Keys::from_env`].
    ///
    /// # Errors
    /// When it holds none.
    pub fn from_env() -> Result<Self, CredentialsError> {
        Keys::from_env().map(Self::from_source)
    }

    /// Signs with the key that `source` tells at each attempt.
    pub fn from_source(source: impl KeySource) -> Self {
        Self { source: Box::new(source), method: SignMethod::default() }
    }

    /// Signs by this method instead of HMAC-SHA1.
    #[must_use]
    pub fn sign_method(mut self, method: SignMethod) -> Self {
        self.method = method;
        self
    }
}

impl fmt::Debug for AkSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AkSign").field("method", &self.method).finish_non_exhaustive()
    }
}

impl CredentialProvider for AkSign {
    fn credentials<'a>(&'a self, sign_in: SignIn<'a>) -> BoxFuture<'a, Result<Credentials, CredentialsError>> {
        Box::pin(async move {
            let keys = self.source.keys().await?;
            let (id, secret) = (keys.access_key_id.as_str(), keys.access_key_secret.expose());
            let token = keys.security_token.as_ref().map(Secret::expose).filter(|token| !token.is_empty());
            if secret.is_empty() {
                return Err(CredentialsError::Empty("access key secret"));
            }
            let timestamp = sign_in.timestamp.to_string();
            let text = match token {
                Some(token) => ststoken_text(id, token, &timestamp),
                None => aksign_text(id, &timestamp),
            };
            let mut fields = vec![("authMode", if token.is_some() { "ststoken" } else { "aksign" })];
            fields.extend(token.map(|token| ("securityToken", token)));
            fields.extend([("signMethod", self.method.name()), ("timestamp", &timestamp), ("authId", id)]);
            fields.extend(sign_in.instance_id.map(|instance| ("iotInstanceId", instance)));
            fields.push(("consumerGroupId", sign_in.consumer_group));
            Ok(Credentials {
                user_name: user_name(sign_in.client_id, &fields)?,
                password: self.method.sign(secret, &text).into(),
                key_id: id.to_owned(),
                fingerprint: fingerprint(&[id, secret, token.unwrap_or_default()]),
            })
        })
    }
}

/// Signs with an application key: mode `appkey` of the sister product.
#[derive(Clone)]
pub struct AppKey {
    app_key: String,
    secret: Secret,
}

impl AppKey {
    /// Signs with this application key.
    pub fn new(app_key: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { app_key: app_key.into(), secret: secret.into() }
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey").field("app_key", &self.app_key).finish_non_exhaustive()
    }
}

impl CredentialProvider for AppKey {
    fn credentials<'a>(&'a self, sign_in: SignIn<'a>) -> BoxFuture<'a, Result<Credentials, CredentialsError>> {
        Box::pin(async move {
            if self.secret.is_empty() {
                return Err(CredentialsError::Empty("application secret"));
            }
            let random = sign_in.timestamp.to_string();
            let fields = [
                ("authMode", "appkey"),
                ("signMethod", "SHA256"),
                ("random", &random),
                ("appKey", &self.app_key),
                ("groupId", sign_in.consumer_group),
            ];
            let password = SignMethod::HmacSha256.sign(self.secret.expose(), &appkey_text(&random));
            Ok(Credentials {
                user_name: user_name(sign_in.client_id, &fields)?,
                password: password.into(),
                key_id: self.app_key.clone(),
                fingerprint: fingerprint(&[&self.app_key, self.secret.expose()]),
            })
        })
    }
}

fn user_name(client_id: &str, fields: &[(&'static str, &str)]) -> Result<Secret, CredentialsError> {
    let separates = |text: &str| text.contains(['|', ',']);
    if separates(client_id) {
        return Err(CredentialsError::Separator { what: "client id" });
    }
    for (key, value) in fields {
        if separates(value) {
            return Err(CredentialsError::Separator { what: key });
        }
        if value.is_empty() {
            return Err(CredentialsError::Empty(key));
        }
    }
    let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(UserName { client_id: client_id.to_owned(), fields }.to_string().into())
}

fn fingerprint(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMESTAMP: u64 = 1_573_489_088_171;

    fn sign_in() -> SignIn<'static> {
        SignIn { client_id: "c1", consumer_group: "group", instance_id: Some("iot-x"), timestamp: TIMESTAMP }
    }

    async fn made(provider: impl CredentialProvider) -> (String, String) {
        let credentials = provider.credentials(sign_in()).await.unwrap();
        let printed = format!("{credentials:?}");
        assert!(!printed.contains(credentials.password.expose()), "{printed}");
        let user = UserName::parse(credentials.user_name.expose()).unwrap();
        assert_eq!(user.client_id, "c1");
        (credentials.user_name.expose().to_owned(), credentials.password.expose().to_owned())
    }

    #[tokio::test]
    async fn aksign_by_all_three_methods() {
        let vectors = [
            (SignMethod::HmacMd5, "95iSVu5rLFgoaHmhwmOBDA=="),
            (SignMethod::HmacSha1, "uHLT1fhV2F46fGiA9Eh1t95WTQI="),
            (SignMethod::HmacSha256, "znG8D365SpOo8BdNNnLma4s59a5gGHomY25w9t4WcBg="),
        ];
        for (method, expected) in vectors {
            let provider = AkSign::new("testAccessKeyId", "testAccessKeySecret").sign_method(method);
            let (user, password) = made(provider).await;
            assert_eq!(password, expected, "{method}");
            let fields = format!(
                "authMode=aksign,signMethod={method},timestamp=1573489088171,authId=testAccessKeyId,iotInstanceId=iot-x,consumerGroupId=group"
            );
            assert_eq!(user, format!("c1|{fields}|"));
            let parsed = UserName::parse(&user).unwrap();
            assert_eq!(parsed.verify(&password.into(), &"testAccessKeySecret".into()), Ok(()));
        }
    }

    #[tokio::test]
    async fn ststoken() {
        let keys = Keys::new("testAccessKeyId", "testAccessKeySecret").with_token("testSecurityToken+/=");
        let (user, password) = made(AkSign::from_source(keys)).await;
        assert_eq!(password, "tSsx2YwbWSBulRYA4OOKg3bW9EY=");
        assert!(user.contains("authMode=ststoken,securityToken=testSecurityToken+/=,"));
        let parsed = UserName::parse(&user).unwrap();
        assert_eq!(parsed.verify(&password.into(), &"testAccessKeySecret".into()), Ok(()));
    }

    #[tokio::test]
    async fn appkey() {
        let (user, password) = made(AppKey::new("testAppKey", "testAppSecret")).await;
        assert_eq!(password, "b9Bm2NROX7WGHIwzZdGuFyoqTf26FeJMs8uy+vcZV5Q=");
        assert_eq!(user, "c1|authMode=appkey,signMethod=SHA256,random=1573489088171,appKey=testAppKey,groupId=group|");
        let parsed = UserName::parse(&user).unwrap();
        assert_eq!(parsed.verify(&password.into(), &"testAppSecret".into()), Ok(()));
    }

    #[tokio::test]
    async fn a_legacy_instance_is_not_named() {
        let provider = AkSign::new("id", "secret");
        let credentials = provider.credentials(SignIn { instance_id: None, ..sign_in() }).await.unwrap();
        assert!(!credentials.user_name.expose().contains("iotInstanceId"));
    }

    #[tokio::test]
    async fn separators_in_values_are_refused_and_named() {
        let provider = AkSign::new("i|d", "secret");
        let error = provider.credentials(sign_in()).await.unwrap_err();
        assert_eq!(error, CredentialsError::Separator { what: "authId" });
        let provider = AkSign::new("id", "secret");
        let error = provider.credentials(SignIn { client_id: "a,b", ..sign_in() }).await.unwrap_err();
        assert_eq!(error, CredentialsError::Separator { what: "client id" });
    }

    #[tokio::test]
    async fn keys_that_change_change_the_fingerprint() {
        let one = AkSign::new("id", "secret").credentials(sign_in()).await.unwrap();
        let same = AkSign::new("id", "secret").credentials(SignIn { timestamp: 1, ..sign_in() }).await.unwrap();
        let other = AkSign::new("id", "Secret").credentials(sign_in()).await.unwrap();
        assert_eq!(one.fingerprint, same.fingerprint);
        assert_ne!(one.fingerprint, other.fingerprint);
    }
}
