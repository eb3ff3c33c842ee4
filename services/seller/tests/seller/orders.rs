//! Orders that change, and orders that come from elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use waybill_crds::{Phase, Seller};
use waybill_e2e::objects::Conditions;
use waybill_e2e::{eventually, objects};
use waybill_protocol::{Part, Stage};

use crate::agent::Manners;
use crate::stage::{SOON, Stage as Scene, on_stage, on_stage_with};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changes_on_the_way_is_committed_to_anew_before_it_is_told() {
    on_stage("orders-changed", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let salted = |door: &str| {
            let mut order: Value = serde_json::from_str(&objects::order("UPC_1")).unwrap();
            order["salt"] = json!("sixteen random characters");
            order["door"] = json!(door);
            order
        };
        stage.order("UPC_1", &salted("MARKER-1")).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let halts = Manners { halts_at: Some(Stage::PostalCode), ..Manners::default() };
        let agent = stage.agent(&truck, &name, halts).await;
        eventually("the postal code was told", SOON, || async {
            let told = agent.was_told();
            if told.len() == 2 { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
        stage.order("UPC_1", &salted("MARKER-2")).await;
        stage.says(&name, "AddressChanged").await;
        let commitment = stage.log(&name).await.state().commitments().unwrap().postal_code;
        agent.state(waybill_protocol::Fact::Posted { stage: Stage::PostalCode, commitment });
        stage.becomes(&name, Phase::Delivered).await;
        let told = agent.told.lock().unwrap().clone();
        let Some(Part::Door { door_number, .. }) = told.last() else { panic!("no door") };
        assert_eq!(door_number, "MARKER-2");
        seller.stop().await;
    })
    .await;
}

/// The order system of a Seller with `url`: down, slow of mind, then well.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_system_that_fails_is_named_in_a_condition_and_asked_again() {
    let mood = Arc::new(AtomicU8::new(0));
    let address = order_system(Arc::clone(&mood)).await;
    let spec = json!({"url": format!("http://{address}/shop")});
    on_stage_with("orders-url", spec, |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let agent = stage.agent(&truck, &name, Manners::default()).await;
        says(&stage, "OrdersUnreachable", "status 500").await;
        stage.hindered(&name, Some(("OrdersUnreachable", "status 500"))).await;
        mood.store(1, Ordering::SeqCst);
        // One bad order is its Delivery's trouble, not the Seller's.
        stage.hindered(&name, Some(("OrderMalformed", "not the Country part"))).await;
        says(&stage, "OrdersRead", "orders are read from").await;
        mood.store(2, Ordering::SeqCst);
        stage.becomes(&name, Phase::Delivered).await;
        says(&stage, "OrdersRead", "orders are read from").await;
        assert_eq!(agent.was_told(), Stage::ALL);
        stage.hindered(&name, None).await;
        seller.stop().await;
    })
    .await;
}

/// Whoever admits a Seller looks at the list; so does whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_system_off_the_list_is_asked_nothing_and_the_delivery_says_so() {
    let mood = Arc::new(AtomicU8::new(9));
    let address = order_system(Arc::clone(&mood)).await;
    let spec = json!({"url": format!("http://127.0.0.1.nip.example:{}/shop", address.port())});
    on_stage_with("orders-off-list", spec, |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let _agent = stage.agent(&truck, &name, Manners::default()).await;
        stage.hindered(&name, Some(("OrdersUrlForbidden", "is not on the list"))).await;
        says(&stage, "OrdersUrlForbidden", "is not on the list").await;
        stage.becomes(&name, Phase::Accepted).await;
        seller.stop().await;
    })
    .await;
}

/// A redirect could lead to anybody: it is told, not followed.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_of_an_order_system_is_not_followed() {
    let address = order_system(Arc::new(AtomicU8::new(3))).await;
    let spec = json!({"url": format!("http://{address}/shop")});
    on_stage_with("orders-redirect", spec, |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let _agent = stage.agent(&truck, &name, Manners::default()).await;
        stage.hindered(&name, Some(("OrdersUnreachable", "status 307"))).await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_without_an_order_says_so_alone_and_goes_on_when_it_comes() {
    on_stage("orders-missing", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_9", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let _agent = stage.agent(&truck, &name, Manners::default()).await;
        stage.hindered(&name, Some(("OrderUnknown", "UPC_9"))).await;
        says(&stage, "OrdersRead", "orders are read from").await;
        stage.order("UPC_9", &json!({"country": "MARKER"})).await;
        stage.hindered(&name, Some(("OrderMalformed", "key UPC_9 of Secret orders-acme"))).await;
        says(&stage, "OrdersRead", "key UPC_9").await;
        stage.order("UPC_9", &serde_json::from_str(&objects::order("UPC_9")).unwrap()).await;
        stage.becomes(&name, Phase::Delivered).await;
        stage.hindered(&name, None).await;
        seller.stop().await;
    })
    .await;
}

// === helpers ===

async fn says(stage: &Scene, reason: &str, words: &str) {
    eventually(&format!("the Seller says {reason}"), SOON, || async {
        let seller = stage.namespace.api::<Seller>().get("acme").await.map_err(|why| why.to_string())?;
        let condition = seller.condition("OrdersAvailable").cloned();
        let so = condition.as_ref().is_some_and(|c| c.reason == reason && c.message.contains(words));
        if so { Ok(()) } else { Err(format!("{condition:?}")) }
    })
    .await;
}

/// Serves the three routes, in one of four moods: 0 down, 1 wrong, 2 well, 3 elsewhere. In any other nobody may ask.
/// It also says where recipients are written to.
pub(crate) async fn order_system(mood: Arc<AtomicU8>) -> SocketAddr {
    let serve = |State(mood): State<Arc<AtomicU8>>, Path((upc, route)): Path<(String, String)>, headers: HeaderMap| async move {
        assert!(headers.contains_key("authorization"));
        match mood.load(Ordering::SeqCst) {
            0 => Err(StatusCode::INTERNAL_SERVER_ERROR),
            1 => Ok(Json(json!({"nothing": "useful"})).into_response()),
            3 => Ok(Redirect::temporary("/somebody/else").into_response()),
            mood if mood > 3 => panic!("asked"),
            _ => Ok(Json(match route.as_str() {
                "country_destination" => json!({"UPC_ID": upc, "country": "US", "province": "GA", "city": "Atlanta"}),
                "postal_code_destination" => json!({"UPC_ID": upc, "postal_code": "30303"}),
                _ => json!({"UPC_ID": upc, "client_name": "MARKER", "door_number": "1", "phone_number": "2",
                            "email": "jane@recipient.example"}),
            })
            .into_response()),
        }
    };
    let app = Router::new().route("/shop/api/order/{upc}/{route}", get(serve)).with_state(mood);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
