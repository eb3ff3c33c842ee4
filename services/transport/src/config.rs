//! Every setting of the transport: a flag, an environment variable and a line of help each. Nothing else reads the
//! environment.

use std::path::PathBuf;

use waybill_chassis::probes::ProbeArgs;
use waybill_chassis::telemetry::LogArgs;

/// A carrier's agent: speaks with sellers through the broker; needs no access to any cluster
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The broker's listener for carriers; as published in the trust folder unless given
    #[arg(long, env = "WAYBILL_BROKER", value_name = "HOST:PORT")]
    pub broker: Option<String>,

    /// Folder with tls.crt, tls.key and ca.crt; followed while running
    #[arg(long, env = "WAYBILL_TLS_DIR", default_value = "/etc/waybill/tls", value_name = "DIR")]
    pub tls_dir: PathBuf,

    /// Folder with the published trust (ca.crt, revoked.json, broker); followed while running
    #[arg(long, env = "WAYBILL_TRUST_DIR", default_value = "/etc/waybill/trust", value_name = "DIR")]
    pub trust_dir: PathBuf,

    #[command(flatten)]
    pub probes: ProbeArgs,

    #[command(flatten)]
    pub log: LogArgs,
}
