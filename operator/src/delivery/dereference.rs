//! Everything a Delivery names. From the cache; only a participant it doesn't show is asked for once, because it may have been
//! created in the same breath. No judgement here.

use jiff::SignedDuration;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use waybill_crds::{Carrier, ConditionType, DeliveryView, Reason, Seller, condition};

use super::Deliveries;
use crate::cache::ends::{carrier_is_provisioned, seller_is_provisioned};
use crate::cache::index::By;
use crate::cache::{Caches, admitted, started};
use crate::context::Context;
use crate::written::Written;

/// What could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to ask for {kind} {name}")]
    Ask {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// A participant as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known<T> {
    Here(T),
    /// It exists, and the cache will show it in a moment.
    Arriving,
    Missing,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SellerFacts {
    pub uid: String,
    pub suspended: bool,
    pub provisioned: bool,
    pub stall_after: Option<SignedDuration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct CarrierFacts {
    pub uid: String,
    pub suspended: bool,
    pub revoked: bool,
    pub camera: bool,
    pub provisioned: bool,
}

/// Another live Delivery with the same UPC.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rival {
    /// None, or none with a better claim.
    Nobody,
    /// It is being decided about this very moment, and may be admitted: a moment later is soon enough to say.
    Undecided,
    /// It has the better claim.
    Better(String),
}

/// What the decision is made from, besides the Delivery itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    pub namespace_ends: bool,
    pub auto_create: bool,
    pub seller: Known<SellerFacts>,
    /// None if the Delivery names none.
    pub carrier: Option<Known<CarrierFacts>>,
    pub rival: Rival,
    /// An order with this UPC is forgotten.
    pub forgotten: bool,
    pub stall_after: SignedDuration,
}

pub(super) async fn dereference(deliveries: &Deliveries, delivery: &DeliveryView) -> Result<Facts, Error> {
    let Deliveries { context, caches, written, .. } = deliveries;
    let namespace = delivery.namespace().unwrap_or_default();
    let seller = match caches.sellers.get(&ObjectRef::new(&delivery.spec.seller).within(&namespace)) {
        Some(seller) => Known::Here(seller_facts(&seller)),
        None if is_told(delivery, Reason::SellerMissing) => Known::Missing,
        None => ask::<Seller, _>(context, &namespace, &delivery.spec.seller).await?,
    };
    let carrier = match &delivery.spec.carrier {
        None => None,
        Some(name) => Some(match caches.carriers.get(&ObjectRef::new(name).within(&namespace)) {
            Some(carrier) => Known::Here(carrier_facts(&carrier)),
            None if is_told(delivery, Reason::CarrierMissing) => Known::Missing,
            None => ask::<Carrier, _>(context, &namespace, name).await?,
        }),
    };
    Ok(Facts {
        namespace_ends: caches.namespace_ends(&namespace),
        auto_create: caches.auto_creates(&namespace),
        seller,
        carrier,
        rival: rival(caches, written, &namespace, delivery),
        forgotten: forgotten(deliveries, &namespace, delivery).await?,
        stall_after: signed(context.settings.stall_after.get()),
    })
}

fn seller_facts(seller: &Seller) -> SellerFacts {
    SellerFacts {
        uid: seller.uid().unwrap_or_default(),
        suspended: seller.spec.suspended,
        provisioned: seller_is_provisioned(seller),
        stall_after: seller.spec.stall_after.map(|after| signed(after.get())),
    }
}

fn carrier_facts(carrier: &Carrier) -> CarrierFacts {
    CarrierFacts {
        uid: carrier.uid().unwrap_or_default(),
        suspended: carrier.spec.suspended,
        revoked: carrier.spec.revoked,
        camera: carrier.spec.camera,
        provisioned: carrier_is_provisioned(carrier),
    }
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Whether its status says so already; the participant's own arrival will wake it.
fn is_told(delivery: &DeliveryView, reason: Reason) -> bool {
    let conditions = delivery.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    condition::find(conditions, ConditionType::Admitted).is_some_and(|admitted| admitted.reason == reason.as_str())
}

async fn ask<K, T>(context: &Context, namespace: &str, name: &str) -> Result<Known<T>, Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    match context.api::<PartialObjectMeta<K>>(namespace).get_opt(name).await {
        Ok(Some(_)) => Ok(Known::Arriving),
        Ok(None) => Ok(Known::Missing),
        Err(source) => Err(Error::Ask { kind: K::kind(&()).into_owned(), name: name.to_owned(), source }),
    }
}

/// Asked about whoever is not admitted yet. A Delivery of this UPC that is to be forgotten and still there tells it too.
async fn forgotten(deliveries: &Deliveries, namespace: &str, delivery: &DeliveryView) -> Result<bool, Error> {
    if admitted(delivery) || started(delivery) || delivery.phase().terminal() {
        return Ok(false);
    }
    let (caches, upc) = (&deliveries.caches, &delivery.spec.upc);
    let same = caches.index.find(By::Upc, namespace, upc);
    let there = same.iter().filter_map(|name| caches.deliveries.get(&ObjectRef::new(name).within(namespace)));
    if there.into_iter().any(|other| other.spec.forgotten == Some(true)) {
        return Ok(true);
    }
    let known = deliveries.forgotten.has(&deliveries.context.client, namespace, upc).await;
    known.map_err(|source| Error::Ask { kind: "ConfigMap".into(), name: "waybill-forgotten".into(), source })
}

fn rival(caches: &Caches, written: &Written, namespace: &str, delivery: &DeliveryView) -> Rival {
    let same = caches.index.find(By::Upc, namespace, &delivery.spec.upc);
    if same.len() < 2 {
        return Rival::Nobody;
    }
    let others: Vec<_> = same
        .iter()
        .filter_map(|name| caches.deliveries.get(&ObjectRef::new(name).within(namespace)))
        .filter(|other| !other.phase().terminal() && other.metadata.uid != delivery.metadata.uid)
        .collect();
    // The best of them, so that what is said stays said when the others come and go.
    if let Some(best) = others.iter().min_by_key(|other| claim(other)).filter(|best| claim(best) < claim(delivery)) {
        return Rival::Better(best.name_any());
    }
    // Whoever is already admitted fears nobody who is not.
    match !admitted(delivery) && others.iter().any(|other| written.is_unsettled(&**other)) {
        true => Rival::Undecided,
        false => Rival::Nobody,
    }
}

/// Smaller is better: who is under way, who is admitted, then who was first; the uid decides within one second.
pub(super) fn claim(delivery: &DeliveryView) -> (bool, bool, Option<jiff::Timestamp>, Option<&str>) {
    let created = delivery.metadata.creation_timestamp.as_ref().map(|at| at.0);
    (!started(delivery), !admitted(delivery), created, delivery.metadata.uid.as_deref())
}
