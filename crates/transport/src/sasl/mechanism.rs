use std::fmt;

use zeroize::Zeroizing;

use crate::Secret;

/// A SASL mechanism as a client runs it: a machine of its own, without I/O.
pub trait Mechanism: Send {
    /// Its registered name, such as `PLAIN`.
    fn name(&self) -> &str;

    /// What goes with sasl-init, if anything. §5.3.3.2
    fn initial_response(&mut self) -> Option<Zeroizing<Vec<u8>>>;

    /// The answer to a challenge. §5.3.3.3
    ///
    /// # Errors
    /// When the challenge is not acceptable; the text says why.
    fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, String>;

    /// Checks what the server proves with its success. §5.3.3.5
    ///
    /// # Errors
    /// When the proof is missing or wrong; the text says why.
    fn verify(&mut self, additional: Option<&[u8]>) -> Result<(), String> {
        let _ = additional;
        Ok(())
    }

    /// Whether an eavesdropper learns the secret.
    fn reveals_secret(&self) -> bool {
        false
    }
}

/// PLAIN, RFC 4616: user name and password as they are, the authorization identity empty.
#[derive(Clone)]
pub struct Plain {
    user: String,
    password: Secret,
}

impl Plain {
    /// Signs in as `user`.
    pub fn new(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self { user: user.into(), password: password.into() }
    }
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A user name may carry a token.
        f.write_str("Plain { .. }")
    }
}

impl Mechanism for Plain {
    fn name(&self) -> &str {
        "PLAIN"
    }

    fn initial_response(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let password = self.password.expose();
        let mut response =
            Zeroizing::new(Vec::with_capacity(self.user.len().saturating_add(password.len()).saturating_add(2)));
        response.push(0);
        response.extend_from_slice(self.user.as_bytes());
        response.push(0);
        response.extend_from_slice(password.as_bytes());
        Some(response)
    }

    fn respond(&mut self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        Err("PLAIN knows no challenge".to_owned())
    }

    fn reveals_secret(&self) -> bool {
        true
    }
}

/// ANONYMOUS, RFC 4505.
#[derive(Clone, Debug, Default)]
pub struct Anonymous;

impl Mechanism for Anonymous {
    fn name(&self) -> &str {
        "ANONYMOUS"
    }

    fn initial_response(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(Vec::new()))
    }

    fn respond(&mut self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
        Err("ANONYMOUS knows no challenge".to_owned())
    }
}
