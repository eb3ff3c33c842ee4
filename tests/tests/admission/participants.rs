//! The status of Sellers and Carriers says whom to trust: the operator writes it, a seller's service one condition (DESIGN.md 5, 7).

use serde_json::json;
use waybill_crds::{Carrier, Seller};
use waybill_e2e::in_namespace;

use crate::cast::{Cast, forbidden};

const OWN_CONDITION: &str =
    "the seller's service writes the conditions OrdersAvailable and NotificationsDelivered of its own Seller";

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_says_whom_to_trust_and_nobody_else() {
    in_namespace("whom-to-trust", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.participants().await;
        let statement = || json!({"keyStatement": "AAAA", "observedGeneration": 1});
        for client in [&cast.user, &cast.admin, &cast.carrier_api, &cast.other_seller] {
            let seller = cast.write_status::<Seller>(client, "acme", statement()).await;
            forbidden(seller, "the status of Seller acme says whom to trust: only the operator writes it");
        }
        for client in [&cast.user, &cast.admin, &cast.carrier_api, &cast.seller, &cast.other_seller] {
            let carrier = cast.say::<Carrier>(client, "test", "truck", &["OrdersAvailable"]).await;
            forbidden(carrier, "the status of Carrier truck says whom to trust: only the operator writes it");
        }
        cast.write_status::<Seller>(&cast.operator, "acme", statement())
            .await
            .expect("the operator's word on a Seller");
        cast.write_status::<Carrier>(&cast.operator, "truck", statement())
            .await
            .expect("the operator's word on a Carrier");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sellers_service_writes_its_own_conditions_and_nothing_else() {
    in_namespace("one-condition", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.participants().await;
        let orders = async |said: &[&str]| cast.say::<Seller>(&cast.seller, "test-seller", "acme", said).await;
        orders(&["OrdersAvailable"]).await.expect("its own condition");
        let issued = json!({"keyStatement": "AAAA"});
        cast.write_status::<Seller>(&cast.operator, "acme", issued).await.expect("the operator's part beside it");
        cast.say::<Seller>(&cast.operator, "test-operator", "acme", &["Ready"])
            .await
            .expect("the operator's condition");
        for status in [
            json!({"keyStatement": "BBBB"}),
            json!({"keyStatement": null}),
            json!({"observedGeneration": 3}),
            json!({"conditions": []}),
        ] {
            forbidden(cast.write_status::<Seller>(&cast.seller, "acme", status).await, OWN_CONDITION);
        }
        forbidden(orders(&["OrdersAvailable", "WorkloadReady"]).await, OWN_CONDITION);
        orders(&["OrdersAvailable", "NotificationsDelivered"]).await.expect("whether those it tells are told");
        orders(&[]).await.expect("its own conditions, taken back");
    })
    .await;
}
