//! An agent as it runs in the field: its folders, its start, its sudden end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use rcgen::{CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waybill_chassis::jwt::{Keys, key_id};
use waybill_protocol::{Phase, UnixMillis};
use waybill_transport::clock::Clock;
use waybill_transport::{Args, Error};

use super::broker::Broker;
use super::office::{self, Office, Running};
use super::shop::Wishes;
use super::world::{Ca, World};

/// Nothing here takes longer, however busy the machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

/// A world, its far end, and an agent that comes and goes.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) far: Running,
    pub(crate) broker: Broker,
    pub(crate) dir: tempfile::TempDir,
    /// More of the command line.
    pub(crate) flags: Vec<String>,
    pub(crate) clock: fn() -> Clock,
    agent: Option<Agent>,
}

struct Agent {
    ended: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

pub(crate) fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}

impl Place {
    pub(crate) async fn new() -> Self {
        let world = World::new(now());
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        leaf(&world.ca, "broker", &at("broker"));
        leaf(&world.ca, "carrier-api", &at("api"));
        leaf(&world.ca, world.seller.uid().as_str(), &at("seller"));
        leaf(&world.ca, world.carrier.uid().as_str(), &at("tls"));
        let broker = Broker::start(dir.path(), &at("broker"));
        let far = office::start(&world, broker.addr, &at("seller"), &at("api")).await;
        let place = Self { world, far, broker, dir, flags: Vec::new(), clock: Clock::system, agent: None };
        place.publish();
        place
    }

    fn publish(&self) {
        let (keys, trust) = (self.at("keys"), self.at("trust"));
        std::fs::create_dir_all(&keys).unwrap();
        std::fs::create_dir_all(&trust).unwrap();
        let carrier = &self.world.carrier;
        std::fs::write(keys.join("ed25519.seed"), carrier.seed).unwrap();
        std::fs::write(keys.join("x25519.key"), carrier.agreement.to_bytes()).unwrap();
        std::fs::write(keys.join("statement"), &carrier.signer.statement_bytes().0).unwrap();
        std::fs::write(trust.join("ca.crt"), &self.world.ca.pem).unwrap();
        std::fs::write(trust.join("revoked.json"), r#"{"number":1,"entries":[]}"#).unwrap();
        std::fs::write(trust.join("broker"), self.broker.addr.to_string()).unwrap();
        std::fs::write(trust.join("carrier-api"), format!("https://localhost:{}\n", self.far.api.port())).unwrap();
    }

    /// The agent's leaf ended yesterday; the operator has signed the next one, and a statement with it.
    pub(crate) fn expires(&self) {
        let (name, dir) = (self.world.carrier.uid().as_str(), self.at("tls"));
        std::fs::write(dir.join("tls.crt"), certificate(&self.world.ca, name, &self.key(), (-4, -1))).unwrap();
        self.issues();
    }

    /// The TLS key of the agent's owner.
    fn key(&self) -> KeyPair {
        KeyPair::from_pem(&std::fs::read_to_string(self.at("tls").join("tls.key")).unwrap()).unwrap()
    }

    /// The agent's leaf as it is in a folder ended yesterday.
    pub(crate) fn expires_in(&self, dir: &Path) {
        let name = self.world.carrier.uid().as_str();
        std::fs::write(dir.join("tls.crt"), certificate(&self.world.ca, name, &self.key(), (-4, -1))).unwrap();
    }

    /// A file and keys beside it, and nothing else: an agent outside any cluster. Its path.
    pub(crate) fn enrols(&self) -> PathBuf {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let private = |name: &str, bytes: &[u8]| {
            let mut open = std::fs::OpenOptions::new();
            let mut file = open.create_new(true).write(true).mode(0o600).open(self.at(name)).unwrap();
            std::io::Write::write_all(&mut file, bytes).unwrap();
        };
        private("tls.pem", self.key().serialize_pem().as_bytes());
        private("signing.key", &self.world.carrier.seed);
        private("sealing.key", &self.world.carrier.agreement.to_bytes());
        std::fs::set_permissions(self.dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let statement = self.world.carrier.signer.statement();
        let ca: String = self.world.ca.pem.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!(
            "namespace: {}\nname: {}\nuid: {}\nbroker: localhost:{}\ncarrierApi: https://localhost:{}\n\
             rootFingerprint: {}\nca: |\n{ca}keys:\n  tls: tls.pem\n  signing: signing.key\n  sealing: sealing.key\n\
             state: state\ntaps: taps.sock\nscript: [{{outcome: delivered}}]\npace: 0s\n",
            statement.namespace,
            statement.name,
            statement.uid,
            self.broker.addr.port(),
            self.far.api.port(),
            waybill_protocol::Hash::of(&self.world.ca.der),
        );
        let path = self.at("agent.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Other keys take the place of the agent's, as a rotation does it.
    pub(crate) fn rotates(&mut self) {
        let next = self.world.rotated(&self.world.carrier, 77);
        let keys = self.at("keys");
        std::fs::write(keys.join("ed25519.seed"), next.seed).unwrap();
        std::fs::write(keys.join("x25519.key"), next.agreement.to_bytes()).unwrap();
        std::fs::write(keys.join("statement"), &next.signer.statement_bytes().0).unwrap();
        let statement = next.signer.statement();
        let (kid, key) = (key_id(statement.ed25519.as_bytes()), statement.ed25519);
        self.far.keys.send_replace(Arc::new(Keys::default().with(kid, statement.uid.as_str(), key.as_bytes())));
        self.office().books().shops.values_mut().for_each(|shop| shop.also.push(key));
    }

    /// The operator has signed the agent's next certificate and statement.
    pub(crate) fn issues(&self) {
        let Self { world, .. } = self;
        let (name, key) = (world.carrier.uid().as_str(), self.key());
        let mut next = world.carrier.signer.statement().clone();
        next.epoch += 1;
        let next = world.ca.participant(&next, 20);
        let statement = STANDARD.encode(&next.signer.statement_bytes().0);
        self.office().books().renewal = Some(serde_json::json!({
            "certificate": certificate(&world.ca, name, &key, (-1, 3)), "statement": statement, "sellerStatements": [],
            "bundle": world.ca.pem, "published": [world.ca.publishes("revoked.json", r#"{"number":2,"entries":[]}"#)],
        }));
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn office(&self) -> &Office {
        &self.far.office
    }

    pub(crate) fn opens(&self, delivery: &str, wishes: Wishes) {
        self.office().opens(&self.world, delivery, wishes);
    }

    /// Starts the agent with the folders it had.
    pub(crate) fn start(&mut self) {
        let folder = |flag: &str, name: &str| [format!("--{flag}"), self.at(name).display().to_string()];
        let mut line = vec!["transport".to_owned()];
        for (flag, name) in
            [("tls-dir", "tls"), ("keys-dir", "keys"), ("trust-dir", "trust"), ("journal-dir", "journal")]
        {
            line.extend(folder(flag, name));
        }
        line.extend(["--probe-addr", "127.0.0.1:0", "--pace", "0s"].map(str::to_owned));
        line.extend(self.flags.iter().cloned());
        let (args, stop, clock) = (Cli::parse_from(line).args, CancellationToken::new(), (self.clock)());
        let (shutdown, stopped) = (stop.clone(), stop.clone());
        let ended = tokio::spawn(async move {
            // Its last life may still be letting go of the folder.
            loop {
                match waybill_transport::run_by(args.clone(), clock.clone(), shutdown.clone()).await {
                    Err(Error::Journal(waybill_transport::journal::Error::InUse { .. })) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    ended => return ended,
                }
            }
        });
        self.agent = Some(Agent { ended, stop: stopped });
    }

    /// Drops the agent where it stands.
    pub(crate) async fn crash(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        agent.ended.abort();
        let _ = agent.ended.await;
        agent.stop.cancel();
    }

    /// Ends it in good order.
    pub(crate) async fn stop(&mut self) {
        let agent = self.agent.take().unwrap();
        agent.stop.cancel();
        tokio::time::timeout(DEADLINE, agent.ended).await.unwrap().unwrap().unwrap();
    }

    /// How it ended by itself.
    pub(crate) async fn ended(&mut self) -> Result<(), Error> {
        let agent = self.agent.take().unwrap();
        tokio::time::timeout(DEADLINE, agent.ended).await.unwrap().unwrap()
    }

    /// Waits until the agent asked for this.
    pub(crate) async fn until_asked(&self, what: &str) {
        let wait = async {
            while !self.office().books().asked.iter().any(|asked| asked == what) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap();
    }

    /// Waits until the journals are so.
    pub(crate) async fn until_journal(&self, what: &str, holds: impl Fn(&[u8]) -> bool) {
        let wait = async {
            while !holds(&self.journals()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("never came: {what}"));
    }

    /// Waits until the log of a delivery says so.
    pub(crate) async fn until(&self, what: &str, delivery: &str, holds: impl Fn(&waybill_protocol::Log) -> bool) {
        let mut last = Phase::Pending;
        let wait = async {
            loop {
                {
                    let books = self.office().books();
                    let log = books.shops[delivery].log();
                    last = log.phase();
                    if holds(&log) {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            let books = self.office().books();
            panic!("never came: {what}; {last} {:?} {:?}", books.shops[delivery].events(), books.asked);
        }
    }

    pub(crate) async fn until_delivered(&self, delivery: &str) {
        self.until("delivered and erased", delivery, |log| {
            let erased = log
                .entries()
                .iter()
                .any(|entry| matches!(entry.event().unwrap().event().fact, waybill_protocol::Fact::Erased { .. }));
            let proof = log.state().terms().is_none_or(|terms| !terms.photo) || !log.state().proofs().is_empty();
            log.phase() == Phase::Delivered && erased && proof
        })
        .await;
    }

    /// Everything the journals hold.
    pub(crate) fn journals(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.at("journal")).unwrap();
        let paths =
            files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "journal"));
        // One may be put away while it is looked for.
        paths.flat_map(|path| std::fs::read(path).unwrap_or_default()).collect()
    }
}

/// A leaf with its key and the CA's certificate, as a mounted Secret has them.
fn leaf(ca: &Ca, name: &str, dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("tls.crt"), certificate(ca, name, &key, (-1, 3))).unwrap();
    std::fs::write(dir.join("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(dir.join("ca.crt"), &ca.pem).unwrap();
}

/// Of a key, from this day to that one.
fn certificate(ca: &Ca, name: &str, key: &KeyPair, (from, until): (i64, i64)) -> String {
    let mut params = CertificateParams::default();
    let today = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (today + time::Duration::days(from), today + time::Duration::days(until));
    params.is_ca = IsCa::ExplicitNoCa;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names =
        vec![SanType::DnsName("localhost".try_into().unwrap()), SanType::IpAddress([127, 0, 0, 1].into())];
    let issuer = Issuer::from_params(&ca.params, &ca.key);
    params.signed_by(key, &issuer).unwrap().pem()
}
