//! What is logged and printed. The only test of its process, because the log is the process's.

use std::sync::{Arc, Mutex};

use amqp10::transport::sasl::{Attempt, Verdict};
use amqp10::transport::{self, AcceptOptions};
use amqp10::{Connection, Listener, ServerBuilder};
use tracing_subscriber::util::SubscriberInitExt;

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn h32_secrets_are_not_in_the_log_nor_in_what_is_printed() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    subscriber.init();
    let mut printed = String::new();
    for verdict in [Verdict::Accept, Verdict::Refuse] {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let options = AcceptOptions::default();
            let incoming = listener.accept().await.unwrap();
            let mut printed = String::new();
            let judge = |attempt: Attempt| {
                printed = format!("{attempt:?}");
                std::future::ready(verdict)
            };
            match incoming.authenticate(&options, judge).await {
                Ok(stream) => {
                    printed += &format!("{stream:?}");
                    let pending = stream.open(ServerBuilder::new()).await.unwrap();
                    let settings = pending.settings();
                    pending.accept(settings).await.unwrap().closed().await;
                }
                Err(error) => printed += &format!("{error:?} {error}"),
            }
            printed
        });
        let url: transport::Url = format!("amqp://token:hunter2@127.0.0.1:{port}").parse().unwrap();
        let builder = Connection::builder().allow_clear_text_password(true).plain("token", "hunter2");
        printed += &format!("{builder:?} {url:?} {url}");
        match builder.connect_url(&url).await {
            Ok(connection) => {
                printed += &format!("{connection:?}");
                connection.close().await;
            }
            Err(error) => printed += &format!("{error:?} {error}"),
        }
        printed += &serving.await.unwrap();
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("TRACE"), "nothing was captured");
    for text in [log, printed] {
        assert!(!text.contains("hunter2") && !text.contains("token"), "{text}");
    }
}
