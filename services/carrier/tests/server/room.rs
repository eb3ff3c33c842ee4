//! A namespace with a Seller, two Carriers and a Carrier API that runs in this process under its own account.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use rcgen::ExtendedKeyUsagePurpose as Usage;
use serde_json::json;
use tempfile::TempDir;
use waybill_carrier::Bucket;
use waybill_cluster::custody;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::{Namespace, eventually, in_namespace, objects};
use waybill_protocol::fact::reason::{DeliveredTo, EvidenceKind, Media};
use waybill_protocol::{
    AgreementSecret, Author, Commitments, Event, Fact, Gate, Hash, Log, Mac, Role, SignedEvent, Signer, Stage, Terms,
    Trust, Uid, UnixMillis, Upc, version,
};

use crate::client::{Agent, Client};
use crate::domain::{Ca, Somebody};
use crate::stage::{Home, Running, define, enrol, files, publish, rights};

pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Room {
    pub(crate) namespace: Namespace,
    pub(crate) ca: Ca,
    pub(crate) trust: Trust,
    pub(crate) seller: Somebody,
    /// `truck-7`, whose parcels these are, and `truck-8`.
    pub(crate) agent: Agent,
    pub(crate) other: Agent,
    pub(crate) anybody: Client,
    pub(crate) api: Running,
    pub(crate) dir: TempDir,
    pub(crate) home: Home,
}

/// One Delivery and its names.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) upc: String,
    pub(crate) uid: String,
}

/// Runs `story` in a room of its own; photos lie in a folder of it.
pub(crate) async fn in_room<F, Fut>(test: &str, story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    in_room_with(test, dir, &photos, story).await;
}

pub(crate) async fn in_room_with<F, Fut>(test: &str, dir: TempDir, photos: &Path, story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    let place = (format!("file://{}", photos.display()), Bucket::default());
    in_room_at(test, dir, place, story).await;
}

pub(crate) async fn in_room_at<F, Fut>(test: &str, dir: TempDir, (photos, bucket): (String, Bucket), story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    in_namespace(test, &[], async |namespace| {
        define(&namespace).await;
        rights(&namespace).await;
        let ca = Ca::new();
        let seller = enrol::<Seller>(&namespace, &ca, Role::Seller, "acme", json!({})).await;
        let carrier =
            async |name| enrol::<Carrier>(&namespace, &ca, Role::Carrier, name, json!({"kind": "truck"})).await;
        let (first, second) = (carrier("truck-7").await, carrier("truck-8").await);
        publish(&namespace, &ca, 1, &[]).await;
        files(dir.path(), &ca, &namespace.name);
        let (root, refused) = (dir.path().to_owned(), Arc::default());
        let home = Home { namespace: namespace.clone(), photos, bucket, root, refused };
        let api = home.start().await;
        let agent = |keys: Somebody| {
            let leaf = ca.leaf(keys.uid().as_str(), Usage::ClientAuth);
            Agent { client: Client::known(&ca, api.address, &leaf), keys }
        };
        let (agent, other) = (agent(first), agent(second));
        let anybody = Client::anonymous(&ca, api.address);
        story(Room { trust: ca.trust(), ca, seller, agent, other, anybody, api, dir, home, namespace }).await;
    })
    .await;
}

impl Room {
    /// The Carrier API ends and another one begins.
    pub(crate) async fn restart(&mut self) {
        let next = self.home.start().await;
        std::mem::replace(&mut self.api, next).stop().await;
        self.anybody = Client::anonymous(&self.ca, self.api.address);
        let leaf = self.ca.leaf(self.agent.keys.uid().as_str(), Usage::ClientAuth);
        self.agent.client = Client::known(&self.ca, self.api.address, &leaf);
    }

    /// A Delivery for `truck-7`, admitted, which the Carrier API has seen.
    pub(crate) async fn parcel(&self, upc: &str) -> Parcel {
        self.parcel_of(upc, "truck-7", &self.agent).await
    }

    pub(crate) async fn parcel_of(&self, upc: &str, carrier: &str, agent: &Agent) -> Parcel {
        let mut body = objects::delivery(&upc.to_ascii_lowercase().replace('_', "-"), "acme", carrier);
        body["spec"]["upc"] = json!(upc);
        body["metadata"]["annotations"] = json!({waybill_crds::annotation::PAUSED: "true"});
        let object = eventually("a Delivery", SOON, || objects::apply::<Delivery>(&self.namespace, &body)).await;
        let (name, uid) = (object.name_any(), object.uid().unwrap());
        let base = format!("wb/{}/{}/{uid}", self.seller.uid(), agent.keys.uid());
        let status = json!({"status": {"topics": {"down": format!("{base}/down"), "up": format!("{base}/up")}}});
        self.deliveries().patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        let parcel = Parcel { upc: upc.to_owned(), uid };
        eventually("the Carrier API sees it", SOON, || async {
            let answer = agent.get(&parcel, "log").await;
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        parcel
    }

    pub(crate) fn deliveries(&self) -> Api<Delivery> {
        self.namespace.api()
    }

    pub(crate) async fn object(&self, parcel: &Parcel) -> Delivery {
        self.deliveries().get(&parcel.upc.to_ascii_lowercase().replace('_', "-")).await.unwrap()
    }

    pub(crate) async fn log(&self, parcel: &Parcel) -> Log {
        custody::read(&self.object(parcel).await, self.seller.uid(), &self.trust).unwrap()
    }

    /// What the seller's service does: the next fact of the seller into the log.
    pub(crate) async fn seller_says(&self, parcel: &Parcel, fact: Fact) -> SignedEvent {
        self.writes(parcel, &self.seller.signer, fact).await
    }

    /// The next fact of somebody else, past the Carrier API.
    pub(crate) async fn writes(&self, parcel: &Parcel, signer: &Signer, fact: Fact) -> SignedEvent {
        loop {
            let object = self.object(parcel).await;
            let log = custody::read(&object, self.seller.uid(), &self.trust).unwrap();
            let event = log.sign(signer, fact.clone(), at()).unwrap();
            match custody::append(&self.deliveries(), &object, &log, std::slice::from_ref(&event), "wb-seller").await {
                Ok(_) => return event,
                Err(custody::AppendError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits until the Carrier API's watch has seen what others wrote.
    pub(crate) async fn seen(&self, parcel: &Parcel) {
        let written = self.log(parcel).await.entries().len();
        eventually("the Carrier API sees the whole log", SOON, || async {
            let answer = self.agent.get(parcel, "log").await;
            let seen = answer.body["custody"].as_array().map_or(0, Vec::len);
            if seen >= written { Ok(()) } else { Err(format!("{seen} of {written}")) }
        })
        .await;
    }

    /// What the agent signs next, as its journal sees it.
    pub(crate) async fn agent_signs(&self, parcel: &Parcel, facts: &[Fact]) -> Vec<SignedEvent> {
        let mut log = self.log(parcel).await;
        let sign = |fact: &Fact| {
            let event = log.sign(&self.agent.keys.signer, fact.clone(), at()).unwrap();
            log.push(event.bytes());
            event
        };
        facts.iter().map(sign).collect()
    }

    /// Signs and reports, and expects it to be taken.
    pub(crate) async fn agent_reports(&self, parcel: &Parcel, facts: &[Fact]) -> Vec<SignedEvent> {
        let events = self.agent_signs(parcel, facts).await;
        let answer = self.agent.report(parcel, &events).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        events
    }

    /// The parcel on its way with its first part open.
    pub(crate) async fn under_way(&self, upc: &str) -> Parcel {
        let parcel = self.parcel(upc).await;
        self.agent_reports(&parcel, &[accepted()]).await;
        self.seller_says(&parcel, Fact::HandedOver { terms: self.terms(&parcel) }).await;
        self.agent_reports(&parcel, &[Fact::PickedUp]).await;
        self.seller_says(&parcel, released(Stage::Country)).await;
        parcel
    }

    /// The parcel delivered.
    pub(crate) async fn delivered(&self, upc: &str) -> Parcel {
        let parcel = self.under_way(upc).await;
        for (stage, next) in [(Stage::Country, Stage::PostalCode), (Stage::PostalCode, Stage::Door)] {
            self.agent_reports(&parcel, &[posted(stage)]).await;
            self.seller_says(&parcel, released(next)).await;
        }
        self.agent_reports(&parcel, &[Fact::Delivered { to: DeliveredTo::Recipient, note: None }]).await;
        parcel
    }

    /// An event with a place of the test's choosing: what an honest agent would not sign.
    pub(crate) fn forge(&self, parcel: &Parcel, place: (u32, Option<Hash>, Option<Hash>), fact: Fact) -> SignedEvent {
        let (seq, prev, seen) = place;
        let statement = (seq == 0).then(|| self.agent.keys.signer.statement_bytes().clone());
        let event = Event {
            version: version::CURRENT,
            delivery: Uid::new(&parcel.uid).unwrap(),
            author: Author::Transport,
            uid: self.agent.keys.uid().clone(),
            seq,
            prev,
            seen,
            at: at(),
            attempt: 1,
            fact,
            statement,
        };
        SignedEvent::sign(event, &ed25519_dalek::SigningKey::from_bytes(&self.agent.keys.seed)).unwrap()
    }

    pub(crate) async fn revoke(&self, who: &Somebody) {
        publish(&self.namespace, &self.ca, 2, &[who.uid().as_str()]).await;
    }

    pub(crate) fn terms(&self, parcel: &Parcel) -> Terms {
        Terms {
            upc: Upc::new(&parcel.upc).unwrap(),
            carrier: self.agent.keys.uid().clone(),
            max_attempts: 3,
            photo: true,
            scan: false,
            window: None,
            commitments: commitments(),
            receipt: None,
        }
    }
}

fn commitments() -> Commitments {
    Commitments { country: Hash::of(b"1"), postal_code: Hash::of(b"2"), door: Hash::of(b"3") }
}

pub(crate) fn accepted() -> Fact {
    let attempt_key = AgreementSecret::from_bytes([7; 32]).public();
    Fact::Accepted { attempt_key, nonce: Mac([1; 32]), protocol: version::CURRENT }
}

pub(crate) fn released(stage: Stage) -> Fact {
    Fact::Released { stage, gate: (stage == Stage::Door).then_some(Gate::NotAsked) }
}

pub(crate) fn posted(stage: Stage) -> Fact {
    Fact::Posted { stage, commitment: commitments().of(stage) }
}

pub(crate) fn proof(hash: Hash) -> Fact {
    Fact::ProofAttached { kind: EvidenceKind::Photo, media: Media::Jpeg, sha256: hash }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn at() -> UnixMillis {
    UnixMillis(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}
