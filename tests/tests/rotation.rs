//! Certificates and authorities change while everybody is at work, and nobody notices (DESIGN.md 7).
//!
//! It sets the overlap of authorities for the whole release and puts it back. One test after the other: authorities belong to
//! the whole cluster, and one test lets ninety days pass for them in a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use waybill_crds::{Carrier, Seller};
use waybill_e2e::handshakes::{Door, Knocker};
use waybill_e2e::helm::Helm;
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::live::{Watchman, pods};
use waybill_e2e::objects::{self, config, service, wait_condition};
use waybill_e2e::outsider::Outsider;
use waybill_e2e::{Namespace, authority, eventually, in_namespace, ledger, openssl};

/// Twice as long as Kubernetes takes to bring a Secret into a pod.
const OVERLAP: &str = "20s";
/// A client that was refused waits a little before it tries again; a machine may be busy.
const RECONNECT: Duration = Duration::from_secs(15);
/// Until everybody has something new.
const SPREAD: Duration = Duration::from_secs(180);
/// Leafs that live for ten minutes and are renewed half a minute to a minute after they were issued.
const RENEWALS: Duration = Duration::from_secs(500);

static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_takes_over_under_live_connections_without_a_failed_handshake() {
    let _alone = ALONE.lock().await;
    in_namespace("rotation", &[], |namespace| async move {
        let Some(helm) = Helm::find("WAYBILL_HELM3") else { return };
        let client = &namespace.client;
        helm.set(&format!("ca.overlap={OVERLAP}"));
        let day = Day::begin(&namespace, None).await;
        let before = pods(client, &[SYSTEM, &namespace.name]).await;
        let old_root = config(&namespace, "waybill-trust", "ca.crt").await;
        let old_bike = Outsider::enrol(&namespace, "old-bike").await;
        let (_faith, old_trust) = watch::channel(old_bike.tls(&old_root));
        let faithful = Knocker::start(&day.doors, &old_trust);

        let board = openssl::text(&secret(client, SYSTEM, "waybill-board-tls").await);
        for name in
            ["DNS:waybill-board", "DNS:waybill-board.waybill-system.svc", "DNS:localhost", "IP Address:127.0.0.1"]
        {
            assert!(board.contains(name) && board.contains("TLS Web Server Authentication"), "{name}: {board}");
        }

        let old = active(client).await;
        authority::ask(client, authority::PARTICIPANTS).await;
        let new = authority::replaced(client, &old).await;
        everybody_has_a_certificate_of(&namespace, &new).await;
        let chains = day.served(&namespace).await;
        met(&chains, &[&faithful, &day.follower]).await;
        println!("{} handshakes by the old root alone", faithful.never_failed(&day.doors));
        let new_root = root_of(client, &new).await;
        for (door, chain) in &chains {
            let complain = |why: String| panic!("{}: {why}", door.name);
            for root in [&old_root, &new_root] {
                openssl::verify(chain, root, "sslserver").unwrap_or_else(complain);
            }
        }

        // Nothing of the old authority lives any more.
        drop(faithful);
        authority::retire(client).await;
        eventually("the old root is gone from the bundle", SPREAD, || async {
            let bundle = config(&namespace, "waybill-trust", "ca.crt").await;
            if bundle.trim() == new_root.trim() { Ok(()) } else { Err(bundle) }
        })
        .await;
        day.goes_on(20).await;
        eventually("the broker has forgotten the old root", SPREAD, || async {
            old_bike.session().connect().await.map_or(Ok(()), |()| Err("its certificate still opens"))
        })
        .await;
        assert_eq!(pods(client, &[SYSTEM, &namespace.name]).await, before, "nobody was started again");
        day.end();
        helm.set("ca.overlap=24h");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_again_and_again_without_a_failed_handshake() {
    let _alone = ALONE.lock().await;
    in_namespace("renewals", &[], |namespace| async move {
        let day = Day::begin(&namespace, Some(json!({"ttl": "10m", "renewBefore": "9m"}))).await;
        let before = pods(&namespace.client, &[&namespace.name]).await;
        let seller = day.doors[0].clone();
        let van = Mutex::new(BTreeSet::new());
        eventually("two renewals of each", RENEWALS, || async {
            let chain = secret(&namespace.client, &namespace.name, "wb-carrier-van-tls").await;
            let mut van = van.lock().await;
            van.insert(ledger::serial(chain.as_bytes()));
            let met = day.follower.seen().opened.get(&seller.name).map_or(0, BTreeMap::len);
            if met > 2 && van.len() > 2 {
                Ok(())
            } else {
                Err(format!("{met} at the seller, {} for the van", van.len()))
            }
        })
        .await;
        for name in ["wb-seller-shop", "wb-carrier-van"] {
            let chain = secret(&namespace.client, &namespace.name, &format!("{name}-tls")).await;
            let roots = config(&namespace, "waybill-trust", "ca.crt").await;
            openssl::verify(&chain, &roots, "sslclient").unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        assert_eq!(pods(&namespace.client, &[&namespace.name]).await, before, "nobody was started again");
        day.end();
    })
    .await;
}

// === helpers ===

/// A seller, a carrier that Waybill runs, one that it does not, and somebody who keeps coming by.
struct Day {
    doors: Vec<Door>,
    follower: Knocker,
    watchman: Watchman,
    _follows: JoinSet<()>,
}

impl Day {
    async fn begin(namespace: &Namespace, certificate: Option<Value>) -> Self {
        objects::seller(namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(namespace, "van").await;
        let (mut bike, guest) = (Outsider::enrol(namespace, "bike").await, Outsider::enrol(namespace, "guest").await);
        if let Some(certificate) = certificate {
            let spec = Patch::Merge(json!({"spec": {"certificate": certificate}}));
            let asked = PatchParams::default();
            namespace.api::<Seller>().patch("shop", &asked, &spec).await.expect("a user asks");
            for carrier in ["van", "bike", "guest"] {
                namespace.api::<Carrier>().patch(carrier, &asked, &spec).await.expect("a user asks");
            }
        }
        wait_condition::<Seller>(namespace, "shop", "Ready", "True", None).await;
        wait_condition::<Carrier>(namespace, "van", "Ready", "True", None).await;
        let doors = doors(namespace).await;
        bike.renew(namespace, "bike").await;
        let mut agent = bike.session();
        agent.connect().await.expect("the agent is let in");
        let watchman = Watchman::start(namespace, agent, &connected(namespace).await);
        let mut follows = JoinSet::new();
        let trust = follow(namespace, guest, &mut follows).await;
        Self { follower: Knocker::start(&doors, &trust), doors, watchman, _follows: follows }
    }

    /// What each door should show, by its Secret.
    async fn served(&self, namespace: &Namespace) -> Vec<(Door, String)> {
        let secrets = [
            (&namespace.name[..], "wb-seller-shop-tls"),
            (&namespace.name, "waybill-carrier-api-tls"),
            (SYSTEM, "waybill-broker-tls"),
            (SYSTEM, "waybill-board-tls"),
        ];
        let mut served = Vec::new();
        for (door, (place, name)) in self.doors.iter().zip(secrets) {
            served.push((door.clone(), secret(&namespace.client, place, name).await));
        }
        served
    }

    /// So many more handshakes at each door.
    async fn goes_on(&self, more: usize) {
        for door in &self.doors {
            let before = self.follower.opened(door);
            eventually(&format!("{more} more handshakes with {}", door.name), SPREAD, || async {
                let now = self.follower.opened(door);
                if now >= before + more { Ok(()) } else { Err(format!("{:?}", self.follower.seen().failed)) }
            })
            .await;
        }
    }

    fn end(self) {
        println!("{} handshakes by the published bundle", self.follower.never_failed(&self.doors));
        println!("sessions were away for {:?}", self.watchman.none_longer_than(RECONNECT));
    }
}

async fn doors(namespace: &Namespace) -> Vec<Door> {
    let reach = async |place: &str, name: &str, port| {
        (format!("{name}.{place}.svc"), service(&namespace.client, place, name, port).await)
    };
    let (seller, at) = reach(&namespace.name, "wb-seller-shop", 5000).await;
    let seller = Door::https(&seller, at);
    let (carrier, at) = reach(&namespace.name, "waybill-carrier-api", 5001).await;
    let carrier = Door::https(&carrier, at);
    let (broker, at) = reach(SYSTEM, "waybill-broker", 8883).await;
    let broker = Door::mqtt(&broker, at);
    let (board, at) = reach(SYSTEM, "waybill-board", 5002).await;
    vec![seller, carrier, broker, Door::https(&board, at)]
}

/// The pods that have a session with the broker, once all have one and every door is open.
async fn connected(namespace: &Namespace) -> Vec<String> {
    eventually("seller and van speak to the broker", objects::PROVISIONED, || async {
        let all = namespace.api::<Pod>().list(&ListParams::default()).await.map_err(|why| why.to_string())?;
        let mut connected = Vec::new();
        for pod in all.iter().map(ResourceExt::name_any) {
            let metrics = objects::probe(namespace, &pod, "/metrics").await?;
            if metrics.lines().any(|line| line == "waybill_link_connected 1") {
                connected.push(pod);
            }
        }
        if connected.len() == 2 { Ok(connected) } else { Err(format!("{connected:?}")) }
    })
    .await
}

/// How a guest connects who takes over what is published, as it is published.
async fn follow(
    namespace: &Namespace,
    mut guest: Outsider,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Arc<ClientConfig>> {
    let namespace = namespace.clone();
    guest.renew(&namespace, "guest").await;
    let (say, trust) = watch::channel(guest.tls(guest.trust()));
    tasks.spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(300));
        loop {
            tick.tick().await;
            guest.renew(&namespace, "guest").await;
            say.send_replace(guest.tls(guest.trust()));
        }
    });
    trust
}

/// Waits until each of these certificates was met by everybody.
async fn met(chains: &[(Door, String)], knockers: &[&Knocker]) {
    for (door, chain) in chains {
        let serial = ledger::serial(chain.as_bytes());
        for knocker in knockers {
            eventually(&format!("{} shows {serial}", door.name), SPREAD, || async {
                let seen = knocker.seen();
                let met = seen.opened.get(&door.name).is_some_and(|serials| serials.contains_key(&serial));
                if met { Ok(()) } else { Err(format!("{seen:?}")) }
            })
            .await;
        }
    }
}

async fn secret(client: &Client, namespace: &str, name: &str) -> String {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let data = api.get(name).await.expect("a Secret").data.expect("data");
    String::from_utf8(data["tls.crt"].0.clone()).expect("PEM")
}

async fn active(client: &Client) -> String {
    let state = authority::state(client, authority::PARTICIPANTS).await.expect("a state");
    state["active"]["id"].as_str().expect("an id").to_owned()
}

async fn root_of(client: &Client, id: &str) -> String {
    let files = ledger::authorities(client).await;
    String::from_utf8(files[&format!("{id}.crt")].clone()).expect("PEM")
}

/// Everybody in the cluster, that is, and the carriers outside of it that belong to this namespace.
async fn everybody_has_a_certificate_of(namespace: &Namespace, authority: &str) {
    let api: Api<Secret> = Api::all(namespace.client.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=waybill-operator");
    let others = |chain: &[u8]| !ledger::issuer(chain).contains(authority);
    eventually(&format!("everybody has a certificate of {authority}"), SPREAD, || async {
        let secrets = api.list(&ours).await.map_err(|why| why.to_string())?;
        let chain = |s: &Secret| Some((s.name_any(), s.data.as_ref()?.get("tls.crt")?.0.clone()));
        let mut chains: Vec<_> =
            secrets.iter().filter_map(chain).filter(|(name, _)| name != "waybill-broker-admin").collect();
        for carrier in namespace.api::<Carrier>().list(&ListParams::default()).await.map_err(|why| why.to_string())? {
            let name = carrier.name_any();
            let pem = carrier.status.and_then(|status| status.certificate?.pem);
            chains.extend(pem.map(|pem| (name, pem.into_bytes())));
        }
        let old: Vec<_> = chains.iter().filter(|(_, chain)| others(chain)).map(|(name, _)| name).collect();
        if old.is_empty() { Ok(()) } else { Err(format!("{old:?}")) }
    })
    .await;
}
