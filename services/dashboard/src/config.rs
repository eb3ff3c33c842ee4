//! Every setting of the board: a flag, an environment variable and a line of help each. Nothing else reads the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use waybill_chassis::probes::ProbeArgs;
use waybill_chassis::telemetry::LogArgs;

/// The board: where deliveries are, live; the recipient's tracking page
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Namespaces whose Deliveries it shows, separated by commas; empty means every namespace of the cluster
    #[arg(long, env = "WAYBILL_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Folder with tls.crt, tls.key and ca.crt; followed while running
    #[arg(long, env = "WAYBILL_TLS_DIR", default_value = "/etc/waybill/tls", value_name = "DIR")]
    pub tls_dir: PathBuf,

    /// Where people reach the board, such as https://board.example.com: the base of the links they get
    #[arg(long, env = "WAYBILL_EXTERNAL_URL", value_name = "URL")]
    pub external_url: Option<String>,

    /// Where a namespace's Carrier API is
    #[arg(long, env = "WAYBILL_CARRIER_API_URL", default_value = "https://waybill-carrier-api.{namespace}.svc:5001")]
    pub carrier_api_url: String,

    /// Where a Seller's API is
    #[arg(long, env = "WAYBILL_SELLER_API_URL", default_value = "https://wb-seller-{seller}.{namespace}.svc:5000")]
    pub seller_api_url: String,

    /// File with the board's own Kubernetes token, shown to Carrier APIs
    #[arg(
        long,
        env = "WAYBILL_TOKEN_FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token",
        value_name = "FILE"
    )]
    pub token_file: PathBuf,

    /// Address of the board
    #[arg(long, env = "WAYBILL_LISTEN", default_value = "0.0.0.0:5002", value_name = "ADDR")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub probes: ProbeArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

impl Args {
    /// The namespaces to show; none means all.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let named = self.watch_namespaces.iter().map(|name| name.trim().to_owned());
        named.filter(|name| !name.is_empty()).collect()
    }

    /// The base of links, without a slash at its end.
    pub(crate) fn external_url(&self) -> Option<String> {
        let url = self.external_url.as_deref().map(|url| url.trim().trim_end_matches('/'));
        url.filter(|url| !url.is_empty()).map(str::to_owned)
    }
}
