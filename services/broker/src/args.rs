//! Settings of the sidecar; the environment variables are what the chart sets.

use std::net::SocketAddr;
use std::path::PathBuf;

use waybill_chassis::probes::ProbeArgs;
use waybill_chassis::telemetry::LogArgs;

/// Keeps the broker's certificates, revocations and access lists current
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Namespace of the release, where the operator writes what the broker needs
    #[arg(long, env = "WAYBILL_NAMESPACE", value_name = "NAME")]
    pub namespace: String,

    #[command(flatten)]
    pub broker: BrokerArgs,

    #[command(flatten)]
    pub probes: ProbeArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the broker is, seen from its own pod.
#[derive(Debug, Clone, clap::Args)]
pub struct BrokerArgs {
    /// Folder in memory that the broker reads its files from
    #[arg(long = "dir", env = "WAYBILL_BROKER_DIR", default_value = "/run/waybill-broker", value_name = "DIR")]
    pub dir: PathBuf,

    /// The broker's own listener for the sidecar
    #[arg(long = "admin-addr", env = "WAYBILL_BROKER_ADMIN", default_value = "127.0.0.1:8885", value_name = "ADDR")]
    pub admin: SocketAddr,

    /// Name of the broker's process, which gets a SIGHUP when files have changed
    #[arg(long = "process", env = "WAYBILL_BROKER_PROCESS", default_value = "mosquitto", value_name = "NAME")]
    pub process: String,
}
