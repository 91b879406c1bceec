//! Where keys come from: flags, a file, the environment.

use std::io::Read;
use std::path::{Path, PathBuf};

use amqp10_iot::{BoxFuture, CredentialsError, KeySource, Keys, Secret};
use clap::ArgMatches;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::args::{KeyArgs, is_flag};
use crate::exit::Failure;
use crate::log::EVENTS;

/// The most octets that a credentials file may have; tokens have a few thousand.
const MOST: u64 = 64 * 1024;

/// The options that name keys.
const KEY_FLAGS: [&str; 3] = ["access_key_id", "access_key_secret", "security_token"];

/// What a credentials file holds.
#[derive(Deserialize)]
struct File {
    access_key_id: String,
    access_key_secret: String,
    #[serde(default)]
    security_token: Option<String>,
}

fn parse(octets: &[u8], name: &str) -> Result<Keys, CredentialsError> {
    // The text of the error may quote the file, so only its place is told.
    let file: File = serde_json::from_slice(octets).map_err(|error| {
        CredentialsError::Source(format!(
            "the credentials file {name} is not a JSON object with access_key_id, access_key_secret and, if the key is a \
             temporary one, security_token, all of them strings (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    let keys = Keys::new(file.access_key_id, file.access_key_secret);
    Ok(match file.security_token.filter(|token| !token.is_empty()) {
        Some(token) => keys.with_token(token),
        None => keys,
    })
}

/// A file that is read again for every attempt.
struct FromFile(PathBuf);

impl KeySource for FromFile {
    fn keys(&self) -> BoxFuture<'_, Result<Keys, CredentialsError>> {
        let path = self.0.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                let name = path.display().to_string();
                let octets = std::fs::File::open(&path).and_then(read_some).map_err(|error| {
                    CredentialsError::Source(format!("the credentials file {name} cannot be read: {error}"))
                })?;
                parse(&octets, &name)
            });
            read.await.unwrap_or_else(|error| Err(CredentialsError::Source(error.to_string())))
        })
    }
}

fn read_some(from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(Vec::new());
    from.take(MOST).read_to_end(&mut octets)?;
    Ok(octets)
}

/// A source that is one of several.
pub(crate) struct AnySource(Box<dyn KeySource>);

impl KeySource for AnySource {
    fn keys(&self) -> BoxFuture<'_, Result<Keys, CredentialsError>> {
        self.0.keys()
    }
}

/// Where the keys of these options come from; `None` if nowhere.
pub(crate) async fn source(args: &KeyArgs, matches: &ArgMatches) -> Result<Option<AnySource>, Failure> {
    let flags: Vec<&str> = KEY_FLAGS.into_iter().filter(|id| is_flag(matches, id)).collect();
    for id in &flags {
        if *id != "access_key_id" {
            let flag = id.replace('_', "-");
            tracing::warn!(
                target: EVENTS,
                "--{flag} can be seen by other users of this machine: use the environment or --credentials-file"
            );
        }
    }
    if let Some(path) = &args.credentials_file {
        if is_flag(matches, "credentials_file") && !flags.is_empty() {
            let flag = flags.first().map(|id| id.replace('_', "-")).unwrap_or_default();
            return Err(Failure::usage(format!("--credentials-file and --{flag} both give keys: use one of them")));
        }
        if flags.is_empty() {
            return file(path).await.map(Some);
        }
    }
    let given = |secret: &Option<crate::args::SecretArg>| {
        secret.as_ref().map(|secret| secret.0.clone()).filter(|secret| !secret.is_empty())
    };
    let id = args.access_key_id.clone().filter(|id| !id.is_empty());
    let keys = match (id, given(&args.access_key_secret)) {
        (Some(id), Some(secret)) => Keys::new(id, secret),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(missing("access key secret", "ALIBABA_CLOUD_ACCESS_KEY_SECRET")),
        (None, Some(_)) => return Err(missing("access key id", "ALIBABA_CLOUD_ACCESS_KEY_ID")),
    };
    let keys = match given(&args.security_token) {
        Some(token) => keys.with_token(token),
        None => keys,
    };
    Ok(Some(AnySource(Box::new(keys))))
}

pub(crate) fn missing(what: &str, variable: &str) -> Failure {
    Failure::usage(format!("the {what} is missing: set {variable}, or see `amqp10 iot receive --help`"))
}

async fn file(path: &Path) -> Result<AnySource, Failure> {
    if path != Path::new("-") {
        return Ok(AnySource(Box::new(FromFile(path.to_owned()))));
    }
    let read = tokio::task::spawn_blocking(|| read_some(std::io::stdin().lock())).await;
    let octets = match read {
        Ok(Ok(octets)) => octets,
        Ok(Err(error)) => return Err(Failure::usage(format!("the credentials cannot be read from stdin: {error}"))),
        Err(error) => return Err(Failure::unforeseen(error.to_string())),
    };
    let keys = parse(&octets, "-").map_err(|error| Failure::usage(error.to_string()))?;
    Ok(AnySource(Box::new(keys)))
}

/// The keys as they are now.
pub(crate) async fn now(source: &AnySource) -> Result<(String, Secret, Option<Secret>), Failure> {
    let keys = source.keys().await.map_err(|error| Failure::usage(error.to_string()))?;
    Ok((keys.access_key_id, keys.access_key_secret, keys.security_token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_file() {
        let keys = parse(br#"{"access_key_id": "id", "access_key_secret": "s", "security_token": ""}"#, "f").unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.access_key_secret.expose()), ("id", "s"));
        assert!(keys.security_token.is_none());
    }

    #[test]
    fn a_broken_credentials_file_is_named_and_not_quoted() {
        for broken in [
            r#"{"access_key_id": "id", "access_key_secret": 1234567}"#,
            "hunter2",
            r#"{"access_key_secret": "hunter2"}"#,
        ] {
            let error = parse(broken.as_bytes(), "keys.json").unwrap_err().to_string();
            assert!(error.contains("keys.json") && error.contains("line 1"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("1234567"), "{error}");
        }
    }
}
