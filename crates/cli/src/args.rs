//! The command line. Flag before environment before default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use amqp10_iot::SignMethod;
use clap::builder::{BoolishValueParser, Resettable};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Longer than anybody waits, and short enough to be added to any instant.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

fn time(text: &str) -> Result<Duration, humantime::DurationError> {
    Ok(humantime::parse_duration(text)?.min(LONGEST))
}

/// Whether an option was given as a flag, not by the environment or as a default.
pub(crate) fn is_flag(matches: &ArgMatches, id: &str) -> bool {
    matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// A variable without a value is one that is not set.
fn forget_empty(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(Resettable::Reset) } else { arg }
    });
    command.mut_subcommands(forget_empty)
}

/// What was asked for, and how: the matches are those of the last subcommand. Ends the process if it was help, or nothing
/// that can be done.
pub(crate) fn parse() -> (IotCommand, ArgMatches) {
    let mut definition = forget_empty(Cli::command());
    let matches = definition.get_matches_mut();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let Command::Iot { mut command } = cli.command;
    let matches = matches.subcommand().and_then(|(_, iot)| iot.subcommand()).map(|(_, command)| command.clone());
    let matches = matches.unwrap_or_default();
    let log = match &mut command {
        IotCommand::Receive(args) => &mut args.log,
        IotCommand::Emulate(args) => &mut args.log,
    };
    match (is_flag(&matches, "quiet"), is_flag(&matches, "verbose")) {
        (true, true) => {
            definition.error(ErrorKind::ArgumentConflict, "--quiet cannot be used with --verbose").exit();
        }
        (true, false) => log.verbose = 0,
        (false, true) => log.quiet = false,
        (false, false) => {}
    }
    (command, matches)
}

/// AMQP 1.0 on the command line.
#[derive(Debug, Parser)]
#[command(name = "amqp10", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Messages of devices on Alibaba Cloud IoT Platform
    #[command(arg_required_else_help = true)]
    Iot {
        #[command(subcommand)]
        command: IotCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IotCommand {
    /// Receive the messages of a consumer group and print each on a line
    #[command(long_about = RECEIVE_ABOUT, after_long_help = RECEIVE_MORE)]
    Receive(ReceiveArgs),
    /// Be the IoT Platform, with simulated devices, for tests and demonstrations
    #[command(long_about = EMULATE_ABOUT, after_long_help = EMULATE_MORE)]
    Emulate(EmulateArgs),
}

const RECEIVE_ABOUT: &str = "\
Receive the messages of a consumer group and print each on a line.

Connects to the AMQP 1.0 endpoint of Alibaba Cloud IoT Platform by TLS, signs in with an access key, and prints each message on
stdout as soon as it comes. A message is accepted, and forgotten by the service, only after its line has been written and
flushed; whatever happens before that, the service delivers it again.

Messages received here are taken from the group: its other consumers do not get them. To look without taking, make a second
consumer group, subscribe it to the same topics, and receive from that one.

A lost connection is made again, after 0.5 s to 30 s. Events (connection opened, connection closed, connection error, transport
error) are told on stderr.";

const RECEIVE_MORE: &str = "\
OUTPUT:
  receive message: message_id=ID, topic=TOPIC, content=CONTENT
      Control characters and what is not UTF-8 are escaped (\\n, \\x1b, \\xff), so a message is always one line.
  With --json, an object a line: message_id, topic, generate_time (ms since 1970, or null), properties (the other application
  properties), and content (text) or, if it is not UTF-8, content_base64.

ENVIRONMENT:
  Every option can be given as AMQP10_IOT_ and its name in capitals, with _ for -: AMQP10_IOT_HOST, AMQP10_IOT_CONSUMER_GROUP, …
  Those without a value are true or false there (AMQP10_IOT_JSON=true). A variable that is empty counts as not set.
  Access keys are read from ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and, if the key is a temporary one,
  ALIBABA_CLOUD_SECURITY_TOKEN. A flag wins over the environment.

SIGNALS:
  Ctrl-C, SIGTERM and on Windows Ctrl-Break: no more messages are asked for, what is in hand is printed and accepted, the rest is
  released, and the connection is closed, all within --grace. A second signal ends at once (130, 143).

EXIT STATUS:
  0   done: --count reached, --duration over, the end asked for, or the reader of stdout gone
  1   unforeseen, such as output that cannot be written
  2   usage or configuration
  3   cannot connect: name, TCP, TLS, or too slow
  4   authentication refused
  5   connection, session or link refused
  6   no message within --timeout

EXAMPLES:
  amqp10 iot receive --emulator
      Watch invented devices talk, without an account.
  amqp10 iot receive --host iot-x.amqp.iothub.aliyuncs.com --consumer-group GROUP --instance-id iot-x
      Receive, with the keys in the environment.
  amqp10 iot receive --json --count 100 | jq -r .topic | sort | uniq -c
      What are the next hundred messages about?";

const EMULATE_ABOUT: &str = "\
Be the IoT Platform, with simulated devices, for tests and demonstrations.

Listens with TLS, demands what the service demands (a signed sign-in, a heartbeat of 30 s to 300 s, one receiver attached within
15 s), shares the messages of simulated devices among the clients of a consumer group, and delivers again what was not accepted.

Prints on stdout where it listens, a key pair, instance and group to sign in with, and where the certificate is that clients have
to trust; then serves until Ctrl-C or SIGTERM. At the end it tells how many messages were sent, accepted and redelivered.";

const EMULATE_MORE: &str = "\
OUTPUT:
  With --json an object with url, host, port, access_key_id, access_key_secret, security_token (if there is one), consumer_group,
  instance_id and ca (a file) when it is ready, and another with produced, sent, accepted and redelivered at the end.

ENVIRONMENT:
  As for `amqp10 iot receive`.

EXIT STATUS:
  0   the end was asked for
  1   unforeseen, such as output that cannot be written
  2   usage or configuration, such as an address that is taken

EXAMPLES:
  amqp10 iot emulate --listen 127.0.0.1:0 --rate 100 --count 5000 --ca-out ca.pem
      5,000 messages at 100 a second, on a free port.";

#[derive(Debug, Args)]
pub(crate) struct ReceiveArgs {
    /// Start an emulator with a few devices in this process and receive from it; host and keys in the environment are ignored
    #[arg(long, value_parser = BoolishValueParser::new(), env = "AMQP10_IOT_EMULATOR", hide_env_values = true)]
    pub(crate) emulator: bool,
    /// The host: ${iotInstanceId}.amqp.iothub.aliyuncs.com, or ${uid}.iot-amqp.${regionId}.aliyuncs.com
    #[arg(long, value_name = "HOST", env = "AMQP10_IOT_HOST", hide_env_values = true)]
    pub(crate) host: Option<String>,
    /// The port
    #[arg(long, value_name = "PORT", default_value_t = 5671, env = "AMQP10_IOT_PORT", hide_env_values = true)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// The id of this client, at most 64 characters [default: this machine's name and six random characters]
    #[arg(long, value_name = "ID", env = "AMQP10_IOT_CLIENT_ID", hide_env_values = true)]
    pub(crate) client_id: Option<String>,
    /// How the password is signed: hmacmd5, hmacsha1 or hmacsha256
    #[arg(
        long,
        value_name = "METHOD",
        default_value_t = SignMethod::HmacSha1,
        env = "AMQP10_IOT_SIGN_METHOD",
        hide_env_values = true
    )]
    pub(crate) sign_method: SignMethod,
    /// The silence that the service puts up with, from 30s to 300s
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = time,
        env = "AMQP10_IOT_HEARTBEAT",
        hide_env_values = true
    )]
    pub(crate) heartbeat: Duration,
    /// How many messages may be in hand, received and not printed
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "AMQP10_IOT_CREDIT",
        hide_env_values = true
    )]
    pub(crate) credit: u32,
    /// End after so many messages; never more are asked for than are still wanted
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        env = "AMQP10_IOT_COUNT",
        hide_env_values = true
    )]
    pub(crate) count: Option<u64>,
    /// End after this time, such as 10m
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        env = "AMQP10_IOT_DURATION",
        hide_env_values = true
    )]
    pub(crate) duration: Option<Duration>,
    /// End with exit status 6 when no message has come for this time
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        env = "AMQP10_IOT_TIMEOUT",
        hide_env_values = true
    )]
    pub(crate) timeout: Option<Duration>,
    /// Try the first connection again and again, like later ones; otherwise it is tried once
    #[arg(long, value_parser = BoolishValueParser::new(), env = "AMQP10_IOT_KEEP_TRYING", hide_env_values = true)]
    pub(crate) keep_trying: bool,
    /// How long saying good-bye may take
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5s",
        value_parser = time,
        env = "AMQP10_IOT_GRACE",
        hide_env_values = true
    )]
    pub(crate) grace: Duration,
    /// Print JSON, one object a line
    #[arg(long, value_parser = BoolishValueParser::new(), env = "AMQP10_IOT_JSON", hide_env_values = true)]
    pub(crate) json: bool,
    /// Trust the certificate authorities in this PEM file instead of those of the web
    #[arg(long, value_name = "FILE", env = "AMQP10_IOT_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,
    /// Expect this name in the server's certificate instead of the host
    #[arg(long, value_name = "NAME", env = "AMQP10_IOT_TLS_SERVER_NAME", hide_env_values = true)]
    pub(crate) tls_server_name: Option<String>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EmulateArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:5671",
        env = "AMQP10_IOT_LISTEN",
        hide_env_values = true
    )]
    pub(crate) listen: SocketAddr,
    /// Messages a second, of all devices together
    #[arg(long, value_name = "N", default_value_t = 2.0, env = "AMQP10_IOT_RATE", hide_env_values = true)]
    pub(crate) rate: f64,
    /// How many devices there are
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..),
        env = "AMQP10_IOT_DEVICES",
        hide_env_values = true
    )]
    pub(crate) devices: u32,
    /// The devices fall silent after so many messages; those are served as long as wanted
    #[arg(long, value_name = "N", env = "AMQP10_IOT_COUNT", hide_env_values = true)]
    pub(crate) count: Option<u64>,
    /// Write the certificate that clients have to trust to this file and leave it there
    #[arg(long, value_name = "FILE", env = "AMQP10_IOT_CA_OUT", hide_env_values = true)]
    pub(crate) ca_out: Option<PathBuf>,
    /// Keep keys and certificate authority in this file, so that they are the same at the next start
    #[arg(long, value_name = "FILE", env = "AMQP10_IOT_IDENTITY", hide_env_values = true)]
    pub(crate) identity: Option<PathBuf>,
    /// Another name for the server's certificate, besides localhost, 127.0.0.1 and ::1; may be given several times
    #[arg(
        long = "tls-name",
        value_name = "NAME",
        value_delimiter = ',',
        env = "AMQP10_IOT_TLS_NAME",
        hide_env_values = true
    )]
    pub(crate) tls_names: Vec<String>,
    /// Refuse clients whose timestamp is further off than this [default: not looked at]
    #[arg(
        long,
        value_name = "TIME",
        value_parser = time,
        env = "AMQP10_IOT_MAX_CLOCK_SKEW",
        hide_env_values = true
    )]
    pub(crate) max_clock_skew: Option<Duration>,
    /// Print JSON, one object a line
    #[arg(long, value_parser = BoolishValueParser::new(), env = "AMQP10_IOT_JSON", hide_env_values = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Who signs in where.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The id of the access key
    #[arg(long, value_name = "ID", env = "ALIBABA_CLOUD_ACCESS_KEY_ID", hide_env_values = true)]
    pub(crate) access_key_id: Option<String>,
    /// The access key itself; better in the environment or a file, since others can see a flag
    #[arg(long, value_name = "SECRET", env = "ALIBABA_CLOUD_ACCESS_KEY_SECRET", hide_env_values = true)]
    pub(crate) access_key_secret: Option<SecretArg>,
    /// The token of a temporary access key; better in the environment or a file
    #[arg(long, value_name = "TOKEN", env = "ALIBABA_CLOUD_SECURITY_TOKEN", hide_env_values = true)]
    pub(crate) security_token: Option<SecretArg>,
    /// Read the keys from this JSON file (access_key_id, access_key_secret, security_token) before every attempt; - reads stdin once
    #[arg(long, value_name = "FILE", env = "AMQP10_IOT_CREDENTIALS_FILE", hide_env_values = true)]
    pub(crate) credentials_file: Option<PathBuf>,
    /// The consumer group
    #[arg(long, value_name = "GROUP", env = "AMQP10_IOT_CONSUMER_GROUP", hide_env_values = true)]
    pub(crate) consumer_group: Option<String>,
    /// The instance; leave it out for a legacy public instance
    #[arg(long, value_name = "ID", env = "AMQP10_IOT_INSTANCE_ID", hide_env_values = true)]
    pub(crate) instance_id: Option<String>,
}

/// A secret on its way from the command line or the environment.
#[derive(Clone, Debug)]
pub(crate) struct SecretArg(pub(crate) amqp10_iot::Secret);

impl From<&str> for SecretArg {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// What is told on stderr.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Tell errors only
    #[arg(short, long, value_parser = BoolishValueParser::new(), env = "AMQP10_IOT_QUIET", hide_env_values = true)]
    pub(crate) quiet: bool,
    /// Tell more; -vv tells still more, -vvv every frame
    #[arg(short, long, action = ArgAction::Count, env = "AMQP10_IOT_VERBOSE", hide_env_values = true)]
    pub(crate) verbose: u8,
    /// How events are told
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t = LogFormat::Text,
        env = "AMQP10_IOT_LOG_FORMAT",
        hide_env_values = true
    )]
    pub(crate) log_format: LogFormat,
}

/// How events are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Time, level and sentence
    Text,
    /// An object a line
    Json,
}
