use alloc::format;
use alloc::string::String;
use core::fmt;

use serde_json::Value as Json;

/// Why a text form is none, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    path: String,
    message: String,
}

impl JsonError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// `expected` with its article.
    pub(super) fn expected(expected: &str, found: &Json) -> Self {
        let found = match found {
            Json::Null => "null".into(),
            Json::Bool(found) => format!("{found}"),
            Json::Number(found) => format!("{found}"),
            Json::String(found) => match found.char_indices().nth(40) {
                Some((end, _)) => format!("{:?}…", found.get(..end).unwrap_or_default()),
                None => format!("{found:?}"),
            },
            Json::Array(_) => "an array".into(),
            Json::Object(_) => "an object".into(),
        };
        Self::new(format!("expected {expected}, found {found}"))
    }

    /// The same error, seen from the object or array around it.
    pub(super) fn under(mut self, key: impl fmt::Display) -> Self {
        let key = format!("{key}").replace('~', "~0").replace('/', "~1");
        self.path = format!("/{key}{}", self.path);
        self
    }

    /// Where the error is, as a JSON Pointer (RFC 6901): keys and indices behind slashes, empty for the whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong there.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "at {path}: {}", self.message),
        }
    }
}

impl core::error::Error for JsonError {}
