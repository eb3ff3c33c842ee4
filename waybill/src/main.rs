//! One binary for every program of the house: which one it is, is the first word.

mod check;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use waybill_chassis::process::{Error, exit, run};

/// Private, provable delivery on Kubernetes
#[derive(Parser)]
#[command(name = "waybill", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    program: Program,
}

#[derive(Subcommand)]
enum Program {
    /// Provisions Sellers, Carriers and Deliveries
    Operator(Box<waybill_operator::Args>),
    /// Keeps a merchant's orders and releases each address part by part
    Seller(Box<waybill_seller::Args>),
    /// Takes carriers' reports and shows them to whom they are for
    CarrierApi(Box<waybill_carrier::Args>),
    /// Carries: the agent of a truck, a drone or a person
    Transport(Box<waybill_transport::Args>),
    /// Shows where deliveries are, live, to those who may see them
    Board(Box<waybill_dashboard::Args>),
    /// Keeps the broker's certificates, revocations and access lists current
    BrokerSidecar(Box<waybill_broker::Args>),
    /// Asks readiness pages until all of them are well
    Check(check::Args),
    /// Prints the custom resource definitions as YAML
    Crds,
}

fn main() -> ExitCode {
    exit(match Cli::parse().program {
        Program::Operator(args) => run(&args.log.clone(), |stop| waybill_operator::run(*args, stop)),
        Program::Seller(args) => run(&args.log.clone(), |stop| waybill_seller::run(*args, stop)),
        Program::CarrierApi(args) => run(&args.log.clone(), |stop| waybill_carrier::run(*args, stop)),
        Program::Transport(args) => run(&args.log.clone(), |stop| waybill_transport::run(*args, stop)),
        Program::Board(args) => run(&args.log.clone(), |stop| waybill_dashboard::run(*args, stop)),
        Program::BrokerSidecar(args) => run(&args.log.clone(), |stop| waybill_broker::run(*args, stop)),
        Program::Check(args) => check::run(&args).map_err(|error| Error::Program(Box::new(error))),
        Program::Crds => {
            waybill_crds::manifests().iter().for_each(|(_, yaml)| print!("---\n{yaml}"));
            Ok(())
        }
    })
}
