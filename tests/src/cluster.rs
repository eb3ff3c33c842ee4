//! The cluster under test, found by `WAYBILL_KUBECONFIG`; without it a test says so loudly and skips.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The kubeconfig of the cluster under test; `make test` sets it.
pub const KUBECONFIG: &str = "WAYBILL_KUBECONFIG";
/// Set by `make test`: a test that needs the cluster then fails without one instead of skipping.
pub const REQUIRED: &str = "WAYBILL_REQUIRE_CLUSTER";

/// A way into the real cluster.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    config: Config,
}

impl Cluster {
    /// The cluster under test, or `None` after a printed line that says what was skipped and why.
    pub async fn connect(test: &str) -> Option<Self> {
        let Ok(path) = std::env::var(KUBECONFIG) else {
            assert!(std::env::var(REQUIRED).is_err(), "{REQUIRED} is set, but {KUBECONFIG} is not");
            eprintln!("SKIPPED {test}: needs a cluster; set {KUBECONFIG} or run `make test`");
            return None;
        };
        // A second call finds the provider already there, which is what we want.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let kubeconfig = Kubeconfig::read_from(&path).expect("the cluster's kubeconfig is readable");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .expect("the cluster's kubeconfig is complete");
        let client = Client::try_from(config.clone()).expect("a client from a complete kubeconfig");
        Some(Self { client, config })
    }

    /// The same cluster as another user, by impersonation: what the API server itself lets that user do.
    pub fn as_user(&self, user: &str, groups: &[&str]) -> Client {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.into());
        config.auth_info.impersonate_groups = Some(groups.iter().map(|g| (*g).into()).collect());
        Client::try_from(config).expect("a client from a complete kubeconfig")
    }

    /// The same cluster as a service account of `namespace`.
    pub fn as_account(&self, namespace: &str, account: &str) -> Client {
        let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
        self.as_user(&format!("system:serviceaccount:{namespace}:{account}"), &groups)
    }
}
