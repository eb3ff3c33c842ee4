//! Every setting of the board: a flag, an environment variable and a line of help each. Nothing else reads the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use waybill_chassis::limit::LimitArgs;
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
    pub limit: LimitArgs,

    #[command(flatten)]
    pub oidc: OidcArgs,

    #[command(flatten)]
    pub probes: ProbeArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// With whom people may log in besides the cluster; without an issuer with nobody. Names are made as the API server's flags make them.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OidcArgs {
    /// The OpenID Connect issuer people may log in with, such as https://id.example.com; it needs the external URL as well
    #[arg(long = "oidc-issuer", env = "WAYBILL_OIDC_ISSUER", value_name = "URL")]
    pub issuer: Option<String>,

    /// As whom the board is known to the issuer
    #[arg(long = "oidc-client-id", env = "WAYBILL_OIDC_CLIENT_ID", value_name = "ID")]
    pub client_id: Option<String>,

    /// File with the client's secret, read at each login; unset for a client that has none
    #[arg(long = "oidc-client-secret-file", env = "WAYBILL_OIDC_CLIENT_SECRET_FILE", value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,

    /// File with the roots the issuer's certificate is checked against, instead of the machine's
    #[arg(long = "oidc-ca-file", env = "WAYBILL_OIDC_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// What is asked for besides `openid`, separated by commas
    #[arg(long = "oidc-scopes", env = "WAYBILL_OIDC_SCOPES", value_delimiter = ',', default_value = "profile,email")]
    pub scopes: Vec<String>,

    /// Claim that names a person
    #[arg(long = "oidc-username-claim", env = "WAYBILL_OIDC_USERNAME_CLAIM", default_value = "sub")]
    pub username_claim: String,

    /// What stands before that name; empty means the issuer and `#`, but before an e-mail address nothing; `-` means nothing
    #[arg(
        long = "oidc-username-prefix",
        env = "WAYBILL_OIDC_USERNAME_PREFIX",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub username_prefix: String,

    /// Claim that names a person's groups; empty means they have none
    #[arg(long = "oidc-groups-claim", env = "WAYBILL_OIDC_GROUPS_CLAIM", default_value = "")]
    pub groups_claim: String,

    /// What stands before the name of a group
    #[arg(long = "oidc-groups-prefix", env = "WAYBILL_OIDC_GROUPS_PREFIX", default_value = "")]
    pub groups_prefix: String,
}

impl OidcArgs {
    pub(crate) fn issuer(&self) -> Option<String> {
        filled(self.issuer.as_deref())
    }

    pub(crate) fn client_id(&self) -> Option<String> {
        filled(self.client_id.as_deref())
    }

    pub(crate) fn client_secret_file(&self) -> Option<PathBuf> {
        self.client_secret_file.clone().filter(|file| !file.as_os_str().is_empty())
    }

    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        self.ca_file.clone().filter(|file| !file.as_os_str().is_empty())
    }

    pub(crate) fn username_claim(&self) -> String {
        filled(Some(&self.username_claim)).unwrap_or_else(|| "sub".into())
    }

    pub(crate) fn groups_claim(&self) -> Option<String> {
        filled(Some(&self.groups_claim))
    }

    /// As it is asked for.
    pub(crate) fn scope(&self) -> String {
        let more = self.scopes.iter().map(|scope| scope.trim()).filter(|scope| !scope.is_empty() && *scope != "openid");
        ["openid"].into_iter().chain(more).collect::<Vec<_>>().join(" ")
    }
}

/// A setting somebody made: the chart leaves others empty.
fn filled(text: Option<&str>) -> Option<String> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Args {
    /// The namespaces to show; none means all.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let named = self.watch_namespaces.iter().map(|name| name.trim().to_owned());
        named.filter(|name| !name.is_empty()).collect()
    }

    /// The base of links, without a slash at its end.
    pub(crate) fn external_url(&self) -> Option<String> {
        filled(self.external_url.as_deref()).map(|url| url.trim_end_matches('/').to_owned())
    }
}
