//! A server under test, and a client small enough that the test decides about every connection and byte.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::peer::Peer;
use waybill_chassis::probes::Probes;
use waybill_chassis::revocation::{self, Feed, List};
use waybill_chassis::server::{self, Limits, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth};

use crate::authority::{Authority, POLL, mount};

/// Nothing here takes longer, however busy the machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) feed: Feed,
    pub(crate) metrics: Metrics,
    pub(crate) probes: Probes,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), server::Error>>,
}

/// `/` names the client or says nobody; more routes come from the test.
pub(crate) fn routes() -> Router {
    let who = async |peer: Option<Peer>| peer.map_or_else(|| "nobody".to_owned(), |peer| peer.uid);
    Router::new().route("/", get(who)).route("/known", get(async |peer: Peer| peer.serial))
}

pub(crate) async fn start(ca: &Authority, clients: ClientAuth, routes: Router, limits: Limits) -> Server {
    let dir = tempfile::tempdir().unwrap();
    mount(dir.path(), 0, &ca.server(1), &ca.pem());
    start_in(dir, clients, routes, limits).await
}

async fn start_in(dir: tempfile::TempDir, clients: ClientAuth, routes: Router, limits: Limits) -> Server {
    let (metrics, shutdown) = (Metrics::new("test"), CancellationToken::new());
    let (feed, revocations) = revocation::channel();
    feed.offer(List::default());
    let app = server::app(routes, HttpMetrics::new(&metrics), revocations, &limits);
    let material = tls::watch_dir(dir.path(), POLL, shutdown.clone()).await.unwrap();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (counts, probes) = (TlsMetrics::new(&metrics), Probes::new(&["api"]));
    let gate = probes.gate("api");
    let server = server::Server { listener, app, material, clients, limits, metrics: counts, gate };
    let ended = tokio::spawn(server.run(shutdown.clone()));
    Server { addr, dir, feed, metrics, probes, shutdown, ended }
}

impl Server {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// One connection, kept until dropped.
    pub(crate) async fn connect(&self, config: &Arc<ClientConfig>) -> io::Result<Client> {
        let tcp = TcpStream::connect(self.addr).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::clone(config)).connect(name, tcp);
        Ok(Client { stream: tokio::time::timeout(DEADLINE, connecting).await?? })
    }

    /// A whole visit: connect, ask `/`, leave. In TLS 1.3 a refused client learns it with the first read.
    pub(crate) async fn visit(&self, config: &Arc<ClientConfig>) -> io::Result<Answer> {
        self.connect(config).await?.get("/").await
    }
}

pub(crate) struct Client {
    pub(crate) stream: TlsStream<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The last part of a problem's `type`.
    pub(crate) fn slug(&self) -> String {
        self.json()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    }
}

impl Client {
    /// The server's certificate as this connection saw it.
    pub(crate) fn server_serial(&self) -> String {
        let chain = self.stream.get_ref().1.peer_certificates().unwrap();
        Peer::from_der(&chain[0]).unwrap().serial
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await?;
        self.answer().await
    }

    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        tokio::time::timeout(DEADLINE, self.read_answer()).await?
    }

    async fn read_answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut body).await?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// True when the server ends the connection before the deadline.
    pub(crate) async fn closed(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(DEADLINE, self.stream.read(&mut byte)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}

/// Asks again until `done` agrees, at most until the deadline.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut done: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(POLL);
    let asking = async {
        loop {
            ticks.tick().await;
            if let Some(value) = done().await {
                return value;
            }
        }
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}
