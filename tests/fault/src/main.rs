//! `waybill-fault`: see [`waybill_fault`].

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let args = waybill_fault::Args::parse();
    let all_well = tokio::select! {
        all_well = waybill_fault::run(args) => all_well,
        // Whoever stops it leaves no process behind: all of them end with their worlds.
        _ = tokio::signal::ctrl_c() => false,
    };
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
