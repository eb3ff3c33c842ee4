//! Who is gone. A certificate is revoked for want of an owner only when the API server itself says that the object is not there, or is
//! another one: a failed list, a namespace we do not look into, or a kind that is not installed revokes nobody.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use waybill_crds::{Carrier, FIELD_MANAGER, Seller, label};

use super::crl::store::Ask;
use super::ledger::{Kind, Owner};
use super::{Error, Inner, names, trust};

const PAGE: u32 = 500;

/// See `Identity::gone`.
pub(crate) async fn gone(inner: &Inner, owner: &Owner) -> Result<bool, Error> {
    let gone = is_gone(inner, owner).await?;
    if gone {
        let asks = vec![Ask::CutOff(owner.uid.clone())];
        inner.revocations.ask(asks).await.map_err(Error::Revocations)?;
    }
    Ok(gone)
}

async fn is_gone(inner: &Inner, owner: &Owner) -> Result<bool, Error> {
    if !inner.scope.contains(&owner.namespace) {
        return Ok(false);
    }
    match owner.kind {
        Kind::Seller => is_another::<Seller>(inner, owner, &owner.name).await,
        Kind::Carrier => is_another::<Carrier>(inner, owner, &owner.name).await,
        Kind::CarrierApi => {
            let keys = names::secrets(owner.kind, &owner.name).keys;
            is_another::<Secret>(inner, owner, &keys).await
        }
        Kind::Broker | Kind::Board => Ok(false),
    }
}

async fn is_another<K>(inner: &Inner, owner: &Owner, name: &str) -> Result<bool, Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(inner.client.clone(), &owner.namespace);
    match api.get_metadata(name).await {
        Ok(found) => Ok(found.uid().as_deref() != Some(owner.uid.as_str())),
        // The object is missing, by name: a kind that is not installed answers 404 too, and says nothing about anybody.
        Err(kube::Error::Api(status))
            if status.is_not_found() && status.details.as_ref().is_some_and(|details| details.name == name) =>
        {
            Ok(true)
        }
        Err(error) => {
            let what = format!("{} {}/{}", owner.kind, owner.namespace, owner.name);
            Err(Error::api("look for", what)(error))
        }
    }
}

/// Uids of everybody of one kind in one namespace.
type Living = BTreeMap<(Kind, String), HashSet<String>>;

/// Looks at everybody: learns where participants are, revokes certificates whose owners are gone, removes the trust ConfigMap from
/// namespaces without participants. True when every list succeeded, so that what it learnt is complete.
pub(crate) async fn sweep(inner: &Inner) -> Result<bool, Error> {
    let mut living = Living::new();
    let before = inner.trust.names();
    let sellers = list::<Seller>(inner, Kind::Seller, &mut living).await;
    let carriers = list::<Carrier>(inner, Kind::Carrier, &mut living).await;
    let populated: BTreeSet<String> = living.keys().map(|(_, namespace)| namespace.clone()).collect();
    inner.trust.add(populated.iter().cloned());
    let known = Known { living: &living, sellers: sellers.is_ok(), carriers: carriers.is_ok() };
    revoke_ownerless(inner, &known).await?;
    for failed in [&sellers, &carriers].into_iter().filter_map(|list| list.as_ref().err()) {
        tracing::warn!(error = %waybill_chassis::telemetry::report(failed), "participants could not be listed; nobody is revoked for it");
    }
    let complete = sellers.is_ok() && carriers.is_ok();
    if complete {
        leave_empty(inner, before, &populated).await?;
    }
    Ok(complete)
}

async fn list<K>(inner: &Inner, kind: Kind, living: &mut Living) -> Result<(), Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    for api in inner.scope.apis::<K>(&inner.client) {
        each::<K>(&api, &ListParams::default(), |found| {
            let (Some(namespace), Some(uid)) = (found.namespace(), found.uid()) else { return };
            living.entry((kind, namespace)).or_default().insert(uid);
        })
        .await
        .map_err(Error::api("list", format!("{kind}s")))?;
    }
    Ok(())
}

async fn each<K>(api: &Api<K>, params: &ListParams, mut then: impl FnMut(PartialObjectMeta<K>)) -> kube::Result<()>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut params = params.clone().limit(PAGE);
    loop {
        let page = api.list_metadata(&params).await?;
        page.items.into_iter().for_each(&mut then);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

struct Known<'a> {
    living: &'a Living,
    sellers: bool,
    carriers: bool,
}

impl Known<'_> {
    /// Worth a question to the API server: not on a list that came back whole.
    fn misses(&self, owner: &Owner) -> bool {
        let listed = match owner.kind {
            Kind::Seller => self.sellers,
            Kind::Carrier => self.carriers,
            // One object a namespace: asked for by name.
            Kind::CarrierApi => return true,
            Kind::Broker | Kind::Board => return false,
        };
        let key = (owner.kind, owner.namespace.clone());
        listed && !self.living.get(&key).is_some_and(|uids| uids.contains(&owner.uid))
    }
}

async fn revoke_ownerless(inner: &Inner, known: &Known<'_>) -> Result<(), Error> {
    let (_, published) = inner.ready()?;
    let missing: Vec<Owner> = {
        let index = inner.ledger.index();
        let open = |leaf: &super::ledger::index::Leaf| !published.crl.refuses(&leaf.serial);
        index
            .owners()
            .filter(|(owner, leaves)| leaves.iter().any(open) && known.misses(owner))
            .map(|(owner, _)| owner)
            .collect()
    };
    let mut asks = Vec::new();
    for owner in missing {
        match is_gone(inner, &owner).await {
            Ok(true) => asks.push(Ask::CutOff(owner.uid)),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = %waybill_chassis::telemetry::report(&error), "an owner could not be asked for; it keeps its certificates");
            }
        }
    }
    if asks.is_empty() {
        return Ok(());
    }
    tracing::info!(owners = asks.len(), "certificates without an owner are revoked");
    inner.revocations.ask(asks).await.map_err(Error::Revocations)
}

/// Removes the trust ConfigMap where nobody is left to read it, and forgets places (known `before` the look) where nobody lives.
async fn leave_empty(inner: &Inner, before: BTreeSet<String>, populated: &BTreeSet<String>) -> Result<(), Error> {
    let selector = format!("{}={},{}={FIELD_MANAGER}", label::COMPONENT, trust::COMPONENT, label::MANAGED_BY);
    let params = ListParams::default().labels(&selector);
    let mut empty: BTreeSet<String> = before.difference(populated).cloned().collect();
    for api in inner.scope.apis::<ConfigMap>(&inner.client) {
        each(&api, &params, |found| {
            empty.extend(found.namespace().filter(|namespace| !populated.contains(namespace)));
        })
        .await
        .map_err(Error::api("list", "trust ConfigMaps"))?;
    }
    for namespace in empty {
        // Somebody may have moved in since the list.
        if is_populated::<Seller>(inner, &namespace).await? || is_populated::<Carrier>(inner, &namespace).await? {
            continue;
        }
        inner.trust.remove(&namespace);
        let api: Api<ConfigMap> = Api::namespaced(inner.client.clone(), &namespace);
        match api.delete(trust::NAME, &kube::api::DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(Error::api("delete", format!("ConfigMap {namespace}/{}", trust::NAME))(error)),
        }
    }
    Ok(())
}

async fn is_populated<K>(inner: &Inner, namespace: &str) -> Result<bool, Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(inner.client.clone(), namespace);
    let one = api.list_metadata(&ListParams::default().limit(1)).await;
    one.map(|page| !page.items.is_empty()).map_err(Error::api("list", format!("participants of {namespace}")))
}
