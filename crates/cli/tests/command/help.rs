//! What the command says about itself, and flags, environment and defaults.

use crate::support::{Place, amqp10, receive, run};
use amqp10_broker::Emulator;

const RECEIVE: [&str; 25] = [
    "--emulator",
    "--host",
    "--port",
    "--access-key-id",
    "--access-key-secret",
    "--security-token",
    "--credentials-file",
    "--consumer-group",
    "--instance-id",
    "--client-id",
    "--sign-method",
    "--heartbeat",
    "--credit",
    "--count",
    "--duration",
    "--timeout",
    "--keep-trying",
    "--grace",
    "--json",
    "--ca",
    "--tls-server-name",
    "--quiet",
    "--verbose",
    "--log-format",
    "--help",
];

const EMULATE: [&str; 19] = [
    "--listen",
    "--rate",
    "--devices",
    "--count",
    "--ca-out",
    "--identity",
    "--tls-name",
    "--max-clock-skew",
    "--json",
    "--access-key-id",
    "--access-key-secret",
    "--security-token",
    "--credentials-file",
    "--consumer-group",
    "--instance-id",
    "--quiet",
    "--verbose",
    "--log-format",
    "--help",
];

/// The variable of an option.
fn variable(option: &str) -> String {
    let name = option.trim_start_matches('-').replace('-', "_").to_uppercase();
    match option {
        "--access-key-id" | "--access-key-secret" | "--security-token" => format!("ALIBABA_CLOUD_{name}"),
        _ => format!("AMQP10_IOT_{name}"),
    }
}

#[test]
fn help_names_every_option_and_its_variable_and_shows_no_value_of_the_environment() {
    const MARKER: &str = "never-to-be-shown-4711";
    for (command, options) in [("receive", &RECEIVE[..]), ("emulate", &EMULATE[..])] {
        for help in ["--help", "-h"] {
            let mut program = amqp10(&format!("iot {command} {help}"));
            program.envs(RECEIVE.iter().chain(&EMULATE).map(|option| (variable(option), MARKER)));
            let ended = run(program).expect(0);
            let text = ended.stdout.join("\n");
            // Lines of a terminal may be broken anywhere.
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for option in options {
                assert!(words.contains(option), "{option}: {text}");
                let variable = variable(option);
                assert!(*option == "--help" || words.contains(&format!("[env: {variable}]")), "{variable}: {text}");
            }
            assert!(!text.contains(MARKER), "{text}");
            assert!(ended.stderr.is_empty(), "{ended:#?}");
        }
    }
}

#[test]
fn help_reads_like_a_manual_page() {
    let help = |arguments: &str| run(amqp10(arguments)).expect(0).stdout.join("\n");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let receive = words(&help("iot receive --help"));
    for expected in [
        "Messages received here are taken from the group: its other consumers do not get them. To look without taking, make \
         a second consumer group",
        "OUTPUT:",
        "receive message: message_id=ID, topic=TOPIC, content=CONTENT",
        "ENVIRONMENT:",
        "SIGNALS:",
        "EXIT STATUS:",
        "EXAMPLES:",
        "[default: 5671]",
        "[default: 60s]",
        "[default: 100]",
        "[default: 5s]",
        "[default: hmacsha1]",
    ] {
        assert!(receive.contains(expected), "{expected:?} is not in {receive}");
    }
    for code in 0..=6 {
        assert!(help("iot receive --help").contains(&format!("\n  {code}   ")), "exit status {code}");
    }
    let emulate = words(&help("iot emulate --help"));
    for expected in
        ["OUTPUT:", "EXIT STATUS:", "EXAMPLES:", "[default: 127.0.0.1:5671]", "[default: 2]", "[default: 3]"]
    {
        assert!(emulate.contains(expected), "{expected:?} is not in {emulate}");
    }
    assert!(help("--help").contains("iot"));
    assert!(help("iot --help").contains("receive") && help("iot --help").contains("emulate"));
    assert!(help("--version").starts_with("amqp10 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_wins_over_the_environment_which_wins_over_the_default() {
    let place = Place::of(Emulator::builder().consumer_group("other")).await;
    place.publish(20);
    let lines = |command| run(command).expect(0).stdout.len();
    // --count: nothing, the environment, a flag.
    let mut command = receive(&place, "--duration 700ms");
    assert_eq!(lines(command), 20);
    place.publish(20);
    command = receive(&place, "");
    command.env("AMQP10_IOT_COUNT", "4");
    assert_eq!(lines(command), 4);
    command = receive(&place, "--count 2");
    command.env("AMQP10_IOT_COUNT", "4");
    assert_eq!(lines(command), 2);
    // --client-id.
    command = receive(&place, "--count 1");
    command.env("AMQP10_IOT_CLIENT_ID", "of-the-environment");
    run(command).expect(0).says(&["as of-the-environment,"]);
    command = receive(&place, "--count 1 --client-id of-a-flag");
    command.env("AMQP10_IOT_CLIENT_ID", "of-the-environment");
    run(command).expect(0).says(&["as of-a-flag,"]);
    // --heartbeat, whose default is 60 s.
    run(receive(&place, "--count 1")).expect(0).says(&["heartbeat 60 s"]);
    command = receive(&place, "--count 1");
    command.env("AMQP10_IOT_HEARTBEAT", "90s");
    run(command).expect(0).says(&["heartbeat 90 s"]);
    command = receive(&place, "--count 1 --heartbeat 2m");
    command.env("AMQP10_IOT_HEARTBEAT", "90s");
    run(command).expect(0).says(&["heartbeat 120 s"]);
    // Everything that says where to go.
    command = amqp10("iot receive --count 1");
    let identity = place.identity();
    command
        .env("AMQP10_IOT_HOST", "127.0.0.1")
        .env("AMQP10_IOT_PORT", place.emulator.address().port().to_string())
        .env("AMQP10_IOT_CA", &place.ca)
        .env("AMQP10_IOT_TLS_SERVER_NAME", "localhost")
        .env("AMQP10_IOT_CONSUMER_GROUP", "other")
        .env("AMQP10_IOT_INSTANCE_ID", identity.instance_id.as_deref().unwrap())
        .env("AMQP10_IOT_SIGN_METHOD", "HMACSHA256")
        .env("AMQP10_IOT_GRACE", "3s")
        .env("AMQP10_IOT_CREDIT", "1")
        .env("AMQP10_IOT_DURATION", "")
        .env("AMQP10_IOT_TIMEOUT", "20s")
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", &identity.access_key_id)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", place.secret())
        .env("ALIBABA_CLOUD_SECURITY_TOKEN", "");
    run(command).expect(0).says(&["group other,"]);
    // Keys: those of the environment are wrong.
    let id = &place.identity().access_key_id;
    command = receive(&place, &format!("--count 1 --access-key-id {id} --access-key-secret {}", place.secret()));
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "wrong").env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "wrong");
    run(command).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_without_a_value_are_true_or_false_in_the_environment() {
    let place = Place::new().await;
    place.publish(20);
    let line = |arguments: &str, name: &str, value: &str| {
        let mut command = receive(&place, &format!("--count 1 {arguments}"));
        command.env(name, value);
        run(command).expect(0)
    };
    for value in ["true", "1", "yes"] {
        assert!(line("", "AMQP10_IOT_JSON", value).stdout[0].starts_with('{'), "{value}");
    }
    for value in ["false", "0", "no", ""] {
        assert!(line("", "AMQP10_IOT_JSON", value).stdout[0].starts_with("receive message"), "{value:?}");
    }
    assert!(line("--json", "AMQP10_IOT_JSON", "false").stdout[0].starts_with('{'));
    // A flag also wins over the variable of the option that it contradicts.
    assert!(line("", "AMQP10_IOT_QUIET", "true").stderr.is_empty());
    for value in ["true", "false"] {
        line("-v", "AMQP10_IOT_QUIET", value).says(&["connection opened"]);
    }
    assert!(line("-q", "AMQP10_IOT_VERBOSE", "3").stderr.is_empty());
    line("", "AMQP10_IOT_VERBOSE", "3").says(&["TRACE"]);
    line("", "AMQP10_IOT_LOG_FORMAT", "json").says(&[r#""level":"INFO""#]);
    assert_eq!(run(amqp10("iot receive --emulator -q -v")).code(), Some(2));
    let mut command = receive(&place, "");
    command.env("AMQP10_IOT_JSON", "perhaps");
    run(command).expect(2).says(&["--json", "perhaps"]);
    // With one variable, a host is not needed any more.
    let mut command = amqp10("iot receive --count 1");
    command.env("AMQP10_IOT_EMULATOR", "true");
    run(command).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emulator_ignores_host_and_keys_of_the_environment() {
    let mut command = amqp10("iot receive --emulator --count 3");
    command
        .env("AMQP10_IOT_HOST", "nonexistent.invalid")
        .env("AMQP10_IOT_PORT", "1")
        .env("AMQP10_IOT_CA", "/nonexistent")
        .env("AMQP10_IOT_TLS_SERVER_NAME", "nonexistent.invalid")
        .env("AMQP10_IOT_CONSUMER_GROUP", "nobody")
        .env("AMQP10_IOT_INSTANCE_ID", "none")
        .env("AMQP10_IOT_CREDENTIALS_FILE", "/nonexistent")
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "somebody")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hunter2")
        .env("ALIBABA_CLOUD_SECURITY_TOKEN", "hunter3");
    let ended = run(command).expect(0);
    assert_eq!(ended.stdout.len(), 3);
    ended.says(&["connection opened: 127.0.0.1 as "]);
    // A few devices, by and by.
    let began = std::time::Instant::now();
    let ended = run(amqp10("iot receive --emulator --duration 1200ms")).expect(0);
    assert!(began.elapsed() >= std::time::Duration::from_millis(1200));
    assert!((1..10).contains(&ended.stdout.len()), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_client_id_is_the_name_of_the_machine_and_six_random_characters() {
    let place = Place::new().await;
    place.publish(2);
    for _ in 0..2 {
        run(receive(&place, "--count 1")).expect(0);
    }
    let ids: Vec<_> = place.emulator.sign_ins().into_iter().map(|sign_in| sign_in.client_id).collect();
    assert_ne!(ids[0], ids[1]);
    let name = hostname::get().unwrap().into_string().unwrap();
    for id in &ids {
        let (host, random) = id.rsplit_once('-').unwrap();
        assert!(name.starts_with(host) && !host.is_empty(), "{id}");
        assert!(random.len() == 6 && random.chars().all(|character| character.is_ascii_alphanumeric()), "{id}");
    }
}
