//! What people do with Waybill from a terminal, under their own rights: `kubectl waybill`.
//!
//! Reads the cluster as the user may, checks signatures itself, and says what to do next when something is refused. Nothing personal
//! comes from an argument or goes into one: other users of the machine see a command line.
//!
//! Rooms: `command` (one file a command), `cluster` (the user's way into it), `carrier_api` (the way to a
//! namespace's Carrier API), `forward` (the way to a pod), `credentials` (what such a way begins with), `log` (a Delivery's log, verified here), `show` (tables and
//! documents), `error` (what went wrong and what to do).

mod carrier_api;
mod cluster;
mod command;
mod credentials;
mod error;
mod forward;
mod log;
mod show;

use std::process::ExitCode;

use clap::Parser;

use command::Command;

/// Exit codes, the same for every command.
pub(crate) mod code {
    /// Done; for `verify`: proved.
    pub(crate) const DONE: u8 = 0;
    /// Not done, and why was said; for `verify`: something does not hold.
    pub(crate) const FAILED: u8 = 1;
    /// For `verify`: everything holds together, and no root was given to compare with.
    pub(crate) const ROOT_UNKNOWN: u8 = 3;
}

/// Private, provable delivery: follow it, check it, take it back
///
/// Exit codes: 0 done (verify: proved), 1 failed (verify: broken), 2 wrong usage, 3 (verify) consistent, root unknown.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-waybill",
    bin_name = "kubectl waybill",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// The whole program: from the command line to the exit code.
pub fn main() -> ExitCode {
    run(Line::parse().command)
}

fn run(command: Command) -> ExitCode {
    // Libraries that ask the process for its provider get the one everybody uses; a second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("failed to start: {error}")),
    };
    match runtime.block_on(command::run(command)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => failed(&error.told()),
    }
}

fn failed(text: &str) -> ExitCode {
    eprintln!("error: {text}");
    ExitCode::from(code::FAILED)
}
