//! A namespace with a Seller, carriers and Deliveries as an operator leaves them, a broker, and every service as a process
//! of its own. Each part can be started, killed, frozen and restarted; between any two of them a proxy can stand.
//!
//! ```text
//! let mut world = World::prepare(namespace, &Setting { sellers: 1, carriers: vec![Character::plain("truck-7")] }).await;
//! world.routes.carriers = proxy;          // optional: where agents find the broker
//! world.start().await;
//! world.deliver("upc-1", 0, json!({})).await;
//! world.until_finished("upc-1").await;
//! ```

pub(crate) mod cluster;
pub(crate) mod files;
pub(crate) mod follow;
pub(crate) mod process;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::{Namespace, objects};
use waybill_protocol::{Log, Role, Trust};

use crate::domain::{Ca, Somebody};
use crate::mosquitto::{Mosquitto, free_port};
use files::Authorities;
use follow::Following;
use process::Process;

/// The uid of the Carrier API's identity: no object has it.
const CARRIER_API_UID: &str = "the-carrier-api";

/// Who is in the world.
pub(crate) struct Setting {
    /// Replicas of the one seller, `acme`.
    pub(crate) sellers: usize,
    pub(crate) carriers: Vec<Character>,
}

/// What a carrier is like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Character {
    pub(crate) name: String,
    /// `truck`, `drone` or `person`.
    pub(crate) kind: &'static str,
    pub(crate) camera: bool,
    /// How its attempts end, as in the custom resource.
    pub(crate) script: Value,
    /// How long a leg takes.
    pub(crate) pace: &'static str,
}

impl Character {
    /// A truck without camera that delivers at once.
    pub(crate) fn plain(name: &str) -> Self {
        Self { name: name.into(), kind: "truck", camera: false, script: json!([]), pace: "0s" }
    }
}

/// Where parts find each other; the true addresses unless somebody stands between. Read when a part starts.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    /// Where sellers find the broker.
    pub(crate) sellers: SocketAddr,
    /// Where agents find the broker.
    pub(crate) carriers: SocketAddr,
    /// Where agents find the Carrier API.
    pub(crate) carrier_api: SocketAddr,
}

/// A carrier and its agent.
pub(crate) struct Agent {
    pub(crate) character: Character,
    pub(crate) keys: Somebody,
    pub(crate) process: Process,
    /// Its folders: `tls`, `keys`, `trust`, `journal`.
    pub(crate) home: PathBuf,
}

/// Everything there is. Ends with the value.
pub(crate) struct World {
    pub(crate) namespace: Namespace,
    /// Whoever issued: the last one issues now, all of them count.
    pub(crate) authorities: Vec<Ca>,
    /// An address of the loopback network that nobody else has.
    pub(crate) ip: Ipv4Addr,
    pub(crate) routes: Routes,
    pub(crate) broker: Mosquitto,
    pub(crate) seller: Somebody,
    pub(crate) sellers: Vec<Process>,
    pub(crate) carrier_api: Process,
    pub(crate) carrier_api_at: SocketAddr,
    pub(crate) agents: Vec<Agent>,
    /// What is seen of the Deliveries, always.
    pub(crate) following: Following,
    ports: Ports,
    files: TempDir,
}

/// Ports of a world's own address, each given once.
struct Ports {
    ip: Ipv4Addr,
    given: BTreeSet<SocketAddr>,
}

impl Ports {
    fn next(&mut self) -> SocketAddr {
        loop {
            let free = free_port(self.ip).local_addr().unwrap();
            if self.given.insert(free) {
                return free;
            }
        }
    }
}

impl World {
    /// Everything is there, nothing runs but the API server.
    pub(crate) async fn prepare(namespace: Namespace, setting: &Setting) -> Self {
        cluster::rights(&namespace).await;
        let (ca, files, ip) = (Ca::new(), TempDir::new().unwrap(), own_address());
        let at = |name: &str| files.path().join(name);
        let seller = cluster::enrol::<Seller>(&namespace, &ca, Role::Seller, "acme", json!({})).await;
        for name in ["broker", "broker/run", "broker/own", "api/photos", "logs"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        cluster::kubeconfig(&namespace.name, cluster::SELLER, &at("seller.kubeconfig"));
        cluster::kubeconfig(&namespace.name, cluster::CARRIER_API, &at("api.kubeconfig"));
        let broker = Mosquitto::prepare_at(ip, &at("broker/run"), &at("broker/own"));
        let mosquittos = [broker.ports.sellers, broker.ports.carriers, broker.ports.admin];
        let mut ports = Ports { ip, given: mosquittos.into() };
        let carrier_api_at = ports.next();
        let routes =
            Routes { sellers: broker.ports.sellers, carriers: broker.ports.carriers, carrier_api: carrier_api_at };
        let carrier_api = carrier_api(&namespace.name, files.path(), [carrier_api_at, ports.next()]);
        let following = Following::begin(&namespace);
        let (authorities, sellers, agents) = (vec![ca], Vec::new(), Vec::new());
        let mut world = Self {
            namespace,
            authorities,
            ip,
            routes,
            broker,
            seller,
            sellers,
            carrier_api,
            carrier_api_at,
            agents,
            following,
            ports,
            files,
        };
        for index in 0..setting.sellers {
            let process = world.a_seller(index);
            world.sellers.push(process);
        }
        for character in &setting.carriers {
            let agent = world.an_agent(character).await;
            world.agents.push(agent);
        }
        world.write_once();
        world.write_identities().await;
        world
    }

    /// Starts everything and waits until it is well.
    pub(crate) async fn start(&mut self) {
        self.route();
        self.broker.start();
        self.carrier_api.start();
        self.sellers.iter_mut().for_each(Process::start);
        self.agents.iter_mut().for_each(|agent| agent.process.start());
        let agents = self.agents.iter().map(|agent| &agent.process);
        let all = self.sellers.iter().chain([&self.carrier_api]).chain(agents);
        futures::future::join_all(all.map(Process::ready)).await;
    }

    /// A Delivery for a carrier, with more of its spec. Its name is its UPC.
    pub(crate) async fn deliver(&self, upc: &str, agent: usize, spec: Value) -> Delivery {
        let agent = &self.agents[agent];
        let mut whole = json!({"upc": upc, "seller": "acme", "carrier": agent.character.name});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        cluster::deliver(&self.namespace, &whole, [&self.seller, &agent.keys]).await
    }

    /// Orders with marker texts for these UPCs: nobody may ever see a `MARKER-` outside the Secret.
    pub(crate) async fn orders(&self, upcs: &[&str]) {
        objects::orders(&self.namespace, "acme", upcs).await;
    }

    /// Whom a reader of logs believes.
    pub(crate) fn trust(&self) -> Trust {
        Trust::remembering(waybill_cluster::trust::keys(self.bundle().as_bytes()).unwrap(), 4096)
    }

    pub(crate) fn bundle(&self) -> String {
        self.issuing().bundle()
    }

    /// The log of a Delivery as anybody reads it.
    pub(crate) fn read(&self, delivery: &Delivery) -> Log {
        waybill_cluster::custody::read(delivery, self.seller.signer.uid(), &self.trust()).unwrap()
    }

    /// What all processes said, by name.
    pub(crate) fn said(&self) -> Vec<(String, String)> {
        let agents = self.agents.iter().map(|agent| &agent.process);
        let all = self.sellers.iter().chain([&self.carrier_api]).chain(agents);
        let said = all.map(|process| (process.name.clone(), process.log()));
        said.chain([("mosquitto".to_owned(), self.broker.log())]).collect()
    }

    /// Names of those who ended without having been killed.
    pub(crate) fn ended(&mut self) -> Vec<String> {
        self.processes().filter_map(|process| process.has_ended().then(|| process.name.clone())).collect()
    }

    /// Kills everything.
    pub(crate) fn stop(&mut self) {
        self.processes().for_each(Process::kill);
        self.broker.kill();
    }

    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let agents = self.agents.iter_mut().map(|agent| &mut agent.process);
        self.sellers.iter_mut().chain([&mut self.carrier_api]).chain(agents)
    }

    fn issuing(&self) -> Authorities<'_> {
        Authorities { issuer: self.authorities.last().unwrap(), all: self.authorities.iter().collect() }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Another authority begins to issue; those before still count.
    pub(crate) async fn rotate_authority(&mut self) {
        let ca = Ca::new();
        self.seller = ca.restate(&self.seller);
        for agent in &mut self.agents {
            agent.keys = ca.restate(&agent.keys);
        }
        self.authorities.push(ca);
        // First everybody trusts the new one, then somebody shows a certificate of it.
        cluster::publish_trust(&self.namespace, &self.bundle()).await;
        self.write_trust();
        self.write_identities().await;
    }

    /// Carriers get new keys, each stated for its uid.
    pub(crate) async fn rotate_keys(&mut self) {
        let ca = self.authorities.last().unwrap();
        for agent in &mut self.agents {
            agent.keys = ca.renewed(&agent.keys);
        }
        self.write_identities().await;
    }

    /// New leafs for everybody, and where the authority is new, statements.
    pub(crate) async fn write_identities(&self) {
        let issuing = self.issuing();
        issuing.write_broker(&self.at("broker/run"), self.ip);
        issuing.write_leaf(&self.at("seller/tls"), self.seller.signer.uid().as_str(), self.ip);
        files::write_keys(&self.at("seller/keys"), &self.seller);
        issuing.write_leaf(&self.at("api/tls"), CARRIER_API_UID, self.ip);
        for agent in &self.agents {
            issuing.write_leaf(&agent.home.join("tls"), agent.keys.signer.uid().as_str(), self.ip);
            files::write_keys(&agent.home.join("keys"), &agent.keys);
            cluster::state::<Carrier>(&self.namespace, &agent.character.name, &agent.keys).await;
        }
        cluster::state::<Seller>(&self.namespace, "acme", &self.seller).await;
        cluster::publish_trust(&self.namespace, &self.bundle()).await;
    }

    /// Keys that never change.
    fn write_once(&self) {
        let (commit, label, views): ([u8; 32], [u8; 32], [u8; 32]) = (rand::random(), rand::random(), rand::random());
        files::write(self.at("seller/keys/commit.key"), &commit);
        files::write(self.at("seller/label/label.key"), &label);
        files::write(self.at("api/keys/ed25519.seed"), &views);
    }

    fn write_trust(&self) {
        let places = (self.routes.carriers.to_string(), format!("https://{}\n", self.routes.carrier_api));
        for agent in &self.agents {
            let trust = agent.home.join("trust");
            self.issuing().write_trust(&trust, (&places.0, &places.1), &cluster::nobody_revoked());
        }
    }

    /// Tells everybody where to find the others.
    fn route(&mut self) {
        self.write_trust();
        let broker = self.routes.sellers.to_string();
        for seller in &mut self.sellers {
            let at = seller.words.iter().position(|word| word == "--broker").unwrap();
            seller.words[at + 1].clone_from(&broker);
        }
    }

    fn a_seller(&mut self, index: usize) -> Process {
        let (name, api, probes) = (format!("seller-{index}"), self.ports.next(), self.ports.next());
        let path = |name: &str| self.at(&format!("seller/{name}")).display().to_string();
        let line = [
            ("--namespace", self.namespace.name.clone()),
            ("--name", "acme".into()),
            ("--uid", self.seller.signer.uid().to_string()),
            ("--pod", name.clone()),
            ("--broker", String::new()),
            ("--tls-dir", path("tls")),
            ("--keys-dir", path("keys")),
            ("--label-dir", path("label")),
            ("--seller-api", format!("https://{api}")),
            ("--listen", api.to_string()),
        ];
        let kubeconfig = self.at("seller.kubeconfig").display().to_string();
        Process::new(&name, words("seller", &line), probes, self.at(&format!("logs/{name}")))
            .with("KUBECONFIG", &kubeconfig)
    }

    async fn an_agent(&mut self, character: &Character) -> Agent {
        let Character { name, kind, camera, script, pace } = character;
        let spec = json!({"kind": kind, "camera": camera});
        let ca = self.authorities.last().unwrap();
        let keys = cluster::enrol::<Carrier>(&self.namespace, ca, Role::Carrier, name, spec).await;
        let (home, probes) = (self.at(name), self.ports.next());
        std::fs::create_dir_all(home.join("journal")).unwrap();
        let path = |name: &str| home.join(name).display().to_string();
        let line = [
            ("--tls-dir", path("tls")),
            ("--keys-dir", path("keys")),
            ("--trust-dir", path("trust")),
            ("--journal-dir", path("journal")),
            ("--kind", (*kind).to_owned()),
            ("--camera", camera.to_string()),
            ("--pace", (*pace).to_owned()),
            ("--script", script.to_string()),
        ];
        let process = Process::new(name, words("transport", &line), probes, self.at(&format!("logs/{name}")));
        Agent { character: character.clone(), keys, process, home }
    }
}

fn carrier_api(namespace: &str, files: &Path, [at, probes]: [SocketAddr; 2]) -> Process {
    let path = |name: &str| files.join("api").join(name).display().to_string();
    let line = [
        ("--namespace", namespace.to_owned()),
        ("--uid", CARRIER_API_UID.into()),
        ("--tls-dir", path("tls")),
        ("--keys-dir", path("keys")),
        ("--photos-url", format!("file://{}", path("photos"))),
        ("--listen", at.to_string()),
    ];
    let kubeconfig = files.join("api.kubeconfig").display().to_string();
    Process::new("carrier-api", words("carrier-api", &line), probes, files.join("logs/carrier-api"))
        .with("KUBECONFIG", &kubeconfig)
}

fn words(program: &str, line: &[(&str, String)]) -> Vec<String> {
    let flags = line.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
    std::iter::once(program.to_owned()).chain(flags).collect()
}

/// An address of the loopback network that nobody else has: its ports are free as long as its world lasts.
fn own_address() -> Ipv4Addr {
    let [a, b, c]: [u8; 3] = rand::random();
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
}

#[cfg(test)]
mod tests;
