//! Who is told what becomes of parcels: a real HTTP server and a real mail server, in good and in bad times.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use waybill_chassis::files::POLL;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::probes::Probes;
use waybill_chassis::revocation;
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth};
use waybill_crds::{Delivery, Phase, Seller};
use waybill_e2e::objects::{Conditions, apply};
use waybill_e2e::{Namespace, eventually};

use crate::agent::{Agent, Manners};
use crate::domain::Somebody;
use crate::files::leaf;
use crate::stage::{Running, SOON, Stage as Scene, on_stage_with};

const KEY: [u8; 32] = [7; 32];
const WAY: [&str; 5] = ["Accepted", "PickedUp", "InTransit", "OutForDelivery", "Delivered"];

/// A program that is told, and what it answers.
#[derive(Clone, Default)]
struct Receiver {
    heard: Arc<Mutex<Vec<Told>>>,
    /// What it answers next, in order; then always the last, `200` where there is none.
    answers: Arc<Mutex<VecDeque<u16>>>,
    /// It hears and says nothing.
    silent: Arc<AtomicBool>,
}

/// One request.
#[derive(Debug, Clone)]
struct Told {
    id: String,
    phase: String,
    upc: String,
    taken: bool,
    text: String,
}

impl Receiver {
    /// Listens from now on; where.
    async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(hear)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn answers(&self, statuses: &[u16]) {
        *self.answers.lock().unwrap() = statuses.iter().copied().collect();
    }

    fn next(&self) -> StatusCode {
        let mut answers = self.answers.lock().unwrap();
        let status = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        StatusCode::from_u16(status.unwrap_or(200)).unwrap()
    }

    fn all(&self) -> Vec<Told> {
        self.heard.lock().unwrap().clone()
    }

    /// What it took, in order, each once.
    fn took(&self, upc: &str) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let taken = self.all().into_iter().filter(|told| told.taken && told.upc == upc);
        taken.filter(|told| seen.insert(told.id.clone())).map(|told| told.phase).collect()
    }

    async fn takes(&self, upc: &str, phases: &[&str]) {
        eventually(&format!("{upc} is told to the end"), SOON, || async {
            let took = self.took(upc);
            if took == phases { Ok(()) } else { Err(format!("{took:?} of {:?}", self.all())) }
        })
        .await;
    }
}

async fn hear(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(&body);
    let signed = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), signed, "another library checks the same");
    let told: Value = serde_json::from_slice(&body).unwrap();
    let (status, silent) = (receiver.next(), receiver.silent.load(Ordering::SeqCst));
    let text = |name: &str| told["data"][name].as_str().unwrap_or_default().to_owned();
    receiver.heard.lock().unwrap().push(Told {
        id,
        phase: text("phase"),
        upc: text("upc"),
        taken: status.is_success() && !silent,
        text: told.to_string(),
    });
    if silent {
        std::future::pending::<()>().await;
    }
    status
}

/// What the operator makes beside a Seller that notifies, and the Secrets its owner does.
async fn prepared(namespace: &Namespace) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "wb-seller-acme-notices"}});
    apply::<ConfigMap>(namespace, &map).await.unwrap();
    let key = format!("whsec_{}", STANDARD.encode(KEY));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "notify-hook"}, "stringData": {"secret": key}});
    apply::<Secret>(namespace, &secret).await.unwrap();
}

fn hooks(url: &str) -> Value {
    json!({"notify": {"webhooks": [{"url": url, "secretName": "notify-hook"}]}})
}

async fn condition(stage: &Scene, status: &str, reason: &str) -> String {
    eventually(&format!("the Seller says {reason}"), SOON, || async {
        let seller = stage.namespace.api::<Seller>().get("acme").await.map_err(|why| why.to_string())?;
        let said = seller.condition("NotificationsDelivered");
        let so = said.filter(|said| said.status == status && said.reason == reason);
        so.map(|said| said.message.clone()).ok_or_else(|| format!("{said:?}"))
    })
    .await
}

/// A carrier, and a seller that is ready and may tell.
async fn opened(stage: &Scene) -> (Somebody, Running) {
    prepared(&stage.namespace).await;
    let truck = stage.carrier("truck", false).await;
    let seller = stage.start("seller-0");
    seller.ready().await;
    (truck, seller)
}

/// A delivery on its way to its end: its name, and who brings it.
async fn delivered(stage: &Scene, upc: &str, truck: &Somebody) -> (String, Agent) {
    let name = stage.delivery(upc, "truck", json!({})).await;
    let agent = stage.agent(truck, &name, Manners::default()).await;
    (name, agent)
}

async fn kept(namespace: &Namespace, key: &str) -> Value {
    let map = namespace.api::<ConfigMap>().get("wb-seller-acme-notices").await.unwrap();
    serde_json::from_str(map.data.unwrap_or_default().get(key).map_or("null", String::as_str)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_phase_is_told_in_order_and_signed_and_says_nothing_of_a_person() {
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    on_stage_with("notify-plain", hooks(&url), |stage| async move {
        let (truck, seller) = opened(&stage).await;
        condition(&stage, "True", "Notified").await;
        let (name, _agent) = delivered(&stage, "UPC_1", &truck).await;
        receiver.takes("UPC_1", &WAY).await;
        // The ids are those of the signed events: who was told can look them up.
        let log = stage.log(&name).await;
        let ids: Vec<String> = receiver.all().into_iter().map(|told| told.id).collect();
        let known: Vec<String> = log.entries().iter().map(|entry| entry.event().unwrap().id().to_string()).collect();
        assert!(ids.iter().all(|id| known.contains(id)), "{ids:?}");
        assert_eq!(ids.len(), WAY.len(), "each was told once");
        assert!(!receiver.all().iter().any(|told| told.text.contains("MARKER")));

        // Called off before anybody signed anything: the operator's word is told too.
        let cancelled = stage.delivery("UPC_2", "truck", json!({"cancelled": {"reason": "sellerRequest"}})).await;
        let gone = json!({"status": {"phase": "Cancelled"}});
        let api = stage.carrier_api();
        api.patch_status(&cancelled, &PatchParams::default(), &Patch::Merge(gone)).await.unwrap();
        receiver.takes("UPC_2", &["Cancelled"]).await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_told_again_under_the_same_id_in_the_same_order() {
    let receiver = Receiver::default();
    receiver.answers(&[500, 429, 302, 500, 200]);
    let url = receiver.listen().await;
    on_stage_with("notify-fails", hooks(&url), |stage| async move {
        let (truck, seller) = opened(&stage).await;
        let (_, _agent) = delivered(&stage, "UPC_1", &truck).await;
        let said = condition(&stage, "False", "NotifyFailing").await;
        assert!(said.starts_with("127.0.0.1 answered with status") && !said.contains("/hook"), "{said}");
        receiver.takes("UPC_1", &WAY).await;
        let tries: Vec<Told> = receiver.all().into_iter().take(5).collect();
        assert!(tries.iter().all(|told| told.id == tries[0].id), "{tries:?}");
        condition(&stage, "True", "Notified").await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_fail_over_lose_nothing_and_repeat_nothing_that_was_told_before() {
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    on_stage_with("notify-restart", hooks(&url), |stage| async move {
        prepared(&stage.namespace).await;
        let truck = stage.carrier("truck", false).await;
        let first = stage.start("seller-0");
        first.ready().await;
        condition(&stage, "True", "Notified").await;
        let (_, _one) = delivered(&stage, "UPC_1", &truck).await;
        receiver.takes("UPC_1", &WAY).await;
        first.stop().await;

        // What happens while it cannot be told is told by whoever comes next.
        receiver.answers(&[503]);
        let second = stage.start("seller-1");
        second.ready().await;
        let (two, _two) = delivered(&stage, "UPC_2", &truck).await;
        stage.becomes(&two, Phase::Delivered).await;
        eventually("what is to be told is kept", SOON, || async {
            let told = kept(&stage.namespace, "told.json").await;
            let behind = told["behind"].as_object().is_some_and(|behind| !behind.is_empty());
            if behind { Ok(()) } else { Err(told.to_string()) }
        })
        .await;
        second.kill().await;
        receiver.answers(&[200]);
        let third = stage.start("seller-2");
        receiver.takes("UPC_2", &WAY).await;
        assert_eq!(receiver.all().iter().filter(|told| told.upc == "UPC_1").count(), WAY.len(), "no flood");
        third.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_before_anybody_was_to_be_told_is_not_told() {
    let receiver = Receiver::default();
    let url = receiver.listen().await;
    on_stage_with("notify-later", json!({}), |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let seller = stage.start("seller-0");
        let (one, _one) = delivered(&stage, "UPC_1", &truck).await;
        stage.becomes(&one, Phase::Delivered).await;
        let sellers = stage.namespace.api::<Seller>();
        let quiet = sellers.get("acme").await.unwrap();
        assert!(quiet.condition("NotificationsDelivered").is_none(), "nothing is written of what nobody asked for");

        prepared(&stage.namespace).await;
        let patch = Patch::Merge(json!({"spec": hooks(&url)}));
        sellers.patch("acme", &PatchParams::default(), &patch).await.unwrap();
        condition(&stage, "True", "Notified").await;
        let (_, _two) = delivered(&stage, "UPC_2", &truck).await;
        receiver.takes("UPC_2", &WAY).await;
        assert!(receiver.took("UPC_1").is_empty());

        let patch = Patch::Merge(json!({"spec": {"notify": null}}));
        sellers.patch("acme", &PatchParams::default(), &patch).await.unwrap();
        eventually("the condition goes with what it is about", SOON, || async {
            let seller = sellers.get("acme").await.map_err(|why| why.to_string())?;
            let said = seller.condition("NotificationsDelivered");
            if said.is_none() { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_wants_no_more_is_kept_and_told_to_people() {
    let receiver = Receiver::default();
    receiver.answers(&[410]);
    let url = receiver.listen().await;
    on_stage_with("notify-gone", hooks(&url), |stage| async move {
        let (truck, seller) = opened(&stage).await;
        let (name, _agent) = delivered(&stage, "UPC_1", &truck).await;
        let said = condition(&stage, "False", "NotifyGivenUp").await;
        assert!(said.contains("410") && said.contains("wb-seller-acme-notices"), "{said}");
        stage.becomes(&name, Phase::Delivered).await;
        eventually("it is kept and told", SOON, || async {
            let given_up = kept(&stage.namespace, "given-up.json").await;
            let events = stage.namespace.api::<Event>().list(&ListParams::default()).await.unwrap();
            let told = events.iter().any(|event| event.reason.as_deref() == Some("NotifyGivenUp"));
            if told && given_up[0]["upc"] == "UPC_1" { Ok(()) } else { Err(given_up.to_string()) }
        })
        .await;
        assert_eq!(receiver.all().len(), 1, "it is asked no more");
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_the_chart_does_not_allow_and_a_secret_that_is_not_there_are_named() {
    let spec = json!({"notify": {"webhooks": [{"url": "https://elsewhere.example/T0KEN"}]}});
    on_stage_with("notify-forbidden", spec, |stage| async move {
        prepared(&stage.namespace).await;
        let seller = stage.start("seller-0");
        let said = condition(&stage, "False", "NotifyHostForbidden").await;
        assert!(said.contains("sellers.notifyHosts") && !said.contains("T0KEN"), "{said}");
        let other = json!({"notify": {"webhooks": [{"url": "http://127.0.0.1:9/", "secretName": "notify-none"}]}});
        let patch = Patch::Merge(json!({ "spec": other }));
        stage.namespace.api::<Seller>().patch("acme", &PatchParams::default(), &patch).await.unwrap();
        condition(&stage, "False", "NotifySecretMissing").await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_holds_up_nobody_and_loses_nothing() {
    let (good, slow) = (Receiver::default(), Receiver::default());
    slow.silent.store(true, Ordering::SeqCst);
    let hook = |url: String, phases: &[&str]| json!({"url": url, "secretName": "notify-hook", "phases": phases});
    let webhooks = [hook(slow.listen().await, &["Delivered"]), hook(good.listen().await, &WAY)];
    on_stage_with("notify-silent", json!({"notify": {"webhooks": webhooks}}), |mut stage| async move {
        stage.give_up = "1s";
        let (truck, seller) = opened(&stage).await;
        let agents = [delivered(&stage, "UPC_1", &truck).await, delivered(&stage, "UPC_2", &truck).await];
        for upc in ["UPC_1", "UPC_2"] {
            good.takes(upc, &WAY).await;
        }
        let said = condition(&stage, "False", "NotifyFailing").await;
        assert!(said.contains("did not answer within 15 seconds"), "{said}");

        // Tried again under the same id, and kept for people when it was given up; then it is well again.
        let given_up = eventually("the first is given up", 2 * SOON, || async {
            let given_up = kept(&stage.namespace, "given-up.json").await;
            if given_up[0].is_object() { Ok(given_up) } else { Err(given_up.to_string()) }
        })
        .await;
        slow.silent.store(false, Ordering::SeqCst);
        let first = given_up[0]["upc"].as_str().unwrap().to_owned();
        let tries: Vec<Told> = slow.all().into_iter().filter(|told| told.upc == first).collect();
        assert!(tries.len() > 1 && tries.iter().all(|told| told.id == tries[0].id), "{tries:?}");
        eventually("each was taken, or is kept as given up", 2 * SOON, || async {
            let kept = kept(&stage.namespace, "given-up.json").await;
            let lost = |upc: &&str| {
                slow.took(upc).is_empty()
                    && !kept.as_array().is_some_and(|all| all.iter().any(|one| one["upc"] == **upc))
            };
            let lost: Vec<&str> = ["UPC_1", "UPC_2"].into_iter().filter(|upc| lost(upc)).collect();
            if lost.is_empty() { Ok(()) } else { Err(format!("{lost:?}")) }
        })
        .await;
        drop(agents);
        seller.stop().await;
    })
    .await;
}

/// A mail server in a process of its own; every message becomes a file.
struct MailServer {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl MailServer {
    async fn start(words: &[String]) -> Self {
        let python = std::env::var("WAYBILL_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into());
        for _ in 0..5 {
            let folder = TempDir::new().unwrap();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let listen = format!("127.0.0.1:{port}");
            let mut command = Command::new(&python);
            command.args(["-m", "aiosmtpd", "-n", "-l", &listen]).args(words);
            command.args(["-c", "aiosmtpd.handlers.Mailbox"]).arg(folder.path().join("box"));
            // Gone with the value, whatever becomes of it.
            let mut server = Self { process: command.spawn().expect("python3-aiosmtpd"), port, folder };
            let up = async {
                while tokio::net::TcpStream::connect(&listen).await.is_err() {
                    if server.process.try_wait().unwrap().is_some() {
                        return false;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                true
            };
            if tokio::time::timeout(SOON, up).await.unwrap_or(false) {
                return server;
            }
        }
        panic!("no mail server would start");
    }

    fn messages(&self) -> Vec<String> {
        let folder: PathBuf = self.folder.path().join("box/new");
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }

    /// Subjects of what came, in any order.
    fn subjects(&self) -> BTreeSet<String> {
        let subject = |text: &String| text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
        self.messages().iter().filter_map(subject).collect()
    }
}

async fn with_address(stage: &Scene, upc: &str, email: &str) {
    let mut order: Value = serde_json::from_str(&waybill_e2e::objects::order(upc)).unwrap();
    order["email"] = json!(email);
    stage.order(upc, &order).await;
}

/// An address in the cluster's open would be anybody's.
async fn nothing_of_jane(stage: &Scene, name: &str) {
    let shop = stage.namespace.api::<Seller>().get("acme").await.unwrap();
    let told = stage.namespace.api::<ConfigMap>().get("wb-seller-acme-notices").await.unwrap();
    let all = [json!(stage.get(name).await), json!(shop), json!(told)];
    assert!(!all.iter().any(|one| one.to_string().contains("jane@")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipient_is_written_to_over_a_connection_that_is_checked() {
    let ca = crate::domain::Ca::new();
    let files = TempDir::new().unwrap();
    let (certificate, key) = leaf(&ca, "smtp", std::net::Ipv4Addr::LOCALHOST);
    std::fs::write(files.path().join("tls.crt"), certificate).unwrap();
    std::fs::write(files.path().join("tls.key"), key).unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let words = ["--tlscert".to_owned(), path("tls.crt"), "--tlskey".to_owned(), path("tls.key")];
    let server = MailServer::start(&words).await;
    let mail = json!({"host": "127.0.0.1", "port": server.port, "from": "Acme <parcels@acme.example>",
                      "secretName": "notify-smtp", "phases": ["Accepted", "Delivered"]});
    on_stage_with("notify-mail", json!({"notify": {"mail": mail}}), |stage| async move {
        prepared(&stage.namespace).await;
        // The authority of somebody else: the server is not believed, and told nothing.
        let secret = |pem: String| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "notify-smtp"},
                                          "stringData": {"ca.crt": pem}})
        };
        apply::<Secret>(&stage.namespace, &secret(crate::domain::Ca::new().pem())).await.unwrap();
        with_address(&stage, "UPC_1", "jane@recipient.example").await;
        let truck = stage.carrier("truck", false).await;
        let seller = stage.start("seller-0");
        seller.ready().await;
        let (name, _agent) = delivered(&stage, "UPC_1", &truck).await;
        let said = condition(&stage, "False", "NotifyFailing").await;
        assert!(!said.contains("jane"), "{said}");
        assert!(server.messages().is_empty());

        apply::<Secret>(&stage.namespace, &secret(ca.pem())).await.unwrap();
        let expected = ["Your parcel from acme has a carrier", "Your parcel from acme was delivered"];
        eventually("both mails are there", SOON, || async {
            let there = server.subjects();
            if there == expected.map(str::to_owned).into() { Ok(()) } else { Err(format!("{there:?}")) }
        })
        .await;
        for text in server.messages() {
            assert!(text.contains("To: jane@recipient.example") && text.contains("Auto-Submitted: auto-generated"));
            assert!(!text.contains("MARKER") && !text.contains("track#"), "no board, no link: {text}");
        }
        nothing_of_jane(&stage, &name).await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_system_says_where_recipients_are_written_to_when_there_is_something_to_write() {
    let mood = Arc::new(AtomicU8::new(0));
    let orders = crate::orders::order_system(Arc::clone(&mood)).await;
    let server = MailServer::start(&[]).await;
    let mail = json!({"host": "127.0.0.1", "port": server.port, "from": "parcels@acme.example", "tls": "none",
                      "phases": ["Accepted", "Delivered"]});
    let spec = json!({"url": format!("http://{orders}/shop"), "notify": {"mail": mail}});
    on_stage_with("notify-orders-url", spec, |stage| async move {
        let (truck, seller) = opened(&stage).await;
        let (name, _agent) = delivered(&stage, "UPC_1", &truck).await;
        let said = condition(&stage, "False", "NotifyFailing").await;
        assert!(said.contains("the order system answered with status 500"), "{said}");
        assert!(server.messages().is_empty());
        mood.store(2, Ordering::SeqCst);
        let mails = eventually("both mails are there", SOON, || async {
            let there = server.messages();
            if there.len() == 2 { Ok(there) } else { Err(format!("{there:?}")) }
        })
        .await;
        assert!(
            mails.iter().all(|text| text.contains("To: jane@recipient.example") && !text.contains("MARKER")),
            "{mails:?}"
        );
        nothing_of_jane(&stage, &name).await;
        seller.stop().await;
    })
    .await;
}

/// A Carrier API that gives grants to whoever shows the right token; it notes what it was asked.
async fn grants(stage: &Scene, asked: Arc<Mutex<Vec<Value>>>) -> String {
    let files = TempDir::new().unwrap();
    let (certificate, key) = leaf(&stage.ca, "the-carrier-api", std::net::Ipv4Addr::LOCALHOST);
    for (name, text) in [("tls.crt", certificate), ("tls.key", key), ("ca.crt", stage.ca.pem())] {
        std::fs::write(files.path().join(name), text).unwrap();
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (stop, deliveries) = (CancellationToken::new(), stage.namespace.api::<Delivery>());
    let grant = move |headers: HeaderMap, Json(wish): Json<Value>| async move {
        assert_eq!(headers["authorization"], "Bearer t0ken");
        asked.lock().unwrap().push(wish);
        let uid = deliveries.get("upc-1").await.unwrap().metadata.uid.unwrap();
        (StatusCode::CREATED, Json(json!({"grant": format!("{uid}.SECRET"), "id": "x"})))
    };
    let routes = Router::new().route("/api/shipment/UPC_1/grants", post(grant));
    let (metrics, limits) = (Metrics::new("played"), Limits::default());
    let material = tls::watch_dir(files.path(), POLL, stop.clone()).await.unwrap();
    let (feed, revocations) = revocation::channel();
    feed.offer_json(br#"{"number": 1, "entries": []}"#).unwrap();
    let app = server::app(routes, HttpMetrics::new(&metrics), revocations, &limits);
    let (metrics, gate) = (TlsMetrics::new(&metrics), Probes::new(&["api"]).gate("api"));
    let server = Server { listener, app, material, clients: ClientAuth::Optional, limits, metrics, gate };
    tokio::spawn(async move {
        let _files = files;
        server.run(stop).await
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_carries_one_link_that_was_made_for_the_recipient() {
    let server = MailServer::start(&[]).await;
    let mail = json!({"host": "127.0.0.1", "port": server.port, "from": "parcels@acme.example", "tls": "none",
                      "phases": ["Accepted", "Delivered"]});
    on_stage_with("notify-link", json!({"notify": {"mail": mail}}), |stage| async move {
        prepared(&stage.namespace).await;
        with_address(&stage, "UPC_1", "jane@recipient.example").await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let api = grants(&stage, Arc::clone(&asked)).await;
        stage.publish_addresses("https://board.example/", &api, "t0ken").await;
        let truck = stage.carrier("truck", false).await;
        let seller = stage.start("seller-0");
        seller.ready().await;
        let (name, _agent) = delivered(&stage, "UPC_1", &truck).await;
        let mails = eventually("both mails are there", SOON, || async {
            let there = server.messages();
            if there.len() == 2 { Ok(there) } else { Err(format!("{there:?}")) }
        })
        .await;
        let uid = stage.get(&name).await.metadata.uid.unwrap();
        let link = format!("https://board.example/track#{}.{uid}.SECRET", stage.namespace.name);
        // Quoted-printable breaks long lines; every reader of mail mends that.
        assert!(mails.iter().all(|text| text.replace("=\n", "").contains(&link)), "{mails:?}");
        assert_eq!(*asked.lock().unwrap(), [json!({"ttl": "720h", "role": "recipient"})], "one link, made once");
        seller.stop().await;
    })
    .await;
}
