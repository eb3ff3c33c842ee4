//! Every setting of the operator: one flag, one environment variable, one line of help each. Nothing else reads the environment.

use clap::Args as ClapArgs;
use waybill_chassis::probes::ProbeArgs;
use waybill_chassis::telemetry::LogArgs;
use waybill_crds::Duration;

/// The operator's settings, as the chart gives them.
#[derive(ClapArgs, Clone, Debug)]
pub struct Args {
    /// Namespace of the operator itself: its CA, ledger, Lease and broker Secrets live there.
    #[arg(long, env = "WAYBILL_NAMESPACE", default_value = "waybill-system")]
    pub namespace: String,

    /// Namespaces to work in, separated by commas; empty means every namespace of the cluster.
    #[arg(long, env = "WAYBILL_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Image of the pods the operator makes (the one Waybill image).
    #[arg(long, env = "WAYBILL_IMAGE", default_value = "waybill:latest")]
    pub image: String,

    /// When to pull that image: Always, IfNotPresent or Never.
    #[arg(long, env = "WAYBILL_IMAGE_PULL_POLICY", default_value = "IfNotPresent",
          value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: String,

    /// Secrets of each namespace with Sellers or Carriers that let nodes pull that image, separated by commas.
    #[arg(long, env = "WAYBILL_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,

    /// Host name of the broker inside the cluster.
    #[arg(long, env = "WAYBILL_BROKER_HOST", default_value = "waybill-broker.waybill-system.svc")]
    pub broker_host: String,

    /// `mqtts://host:port` of a broker that is not ours, instead of the one in the chart.
    #[arg(long, env = "WAYBILL_BROKER_URL")]
    pub broker_url: Option<String>,

    /// Names the broker has outside the cluster, separated by commas: added to its certificate.
    #[arg(long, env = "WAYBILL_BROKER_EXTERNAL_NAMES", value_delimiter = ',')]
    pub broker_external_names: Vec<String>,

    /// Names the Carrier API has outside the cluster, separated by commas: added to its certificate.
    #[arg(long, env = "WAYBILL_CARRIER_API_EXTERNAL_NAMES", value_delimiter = ',')]
    pub carrier_api_external_names: Vec<String>,

    /// Whether the chart installs a board, which then needs a certificate.
    #[arg(long, env = "WAYBILL_BOARD", default_value_t = false, action = clap::ArgAction::Set)]
    pub board: bool,

    /// Names the board has outside the cluster, separated by commas: added to its certificate.
    #[arg(long, env = "WAYBILL_BOARD_EXTERNAL_NAMES", value_delimiter = ',')]
    pub board_external_names: Vec<String>,

    /// Life of a CA certificate.
    #[arg(long, env = "WAYBILL_CA_TTL", default_value = "8760h")]
    pub ca_ttl: Duration,

    /// How long a new and an old CA are both trusted during a rotation.
    #[arg(long, env = "WAYBILL_CA_OVERLAP", default_value = "24h")]
    pub ca_overlap: Duration,

    /// Prefixes of order system URLs a Seller may name, separated by commas; empty means none.
    #[arg(long, env = "WAYBILL_ORDER_URLS", value_delimiter = ',')]
    pub order_urls: Vec<String>,

    /// Hosts a Seller's notifications may lead to (`host` or `host:port`), separated by commas; empty means none.
    #[arg(long, env = "WAYBILL_NOTIFY_HOSTS", value_delimiter = ',')]
    pub notify_hosts: Vec<String>,

    /// Address of the board as people reach it: what tracking links begin with; unset, there are no links in e-mails.
    #[arg(long, env = "WAYBILL_BOARD_URL")]
    pub board_url: Option<String>,

    /// Requests a minute that one caller may make of an API (a certificate, a credential, or an address without either); 0 for no limit.
    #[arg(long, env = "WAYBILL_RATE_LIMIT", default_value_t = 60_000)]
    pub rate_limit: u32,

    /// How many objects of one kind are worked on at the same time.
    #[arg(long, env = "WAYBILL_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,

    /// Replicas of each Seller API.
    #[arg(long, env = "WAYBILL_SELLER_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=9))]
    pub seller_replicas: i32,

    /// Replicas of each Carrier API (one, unless its files are on S3 or PostgreSQL).
    #[arg(long, env = "WAYBILL_CARRIER_API_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=9))]
    pub carrier_api_replicas: i32,

    /// `s3://bucket/prefix` for the photos of all namespaces; unset, each namespace has a volume of its own.
    #[arg(long, env = "WAYBILL_PHOTOS_URL")]
    pub photos_url: Option<String>,

    /// Secret of each namespace with the environment that opens the bucket (AWS_ACCESS_KEY_ID and the like).
    #[arg(long, env = "WAYBILL_PHOTOS_CREDENTIALS")]
    pub photos_credentials: Option<String>,

    /// Size of a new volume for photos.
    #[arg(long, env = "WAYBILL_PHOTOS_SIZE", default_value = "5Gi")]
    pub photos_size: String,

    /// StorageClass of a new volume for photos; unset means the cluster's default.
    #[arg(long, env = "WAYBILL_PHOTOS_STORAGE_CLASS")]
    pub photos_storage_class: Option<String>,

    /// CPU each pod asks for.
    #[arg(long, env = "WAYBILL_POD_CPU_REQUEST", default_value = "5m")]
    pub pod_cpu_request: String,

    /// Memory each pod asks for.
    #[arg(long, env = "WAYBILL_POD_MEMORY_REQUEST", default_value = "32Mi")]
    pub pod_memory_request: String,

    /// Memory a pod may not exceed.
    #[arg(long, env = "WAYBILL_POD_MEMORY_LIMIT", default_value = "256Mi")]
    pub pod_memory_limit: String,

    /// How long a Delivery under way may stand still before it is called stalled, unless its Seller says otherwise.
    #[arg(long, env = "WAYBILL_STALL_AFTER", default_value = "6h")]
    pub stall_after: Duration,

    /// Name this replica holds the Lease under; the pod's name in a cluster.
    #[arg(long, env = "WAYBILL_POD", default_value = "")]
    pub pod: String,

    #[command(flatten)]
    pub log: LogArgs,

    #[command(flatten)]
    pub probes: ProbeArgs,
}

impl Args {
    pub(crate) fn identity(&self) -> crate::identity::Settings {
        crate::identity::Settings {
            namespace: self.namespace.clone(),
            broker_host: self.broker_host.clone(),
            broker_url: self.broker_url.clone().filter(|url| !url.is_empty()),
            broker_external_names: named(&self.broker_external_names),
            carrier_api_external_names: named(&self.carrier_api_external_names),
            board_url: self.board_url.clone().filter(|url| !url.is_empty()),
            board: self.board,
            board_external_names: named(&self.board_external_names),
            ca_ttl: self.ca_ttl.get(),
            ca_overlap: self.ca_overlap.get(),
        }
    }
}

/// An empty variable is a list with one empty name; that is nobody.
pub(crate) fn named(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}
