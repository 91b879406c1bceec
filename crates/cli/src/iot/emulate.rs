//! `amqp10 iot emulate`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use amqp10_broker::Counts;
use amqp10_broker::emulator::{Authority, Emulator, Identity};
use clap::ArgMatches;
use serde::{Deserialize, Serialize};

use super::keys;
use crate::args::EmulateArgs;
use crate::exit::Failure;
use crate::log::EVENTS;
use crate::signals::Stop;

/// How long clients get to agree to the end.
const GRACE: Duration = Duration::from_secs(5);

/// What an identity file holds.
#[derive(Deserialize, Serialize)]
struct IdentityFile {
    access_key_id: String,
    access_key_secret: String,
    security_token: Option<String>,
    consumer_group: String,
    instance_id: Option<String>,
    ca_pem: String,
    ca_key_pem: String,
}

#[derive(Serialize)]
struct Ready<'e> {
    url: String,
    host: String,
    port: u16,
    access_key_id: &'e str,
    access_key_secret: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_token: Option<&'e str>,
    consumer_group: &'e str,
    instance_id: &'e str,
    ca: String,
}

#[derive(Serialize)]
struct Summary {
    produced: u64,
    sent: u64,
    accepted: u64,
    redelivered: u64,
}

impl From<Counts> for Summary {
    fn from(counts: Counts) -> Self {
        let Counts { produced, sent, accepted, redelivered, .. } = counts;
        Self { produced, sent, accepted, redelivered }
    }
}

pub(crate) async fn run(args: EmulateArgs, matches: &ArgMatches) -> Result<(), Failure> {
    let mut stop = Stop::listen().map_err(|error| Failure::unforeseen(format!("no signals: {error}")))?;
    // The credentials may have to come from a stdin that says nothing.
    let given = tokio::select! {
        biased;
        _ = stop.asked() => return Ok(()),
        given = keys::source(&args.keys, matches) => given?,
    };
    let keys_given = given.is_some();
    let identity = identity(&args, given).await?;
    let mut builder = Emulator::builder()
        .listen(args.listen)
        .identity(identity)
        .rules(|rules| rules.max_clock_skew = args.max_clock_skew)
        .devices(args.devices, args.rate, args.count);
    for name in &args.tls_names {
        builder = builder.tls_name(name);
    }
    let emulator = builder.start().await.map_err(|error| Failure::usage(error.to_string()))?;
    let ca = CaFile::write(args.ca_out.as_deref(), emulator.identity().authority.ca_pem())?;
    print(&ready(&emulator, &ca.path, args.json, keys_given)?)?;
    stop.asked().await;
    let summary = Summary::from(emulator.shutdown(GRACE).await);
    let Summary { produced, sent, accepted, redelivered } = summary;
    tracing::info!(
        target: EVENTS,
        "emulator stopped: {produced} messages produced, {sent} sent, {accepted} accepted, {redelivered} redelivered"
    );
    if args.json {
        print(&json(&summary)?)?;
    }
    Ok(())
}

fn json(object: &impl Serialize) -> Result<String, Failure> {
    let line = serde_json::to_string(object).map_err(|error| Failure::unforeseen(error.to_string()))?;
    Ok(line + "\n")
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever has gone did not want to know.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unforeseen(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn ready(emulator: &Emulator, ca: &Path, as_json: bool, keys_given: bool) -> Result<String, Failure> {
    let identity = emulator.identity();
    let (id, group) = (&identity.access_key_id, &identity.consumer_group);
    let instance = identity.instance_id.as_deref().unwrap_or_default();
    let (host, port) = (emulator.address().ip().to_string(), emulator.address().port());
    if as_json {
        return json(&Ready {
            url: emulator.url(),
            host,
            port,
            access_key_id: id,
            access_key_secret: identity.access_key_secret.expose(),
            security_token: identity.security_token.as_ref().map(|token| token.expose()),
            consumer_group: group,
            instance_id: instance,
            ca: ca.display().to_string(),
        });
    }
    // What was given is known, and may be worth more than this emulator.
    let secret = if keys_given { "(as given)" } else { identity.access_key_secret.expose() };
    let ca = ca.display();
    Ok(format!(
        "listening on {}\n\
         access key id: {id}\n\
         access key secret: {secret}\n\
         consumer group: {group}\n\
         instance id: {instance}\n\
         CA certificate: {ca}\n\
         receive with: amqp10 iot receive --host {host} --port {port} --ca {ca} --consumer-group {group} \
         --instance-id '{instance}'\n",
        emulator.url()
    ))
}

/// Who the emulator is: what the options say, else what the file holds, else something new.
async fn identity(args: &EmulateArgs, given: Option<keys::AnySource>) -> Result<Identity, Failure> {
    let kept = match &args.identity {
        Some(path) => load(path)?,
        None => None,
    };
    let is_new = kept.is_none();
    let mut identity = match kept {
        Some(identity) => identity,
        None => Identity::generate().map_err(|error| Failure::unforeseen(error.to_string()))?,
    };
    if let Some(source) = &given {
        (identity.access_key_id, identity.access_key_secret, identity.security_token) = keys::now(source).await?;
    }
    if let Some(group) = args.keys.consumer_group.as_ref().filter(|group| !group.is_empty()) {
        identity.consumer_group.clone_from(group);
    }
    if let Some(instance) = &args.keys.instance_id {
        identity.instance_id = Some(instance.clone()).filter(|instance| !instance.is_empty());
    }
    if let Some(path) = args.identity.as_ref().filter(|_| is_new) {
        save(path, &identity)?;
    }
    Ok(identity)
}

fn load(path: &Path) -> Result<Option<Identity>, Failure> {
    let octets = match std::fs::read(path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::usage(format!("the identity file {} cannot be read: {error}", path.display())));
        }
    };
    let broken = |place: String| {
        let name = path.display();
        Failure::usage(format!(
            "the identity file {name} is not one of this program ({place}): remove it to get a new one"
        ))
    };
    let file: IdentityFile = serde_json::from_slice(&octets)
        .map_err(|error| broken(format!("line {}, column {}", error.line(), error.column())))?;
    let authority = Authority::from_pem(file.ca_pem, file.ca_key_pem).map_err(|error| broken(error.to_string()))?;
    Ok(Some(Identity {
        access_key_id: file.access_key_id,
        access_key_secret: file.access_key_secret.into(),
        security_token: file.security_token.map(Into::into),
        consumer_group: file.consumer_group,
        instance_id: file.instance_id,
        authority,
    }))
}

fn save(path: &Path, identity: &Identity) -> Result<(), Failure> {
    let file = IdentityFile {
        access_key_id: identity.access_key_id.clone(),
        access_key_secret: identity.access_key_secret.expose().to_owned(),
        security_token: identity.security_token.as_ref().map(|token| token.expose().to_owned()),
        consumer_group: identity.consumer_group.clone(),
        instance_id: identity.instance_id.clone(),
        ca_pem: identity.authority.ca_pem().to_owned(),
        ca_key_pem: identity.authority.key_pem().expose().to_owned(),
    };
    let text = zeroize::Zeroizing::new(json(&file)?);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::usage(format!("the identity file {} cannot be written: {error}", path.display())))
}

/// The file that the CA certificate is in, removed at the end unless somebody asked for it.
struct CaFile {
    path: PathBuf,
    keep: bool,
}

impl CaFile {
    fn write(wanted: Option<&Path>, pem: &str) -> Result<Self, Failure> {
        let failed = |path: &Path, error: io::Error| {
            Failure::usage(format!("the CA certificate cannot be written to {}: {error}", path.display()))
        };
        if let Some(path) = wanted {
            std::fs::write(path, pem).map_err(|error| failed(path, error))?;
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            return Ok(Self { path, keep: true });
        }
        let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(12).collect();
        let path = std::env::temp_dir().join(format!("amqp10-emulator-{random}.pem"));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(pem.as_bytes()));
        written.map_err(|error| failed(&path, error))?;
        Ok(Self { path, keep: false })
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
