//! The commands, one file each.

mod board;
mod bundle;
mod cancel;
mod carrier;
mod certs;
mod checker;
mod create;
mod declare;
mod doctor;
mod enroll;
mod forget;
mod label;
mod report;
mod timeline;
mod token;
mod track;
mod verify;

use clap::{CommandFactory as _, Subcommand};
use clap_complete::Shell;

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an order and its Delivery; the address is asked for, never given on the command line
    Create(create::Args),
    /// Shows where parcels are, and goes on showing with --watch
    Track(track::Args),
    /// Shows everything that was signed about a delivery, verified here
    Timeline(timeline::Args),
    /// Opens the board in your browser, by your own rights
    Board(board::Args),
    /// Writes the proof of a delivery into one file
    Bundle(bundle::Args),
    /// Checks a proof bundle: no network, no cluster
    Verify(verify::Args),
    /// Writes the page that checks proof bundles in a browser: one file, no network
    Checker(checker::Args),
    /// Writes the events of a delivery as EPCIS 2.0
    Epcis(bundle::EpcisArgs),
    /// Makes the label of a parcel: its code and its secret as a QR code
    Label(label::Args),
    /// Tracking links: who may follow a delivery without an account
    #[command(subcommand)]
    Token(token::Command),
    /// Calls a delivery off; after pick-up the parcel comes back
    Cancel(cancel::Args),
    /// Says what no device reported; it counts once the Seller countersigns it
    Declare(declare::Args),
    /// Forgets an order, and says what is gone from which store
    Forget(forget::Args),
    /// What concerns carriers
    #[command(subcommand)]
    Carrier(carrier::Command),
    /// Shows the certificates of Sellers and Carriers, and when they lapse
    Certs(certs::Args),
    /// Says what is wrong and what to do next
    Doctor(doctor::Args),
    /// Writes what somebody needs who is asked for help: no Secret, no address
    Report(report::Args),
    /// Prints the completion script of a shell
    Completion { shell: Shell },
}

/// Runs one; the answer is the exit code.
pub(crate) async fn run(command: Command) -> Result<u8, Error> {
    match command {
        Command::Verify(args) => verify::run(&args),
        Command::Checker(args) => checker::run(&args),
        Command::Completion { shell } => {
            let mut line = crate::Line::command();
            clap_complete::generate(shell, &mut line, "kubectl-waybill", &mut std::io::stdout());
            Ok(code::DONE)
        }
        Command::Create(args) => create::run(&at(&args.place).await?, &args).await,
        Command::Declare(args) => declare::run(&at(&args.place).await?, &args).await,
        Command::Forget(args) => forget::run(&at(&args.place).await?, &args).await,
        Command::Report(args) => report::run(&at(&args.place).await?, &args).await,
        Command::Carrier(carrier::Command::Enroll(args)) => enroll::run(&at(&args.place).await?, &args).await,
        Command::Track(args) => track::run(&at(&args.place).await?, &args).await,
        Command::Timeline(args) => timeline::run(&at(&args.place).await?, &args).await,
        Command::Board(args) => board::run(&at(&args.place).await?, &args).await,
        Command::Bundle(args) => bundle::run(&at(&args.place).await?, &args).await,
        Command::Epcis(args) => bundle::epcis(&at(&args.place).await?, &args).await,
        Command::Label(args) => label::run(&at(&args.place).await?, &args).await,
        Command::Token(command) => token::run(&at(command.place()).await?, &command).await,
        Command::Cancel(args) => cancel::run(&at(&args.place).await?, &args).await,
        Command::Carrier(carrier::Command::Revoke(args)) => carrier::revoke(&at(&args.place).await?, &args).await,
        Command::Certs(args) => certs::run(&at(&args.place).await?).await,
        Command::Doctor(args) => doctor::run(&at(&args.place).await?).await,
    }
}

async fn at(place: &Where) -> Result<Cluster, Error> {
    Cluster::of(place).await
}
