//! Following objects: what is there, what comes, what goes.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::api::DeleteParams;
use tokio::time::timeout;
use waybill_cluster::custody;
use waybill_cluster::deliveries::Deliveries;
use waybill_crds::Delivery;

use crate::room::{SOON, WHO, in_room};

#[tokio::test]
async fn deliveries_are_known_by_uid_and_upc_from_the_first_list_to_their_end() {
    in_room("watch-deliveries", |room| async move {
        let one = room.delivery("one").await;
        let account = room.namespace.cluster.as_account(&room.namespace.name, "wb-seller-acme");
        let deliveries = Deliveries::follow(account, &room.namespace.name, Some("acme"));
        timeout(SOON, deliveries.ready()).await.unwrap();
        let uid = one.uid().unwrap();
        assert_eq!(deliveries.by_upc("one")[0].uid(), one.uid());
        let mut changes = deliveries.changed();
        assert_eq!(timeout(SOON, changes.next()).await.unwrap(), uid);

        let two = room.delivery("two").await;
        assert_eq!(timeout(SOON, changes.next()).await.unwrap(), two.uid().unwrap());
        room.namespace.api::<Delivery>().delete("one", &DeleteParams::default()).await.unwrap();
        assert_eq!(timeout(SOON, changes.next()).await.unwrap(), uid);
        assert!(deliveries.get(&uid).is_none() && deliveries.by_upc("one").is_empty());
        let left: BTreeSet<_> = deliveries.all().iter().map(|delivery| delivery.name_any()).collect();
        assert_eq!(left, BTreeSet::from(["two".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn the_answer_to_a_write_is_known_at_once_and_never_taken_back_by_an_older_word() {
    in_room("watch-offer", |room| async move {
        let before = room.delivery("one").await;
        let account = room.namespace.cluster.as_account(&room.namespace.name, "wb-seller-acme");
        let deliveries = Deliveries::follow(account, &room.namespace.name, Some("acme"));
        deliveries.ready().await;
        let log = room.read(&before);
        let events = room.sign(&log, &room.plain()[0]);
        let after = custody::append(deliveries.api(), &before, &log, &events, WHO).await.unwrap();
        let uid = after.uid().unwrap();
        deliveries.offer(after.clone());
        assert_eq!(room.read(&deliveries.get(&uid).unwrap()).entries().len(), 2);
        deliveries.offer(before);
        assert_eq!(deliveries.get(&uid).unwrap().resource_version(), after.resource_version());
    })
    .await;
}
