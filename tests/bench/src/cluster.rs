//! The cluster to measure: a client, the served namespace, and one that nobody serves for the raw baseline.

use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;

/// Where the load goes.
pub(crate) struct Setting {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) namespace: String,
    /// Not served by the operator: writes there are the bench's own.
    pub(crate) unserved: String,
    pub(crate) cluster: String,
    pub(crate) versions: String,
}

impl Setting {
    pub(crate) async fn prepare(kubeconfig: &Path, namespace: &str, cluster: &str) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig).context("failed to read the kubeconfig")?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config.clone())?;
        let server = client.apiserver_version().await.context("failed to reach the API server")?;
        let unserved = format!("{namespace}-raw");
        for name in [namespace, &unserved] {
            let api: Api<Namespace> = Api::all(client.clone());
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            api.patch(name, &PatchParams::apply("waybill-bench"), &Patch::Apply(body)).await?;
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Ok(Self {
            client,
            config,
            namespace: namespace.into(),
            unserved,
            cluster: cluster.into(),
            versions: format!("Kubernetes {}, {cores} cores, everything on them", server.git_version),
        })
    }

    /// The same API server as a service account: policies judge by the account.
    pub(crate) fn as_account(&self, account: &str) -> Result<Client> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{account}"));
        // The account's name decides in the policy; the group gives the bench its rights.
        config.auth_info.impersonate_groups = Some(vec!["system:masters".into()]);
        Ok(Client::try_from(config)?)
    }
}
