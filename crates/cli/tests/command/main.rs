//! The command as its users meet it: a process of its own, and an emulator in this one for it to talk to.

#![cfg_attr(not(unix), allow(dead_code, unused_imports, reason = "signals and some files are a matter of Unix"))]

mod credentials;
mod emulate;
mod exit_codes;
mod help;
mod output;
mod reconnect;
#[cfg(unix)]
mod signals;
mod support;
