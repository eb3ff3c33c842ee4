//! A cluster's four objects, a sidecar that follows them, and a broker beside it.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use waybill_broker::{BrokerArgs, Data, Inputs, serve};

use crate::client::{Client, Gone};
use crate::mosquitto::{Mosquitto, Ports};
use crate::pki::{Ca, Leaf, number, revoked_json};

/// Everything one test needs; ends with the value.
pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) admin: Ca,
    pub(crate) inputs: watch::Sender<Inputs>,
    pub(crate) broker: Mosquitto,
    pub(crate) ports: Ports,
    pub(crate) run: TempDir,
    http: SocketAddr,
    sidecar: Option<DropGuard>,
    /// What the last good list says.
    pub(crate) number: u64,
    pub(crate) revoked: Vec<Leaf>,
    _own: TempDir,
}

/// Fails the test when `work` takes longer than any machine needs.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

/// The promise of the design: this long after a revocation, nobody revoked is connected.
pub(crate) async fn within_five_seconds<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), work).await.unwrap_or_else(|_| panic!("not within 5 s: {what}"))
}

pub(crate) fn data(entries: &[(&str, &str)]) -> Data {
    Arc::new(entries.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())).collect())
}

/// A page as it comes, status line and all.
pub(crate) async fn http_get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: sidecar\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

impl World {
    /// Up and answering, with nobody revoked.
    pub(crate) async fn start() -> Self {
        let mut world = Self::without_broker().await;
        assert!(world.get("/mqtt").await.starts_with("HTTP/1.1 503"), "no broker answers yet");
        world.broker.start();
        world.answers().await;
        world
    }

    async fn without_broker() -> Self {
        let (run, own) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let broker = Mosquitto::prepare(run.path(), own.path());
        let (ca, admin) = (Ca::new("participants"), Ca::new("admin"));
        let inputs = watch::Sender::new(objects(&ca, &admin));
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        let ports = broker.ports;
        let (number, revoked) = (1, Vec::new());
        let mut world = Self { ca, admin, inputs, broker, ports, run, http, sidecar: None, number, revoked, _own: own };
        world.start_sidecar().await;
        world
    }

    /// Starts the sidecar and waits until the kubelet would start the broker.
    pub(crate) async fn start_sidecar(&mut self) {
        let args =
            BrokerArgs { dir: self.run.path().to_owned(), admin: self.ports.admin, process: self.broker.name.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.http = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(args, self.inputs.subscribe(), listener, stop.clone()));
        self.sidecar = Some(stop.drop_guard());
        self.page("/readyz", r#""ready":true"#).await;
    }

    pub(crate) fn stop_sidecar(&mut self) {
        self.sidecar = None;
    }

    /// Waits for a round trip through the broker.
    pub(crate) async fn answers(&self) {
        self.page("/mqtt", "roundTripSeconds").await;
    }

    /// Waits until a page of the sidecar holds `text`, and returns it.
    pub(crate) async fn page(&self, path: &str, text: &str) -> String {
        let look = async {
            loop {
                let page = self.get(path).await;
                if page.contains(text) {
                    return page;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(&format!("{text} on {path}"), look).await
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        http_get(self.http, path).await
    }

    /// A metric's value.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").await;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Publishes a list that names one more, as the operator does.
    pub(crate) fn revoke(&mut self, leaf: &Leaf) {
        self.revoked.push(leaf.clone());
        self.number += 1;
        let lists = self.list(&self.ca, self.number);
        self.offer_lists(&lists);
    }

    /// This authority's list of everybody revoked so far.
    pub(crate) fn list(&self, ca: &Ca, count: u64) -> String {
        ca.list(number(count), &self.revoked.iter().map(|leaf| leaf.serial).collect::<Vec<_>>())
    }

    pub(crate) fn offer_lists(&self, lists: &str) {
        let names = revoked_json(self.number, &self.revoked.iter().collect::<Vec<_>>());
        let object = data(&[("crl.pem", lists), ("revoked.json", &names)]);
        self.inputs.send_modify(|inputs| inputs.revocations = Some(object));
    }

    /// Changes entries of the server's Secret.
    pub(crate) fn offer_server(&self, entries: &[(&str, &str)]) {
        self.inputs.send_modify(|inputs| {
            let mut server: BTreeMap<String, Vec<u8>> = (**inputs.server.as_ref().unwrap()).clone();
            server.extend(entries.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())));
            inputs.server = Some(Arc::new(server));
        });
    }

    /// Connects to the carriers' listener.
    pub(crate) async fn carrier(&self, leaf: &Leaf) -> Result<Client, Gone> {
        Client::connect(self.ports.carriers, &self.ca.pem(), leaf).await
    }

    /// Connects to the sellers' listener.
    pub(crate) async fn seller(&self, leaf: &Leaf) -> Result<Client, Gone> {
        Client::connect(self.ports.sellers, &self.ca.pem(), leaf).await
    }

    /// Waits until the broker refuses this certificate's handshakes.
    pub(crate) async fn refuses(&self, leaf: &Leaf) {
        while self.carrier(leaf).await.is_ok() || self.seller(leaf).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn objects(ca: &Ca, admin: &Ca) -> Inputs {
    let (server, client) = (ca.server(), admin.client("sidecar"));
    let lists = ca.list(number(1), &[]);
    Inputs {
        revocations: Some(data(&[("crl.pem", &lists), ("revoked.json", &revoked_json(1, &[]))])),
        server: Some(data(&[("tls.crt", &server.chain), ("tls.key", &server.key), ("ca.crt", &ca.pem())])),
        admin: Some(data(&[("tls.crt", &client.chain), ("tls.key", &client.key), ("ca.crt", &admin.pem())])),
        access: Some(data(&[
            ("acl-carriers", include_str!("../../../../charts/waybill/files/broker/acl-carriers")),
            ("acl-sellers", include_str!("../../../../charts/waybill/files/broker/acl-sellers")),
            ("acl-admin", include_str!("../../../../charts/waybill/files/broker/acl-admin")),
            ("mosquitto.conf", "the broker reads this one elsewhere"),
        ])),
    }
}
