//! Where keys come from, and where they never go.

use std::process::Stdio;

use crate::support::{Place, Program, amqp10, credentials, receive, run, run_with, until, write_whole};
use amqp10_broker::Emulator;
use amqp10_broker::emulator::Identity;
use amqp10_iot::SignMethod;

/// `iot receive` without keys.
fn without_keys(place: &Place, arguments: &str) -> std::process::Command {
    let mut command = receive(place, arguments);
    command.env_remove("ALIBABA_CLOUD_ACCESS_KEY_ID").env_remove("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_as_a_flag_draws_a_warning() {
    let place = Place::new().await;
    place.publish(2);
    let id = &place.identity().access_key_id;
    let ended =
        run(without_keys(&place, &format!("--count 1 --access-key-id {id} --access-key-secret {}", place.secret())));
    let ended = ended.expect(0);
    ended.says(&["WARN --access-key-secret can be seen by other users of this machine", "--credentials-file"]);
    assert!(!ended.said().contains(place.secret()), "{ended:#?}");
    assert!(!ended.said().contains("--access-key-id can"), "{ended:#?}");
    let ended = run(receive(&place, "--security-token a-token")).expect(4);
    ended.says(&["WARN --security-token can be seen by other users"]);
    assert!(!ended.said().contains("a-token"), "{ended:#?}");
    let ended = run(receive(&place, "--count 1")).expect(0);
    assert!(!ended.said().contains("WARN"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credentials_file_may_hold_a_token() {
    let mut identity = Identity::generate().unwrap();
    identity.security_token = Some("a+token/=".into());
    let place = Place::of(Emulator::builder().identity(identity)).await;
    place.publish(3);
    let keys = serde_json::json!({
        "access_key_id": place.identity().access_key_id,
        "access_key_secret": place.secret(),
        "security_token": "a+token/=",
        "expiration": "2026-01-01T00:00:00Z",
    });
    let file = place.file("keys.json", keys.to_string());
    let mut command = without_keys(&place, "--count 1 --credentials-file");
    command.arg(&file);
    run(command).expect(0);
    // The file wins over keys in the environment, also if it is named there.
    let mut command = receive(&place, "--count 1");
    command.env("AMQP10_IOT_CREDENTIALS_FILE", &file).env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "wrong");
    run(command).expect(0);
    let mut command = receive(&place, "--count 1");
    command.env("ALIBABA_CLOUD_SECURITY_TOKEN", "a+token/=");
    run(command).expect(0);
}

#[test]
fn two_flags_that_give_keys_contradict_each_other() {
    for flag in ["--access-key-id i", "--access-key-secret hunter2", "--security-token hunter2"] {
        let command = amqp10(&format!("iot receive --host 127.0.0.1 --consumer-group g --credentials-file f {flag}"));
        let ended = run(command).expect(2);
        ended.says(&["ERROR --credentials-file and ", flag.split(' ').next().unwrap(), "both give keys"]);
        assert!(!ended.said().contains("hunter2"), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_read_again_before_every_attempt() {
    let place = Place::new().await;
    place.publish(1);
    place.emulator.cut();
    let file = place.credentials("wrong");
    let mut command = without_keys(&place, "--keep-trying --credentials-file");
    command.arg(&file);
    let mut program = Program::start(command);
    program.event("transport error: ");
    // Nobody there to refuse the wrong secret. A file that is broken for a while does no harm either.
    write_whole(&file, "{");
    program.event("credentials.json is not a JSON object");
    place.credentials(place.secret());
    place.emulator.resume();
    program.event("connection opened");
    program.line();
    // From now on only a refused sign-in with unchanged keys ends it.
    until("the message is accepted", || place.emulator.counts().accepted == 1);
    place.emulator.cut();
    program.event("transport error: ");
    place.credentials("wrong again");
    place.emulator.resume();
    let ended = program.end().expect(4);
    ended.says(&["ERROR authentication refused for access key"]);
    let accepted: Vec<_> = place.emulator.sign_ins().iter().map(|sign_in| sign_in.accepted).collect();
    assert_eq!(accepted, [true, false]);
    let timestamps: Vec<_> = place.emulator.sign_ins().iter().map(|sign_in| sign_in.timestamp).collect();
    assert!(timestamps[0] < timestamps[1], "{timestamps:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_changed_since_they_were_refused_are_tried() {
    let place = Place::new().await;
    place.publish(1);
    let pipe = place.dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = without_keys(&place, "--keep-trying --count 1 --credentials-file");
    command.arg(&pipe);
    let mut program = Program::start(command);
    let id = &place.identity().access_key_id;
    // Whoever writes to a pipe waits for a reader. The first reading is for the attempt that is refused.
    std::fs::write(&pipe, credentials(id, "wrong")).unwrap();
    until("the sign-in is refused", || place.emulator.sign_ins().len() == 1);
    // The second is to see whether the keys are others now, the third for the next attempt.
    std::fs::write(&pipe, credentials(id, place.secret())).unwrap();
    program.event("WARN connection error: amqp:unauthorized-access: authentication refused for");
    std::fs::write(&pipe, credentials(id, place.secret())).unwrap();
    program.event("connection opened");
    program.end().expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdin_is_read_once() {
    let place = Place::new().await;
    place.publish(1);
    let keys = credentials(&place.identity().access_key_id, place.secret());
    let mut command = without_keys(&place, "--count 2 --credentials-file -");
    command.stdin(Stdio::piped());
    let mut program = Program::start(command);
    {
        use std::io::Write;
        program.take_stdin().write_all(keys.as_bytes()).unwrap();
    }
    program.line();
    place.emulator.cut();
    program.event("transport error: ");
    place.publish(1);
    place.emulator.resume();
    program.line();
    program.end().expect(0);
    assert_eq!(place.emulator.sign_ins().len(), 2);
    let ended = run_with(without_keys(&place, "--credentials-file -"), b"hunter2").expect(2);
    ended.says(&["the credentials file - is not a JSON object"]);
    assert!(!ended.said().contains("hunter2"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_ever_told() {
    let mut identity = Identity::generate().unwrap();
    identity.access_key_secret = "the-secret-4711".into();
    identity.security_token = Some("the-token-4712".into());
    let place = Place::of(Emulator::builder().identity(identity)).await;
    place.publish(1);
    let mut command = receive(&place, "-vvv");
    command.env("ALIBABA_CLOUD_SECURITY_TOKEN", "the-token-4712");
    let mut program = Program::start(command);
    program.line();
    place.emulator.cut();
    program.event("transport error: ");
    place.emulator.resume();
    program.event("connection opened");
    let ended = program.kill();
    assert!(ended.said().contains("TRACE received"), "{ended:#?}");
    for secret in ["the-secret-4711", "the-token-4712", "securityToken"] {
        assert!(!ended.said().contains(secret), "{secret} in {ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_is_ever_told() {
    let place = Place::new().await;
    place.publish(1);
    let ended = run(receive(&place, "-vvv --count 1")).expect(0);
    let id = &place.identity().access_key_id;
    let sign_ins = place.emulator.sign_ins();
    let timestamp = sign_ins[0].timestamp.unwrap();
    let password = SignMethod::HmacSha1.sign(place.secret(), &format!("authId={id}&timestamp={timestamp}"));
    for secret in [&password[..], place.secret(), "signMethod"] {
        assert!(!ended.said().contains(secret), "{secret} in {ended:#?}");
    }
    // Nor by an emulator in the same process, which sees them from the other side.
    let mut command = amqp10("iot emulate --listen 127.0.0.1:0 -vvv");
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id").env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "the-secret-4713");
    let mut program = Program::start(command);
    let text: Vec<_> = (0..7).map(|_| program.line()).collect();
    let ended = program.kill();
    assert!(!text.join("\n").contains("4713") && !ended.said().contains("4713"), "{text:?} {ended:#?}");
}
