//! Who acts: never two by their own knowledge, and the next at once when the first leaves in good order.

use k8s_openapi::api::coordination::v1::Lease;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use waybill_cluster::lease::{Candidate, campaign, holder};
use waybill_e2e::Namespace;

use crate::room::{SOON, in_room};

#[tokio::test(flavor = "multi_thread")]
async fn the_next_takes_over_when_the_holder_gives_the_lease_back() {
    in_room("lease-given-back", |room| async move {
        let (mut first, stop) = candidate(&room.namespace, "a");
        timeout(SOON, first.wait_for(|leads| *leads)).await.unwrap().unwrap();
        let (mut second, _stop) = candidate(&room.namespace, "b");
        assert!(!*second.borrow_and_update());
        stop.cancel();
        timeout(SOON, second.wait_for(|leads| *leads)).await.unwrap().unwrap();
        assert!(!*first.borrow_and_update());
        let lease = room.namespace.api::<Lease>().get("wb-seller-acme").await.unwrap();
        assert_eq!(holder(Some(&lease)), Some("b"));
    })
    .await;
}

// === helpers ===

fn candidate(namespace: &Namespace, identity: &str) -> (watch::Receiver<bool>, CancellationToken) {
    let (sender, leads) = watch::channel(false);
    let stop = CancellationToken::new();
    let candidate = Candidate {
        namespace: namespace.name.clone(),
        lease: "wb-seller-acme".into(),
        identity: identity.into(),
        field_manager: "wb-seller",
        address: None,
    };
    tokio::spawn(campaign(namespace.client.clone(), candidate, sender, stop.clone()));
    (leads, stop)
}
