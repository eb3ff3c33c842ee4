//! An external carrier's agent as its owner runs it: the same binary, one file and three keys, on a machine that reaches
//! the broker and the Carrier API and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Phase, Seller};
use waybill_e2e::elsewhere::Elsewhere;
use waybill_e2e::enrol::Keys;
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{PROVISIONED, apply, config, seller, service, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace};

const DELIVERED: Duration = Duration::from_secs(240);
const UPCS: [&str; 3] = ["upc-1", "upc-2", "upc-3"];
/// What an agent may hold of its own, in KiB. The pages of its program's file come on top; they are the kernel's to drop.
const OWN: u64 = 8 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn d_03_an_agent_of_its_owner_outside_the_cluster_carries_parcels_to_their_proof() {
    let test = "external-agent";
    in_namespace(test, &[], |namespace| async move {
        let Some(elsewhere) = Elsewhere::new(test) else { return };
        let agent = Agent::start(&namespace, elsewhere, "van").await;
        seller(&namespace, "bookshop", &UPCS).await;
        wait_condition::<Seller>(&namespace, "bookshop", "Ready", "True", None).await;
        for upc in UPCS {
            let mut delivery = waybill_e2e::objects::delivery(upc, "bookshop", "van");
            delivery["spec"]["proof"] = json!({"photo": true, "scan": false});
            apply::<Delivery>(&namespace, &delivery).await.expect("a Delivery");
        }
        let mut uids = Vec::new();
        for upc in UPCS {
            uids.push(agent.courier(upc, "pickedUp", json!({"tap": "pickedUp"})).await);
            agent.courier(upc, "arrived", json!({"tap": "arrived"})).await;
        }
        let held = agent.holds("VmRSS:");
        let (own, file) = (agent.holds("RssAnon:"), agent.holds("RssFile:"));
        println!("in flight: {held} KiB, of it {own} its own, {file} of its program's file");
        for (upc, uid) in UPCS.into_iter().zip(uids) {
            agent.courier(upc, "arrived", json!({"tap": "arrived"})).await;
            agent.courier(upc, "delivered", Value::Null).await;
            assert_eq!(agent.ask(Method::PUT, &format!("/deliveries/{uid}/photo"), picture()).await.0, 200);
            agent.courier(upc, "delivered", json!({"tap": "delivered", "to": "recipient"})).await;
            proved(&namespace, upc).await;
        }
        println!("at its peak: {} KiB", agent.holds("VmHWM:"));
        assert!(own <= OWN, "{own} KiB");
        // Once revoked it has nothing left of anybody's.
        let revoked = Patch::Merge(json!({"spec": {"revoked": true}}));
        namespace.api::<Carrier>().patch("van", &PatchParams::default(), &revoked).await.expect("a user revokes");
        wait_condition::<Carrier>(&namespace, "van", "Ready", "False", Some("Revoked")).await;
    })
    .await;
}

/// Delivered, and its picture stands in the log.
async fn proved(namespace: &Namespace, upc: &str) {
    eventually(&format!("{upc} is proved"), DELIVERED, || async {
        let delivery = namespace.api::<Delivery>().get(upc).await.map_err(|why| why.to_string())?;
        let status = delivery.status.ok_or("no status")?;
        let log: Vec<String> = status.custody.iter().map(|entry| entry.event.clone()).collect();
        let proved = log.iter().any(|event| event == "ProofAttached") && log.iter().any(|event| event == "Erased");
        if status.phase == Phase::Delivered && proved { Ok(()) } else { Err(format!("{:?} {log:?}", status.phase)) }
    })
    .await;
}

// === helpers ===

struct Agent {
    child: Child,
    dir: tempfile::TempDir,
    screen: Client,
    _elsewhere: Elsewhere,
}

impl Agent {
    /// Enrols a carrier and starts its agent where neither API server nor cluster can be reached.
    async fn start(namespace: &Namespace, mut elsewhere: Elsewhere, name: &str) -> Self {
        let keys = Keys::fresh();
        let mut carrier = keys.carrier(&namespace.name, name);
        carrier["spec"]["camera"] = json!(true);
        let carrier = apply::<Carrier>(namespace, &carrier).await.expect("an external Carrier");
        wait_condition::<Carrier>(namespace, name, "CertificatesIssued", "True", None).await;
        eventually("the Carrier API has its Service", PROVISIONED, || async {
            let found = namespace.api::<Service>().get("waybill-carrier-api").await;
            found.map(drop).map_err(|why| why.to_string())
        })
        .await;
        let trust = |key: &'static str| config(namespace, "waybill-trust", key);
        let host =
            |address: &str| address.rsplit_once(':').expect("host:port").0.trim_start_matches("https://").to_owned();
        let (broker, api) = (host(&trust("broker").await), host(trust("carrier-api").await.trim_end_matches('/')));
        let inside = service(&namespace.client, SYSTEM, "waybill-broker", 8883).await;
        let broker_port = elsewhere.door(&broker, inside).await;
        let inside = service(&namespace.client, &namespace.name, "waybill-carrier-api", 5001).await;
        let api_port = elsewhere.door(&api, inside).await;
        for address in ["10.96.0.1:443", "172.30.0.1:6443", &inside.to_string()] {
            assert!(!elsewhere.reaches(address), "{address} can be reached from elsewhere");
        }
        assert!(elsewhere.reaches(&format!("{api}:{api_port}")));

        let dir = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).expect("a private folder");
        let secret = |name: &str, text: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("a key");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("a private key");
        };
        secret("tls.pem", keys.tls.serialize_pem().as_bytes());
        secret("signing.key", keys.signing.as_bytes());
        secret("sealing.key", &keys.sealing_secret);
        let file = json!({
            "namespace": namespace.name, "name": name, "uid": carrier.uid().expect("a uid"),
            "broker": format!("{broker}:{broker_port}"), "carrierApi": format!("https://{api}:{api_port}"),
            "rootFingerprint": trust("root-fingerprint").await, "ca": trust("ca.crt").await,
            "keys": {"tls": "tls.pem", "signing": "signing.key", "sealing": "sealing.key"},
            "state": "state", "kind": "person", "camera": true, "taps": "taps.sock", "probeAddr": "127.0.0.1:0",
        });
        // JSON is YAML.
        std::fs::write(dir.path().join("agent.yaml"), file.to_string()).expect("the agent's file");
        let mut command = elsewhere.command(&binary());
        let child = command.arg("transport").arg("--config").arg(dir.path().join("agent.yaml"));
        let child = child.spawn().expect("the agent starts");
        let screen = Client::builder().unix_socket(dir.path().join("taps.sock")).build().expect("a client");
        Self { child, dir, screen, _elsewhere: elsewhere }
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> (u16, Value) {
        let sent = self.screen.request(method, format!("http://agent{path}")).body(body).send().await;
        let Ok(answer) = sent else { return (0, Value::Null) };
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Waits until this can be tapped about a parcel, and taps it; answers with its uid.
    async fn courier(&self, upc: &str, name: &str, tap: Value) -> String {
        eventually(&format!("{upc}: {name} is tapped"), DELIVERED, || async {
            let (_, all) = self.ask(Method::GET, "/deliveries", Vec::new()).await;
            let open = all["deliveries"].as_array().cloned().unwrap_or_default();
            let one = open.iter().find(|one| one["upc"] == upc).ok_or_else(|| all.to_string())?;
            let uid = one["uid"].as_str().unwrap_or_default().to_owned();
            if tap.is_null() {
                return if one["photo"]["due"] == true && one["address"]["door"].is_object() {
                    Ok(uid)
                } else {
                    Err(one.to_string())
                };
            }
            let can = one["taps"].as_array().is_some_and(|taps| taps.contains(&json!(name)));
            if !can {
                return Err(one.to_string());
            }
            let path = format!("/deliveries/{uid}/taps");
            let (status, answer) = self.ask(Method::POST, &path, tap.to_string().into_bytes()).await;
            if status == 200 { Ok(uid) } else { Err(format!("{status} {answer}")) }
        })
        .await
    }

    /// Memory in KiB, as the kernel counts it.
    fn holds(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the agent lives");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a figure");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::fs::read_dir(self.dir.path()).map(|files| files.for_each(|file| eprintln!("{file:?}")));
        }
    }
}

/// The one in the cluster's image.
fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let path = own.parent().and_then(Path::parent).expect("a target folder").join("waybill");
    assert!(path.exists(), "{path:?} is missing: `cargo build -p waybill`");
    path
}

/// A small PNG of some colours.
fn picture() -> Vec<u8> {
    STANDARD.decode(PICTURE).expect("base64")
}

const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAaklEQVR42hWMQREAQQzCqqRKUBIlVYISlKDo9niSTGaGHTQw3OAhQ4eZZRctLLd4ydJ9QKyQQJywiKge+NV3/jswBPrCc+yh++87fOToPWDWyL98xiamfiBsUP7EBYeE5oGyRf3DV1xSWj4Df0sBGwJqRQAAAABJRU5ErkJggg==";
