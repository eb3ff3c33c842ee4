//! A carrier with keys of its own: made here, proved to the cluster, and written into one file for its agent. No private key leaves it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::{Signer as _, SigningKey};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use waybill_crds::carrier::proof_message;
use waybill_crds::{Carrier, CarrierKind, ConditionType, condition};
use waybill_protocol::AgreementSecret;
use zeroize::{Zeroize, Zeroizing};

use crate::cluster::{Cluster, FIELD_MANAGER, Where};
use crate::code;
use crate::error::Error;
use crate::log::Published;
use crate::show::print;

/// Beside the agent's file: where couriers tap.
const TAPS: &str = "taps.sock";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Carrier
    name: String,
    /// What moves the parcels
    #[arg(long, default_value = "person")]
    kind: Kind,
    /// It has a camera: it can take photos and scan labels
    #[arg(long)]
    camera: bool,
    /// Nobody taps what happens: the agent plays the way by itself, for trying things out
    #[arg(long)]
    simulated: bool,
    /// The agent's file, with its private keys; NAME.agent.yaml here unless you say so
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Where the agent reaches the broker; as the chart says unless you say so
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Where it reaches the Carrier API
    #[arg(long, value_name = "HTTPS-URL")]
    carrier_api: Option<String>,
    /// How long to wait for its certificate, in seconds
    #[arg(long, default_value = "120", value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Truck,
    Drone,
    Person,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Truck => CarrierKind::Truck.as_str(),
            Self::Drone => CarrierKind::Drone.as_str(),
            Self::Person => CarrierKind::Person.as_str(),
        }
    }
}

/// The private keys, each PEM, as the agent's file has them.
#[derive(Serialize, Deserialize)]
struct Keys {
    tls: String,
    signing: String,
    sealing: String,
}

impl Drop for Keys {
    fn drop(&mut self) {
        [&mut self.tls, &mut self.signing, &mut self.sealing].into_iter().for_each(Zeroize::zeroize);
    }
}

/// As `waybill transport --config` takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentFile<'a> {
    namespace: &'a str,
    name: &'a str,
    uid: String,
    broker: String,
    carrier_api: String,
    root_fingerprint: &'a str,
    ca: &'a str,
    keys: &'a Keys,
    state: &'static str,
    kind: &'static str,
    camera: bool,
    /// The courier's screen; without it the agent plays the way by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    taps: Option<&'static str>,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let file = args.file.clone().unwrap_or_else(|| format!("{}.agent.yaml", args.name).into());
    if file.exists() {
        return Err(Error::Missing(format!(
            "{file:?} is there already, with the keys of an agent; another one goes after --file"
        )));
    }
    // Kept first: keys the cluster knows and nobody has any more would be a carrier lost.
    let waiting = file.with_extension("keys");
    let keys = keys(&waiting)?;
    apply(cluster, args, &keys).await?;
    print(&format!("carrier {} is applied; waiting for its certificate\n", args.name));
    let carrier = issued(cluster, args).await?;
    let published = Published::of(cluster).await?;
    let text = |key: &str| published.text(key);
    let agent = AgentFile {
        namespace: &cluster.namespace,
        name: &args.name,
        uid: carrier.uid().unwrap_or_default(),
        broker: args.broker.clone().unwrap_or_else(|| outside(text("broker-external"), text("broker"))),
        carrier_api: args
            .carrier_api
            .clone()
            .unwrap_or_else(|| outside(text("carrier-api-external"), text("carrier-api"))),
        root_fingerprint: text("root-fingerprint"),
        ca: text("ca.crt"),
        keys: &keys,
        state: "state",
        kind: args.kind.as_str(),
        camera: args.camera,
        taps: (!args.simulated).then_some(TAPS),
    };
    // JSON is YAML, and needs no rules for long texts.
    let written = serde_json::to_string_pretty(&agent).expect("an agent's file is plain data") + "\n";
    private(&file, written.as_bytes())?;
    let _ = std::fs::remove_file(&waiting);
    print(&format!(
        "{} has the agent's keys, for its eyes only; it goes to {} and {}\nrun it where they can be reached: waybill transport --config {}\n{}\n",
        file.display(),
        agent.broker,
        agent.carrier_api,
        file.display(),
        agent.taps.map_or("it plays the way by itself: for trying things out, not for parcels".into(), |taps| format!(
            "what happens to parcels is tapped at {taps} beside it: curl --unix-socket {taps} http://agent/deliveries"
        ))
    ));
    Ok(code::DONE)
}

/// The first name from outside in place of the host inside; the port stays.
fn outside(names: &str, inside: &str) -> String {
    let Some(name) = names.split(',').map(str::trim).find(|name| !name.is_empty()) else { return inside.to_owned() };
    let (scheme, rest) = inside.split_once("://").map_or(("", inside), |(scheme, rest)| (scheme, rest));
    let port = rest.rsplit_once(':').map(|(_, port)| format!(":{port}")).unwrap_or_default();
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    format!("{scheme}{name}{port}")
}

/// Those of an enrolment that did not come to its end, or new ones.
fn keys(waiting: &Path) -> Result<Keys, Error> {
    if let Ok(text) = std::fs::read(waiting).map(Zeroizing::new) {
        return serde_json::from_slice(&text)
            .map_err(|_| Error::Missing(format!("{waiting:?} holds no keys; remove it to make new ones")));
    }
    let failed = |what: &str| Error::Missing(format!("failed to make the {what} key"));
    let tls = KeyPair::generate().map_err(|_| failed("TLS"))?;
    let signing =
        SigningKey::from_bytes(&rand::random()).to_pkcs8_pem(LineEnding::LF).map_err(|_| failed("signing"))?;
    let keys = Keys {
        tls: tls.serialize_pem(),
        signing: signing.to_string(),
        sealing: sealing_pem(&Zeroizing::new(rand::random())),
    };
    private(waiting, &Zeroizing::new(serde_json::to_vec(&keys).expect("texts are JSON")))?;
    Ok(keys)
}

/// PKCS#8 around 32 bytes (RFC 8410): the same sixteen before each X25519 key.
const X25519_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20];

fn sealing_pem(secret: &[u8; 32]) -> String {
    let der = Zeroizing::new([&X25519_HEAD[..], secret].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(&*der))
}

fn sealing_of(pem: &str) -> Option<[u8; 32]> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(text).ok()?.strip_prefix(&X25519_HEAD)?.try_into().ok()
}

/// For nobody else to read, and whole on the disk before it is called written.
fn private(path: &Path, content: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { verb: "write", path: path.to_owned(), source };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all())).map_err(failed)
}

async fn apply(cluster: &Cluster, args: &Args, keys: &Keys) -> Result<(), Error> {
    use ed25519_dalek::pkcs8::DecodePrivateKey as _;
    let unusable = || Error::Missing("the kept keys cannot be used; remove them to make new ones".into());
    let tls = KeyPair::from_pem(&keys.tls).map_err(|_| unusable())?;
    let signing = SigningKey::from_pkcs8_pem(&keys.signing).map_err(|_| unusable())?;
    let sealing = AgreementSecret::from_bytes(sealing_of(&keys.sealing).ok_or_else(unusable)?).public();
    let request = CertificateParams::default().serialize_request(&tls).map_err(|_| unusable())?;
    let csr: [u8; 32] = Sha256::digest(request.der()).into();
    let (ed25519, x25519) = (signing.verifying_key().to_bytes(), *sealing.as_bytes());
    let proof = signing.sign(&proof_message(&cluster.namespace, &args.name, &ed25519, &x25519, &csr));
    let external = json!({
        "csr": request.pem().map_err(|_| unusable())?,
        "keys": {"ed25519": STANDARD.encode(ed25519), "x25519": STANDARD.encode(x25519),
                 "proof": STANDARD.encode(proof.to_bytes())},
    });
    let carrier = json!({
        "apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": args.name},
        "spec": {"kind": args.kind.as_str(), "camera": args.camera, "transport": {"external": external}},
    });
    let params = PatchParams::apply(FIELD_MANAGER);
    let applied = cluster.api::<Carrier>().patch(&args.name, &params, &Patch::Apply(carrier)).await;
    applied.map(drop).map_err(|error| cluster.failed("patch", &format!("carriers {}", args.name), error))
}

/// Waits for its certificate, or for the word why there is none.
async fn issued(cluster: &Cluster, args: &Args) -> Result<Carrier, Error> {
    let decided = |carrier: Option<&Carrier>| {
        let conditions = carrier.and_then(|carrier| carrier.status.as_ref()).map(|status| status.conditions.as_slice());
        condition::find(conditions.unwrap_or_default(), ConditionType::CertificatesIssued)
            .is_some_and(|one| one.status == "True" || one.reason.ends_with("Rejected"))
    };
    let waited = await_condition(cluster.api::<Carrier>(), &args.name, decided);
    let carrier = match tokio::time::timeout(Duration::from_secs(args.timeout), waited).await {
        Ok(Ok(Some(carrier))) => carrier,
        Ok(Ok(None)) => return Err(Error::Missing(format!("carrier {} was deleted meanwhile", args.name))),
        Ok(Err(_)) | Err(_) => {
            let words =
                "no certificate came in time; its keys are kept: run the same again, or ask `kubectl waybill doctor`";
            return Err(Error::Missing(words.into()));
        }
    };
    let conditions = carrier.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    match condition::find(&conditions, ConditionType::CertificatesIssued) {
        Some(one) if one.status != "True" => Err(Error::Missing(format!("{} ({})", one.message, one.reason))),
        _ => Ok(carrier),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_sent_to_the_name_from_outside_where_there_is_one() {
        assert_eq!(outside("", "waybill-broker.sys.svc:8883"), "waybill-broker.sys.svc:8883");
        assert_eq!(outside("broker.example.org, b2", "waybill-broker.sys.svc:8883"), "broker.example.org:8883");
        assert_eq!(
            outside("api.example.org", "https://waybill-carrier-api.a.svc:5001"),
            "https://api.example.org:5001"
        );
    }

    #[test]
    fn a_sealing_key_is_read_as_it_was_written() {
        let secret: [u8; 32] = rand::random();
        assert_eq!(sealing_of(&sealing_pem(&secret)), Some(secret));
        assert_eq!(sealing_of("-----BEGIN PRIVATE KEY-----\nAAAA\n"), None);
    }
}
