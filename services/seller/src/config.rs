//! Every setting of the Seller service: a flag, an environment variable and a line of help each. Nothing else reads the
//! environment.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use waybill_chassis::limit::LimitArgs;
use waybill_chassis::probes::ProbeArgs;
use waybill_chassis::telemetry::LogArgs;
use waybill_crds::Duration;

/// The Seller service: Seller API on every replica, distribution on the one that holds the Lease
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Namespace of the Seller
    #[arg(long, env = "WAYBILL_NAMESPACE")]
    pub namespace: String,

    /// Name of the Seller
    #[arg(long, env = "WAYBILL_NAME")]
    pub name: String,

    /// Uid of the Seller: its name at the broker
    #[arg(long, env = "WAYBILL_UID")]
    pub uid: String,

    /// Name this replica holds the Lease under; the pod's name
    #[arg(long, env = "WAYBILL_POD")]
    pub pod: String,

    /// The broker's listener for sellers
    #[arg(long, env = "WAYBILL_BROKER", value_name = "HOST:PORT")]
    pub broker: String,

    /// Folder with tls.crt, tls.key and ca.crt; followed while running
    #[arg(long, env = "WAYBILL_TLS_DIR", default_value = "/etc/waybill/tls", value_name = "DIR")]
    pub tls_dir: PathBuf,

    /// Folder with ed25519.seed, x25519.key, commit.key and statement; followed while running
    #[arg(long, env = "WAYBILL_KEYS_DIR", default_value = "/etc/waybill/keys", value_name = "DIR")]
    pub keys_dir: PathBuf,

    /// Folder with label.key; followed while running
    #[arg(long, env = "WAYBILL_LABEL_DIR", default_value = "/etc/waybill/label", value_name = "DIR")]
    pub label_dir: PathBuf,

    /// The Seller API as distribution reads it; its Service by default
    #[arg(long, env = "WAYBILL_SELLER_API", value_name = "URL")]
    pub seller_api: Option<String>,

    /// Order systems that may be asked: prefixes of addresses, separated by commas; empty means none
    #[arg(long, env = "WAYBILL_ORDER_URLS", value_delimiter = ',', value_name = "URL")]
    pub order_urls: Vec<String>,

    /// Hosts that notifications may lead to (`host` or `host:port`), separated by commas; empty means none
    #[arg(long, env = "WAYBILL_NOTIFY_HOSTS", value_delimiter = ',', value_name = "HOST")]
    pub notify_hosts: Vec<String>,

    /// How long after it failed a notice is tried again; then twice as long each time
    #[arg(long, env = "WAYBILL_NOTIFY_RETRY", default_value = "5s", value_name = "TIME")]
    pub notify_retry: Duration,

    /// How long a notice is tried before it is given up
    #[arg(long, env = "WAYBILL_NOTIFY_GIVE_UP", default_value = "24h", value_name = "TIME")]
    pub notify_give_up: Duration,

    /// Folder with `token`, which the Carrier API takes for this account's; without it there are no links in e-mails
    #[arg(long, env = "WAYBILL_GRANTS_DIR", default_value = "/etc/waybill/grants", value_name = "DIR")]
    pub grants_dir: PathBuf,

    /// Address of this pod, by which other replicas reach the one that holds the Lease
    #[arg(long, env = "WAYBILL_POD_IP", value_name = "IP")]
    pub pod_ip: Option<IpAddr>,

    /// Address of the Seller API
    #[arg(long, env = "WAYBILL_LISTEN", default_value = "0.0.0.0:5000", value_name = "ADDR")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub limit: LimitArgs,

    #[command(flatten)]
    pub probes: ProbeArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

impl Args {
    /// Name of everything made for this Seller, its Lease among them.
    pub fn workload(&self) -> String {
        format!("wb-seller-{}", self.name)
    }

    /// The name its certificates have.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.workload(), self.namespace)
    }

    /// Where distribution reads parts of orders.
    pub fn seller_api(&self) -> String {
        self.seller_api.clone().unwrap_or_else(|| format!("https://{}:5000", self.host()))
    }

    /// Where this very replica serves.
    pub fn own_address(&self) -> Option<SocketAddr> {
        self.pod_ip.map(|ip| SocketAddr::new(ip, self.listen.port()))
    }
}
