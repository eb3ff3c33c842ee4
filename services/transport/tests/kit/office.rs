//! The far end of an agent: sellers at a real broker, and a Carrier API over HTTPS with the routes an agent calls. Both
//! work on the same logs, as in the cluster.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes as Body;
use axum::extract::{DefaultBodyLimit, Path as Segments, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use waybill_chassis::jwt::{Keys, Policy, Verifier, bearer};
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::peer::Peer;
use waybill_chassis::probes::Probes;
use waybill_chassis::revocation::{self, Feed, List};
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth};
use waybill_link::{LinkMetrics, Settings};
use waybill_protocol::{Hash, Topic, TopicFilter};

use super::shop::{Appended, Shop, Wishes};
use super::world::World;

/// How often the sellers say again what is not answered.
const AGAIN: Duration = Duration::from_millis(50);

/// Everything the far end knows; behind one lock.
pub(crate) struct Books {
    pub(crate) shops: BTreeMap<String, Shop>,
    pub(crate) photos: BTreeMap<String, Vec<u8>>,
    /// Every request, by method and path.
    pub(crate) asked: Vec<String>,
    /// The Carrier API answers 503.
    pub(crate) down: bool,
    /// Photos are kept with a word more than they came with.
    pub(crate) bends_photos: bool,
    /// What an agent whose certificate ended is given.
    pub(crate) renewal: Option<Value>,
    /// Things an agent did so far: requests, and messages it sent.
    pub(crate) steps: usize,
    /// At this step the answer never comes.
    pub(crate) silent_at: Option<usize>,
}

#[derive(Clone)]
pub(crate) struct Office {
    books: Arc<Mutex<Books>>,
    verifier: Arc<Verifier<Pass>>,
    carrier: String,
    key: waybill_protocol::Ed25519Key,
    steps: watch::Sender<usize>,
}

/// The far end, running.
pub(crate) struct Running {
    pub(crate) office: Office,
    pub(crate) api: SocketAddr,
    /// Whose tokens count.
    pub(crate) keys: watch::Sender<Arc<Keys>>,
    /// Whom the Carrier API refuses.
    pub(crate) feed: Feed,
    _stop: DropGuard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "all members are required, not all are looked at")]
struct Pass {
    iss: String,
    aud: String,
    sub: String,
    upc: Option<String>,
    nbf: u64,
    iat: u64,
    exp: u64,
    jti: String,
}

waybill_chassis::registered_claims!(Pass);

impl Office {
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    pub(crate) fn opens(&self, world: &World, delivery: &str, wishes: Wishes) {
        self.books().shops.insert(delivery.to_owned(), Shop::new(world, delivery, wishes));
    }

    /// Counts the things an agent did.
    pub(crate) fn steps(&self) -> watch::Receiver<usize> {
        self.steps.subscribe()
    }

    /// Counts from nothing again, and after so many things nothing is answered.
    pub(crate) fn falls_silent_after(&self, steps: usize) {
        let mut books = self.books();
        (books.steps, books.silent_at) = (0, Some(steps));
        self.steps.send_replace(0);
    }

    /// One more step; true if it is the one after which nothing is answered.
    fn step(&self, what: String) -> bool {
        let mut books = self.books();
        books.steps += 1;
        books.asked.push(what);
        self.steps.send_replace(books.steps);
        books.silent_at.is_some_and(|at| books.steps >= at)
    }

    async fn answer(&self, what: String, answer: impl FnOnce(&mut Books) -> Response) -> Response {
        if self.books().down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        // What was asked for happens; whoever asked may never hear of it.
        let answer = answer(&mut self.books());
        if self.step(what) {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn check(&self, peer: &Peer, headers: &HeaderMap, about: Option<(&str, &str)>) -> Result<(), Response> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let token = bearer(headers).map_err(IntoResponse::into_response)?;
        let pass = self.verifier.verify(token, now).map_err(|refusal| refusal.problem().into_response())?;
        let (sub, upc) = about.map_or((self.carrier.as_str(), None), |(uid, upc)| (uid, Some(upc)));
        let right = peer.uid == self.carrier && pass.sub == sub && pass.upc.as_deref() == upc;
        if right { Ok(()) } else { Err(StatusCode::FORBIDDEN.into_response()) }
    }
}

/// Starts sellers and Carrier API. `tls`: folders with the leafs of both.
pub(crate) async fn start(world: &World, broker: SocketAddr, seller: &Path, api: &Path) -> Running {
    let stop = CancellationToken::new();
    let statement = world.carrier.signer.statement();
    let kid = waybill_chassis::jwt::key_id(statement.ed25519.as_bytes());
    let keys = Keys::default().with(kid, statement.uid.as_str(), statement.ed25519.as_bytes());
    let (keys_feed, keys) = watch::channel(Arc::new(keys));
    let policy = Policy { audience: "carrier-api", kind: "wb-carrier-api+jwt", max_life: 120 };
    let books = Books {
        shops: BTreeMap::new(),
        photos: BTreeMap::new(),
        asked: Vec::new(),
        down: false,
        bends_photos: false,
        renewal: None,
        steps: 0,
        silent_at: None,
    };
    let office = Office {
        books: Arc::new(Mutex::new(books)),
        verifier: Arc::new(Verifier::new(policy, keys)),
        carrier: statement.uid.to_string(),
        key: statement.ed25519,
        steps: watch::Sender::new(0),
    };
    sell(world, office.clone(), broker, seller, stop.clone()).await;
    let (api, feed) = serve(office.clone(), api, stop.clone()).await;
    Running { office, api, keys: keys_feed, feed, _stop: stop.drop_guard() }
}

/// All sellers in one session: what is due is said, and said again.
async fn sell(world: &World, office: Office, broker: SocketAddr, tls: &Path, stop: CancellationToken) {
    let uid = world.seller.uid().clone();
    let settings = Settings::new(&broker.to_string(), uid.as_str()).unwrap();
    let settings = settings.subscribe([TopicFilter::ToSeller(uid).to_string()]);
    let material = tls::watch_dir(tls, Duration::from_secs(60), stop.clone()).await.unwrap();
    let config = tls::client_configs(material).unwrap();
    let (link, mut inbox, driver) = waybill_link::link(settings, config, LinkMetrics::default()).unwrap();
    let (seller, carrier) = (world.seller.uid().clone(), world.carrier.uid().clone());
    tokio::spawn(driver.run(stop.clone()));
    tokio::spawn(async move {
        let mut again = tokio::time::interval(AGAIN);
        loop {
            // What came changes one delivery; the clock asks after all.
            let about = tokio::select! {
                () = stop.cancelled() => return,
                Some(message) = inbox.recv() => match heard(&office, &message.topic, &message.payload) {
                    Some(delivery) => Some(delivery),
                    None => continue,
                },
                _ = again.tick() => None,
            };
            let due: Vec<(String, Vec<u8>)> = {
                let mut books = office.books();
                let all = books.shops.iter_mut().filter(|(uid, _)| about.as_ref().is_none_or(|about| about == *uid));
                all.flat_map(|(uid, shop)| shop.due().into_iter().map(|frame| (uid.clone(), frame))).collect()
            };
            for (delivery, frame) in due {
                let _ = link.try_publish(&format!("wb/{seller}/{carrier}/{delivery}/down"), frame);
            }
        }
    });
}

/// Whose log it changed, if it changed one.
fn heard(office: &Office, topic: &str, payload: &[u8]) -> Option<String> {
    let topic: Topic = topic.parse().unwrap();
    let delivery = topic.delivery.to_string();
    let changed = office.books().shops.get_mut(&delivery).is_some_and(|shop| {
        let before = shop.custody.len();
        shop.hear(payload);
        shop.custody.len() > before
    });
    office.step(format!("up {delivery}"));
    changed.then_some(delivery)
}

async fn serve(office: Office, dir: &Path, stop: CancellationToken) -> (SocketAddr, Feed) {
    let routes = Router::new()
        .route("/api/agent/deliveries", get(list))
        .route("/api/agent/deliveries/{uid}/log", get(log))
        .route("/api/agent/deliveries/{uid}/photos", put(photo))
        .route("/api/agent/deliveries/{uid}/photos/{hash}", get(fetch))
        .route("/api/shipment/{upc}", post(shipment))
        .route("/identity", post(identity))
        .layer(DefaultBodyLimit::max(4 << 20))
        .with_state(office);
    let (metrics, probes) = (Metrics::new("test"), Probes::new(&["server"]));
    let (feed, revocations) = revocation::channel();
    feed.offer(List::default());
    let app = server::app(routes, HttpMetrics::new(&metrics), revocations, &Limits::default());
    let material = tls::watch_dir(dir, Duration::from_secs(60), stop.clone()).await.unwrap();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (clients, limits) = (ClientAuth::Optional, Limits::default());
    let (metrics, gate) = (TlsMetrics::new(&metrics), probes.gate("server"));
    let server = Server { listener, app, material, clients, limits, metrics, gate };
    tokio::spawn(server.run(stop));
    (addr, feed)
}

type Asked = (State<Office>, Peer, HeaderMap);

async fn list((State(office), peer, headers): Asked, Query(page): Query<HashMap<String, String>>) -> Response {
    if let Err(refused) = office.check(&peer, &headers, None) {
        return refused;
    }
    let open = |books: &mut Books| {
        let open = books.shops.iter().filter(|(_, shop)| !shop.log().phase().is_terminal());
        let line = |(uid, shop): (&String, &Shop)| {
            json!({"uid": uid, "upc": shop.wishes.upc.as_str(), "namespace": "shop",
                "sellerUid": shop.own.uid().as_str(), "phase": shop.log().phase().as_str(),
                "attempt": shop.log().state().attempt(), "topics": {"down": "", "up": ""},
                "location": shop.wishes.location, "expected": {"seq": shop.expected(), "previous": Value::Null}})
        };
        // One a page: whoever has several reads on.
        let after = page.get("after").map(String::as_str);
        let mut lines: Vec<Value> = open.map(line).filter(|line| line["uid"].as_str() > after).collect();
        lines.sort_by_key(|line| line["uid"].as_str().map(str::to_owned));
        let next = (lines.len() > 1).then(|| lines[0]["uid"].clone());
        lines.truncate(1);
        Json(json!({"deliveries": lines, "next": next})).into_response()
    };
    office.answer("list".into(), open).await
}

async fn log(asked: Asked, Segments(uid): Segments<String>) -> Response {
    let (State(office), peer, headers) = asked;
    let Some(upc) = upc(&office, &uid) else { return StatusCode::NOT_FOUND.into_response() };
    if let Err(refused) = office.check(&peer, &headers, Some((&uid, &upc))) {
        return refused;
    }
    let read = |books: &mut Books| {
        let shop = &books.shops[&uid];
        let custody: Vec<String> = shop.custody.iter().map(|entry| STANDARD.encode(entry)).collect();
        let statement = STANDARD.encode(&shop.own.signer.statement_bytes().0);
        let location = shop.wishes.location;
        Json(json!({"custody": custody, "sellerStatement": statement, "location": location})).into_response()
    };
    office.answer(format!("log {uid}"), read).await
}

fn upc(office: &Office, uid: &str) -> Option<String> {
    office.books().shops.get(uid).map(|shop| shop.wishes.upc.as_str().to_owned())
}

#[derive(Deserialize)]
struct Report {
    events: Vec<String>,
}

async fn shipment(asked: Asked, Segments(upc): Segments<String>, Json(report): Json<Report>) -> Response {
    let (State(office), peer, headers) = asked;
    let uid = office.books().shops.iter().find(|(_, shop)| shop.wishes.upc.as_str() == upc).map(|(uid, _)| uid.clone());
    let Some(uid) = uid else { return StatusCode::NOT_FOUND.into_response() };
    if let Err(refused) = office.check(&peer, &headers, Some((&uid, &upc))) {
        return refused;
    }
    assert!((1..=8).contains(&report.events.len()));
    let write = |books: &mut Books| {
        let shop = books.shops.get_mut(&uid).unwrap();
        let events: Vec<Vec<u8>> = report.events.iter().map(|event| STANDARD.decode(event).unwrap()).collect();
        match shop.append(&events) {
            Appended::New => (StatusCode::CREATED, Json(json!({}))).into_response(),
            Appended::Known => (StatusCode::OK, Json(json!({}))).into_response(),
            Appended::Gap => {
                let expected = json!({"expected": {"seq": shop.expected(), "previous": Value::Null}});
                (StatusCode::CONFLICT, Json(expected)).into_response()
            }
        }
    };
    office.answer(format!("post {uid}"), write).await
}

async fn photo(asked: Asked, Segments(uid): Segments<String>, body: Body) -> Response {
    let (State(office), peer, headers) = asked;
    let Some(upc) = upc(&office, &uid) else { return StatusCode::NOT_FOUND.into_response() };
    if let Err(refused) = office.check(&peer, &headers, Some((&uid, &upc))) {
        return refused;
    }
    assert_eq!(headers["content-type"], "image/jpeg");
    let keep = |books: &mut Books| {
        let mut bytes = body.to_vec();
        if books.bends_photos {
            // A comment after the first marker: other bytes, the same picture.
            bytes.splice(2..2, [0xff, 0xfe, 0, 4, b'h', b'i']);
        }
        let hash = Hash::of(&bytes).to_string();
        let answer = json!({"hash": hash, "size": bytes.len(), "type": "image/jpeg"});
        books.photos.insert(hash, bytes);
        (StatusCode::CREATED, Json(answer)).into_response()
    };
    office.answer(format!("photo {uid}"), keep).await
}

async fn fetch(asked: Asked, Segments((uid, hash)): Segments<(String, String)>) -> Response {
    let (State(office), peer, headers) = asked;
    let Some(upc) = upc(&office, &uid) else { return StatusCode::NOT_FOUND.into_response() };
    if let Err(refused) = office.check(&peer, &headers, Some((&uid, &upc))) {
        return refused;
    }
    let found = |books: &mut Books| match books.photos.get(&hash) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    };
    office.answer(format!("fetch {uid}"), found).await
}

/// Whoever asks with the carrier's own key.
async fn identity(State(office): State<Office>, Json(asked): Json<Value>) -> Response {
    let bytes = STANDARD.decode(asked["request"].as_str().unwrap()).unwrap();
    let request = waybill_protocol::RenewalRequest::read(&bytes).unwrap();
    assert_eq!(request.uid.as_str(), office.carrier);
    waybill_protocol::RenewalRequest::verify(&bytes, &office.key).unwrap();
    let renewal = office.books().renewal.clone();
    office.books().asked.push("identity".into());
    renewal.map_or(StatusCode::FORBIDDEN.into_response(), |renewal| Json(renewal).into_response())
}
