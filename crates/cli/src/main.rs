#![doc = include_str!("../README.md")]

mod args;
mod exit;
mod iot;
mod log;
mod signals;
mod text;

use std::process::ExitCode;
use std::time::Duration;

use args::IotCommand;
use exit::Failure;

fn main() -> ExitCode {
    let (command, matches) = args::parse();
    let logging = match &command {
        IotCommand::Receive(args) => &args.log,
        IotCommand::Emulate(args) => &args.log,
    };
    log::start(logging);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::unforeseen(format!("the runtime cannot start: {error}")).report(),
    };
    let result = runtime.block_on(async {
        match command {
            IotCommand::Receive(args) => iot::receive::run(args, &matches).await,
            IotCommand::Emulate(args) => iot::emulate::run(args, &matches).await,
        }
    });
    // A write that nobody reads, or a read that nobody feeds, must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
