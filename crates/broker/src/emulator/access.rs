//! Who is let in, and a record of who tried.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amqp10::transport::sasl::Attempt;
use amqp10_iot::{UserName, UserNameError, VerifyError};

use super::Identity;

/// How many sign-ins are remembered.
const REMEMBERED: usize = 1024;

/// Somebody tried to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignInRecord {
    /// The client id that was presented; empty if the user name had none.
    pub client_id: String,
    /// The timestamp that was presented, in milliseconds since 1970.
    pub timestamp: Option<u64>,
    /// Whether the client was let in.
    pub accepted: bool,
}

#[derive(Clone)]
pub(super) struct Clock(pub(super) Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock { .. }")
    }
}

/// A client that was let in.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) group: String,
}

/// Why somebody was not let in; clients are not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the mechanism is not PLAIN")]
    Mechanism,
    #[error("an authorization identity was given")]
    Authorization,
    #[error(transparent)]
    UserName(#[from] UserNameError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error("the client id is empty or has more than 64 characters")]
    ClientId,
    #[error("the access key {0} is not known")]
    Key(String),
    #[error("the security token is not the right one")]
    Token,
    #[error("the mode {0} is not offered here")]
    Mode(String),
    #[error("the instance {0:?} is not this one")]
    Instance(String),
    #[error("there is no consumer group {0}")]
    Group(String),
    #[error("the timestamp is off by {0:?}")]
    Skew(Duration),
}

#[derive(Debug)]
pub(super) struct Access {
    identity: Identity,
    groups: Vec<String>,
    max_clock_skew: Option<Duration>,
    clock: Clock,
    sign_ins: Mutex<VecDeque<SignInRecord>>,
}

impl Access {
    pub(super) fn new(identity: Identity, groups: Vec<String>, skew: Option<Duration>, clock: Clock) -> Self {
        Self { identity, groups, max_clock_skew: skew, clock, sign_ins: Mutex::default() }
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn sign_ins(&self) -> Vec<SignInRecord> {
        let records = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().cloned().collect()
    }

    pub(super) fn millis(&self) -> u64 {
        let now = (self.clock.0)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
    }

    /// Judges an attempt and remembers it.
    pub(super) fn judge(&self, attempt: &Attempt) -> Result<Client, Refusal> {
        let name = match attempt {
            Attempt::Plain { user, .. } => UserName::parse(user).ok(),
            _ => None,
        };
        let judged = self.check(attempt);
        let record = SignInRecord {
            client_id: name.as_ref().map(|name| name.client_id.clone()).unwrap_or_default(),
            timestamp: name.as_ref().and_then(|name| name.get("timestamp")?.parse().ok()),
            accepted: judged.is_ok(),
        };
        let mut records = self.sign_ins.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == REMEMBERED {
            records.pop_front();
        }
        records.push_back(record);
        judged
    }

    fn check(&self, attempt: &Attempt) -> Result<Client, Refusal> {
        let Attempt::Plain { authorization, user, password, .. } = attempt else { return Err(Refusal::Mechanism) };
        if !authorization.is_empty() {
            return Err(Refusal::Authorization);
        }
        let name = UserName::parse(user)?;
        if name.client_id.is_empty() || name.client_id.chars().count() > 64 {
            return Err(Refusal::ClientId);
        }
        let expected_mode = if self.identity.security_token.is_some() { "ststoken" } else { "aksign" };
        let mode = name.get("authMode").unwrap_or_default();
        if mode != expected_mode {
            return Err(Refusal::Mode(mode.to_owned()));
        }
        let key = name.get("authId").unwrap_or_default();
        if key != self.identity.access_key_id {
            return Err(Refusal::Key(key.to_owned()));
        }
        name.verify(password, &self.identity.access_key_secret)?;
        if let Some(token) = &self.identity.security_token
            && name.get("securityToken") != Some(token.expose())
        {
            return Err(Refusal::Token);
        }
        let instance = name.get("iotInstanceId").unwrap_or_default();
        if instance != self.identity.instance_id.as_deref().unwrap_or_default() {
            return Err(Refusal::Instance(instance.to_owned()));
        }
        let group = name.get("consumerGroupId").unwrap_or_default();
        if !self.groups.iter().any(|known| known == group) {
            return Err(Refusal::Group(group.to_owned()));
        }
        let timestamp = name.get("timestamp").and_then(|text| text.parse::<u64>().ok());
        let timestamp = timestamp.ok_or(VerifyError::Unknown("timestamp"))?;
        let skew = Duration::from_millis(self.millis().abs_diff(timestamp));
        if self.max_clock_skew.is_some_and(|most| skew > most) {
            return Err(Refusal::Skew(skew));
        }
        Ok(Client { id: name.client_id.clone(), group: group.to_owned() })
    }
}
