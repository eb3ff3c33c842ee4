//! Rights: what each of Waybill's accounts may do is what it does, from the API server's own audit log (DESIGN.md 7).
//!
//! Alone in its file, with one test: it restarts the operator, and every request of our accounts counts.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use reqwest::Method;
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::helm::Helm;
use waybill_e2e::http::Service;
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{self, PROVISIONED, apply, delivery, wait_condition};
use waybill_e2e::rights::{self, Grant, Request};
use waybill_e2e::{Namespace, authority, eventually, in_namespace};

const OPERATOR: &str = "waybill-system:waybill-operator";
const AUTO_CREATE: &[(&str, &str)] = &[("waybill.dev/auto-create", "enabled")];
/// Some requests come with a timer of their own.
const USED: Duration = Duration::from_secs(90);

/// Rights that this story does not use, each with the story that does. Account (without its namespace), right, reason.
const RARE: &[(&str, &str, &str)] = &[
    (
        "waybill-operator",
        "delete serviceaccounts",
        "the garbage collector removes a Carrier API's account with the last Carrier, unless it is slower than the operator",
    ),
    ("wb-seller-shop", "get deliveries.waybill.dev", "read anew when somebody else wrote first (409): a race"),
    ("waybill-carrier-api", "get deliveries.waybill.dev", "read anew when somebody else wrote first (409): a race"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_right_that_is_granted_is_used_and_nobody_asks_for_more() {
    in_namespace("rights", AUTO_CREATE, |namespace| async move {
        let Some(helm) = Helm::find("WAYBILL_HELM3") else { return };
        let begun = jiff::Timestamp::now().to_string();
        let places = [SYSTEM, &namespace.name];
        live(&namespace).await;
        let grants = rights::granted(&namespace.client, &places).await;
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
            grants.iter().cloned().partition(|grant| grant.account.starts_with(SYSTEM));
        assert!(ours.len() > 20 && theirs.len() > 5, "the accounts have rights: {grants:#?}");
        all_used(&theirs, &places).await;
        nobody_was_refused(&begun, &places);
        end(&namespace, &helm).await;
        all_used(&passed_on(&ours, &theirs), &places).await;
        nobody_was_refused(&begun, &[SYSTEM]);
    })
    .await;
}

/// A day in which everybody does everything.
async fn live(namespace: &Namespace) {
    objects::seller(namespace, "shop", &["upc-1"]).await;
    objects::managed_carrier(namespace, "van").await;
    let keys = Keys::fresh();
    apply::<Carrier>(namespace, &keys.carrier(&namespace.name, "bike")).await.expect("an external Carrier");
    apply::<Delivery>(namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
    wait_condition::<Delivery>(namespace, "upc-1", "Delivered", "True", None).await;
    wait_condition::<Seller>(namespace, "shop", "OrdersAvailable", "True", None).await;
    wait_condition::<Carrier>(namespace, "van", "Ready", "True", None).await;
    let carrier_api = Service::reach(namespace, "waybill-carrier-api", 5001).await;
    let token = token(namespace).await;
    let (status, said) = carrier_api.get_as(&token, "/api/shipment/upc-1/grants").await.expect("an answer");
    assert_eq!(status, 403, "who may not read a Delivery learns nothing of it: {said}");
    look_at_the_board(namespace).await;
}

/// Somebody who may opens a timeline.
async fn look_at_the_board(namespace: &Namespace) {
    let view = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "waybill-view.waybill-system"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace.name}]});
    apply::<RoleBinding>(namespace, &view).await.expect("a binding");
    let address = objects::service(&namespace.client, SYSTEM, "waybill-board", 5002).await;
    let trust = objects::config(namespace, "waybill-trust", "ca.crt").await;
    let board = Service::new("waybill-board.waybill-system.svc", address, &trust);
    let token = token(namespace).await;
    let offered = board.request(Method::POST, "/api/session").bearer_auth(token).send().await.expect("an answer");
    let offered: Value = offered.json().await.expect("a code");
    let form = format!("code={}", offered["code"].as_str().expect("a code"));
    let entering = board.request(Method::POST, "/login").header("content-type", "application/x-www-form-urlencoded");
    let entered = entering.body(form).send().await.expect("an answer");
    let cookie =
        entered.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a cookie").to_owned();
    let timeline = format!("/d/{}/upc-1", namespace.name);
    eventually("the timeline is verified", PROVISIONED, || async {
        let opened = board.request(Method::GET, &timeline).header("cookie", &cookie).send().await;
        let text = opened.map_err(|why| why.to_string())?.text().await.map_err(|why| why.to_string())?;
        if text.contains("every signature verified by this board") { Ok(()) } else { Err(text) }
    })
    .await;
    namespace.api::<RoleBinding>().delete("view", &DeleteParams::default()).await.expect("nobody looks any more");
}

/// Of an account that exists everywhere and may do nothing.
async fn token(namespace: &Namespace) -> String {
    let accounts = namespace.api::<ServiceAccount>();
    let asked = accounts.create_token_request("default", &PostParams::default(), &TokenRequest::default()).await;
    asked.expect("a token").status.expect("a status").token
}

/// Authorities change, everybody leaves, and the operator starts again and looks round.
async fn end(namespace: &Namespace, helm: &Helm) {
    pass(namespace).await;
    // A carrier that brings its own agent needs no pod any more.
    let own = Keys::fresh().carrier(&namespace.name, "van");
    apply::<Carrier>(namespace, &own).await.expect("a user lets its agent run elsewhere");
    gone::<Deployment>(namespace, "wb-transport-van").await;
    helm.set("ca.overlap=1s");
    let client = &namespace.client;
    let issues = authority::state(client, authority::PARTICIPANTS).await.expect("a state")["active"]["id"].clone();
    authority::ask(client, authority::PARTICIPANTS).await;
    authority::ask(client, authority::ADMIN).await;
    authority::replaced(client, issues.as_str().expect("an id")).await;
    authority::retire(client).await;
    let now = DeleteParams::default();
    namespace.api::<Delivery>().delete("upc-1", &now).await.expect("a user deletes");
    namespace.api::<Seller>().delete("shop", &now).await.expect("a user deletes");
    for carrier in ["van", "bike"] {
        namespace.api::<Carrier>().delete(carrier, &now).await.expect("a user deletes");
    }
    gone::<ServiceAccount>(namespace, "waybill-carrier-api").await;
    let old = plant_an_old_batch(client).await;
    helm.set("ca.overlap=24h");
    gone::<ConfigMap>(namespace, "waybill-trust").await;
    let ledgers: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    eventually("the old batch is gone", PROVISIONED, || async {
        match ledgers.get_opt(&old).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// A Delivery that makes its participants, and takes them with it when its time is up.
async fn pass(namespace: &Namespace) {
    objects::orders(namespace, "kiosk", &["upc-2"]).await;
    let mut passing = delivery("upc-2", "kiosk", "cart");
    passing["spec"]["ttlAfterFinished"] = json!("1s");
    apply::<Delivery>(namespace, &passing).await.expect("a Delivery");
    wait_condition::<Delivery>(namespace, "upc-2", "Admitted", "True", None).await;
    let cancel = Patch::Merge(json!({"spec": {"cancelled": {"reason": "recipientRequest"}}}));
    namespace.api::<Delivery>().patch("upc-2", &PatchParams::default(), &cancel).await.expect("a user cancels");
    gone::<Delivery>(namespace, "upc-2").await;
    gone::<Seller>(namespace, "kiosk").await;
    gone::<Carrier>(namespace, "cart").await;
}

/// A batch of the ledger in which nothing lives any more, as one is after some days.
async fn plant_an_old_batch(client: &Client) -> String {
    let ledgers: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let all = ledgers.list(&ListParams::default().labels("waybill.dev/ledger=true")).await.expect("ledgers");
    let mut batch = all.items.into_iter().next().expect("a batch");
    let name = format!("waybill-ledger-0000000000-{:016x}", rand::random::<u64>());
    let ended = "2026-01-01T00:00:00Z";
    let meta = ObjectMeta { name: Some(name.clone()), labels: batch.metadata.labels, ..ObjectMeta::default() };
    batch.metadata = ObjectMeta { annotations: Some([("waybill.dev/not-after".into(), ended.into())].into()), ..meta };
    let data = batch.data.as_mut().expect("data");
    let mut entries: Value = serde_json::from_str(&data["entries.json"]).expect("JSON");
    for entry in entries.as_array_mut().expect("entries") {
        entry["notAfter"] = json!(ended);
        entry["serial"] = json!(format!("4{:031x}", rand::random::<u128>() >> 4));
    }
    data.insert("entries.json".into(), entries.to_string());
    data.insert("issued".into(), ended.into());
    ledgers.create(&PostParams::default(), &batch).await.expect("an old batch");
    name
}

async fn gone<K>(namespace: &Namespace, name: &str)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    eventually(&format!("{} {name} is gone", K::kind(&())), PROVISIONED, || async {
        match namespace.api::<K>().get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("still there".to_owned()),
            Err(why) => Err(why.to_string()),
        }
    })
    .await;
}

/// Kubernetes lets the operator grant only what it holds: what it holds for that reason alone is used by the others.
fn passed_on(ours: &BTreeSet<Grant>, theirs: &BTreeSet<Grant>) -> BTreeSet<Grant> {
    let passed =
        |grant: &Grant| theirs.iter().any(|other| other.verb == grant.verb && other.resource == grant.resource);
    ours.iter()
        .filter(|grant| grant.account != OPERATOR || grant.namespace.is_some() || !passed(grant))
        .cloned()
        .collect()
}

async fn all_used(grants: &BTreeSet<Grant>, places: &[&str]) {
    let rare = |grant: &Grant| {
        let account = grant.account.split(':').nth(1).unwrap_or_default();
        RARE.iter().any(|(who, right, _)| *who == account && *right == grant.right())
    };
    eventually("every right is used", USED, || async {
        let unused = rights::unused(grants, &rights::requests(places));
        let lines: Vec<_> =
            unused.iter().filter(|grant| !rare(grant)).map(|g| format!("\n  {g}, and never did")).collect();
        if lines.is_empty() { Ok(()) } else { Err(lines.concat()) }
    })
    .await;
}

fn nobody_was_refused(since: &str, places: &[&str]) {
    let refused = |request: &Request| request.forbidden && request.at.as_str() > since;
    let refused: Vec<_> = rights::requests(places).iter().filter(|r| refused(r)).map(Request::to_string).collect();
    assert!(refused.is_empty(), "asked for what they may not do:\n  {}", refused.join("\n  "));
}
