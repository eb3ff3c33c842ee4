//! Somebody who opens a new TLS connection all the time, to each of several doors, and remembers every one that did not open.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::ledger;

/// Longer than any door needs, shorter than nobody would notice.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many doors at this pace are some tens of handshakes a second.
const BETWEEN: Duration = Duration::from_millis(100);

/// Where to knock, under which name the certificate must be, and what a guest says first.
#[derive(Clone, Debug)]
pub struct Door {
    pub name: String,
    pub address: SocketAddr,
    says: &'static [u8],
    /// How every friendly answer begins.
    answer: u8,
}

impl Door {
    pub fn https(name: &str, address: SocketAddr) -> Self {
        let says = b"GET / HTTP/1.1\r\nHost: waybill\r\nConnection: close\r\n\r\n";
        Self { name: name.into(), address, says, answer: b'H' }
    }

    /// CONNECT of MQTT 3.1.1 with a clean session and a client id of no meaning; CONNACK is the answer.
    pub fn mqtt(name: &str, address: SocketAddr) -> Self {
        let says = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01k";
        Self { name: name.into(), address, says, answer: 0x20 }
    }
}

/// What one knocker saw so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections opened, by door and by the serial number met there.
    pub opened: BTreeMap<String, BTreeMap<String, usize>>,
    pub failed: Vec<String>,
}

/// Knocks until it is dropped.
pub struct Knocker {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

impl Knocker {
    /// At each door at once; `trust` is looked at anew for each connection.
    pub fn start(doors: &[Door], trust: &watch::Receiver<Arc<ClientConfig>>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        for door in doors {
            tasks.spawn(knock(door.clone(), trust.clone(), seen.clone()));
        }
        Self { seen, _tasks: tasks }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often a door was opened so far.
    pub fn opened(&self, door: &Door) -> usize {
        self.seen().opened.get(&door.name).map_or(0, |serials| serials.values().sum())
    }

    /// Nothing failed so far, and every door was opened; answers with how often.
    pub fn never_failed(&self, doors: &[Door]) -> usize {
        let failed = self.seen().failed;
        assert!(failed.is_empty(), "{} handshakes failed: {failed:#?}", failed.len());
        let opened = doors.iter().map(|door| (self.opened(door), &door.name));
        opened.inspect(|(times, door)| assert!(*times > 0, "nobody opened {door}")).map(|(times, _)| times).sum()
    }
}

async fn knock(door: Door, trust: watch::Receiver<Arc<ClientConfig>>, seen: Arc<Mutex<Seen>>) {
    let mut tick = tokio::time::interval(BETWEEN);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let config = trust.borrow().clone();
        let met = tokio::time::timeout(PATIENCE, open(&door, config)).await;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match met.unwrap_or_else(|_| Err(format!("nothing happened for {PATIENCE:?}"))) {
            Ok(serial) => *seen.opened.entry(door.name.clone()).or_default().entry(serial).or_default() += 1,
            Err(why) => seen.failed.push(format!("{} {}: {why}", jiff::Timestamp::now(), door.name)),
        }
    }
}

/// One connection: the handshake, and a word each way, because TLS 1.3 refuses a guest only after the guest's own side is done.
/// Answers with the serial number met.
async fn open(door: &Door, config: Arc<ClientConfig>) -> Result<String, String> {
    let name = ServerName::try_from(door.name.clone()).expect("a DNS name");
    let tcp = TcpStream::connect(door.address).await.map_err(|why| format!("TCP: {why}"))?;
    let mut stream = TlsConnector::from(config).connect(name, tcp).await.map_err(|why| format!("TLS: {why}"))?;
    let certificates = stream.get_ref().1.peer_certificates().expect("a certificate");
    let serial = ledger::serial_of(&certificates[0]);
    stream.write_all(door.says).await.map_err(|why| format!("said: {why}"))?;
    let answer = stream.read_u8().await.map_err(|why| format!("heard: {why}"))?;
    if answer == door.answer { Ok(serial) } else { Err(format!("answered {answer:#04x}")) }
}
