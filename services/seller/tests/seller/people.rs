//! What people confirm: declarations, returns, and that an order is to be forgotten.

use serde_json::json;
use waybill_crds::Phase;
use waybill_protocol::fact::reason::{DeclaredFact, Guarantee};
use waybill_protocol::{Fact, Stage};

use crate::agent::{Ending, Manners};
use crate::stage::{on_stage, on_stage_with};

/// The device is lost at the door; somebody saw the parcel delivered. It counts once the seller's people say so too.
#[tokio::test(flavor = "multi_thread")]
async fn a_declaration_counts_once_it_is_countersigned_and_opens_nothing() {
    on_stage("people-declared", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let halts = Manners { halts_at: Some(Stage::PostalCode), ..Manners::default() };
        let agent = stage.agent(&truck, &name, halts).await;
        stage.becomes(&name, Phase::InTransit).await;
        let id = stage.declares(&name, DeclaredFact::Delivered).await;
        let unknown = "ab".repeat(32);
        stage.change(&name, json!({"countersigned": [unknown]})).await;
        stage.hindered(&name, Some(("CountersignRefused", "no declaration in the log"))).await;
        assert_eq!(stage.get(&name).await.phase(), Phase::InTransit, "nobody has confirmed it");
        assert!(agent.was_told().len() <= 2, "and it opens nothing");
        stage.change(&name, json!({"countersigned": [unknown, id]})).await;
        stage.becomes(&name, Phase::Delivered).await;
        let words = stage.words(&name).await;
        assert_eq!(words.iter().filter(|word| *word == "Countersigned").count(), 1, "{words:?}");
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_seller_receives_a_return_on_its_own_word() {
    on_stage_with("people-return", json!({"handOver": "manual"}), |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let endings = [Ending::Refused].into();
        let agent = stage.agent(&truck, &name, Manners { endings, ..Manners::default() }).await;
        stage.hindered(&name, Some(("AwaitingHandOver", "spec.handedOver"))).await;
        stage.change(&name, json!({"handedOver": true})).await;
        stage.becomes(&name, Phase::ReturnToSender).await;
        agent.state(Fact::GivenBack);
        stage.hindered(&name, Some(("AwaitingReturn", "spec.returnReceived"))).await;
        assert_eq!(stage.get(&name).await.phase(), Phase::ReturnToSender);
        stage.change(&name, json!({"returnReceived": true})).await;
        stage.becomes(&name, Phase::Returned).await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_order_is_signed_for_once_it_is_gone_and_the_agent_wipes_too() {
    on_stage("people-forgotten", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let mut order: serde_json::Value = serde_json::from_str(&waybill_e2e::objects::order("UPC_1")).unwrap();
        order["salt"] = json!("sixteen random characters");
        stage.order("UPC_1", &order).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let _agent = stage.agent(&truck, &name, Manners::default()).await;
        stage.becomes(&name, Phase::Delivered).await;
        stage.change(&name, json!({"forgotten": true})).await;
        stage.hindered(&name, Some(("OrderNotDeleted", "key UPC_1 of Secret orders-acme"))).await;
        assert_eq!(stage.log(&name).await.state().forgotten(), None, "it is still there");
        stage.delete_order("UPC_1").await;
        stage.says(&name, "Forgotten").await;
        stage.says(&name, "Erased").await;
        assert_eq!(stage.log(&name).await.state().forgotten(), Some(Guarantee::Full));
        stage.hindered(&name, None).await;
        seller.stop().await;
    })
    .await;
}
