//! The eleven steps, plain and with a camera, one delivery and several at once.

use serde_json::json;
use waybill_crds::condition::{ConditionType, is_true};
use waybill_crds::{Phase, Stage as Shown};
use waybill_protocol::{Stage, UnixMillis};

use crate::agent::{Manners, incident};
use crate::stage::on_stage;

pub(crate) fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

/// D-37 to D-39, D-42: country, postal code and door, each after the one before was posted.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_delivery_goes_from_hello_to_delivered_in_its_eleven_steps() {
    on_stage("thread-plain", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let agent = stage.agent(&truck, &name, Manners::default()).await;
        let delivery = stage.becomes(&name, Phase::Delivered).await;
        let expected =
            ["Accepted", "HandedOver", "PickedUp", "Released", "Posted", "Released", "Posted", "Released", "Delivered"];
        assert_eq!(stage.words(&name).await, expected);
        assert_eq!(agent.was_told(), Stage::ALL);
        let status = delivery.status.clone().unwrap();
        assert_eq!((status.stage, status.attempt), (Shown::None, 1));
        assert_eq!(status.carrier_uid.as_deref(), Some(agent.uid.as_str()));
        assert!(is_true(&status.conditions, ConditionType::Proven) && status.finished_at.is_some());
        let whole = serde_json::to_string(&delivery).unwrap();
        assert!(!whole.contains("MARKER"), "personal data in a custom resource");
        seller.stop().await;
    })
    .await;
}

/// D-04, D-40: the seller is the same; the label's picture reaches the managed agent sealed, and the seller checks the scan.
#[tokio::test(flavor = "multi_thread")]
async fn a_camera_carrier_scans_the_label_and_attaches_a_photo() {
    on_stage("thread-camera", |stage| async move {
        let drone = stage.carrier("drone", true).await;
        let name = stage.delivery("UPC_1", "drone", json!({})).await;
        let seller = stage.start("seller-0");
        let _agent = stage.agent(&drone, &name, Manners::default()).await;
        stage.becomes(&name, Phase::Delivered).await;
        stage.says(&name, "ProofAttached").await;
        let proof = stage.get(&name).await.status.unwrap().proof.unwrap();
        assert_eq!(proof.scanned, Some(true));
        assert_eq!(proof.photo_hash, Some(waybill_protocol::Hash::of(b"a photo").to_string()));
        seller.stop().await;
    })
    .await;
}

/// D-53: a wrong label blocks the door, is told, and needs a reported incident.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_label_keeps_the_door_closed_until_an_incident_is_reported() {
    on_stage("thread-label", |stage| async move {
        let drone = stage.carrier("drone", true).await;
        let name = stage.delivery("UPC_1", "drone", json!({"proof": {"scan": true, "photo": false}})).await;
        let seller = stage.start("seller-0");
        let agent = stage.agent(&drone, &name, Manners { wrong_label: true, ..Manners::default() }).await;
        stage.says(&name, "ScanRefused").await;
        stage.becomes(&name, Phase::InTransit).await;
        assert_eq!(agent.was_told(), [Stage::Country, Stage::PostalCode]);
        agent.state(incident());
        let delivery = stage.becomes(&name, Phase::Delivered).await;
        assert_eq!(delivery.status.unwrap().proof.unwrap().scanned, Some(false));
        seller.stop().await;
    })
    .await;
}

/// D-01, D-02: several orders are carried at once over one session.
#[tokio::test(flavor = "multi_thread")]
async fn several_deliveries_of_several_carriers_go_their_ways_at_once() {
    on_stage("thread-many", |stage| async move {
        let (truck, drone) = (stage.carrier("truck", false).await, stage.carrier("drone", true).await);
        let one = stage.delivery("UPC_1", "truck", json!({})).await;
        let two = stage.delivery("UPC_2", "drone", json!({})).await;
        let seller = stage.start("seller-0");
        let _one = stage.agent(&truck, &one, Manners::default()).await;
        let _two = stage.agent(&drone, &two, Manners::default()).await;
        stage.becomes(&one, Phase::Delivered).await;
        stage.becomes(&two, Phase::Delivered).await;
        seller.stop().await;
    })
    .await;
}
