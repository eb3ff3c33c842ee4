//! Rules of the Seller and of what it shares with the Carrier: certificate, durations, names.

use serde_json::json;
use waybill_crds::Seller;

use crate::room::{Room, in_room, refused, seller};

async fn accepts(room: &Room, specs: &[serde_json::Value]) {
    for spec in specs {
        room.try_create::<Seller>(&seller("acme", spec.clone())).await.unwrap_or_else(|why| panic!("{spec}: {why}"));
    }
}

async fn refuses(room: &Room, cases: &[(serde_json::Value, &str)]) {
    for (spec, text) in cases {
        refused(room.try_create::<Seller>(&seller("acme", spec.clone())).await, text);
    }
}

#[tokio::test]
async fn orders_are_secrets_with_the_prefix_or_an_url() {
    in_room("orders_are_secrets_with_the_prefix_or_an_url", async |room| {
        accepts(
            &room,
            &[
                json!({}),
                json!({"orders": ["orders-acme", "orders-acme.eu-2"]}),
                json!({"url": "https://orders.example.com/waybill"}),
                json!({"url": "http://orders.shop.svc:8080"}),
            ],
        )
        .await;
        let many: Vec<_> = (0..17).map(|n| format!("orders-{n}")).collect();
        refuses(
            &room,
            &[
                (json!({"orders": ["db-password"]}), "must have a name with the prefix 'orders-'"),
                (json!({"orders": ["orders-acme", "acme-orders-"]}), "must have a name with the prefix 'orders-'"),
                (json!({"orders": ["orders-Acme"]}), "should match"),
                (json!({"orders": ["orders-acme", "orders-acme"]}), "Duplicate value"),
                (json!({"orders": []}), "should have at least 1 items"),
                (json!({"orders": many}), "must have at most 16 items"),
                (json!({"orders": ["orders-acme"], "url": "https://orders.example.com"}), "not both"),
                (json!({"url": "ftp://orders.example.com"}), "should match"),
                (json!({"url": "https://user:secret@orders.example.com"}), "should match"),
                (json!({"url": "https://orders.example.com/?a=b"}), "should match"),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn certificates_live_long_enough_and_are_renewed_before_their_end() {
    in_room("certificates_live_long_enough", async |room| {
        let certificate = |body: serde_json::Value| json!({"certificate": body});
        accepts(
            &room,
            &[
                certificate(json!({})),
                certificate(json!({"ttl": "10m"})),
                certificate(json!({"ttl": "2160h", "renewBefore": "1h30m"})),
                certificate(json!({"renewBefore": "71h59m59s"})),
            ],
        )
        .await;
        let (ttl, renew) = ("certificate.ttl must be between 10m and 2160h", "certificate.renewBefore must be");
        refuses(
            &room,
            &[
                (certificate(json!({"ttl": "9m59s"})), ttl),
                (certificate(json!({"ttl": "2160h1s"})), ttl),
                (certificate(json!({"ttl": "3d"})), "such as 72h, 1h30m or 45s"),
                (certificate(json!({"ttl": ""})), "such as 72h, 1h30m or 45s"),
                (certificate(json!({"ttl": 72})), "must be of type string"),
                (certificate(json!({"ttl": "1h", "renewBefore": "1h"})), renew),
                (certificate(json!({"ttl": "1h", "renewBefore": "30s"})), renew),
                (certificate(json!({"renewBefore": "72h"})), "renewBefore must be shorter than certificate.ttl"),
            ],
        )
        .await;
    })
    .await;
}

/// What is no duration is refused once, for what it is, and not again by every rule that would compare it.
#[tokio::test]
async fn nonsense_is_refused_in_one_sentence() {
    in_room("nonsense_is_refused_in_one_sentence", async |room| {
        let spec = json!({"certificate": {"ttl": "3d", "renewBefore": "80h"}});
        match room.try_create::<Seller>(&seller("acme", spec)).await {
            Err(kube::Error::Api(status)) => {
                let causes = status.details.unwrap().causes;
                assert_eq!(causes.len(), 1, "{causes:?}");
                assert_eq!(causes[0].field, "spec.certificate.ttl");
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn a_seller_says_how_it_hands_over_and_when_it_stalls() {
    in_room("a_seller_says_how_it_hands_over", async |room| {
        accepts(&room, &[json!({"handOver": "manual", "stallAfter": "6h", "collectWithin": "72h", "suspended": true})])
            .await;
        refuses(
            &room,
            &[
                (json!({"handOver": "Auto"}), r#"supported values: "auto", "manual""#),
                (json!({"stallAfter": "10s"}), "stallAfter must be at least 1m"),
                (json!({"collectWithin": "10s"}), "collectWithin must be at least 1m"),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_name_is_one_that_others_can_be_derived_from() {
    in_room("a_name_is_one_that_others_can_be_derived_from", async |room| {
        let longest = "s".repeat(40);
        for name in ["acme", "0-acme-2", &longest] {
            room.try_create::<Seller>(&seller(name, json!({}))).await.unwrap();
        }
        for name in ["shop.acme", &format!("{longest}s")] {
            refused(room.try_create::<Seller>(&seller(name, json!({}))).await, "the name of a Seller has at most 40");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_left_out_gets_its_default() {
    in_room("what_is_left_out_gets_its_default", async |room| {
        let created = room.try_create::<Seller>(&seller("acme", json!({}))).await.unwrap();
        let expected = json!({"certificate": {"ttl": "72h"}, "suspended": false, "handOver": "auto"});
        assert_eq!(created.data["spec"], expected);
    })
    .await;
}
