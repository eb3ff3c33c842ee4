//! Every setting of the Carrier API: a flag, an environment variable and a line of help each. Nothing else reads the
//! environment.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use waybill_chassis::limit::LimitArgs;
use waybill_chassis::probes::ProbeArgs;
use waybill_chassis::telemetry::LogArgs;

/// Where a bucket is and how it is opened, by the usual names. Holds a secret: never printed.
#[derive(Clone, Default)]
pub struct Bucket(Vec<(String, String)>);

impl Bucket {
    fn from_env() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Bucket {
    /// Variables of other names are left out.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().filter(|(name, _)| name.starts_with("AWS_")).collect())
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The Carrier API: carriers report to it, permitted people read from it
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Namespace whose carriers and Deliveries it serves
    #[arg(long, env = "WAYBILL_NAMESPACE")]
    pub namespace: String,

    /// Folder with tls.crt, tls.key and ca.crt; followed while running
    #[arg(long, env = "WAYBILL_TLS_DIR", default_value = "/etc/waybill/tls", value_name = "DIR")]
    pub tls_dir: PathBuf,

    /// Folder with ed25519.seed, the key that signs view tokens; followed while running
    #[arg(long, env = "WAYBILL_KEYS_DIR", default_value = "/etc/waybill/keys", value_name = "DIR")]
    pub keys_dir: PathBuf,

    /// Uid of this Carrier API's identity: the issuer of view tokens
    #[arg(long, env = "WAYBILL_UID")]
    pub uid: String,

    /// Where photos and the hashes of grants are kept: file:///folder, or s3://bucket/prefix with the usual AWS_ variables
    #[arg(long, env = "WAYBILL_PHOTOS_URL", default_value = "file:///photos", value_name = "URL")]
    pub photos_url: String,

    /// The `AWS_…` variables, for a bucket.
    #[arg(skip = Bucket::from_env())]
    pub bucket: Bucket,

    /// Address of the Carrier API
    #[arg(long, env = "WAYBILL_LISTEN", default_value = "0.0.0.0:5001", value_name = "ADDR")]
    pub listen: SocketAddr,

    #[command(flatten)]
    pub limit: LimitArgs,

    #[command(flatten)]
    pub probes: ProbeArgs,

    #[command(flatten)]
    pub log: LogArgs,
}
