//! What the operator knows of the cluster without asking: one watch a kind, trimmed to what is read, and who is woken by what.
//!
//! Deliveries are kept without their log ([`DeliveryView`]), namespaces and Secrets as metadata only. A cache may lag behind; what
//! must not be wrong (a removal, a missing participant) is asked of the API server again by the one who decides it.

pub(crate) mod ends;
mod guard;
pub(crate) mod index;
mod reflect;
mod routes;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Resource};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waybill_crds::{Carrier, DeliveryView, FIELD_MANAGER, Seller, label};

pub(crate) use reflect::{Cached, Change};
pub(crate) use routes::{CARRIER_API, admitted, started};

use crate::context::{Context, Scope};
use crate::identity::Owner;
use crate::queue::Queue;
use guard::Guarded;
use index::Index;
use reflect::{Covers, Part, Reflector, Synced};

/// Small pages: a list is decoded page by page, and a Delivery may carry a megabyte of log that is dropped at once.
const PAGE: u32 = 100;

/// A namespace, as far as it is kept.
pub(crate) type NamespaceMeta = PartialObjectMeta<Namespace>;
/// A Secret, as far as it is kept: never its content.
pub(crate) type SecretMeta = PartialObjectMeta<Secret>;

/// What waits to be reconciled, by kind; the Carrier API of a namespace is reconciled under the namespace.
#[derive(Clone)]
pub(crate) struct Queues {
    pub sellers: Queue<Seller>,
    pub carriers: Queue<Carrier>,
    pub deliveries: Queue<DeliveryView>,
    pub namespaces: Queue<NamespaceMeta>,
}

impl Queues {
    pub(crate) fn new(metrics: &crate::metrics::Metrics) -> Self {
        Self {
            sellers: Queue::new(metrics.depth("seller")),
            carriers: Queue::new(metrics.depth("carrier")),
            deliveries: Queue::new(metrics.depth("delivery")),
            namespaces: Queue::new(metrics.depth("carrier-api")),
        }
    }
}

/// The objects the operator made, of each kind it makes.
#[derive(Clone)]
pub(crate) struct Children {
    pub deployments: Store<Deployment>,
    pub services: Store<Service>,
    pub accounts: Store<ServiceAccount>,
    pub roles: Store<Role>,
    pub bindings: Store<RoleBinding>,
    pub budgets: Store<PodDisruptionBudget>,
    pub policies: Store<NetworkPolicy>,
}

/// Every cache; clones share them.
#[derive(Clone)]
pub(crate) struct Caches {
    pub sellers: Store<Seller>,
    pub carriers: Store<Carrier>,
    pub deliveries: Store<DeliveryView>,
    pub namespaces: Store<NamespaceMeta>,
    pub secrets: Store<SecretMeta>,
    pub children: Children,
    pub index: Arc<Index>,
    synced: Arc<[(&'static str, Synced)]>,
}

impl Caches {
    /// Waits until every first list is complete, telling through `missing` what is still awaited.
    pub(crate) async fn wait(&self, missing: impl Fn(&'static str)) {
        for (kind, synced) in self.synced.iter() {
            if !synced.is() {
                missing(kind);
            }
            synced.wait().await;
        }
    }

    /// Whether Deliveries of the namespace may bring their Seller and Carrier into being.
    pub(crate) fn auto_creates(&self, namespace: &str) -> bool {
        self.namespaces.get(&ObjectRef::new(namespace)).is_some_and(|namespace| routes::auto_creates(&namespace))
    }

    /// Whether the namespace is going away; nothing can be made in it then.
    pub(crate) fn namespace_ends(&self, namespace: &str) -> bool {
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some())
    }
}

/// Starts every watch on `tasks`; they end with `shutdown`.
pub(crate) fn start(
    context: &Context,
    queues: &Queues,
    departed: mpsc::UnboundedSender<Owner>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Caches {
    let index = Arc::new(Index::default());
    let mut starter = Starter { context, tasks, shutdown, synced: Vec::new() };
    let sellers = {
        let (index, queues, departed) = (index.clone(), queues.clone(), departed.clone());
        starter.named("sellers", watcher::Config::default(), drop_foreign, move |change: &Change<'_, Seller>| {
            routes::seller(change, &index, &queues, &departed);
        })
    };
    let carriers = {
        let (index, queues, departed) = (index.clone(), queues.clone(), departed);
        starter.named("carriers", watcher::Config::default(), drop_foreign, move |change: &Change<'_, Carrier>| {
            routes::carrier(change, &index, &queues, &departed);
        })
    };
    let deliveries = {
        let (index, queues, carriers) = (index.clone(), queues.clone(), carriers.clone());
        starter.named("deliveries", watcher::Config::default(), keep, move |change: &Change<'_, DeliveryView>| {
            index.follow(change);
            routes::delivery(change, &index, &queues, &carriers);
        })
    };
    let namespaces = starter.namespaces({
        let queues = queues.clone();
        let contents =
            routes::Contents { sellers: sellers.clone(), carriers: carriers.clone(), deliveries: deliveries.clone() };
        move |change| routes::namespace(change, &contents, &queues)
    });
    let secrets = starter.secrets(queues.clone());
    let children = starter.children(queues);
    Caches { sellers, carriers, deliveries, namespaces, secrets, children, index, synced: starter.synced.into() }
}

struct Starter<'a> {
    context: &'a Context,
    tasks: &'a TaskTracker,
    shutdown: &'a CancellationToken,
    synced: Vec<(&'static str, Synced)>,
}

impl Starter<'_> {
    fn named<K>(
        &mut self,
        what: &'static str,
        config: watcher::Config,
        trim: fn(&mut K),
        tell: impl FnMut(&Change<'_, K>) + Send + 'static,
    ) -> Store<K>
    where
        K: Cached + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        let part = |api: Api<Guarded<K>>| {
            let covers = api.namespace().map_or(Covers::Everything, |namespace| Covers::Namespace(namespace.into()));
            Part { api, config: config.clone().page_size(PAGE), covers }
        };
        let parts = self.context.scope.apis(&self.context.client).into_iter().map(part).collect();
        self.begin(what, parts, trim, tell)
    }

    /// Namespaces have no namespace: one named watch each, which a ClusterRole with resource names allows.
    fn namespaces(&mut self, tell: impl FnMut(&Change<'_, NamespaceMeta>) + Send + 'static) -> Store<NamespaceMeta> {
        let api = || Api::<Guarded<NamespaceMeta>>::all(self.context.client.clone());
        let config = watcher::Config::default().page_size(PAGE);
        let parts = match &self.context.scope {
            Scope::Cluster => vec![Part { api: api(), config, covers: Covers::Everything }],
            Scope::Namespaces(named) => named
                .iter()
                .map(|name| Part {
                    api: api(),
                    config: config.clone().fields(&format!("metadata.name={name}")),
                    covers: Covers::Name(name.clone()),
                })
                .collect(),
        };
        self.begin("namespaces", parts, drop_foreign, tell)
    }

    /// A change of a Secret the operator made wakes its owner.
    fn secrets(&mut self, queues: Queues) -> Store<SecretMeta> {
        self.named("secrets", ours(), drop_foreign, move |change: &Change<'_, SecretMeta>| {
            routes::child(change, &queues)
        })
    }

    fn children(&mut self, queues: &Queues) -> Children {
        Children {
            deployments: self.child("deployments", queues),
            services: self.child("services", queues),
            accounts: self.child("serviceaccounts", queues),
            roles: self.child("roles", queues),
            bindings: self.child("rolebindings", queues),
            budgets: self.child("poddisruptionbudgets", queues),
            policies: self.child("networkpolicies", queues),
        }
    }

    fn child<K>(&mut self, what: &'static str, queues: &Queues) -> Store<K>
    where
        K: Cached + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        let queues = queues.clone();
        self.named(what, ours(), keep, move |change: &Change<'_, K>| routes::child(change, &queues))
    }

    fn begin<K: Cached>(
        &mut self,
        what: &'static str,
        parts: Vec<Part<K>>,
        trim: fn(&mut K),
        tell: impl FnMut(&Change<'_, K>) + Send + 'static,
    ) -> Store<K> {
        let (metrics, events) = (self.context.metrics.clone(), self.context.events.clone());
        let (store, synced, feed) = Reflector { parts, trim, metrics, events }.start(tell);
        self.synced.push((what, synced));
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move { shutdown.run_until_cancelled_owned(feed).await });
        store
    }
}

/// Objects the operator made, and no others.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}={FIELD_MANAGER}", label::MANAGED_BY))
}

fn keep<K>(_: &mut K) {}

/// Annotations of others can be large (the last applied configuration) and are never read.
fn drop_foreign<K: Resource>(object: &mut K) {
    if let Some(annotations) = &mut object.meta_mut().annotations {
        annotations.retain(|key, _| key.starts_with("waybill.dev/"));
    }
}
