//! The user's way into the cluster: their kubeconfig, their namespace, their rights.

use std::fmt::Debug;
use std::path::PathBuf;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use waybill_crds::Delivery;

use crate::error::Error;

/// In the managed fields of what people change with this program.
pub(crate) const FIELD_MANAGER: &str = "kubectl-waybill";

/// Where, and as whom.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Where {
    /// The namespace; that of the current context unless you say so
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    /// The kubeconfig; $KUBECONFIG or ~/.kube/config unless you say so
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; the current one unless you say so
    #[arg(long, global = true)]
    context: Option<String>,
}

/// A namespace of a cluster, as the user sees it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// What the kubeconfig proves its user with.
    pub(crate) auth: AuthInfo,
}

impl Cluster {
    pub(crate) async fn of(place: &Where) -> Result<Self, Error> {
        let config = config(place).await?;
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let auth = config.auth_info.clone();
        let client = Client::try_from(config).map_err(|error| Error::Config(error.into()))?;
        Ok(Self { client, namespace, auth })
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One object, if it is there.
    pub(crate) async fn find<K>(&self, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        self.api::<K>()
            .get_opt(name)
            .await
            .map_err(|error| self.failed("get", &format!("{} {name}", K::plural(&())), error))
    }

    /// One object that has to be there.
    pub(crate) async fn get<K>(&self, name: &str) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let missing =
            || Error::Missing(format!("there is no {} {name:?} in namespace {:?}", K::kind(&()), self.namespace));
        self.find(name).await?.ok_or_else(missing)
    }

    pub(crate) async fn list<K>(&self) -> Result<Vec<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let listed = self.api::<K>().list(&ListParams::default()).await;
        Ok(listed.map_err(|error| self.failed("list", &K::plural(&()), error))?.items)
    }

    /// The user's own wish for a spec.
    pub(crate) async fn change<K>(&self, name: &str, spec: Value) -> Result<K, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let patch = Patch::Merge(serde_json::json!({ "spec": spec }));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let changed = self.api::<K>().patch(name, &params, &patch).await;
        changed.map_err(|error| self.failed("patch", &format!("{} {name}", K::plural(&())), error))
    }

    /// The Delivery with this name or, failing that, this UPC: the one that runs where several had it.
    pub(crate) async fn delivery(&self, name: &str) -> Result<Delivery, Error> {
        // A UPC may have letters no name has: then there is nothing to get.
        let is_name =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
        if is_name && let Some(found) = self.find::<Delivery>(name).await? {
            return Ok(found);
        }
        let mut found: Vec<Delivery> =
            self.list::<Delivery>().await?.into_iter().filter(|one| one.spec.upc == name).collect();
        if found.len() > 1 && found.iter().any(|one| !one.phase().terminal()) {
            found.retain(|one| !one.phase().terminal());
        }
        match found.len() {
            0 => Err(Error::NoDelivery { name: name.to_owned(), namespace: self.namespace.clone() }),
            1 => Ok(found.remove(0)),
            count => {
                let names: Vec<&str> = found.iter().filter_map(|one| one.metadata.name.as_deref()).collect();
                Err(Error::Ambiguous { upc: name.to_owned(), count, names: names.join(", ") })
            }
        }
    }

    pub(crate) fn failed(&self, verb: &'static str, what: &str, source: kube::Error) -> Error {
        Error::Cluster { verb, what: what.to_owned(), namespace: self.namespace.clone(), source: Box::new(source) }
    }
}

async fn config(place: &Where) -> Result<Config, Error> {
    let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
    let found = match &place.kubeconfig {
        Some(path) => match Kubeconfig::read_from(path) {
            Ok(file) => Config::from_custom_kubeconfig(file, &options).await,
            Err(error) => Err(error),
        },
        None if place.context.is_none() => return Config::infer().await.map_err(|error| Error::Config(error.into())),
        None => Config::from_kubeconfig(&options).await,
    };
    found.map_err(|error| Error::Config(error.into()))
}
