//! Who is woken by which change. Waking too often costs a look at the cache; waking too seldom would leave something wrong, so in
//! doubt an object is woken.

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;
use waybill_crds::{Carrier, ConditionType, DeliveryView, Phase, Seller, condition, label};

use super::ends::{carrier_is_provisioned, seller_is_provisioned};
use super::index::{By, Index};
use super::reflect::Change;
use super::{NamespaceMeta, Queues};
use crate::identity::{Kind, Owner};

/// Component of the Carrier API's objects: they belong to a namespace, not to one Carrier.
pub(crate) const CARRIER_API: &str = "carrier-api";

pub(super) fn seller(
    change: &Change<'_, Seller>,
    index: &Index,
    queues: &Queues,
    departed: &mpsc::UnboundedSender<Owner>,
) {
    let facts =
        |seller: &Seller| (seller.uid(), seller.spec.suspended, seller_is_provisioned(seller), seller.spec.stall_after);
    tell_departure(Kind::Seller, change, departed);
    let any = change.any();
    queues.sellers.push(ObjectRef::from_obj(any));
    if change.old.map(facts) != change.new.map(facts) {
        wake(index, By::Seller, &any.namespace().unwrap_or_default(), &any.name_any(), queues);
    }
}

pub(super) fn carrier(
    change: &Change<'_, Carrier>,
    index: &Index,
    queues: &Queues,
    departed: &mpsc::UnboundedSender<Owner>,
) {
    let facts = |carrier: &Carrier| {
        let provisioned = carrier_is_provisioned(carrier);
        (carrier.uid(), carrier.spec.suspended, carrier.spec.revoked, carrier.spec.camera, provisioned)
    };
    tell_departure(Kind::Carrier, change, departed);
    let any = change.any();
    let namespace = any.namespace().unwrap_or_default();
    queues.carriers.push(ObjectRef::from_obj(any));
    if change.old.map(facts) != change.new.map(facts) {
        wake(index, By::Carrier, &namespace, &any.name_any(), queues);
    }
    // The Carrier API comes with the first Carrier of a namespace and goes with the last.
    if change.old.and_then(ResourceExt::uid) != change.new.and_then(ResourceExt::uid) {
        queues.namespaces.push(ObjectRef::new(&namespace));
    }
}

pub(super) fn delivery(change: &Change<'_, DeliveryView>, index: &Index, queues: &Queues, carriers: &Store<Carrier>) {
    let any = change.any();
    let namespace = any.namespace().unwrap_or_default();
    queues.deliveries.push(ObjectRef::from_obj(any));
    // A Delivery that begins or ends to count for its UPC decides about the others.
    let claims =
        |delivery: &DeliveryView| (delivery.uid(), delivery.phase().terminal(), started(delivery), admitted(delivery));
    if change.old.map(claims) != change.new.map(claims) {
        wake(index, By::Upc, &namespace, &any.spec.upc, queues);
    }
    let Some(old) = change.old else { return };
    // Whoever was made for this Delivery alone is not needed any more.
    if !index.any(By::Seller, &namespace, &old.spec.seller) {
        queues.sellers.push(ObjectRef::new(&old.spec.seller).within(&namespace));
    }
    let Some(carrier) = old.spec.carrier.as_deref() else { return };
    let reference = ObjectRef::new(carrier).within(&namespace);
    let rests = change.new.is_none_or(|new| started(new) != started(old) || new.phase().terminal());
    let waits_for_rest = rests && carriers.get(&reference).is_some_and(|carrier| carrier.spec.suspended);
    if waits_for_rest || !index.any(By::Carrier, &namespace, carrier) {
        queues.carriers.push(reference);
    }
}

/// What lies in a namespace, for when the namespace itself is the news.
pub(super) struct Contents {
    pub sellers: Store<Seller>,
    pub carriers: Store<Carrier>,
    pub deliveries: Store<DeliveryView>,
}

pub(super) fn namespace(change: &Change<'_, NamespaceMeta>, contents: &Contents, queues: &Queues) {
    let any = change.any();
    let name = any.name_any();
    queues.namespaces.push(ObjectRef::new(&name));
    let inside = |namespace: &Option<String>| namespace.as_deref() == Some(&name);
    if change.old.is_none() {
        // Objects may be seen before their namespace is; nothing could be done about them then.
        let sellers = contents.sellers.state_filter(|seller| inside(&seller.metadata.namespace));
        sellers.iter().for_each(|seller| queues.sellers.push(ObjectRef::from_obj(&**seller)));
        let carriers = contents.carriers.state_filter(|carrier| inside(&carrier.metadata.namespace));
        carriers.iter().for_each(|carrier| queues.carriers.push(ObjectRef::from_obj(&**carrier)));
    }
    if change.old.map(auto_creates) == change.new.map(auto_creates) {
        return;
    }
    let waiting =
        contents.deliveries.state_filter(|delivery| inside(&delivery.metadata.namespace) && !admitted(delivery));
    waiting.iter().for_each(|delivery| queues.deliveries.push(ObjectRef::from_obj(&**delivery)));
}

/// A change of what the operator made wakes whom it was made for, by label: an owner reference may have been edited away.
pub(super) fn child<K: Resource>(change: &Change<'_, K>, queues: &Queues) {
    let meta = change.any().meta();
    let (Some(namespace), Some(labels)) = (&meta.namespace, &meta.labels) else { return };
    if let Some(seller) = labels.get(label::SELLER) {
        queues.sellers.push(ObjectRef::new(seller).within(namespace));
    }
    if let Some(carrier) = labels.get(label::CARRIER) {
        queues.carriers.push(ObjectRef::new(carrier).within(namespace));
    }
    if labels.get(label::COMPONENT).is_some_and(|component| component == CARRIER_API) {
        queues.namespaces.push(ObjectRef::new(namespace));
    }
}

/// Whether Deliveries of this namespace may bring their Seller and Carrier into being.
pub(crate) fn auto_creates(namespace: &NamespaceMeta) -> bool {
    namespace.labels().get(label::AUTO_CREATE).is_some_and(|value| value == label::AUTO_CREATE_ENABLED)
}

/// Whether a carrier has the job: the Delivery then keeps its UPC against any other.
pub(crate) fn started(delivery: &DeliveryView) -> bool {
    delivery.phase() != Phase::Pending
}

/// Whether it may be carried out, as its status says: then it keeps its UPC against any that is not admitted yet.
pub(crate) fn admitted(delivery: &DeliveryView) -> bool {
    let conditions = delivery.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    condition::is_true(conditions, ConditionType::Admitted)
}

fn wake(index: &Index, by: By, namespace: &str, value: &str, queues: &Queues) {
    for name in index.find(by, namespace, value) {
        queues.deliveries.push(ObjectRef::new(&name).within(namespace));
    }
}

/// Deleted, or deleted and made anew under the same name: the former one's certificates end.
fn tell_departure<K: Resource>(kind: Kind, change: &Change<'_, K>, departed: &mpsc::UnboundedSender<Owner>) {
    let uid = |object: &K| object.meta().uid.clone();
    let Some(old) = change.old.filter(|old| change.new.and_then(uid) != uid(old)) else { return };
    let meta = old.meta();
    let (Some(namespace), Some(name), Some(uid)) = (&meta.namespace, &meta.name, uid(old)) else { return };
    // Without a receiver the operator is ending; the next one's sweep finds it.
    let _ = departed.send(Owner { kind, namespace: namespace.clone(), name: name.clone(), uid });
}
