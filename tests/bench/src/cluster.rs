//! The cluster to measure: a client, the served namespace, and one that nobody serves for the raw baseline.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Config, Resource};
use serde_json::json;
use waybill_e2e::operator;

use crate::process::Process;
use crate::report::Report;

/// How many requests are under way at once, in the baseline as in the load.
pub(crate) const CLIENTS: usize = 16;

/// Where the load goes.
pub(crate) struct Setting {
    pub(crate) client: Client,
    config: Config,
    pub(crate) namespace: String,
    /// Served too, and empty.
    pub(crate) example: String,
    /// Not served by the operator: writes there are the bench's own.
    pub(crate) unserved: String,
}

impl Setting {
    pub(crate) async fn prepare(kubeconfig: &Path, namespace: &str, report: &mut Report) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig).context("failed to read the kubeconfig")?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config.clone())?;
        let server = client.apiserver_version().await.context("failed to reach the API server")?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        report.line("cluster", format!("Kubernetes {}, all of it on these {cores} cores", server.git_version));
        let setting = Self {
            client,
            config,
            namespace: namespace.into(),
            example: format!("{namespace}-example"),
            unserved: format!("{namespace}-raw"),
        };
        let api: Api<Namespace> = Api::all(setting.client.clone());
        for name in [&setting.namespace, &setting.example, &setting.unserved] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            api.patch(name, &apply(), &Patch::Apply(body)).await?;
        }
        Ok(setting)
    }

    /// What is in the served namespace.
    pub(crate) fn served<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
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

/// Containers of Waybill's that had to be started again: a crash, or a memory limit.
pub(crate) async fn restarts(setting: &Setting, report: &mut Report) -> Result<()> {
    let (mut restarted, mut all) = (0, 0);
    for namespace in ["waybill-system", &setting.namespace, &setting.example] {
        let pods: Api<Pod> = Api::namespaced(setting.client.clone(), namespace);
        for status in pods.list(&ListParams::default()).await?.into_iter().filter_map(|pod| pod.status) {
            let containers = status.container_statuses.unwrap_or_default().into_iter();
            for container in containers.chain(status.init_container_statuses.unwrap_or_default()) {
                all += 1;
                restarted += usize::from(container.restart_count > 0);
            }
        }
    }
    report.lost("containers that ended and were started again", restarted, all);
    Ok(())
}

/// How the bench applies what is its own.
pub(crate) fn apply() -> PatchParams {
    PatchParams::apply("waybill-bench").force()
}

/// The operator's process on this machine.
pub(crate) async fn operator() -> Result<Process> {
    let pid = tokio::time::timeout(Duration::from_secs(60), operator::pid()).await.context("no operator runs here")?;
    Ok(Process(pid))
}
