//! The broker itself: everybody with a certificate of the world's authorities is let in, everything is granted, and a
//! [`Mood`] says what becomes of each frame.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use waybill_protocol::{Direction, Topic};

use super::wire::{self, Packet};

/// Messages a receiver may have unacknowledged, as our mosquitto has it.
const WINDOW: usize = 20;

/// One frame on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passing {
    /// The certificate's uid of whoever is to get it.
    pub(crate) to: String,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// What becomes of a frame that somebody published: everything in the answer is delivered, in this order.
pub(crate) type Mood = Box<dyn FnMut(Passing) -> Vec<Passing> + Send>;

/// A listener and its sessions; ends with the value.
pub(crate) struct HostileBroker {
    pub(crate) addr: SocketAddr,
    desk: Arc<Desk>,
    _tasks: JoinSet<()>,
}

struct Desk {
    sessions: Mutex<BTreeMap<String, Session>>,
    mood: Mutex<Mood>,
    /// Everything anybody published, in order of arrival: what a broker's capture holds.
    captured: Mutex<Vec<Passing>>,
}

/// One participant's current connection.
#[derive(Clone)]
struct Session {
    packets: mpsc::UnboundedSender<Out>,
    window: Arc<Semaphore>,
    number: u64,
}

enum Out {
    /// An answer, at once.
    Answer(Vec<u8>),
    /// A message, when there is room in the window or, where `rude`, without looking.
    Message { topic: String, payload: Vec<u8>, rude: bool },
}

impl HostileBroker {
    /// Presents this certificate, believes these authorities.
    pub(crate) async fn start(ip: Ipv4Addr, (certificate, key): (&str, &str), bundle: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let desk = Arc::new(Desk {
            sessions: Mutex::default(),
            mood: Mutex::new(Box::new(|frame| vec![frame])),
            captured: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor(certificate, key, bundle), Arc::clone(&desk)));
        Self { addr, desk, _tasks: tasks }
    }

    /// From now on frames fare like this.
    pub(crate) fn set(&self, mood: Mood) {
        *lock(&self.desk.mood) = mood;
    }

    /// Delivers something, whoever said it.
    pub(crate) fn inject(&self, frame: &Passing) -> bool {
        self.desk.deliver(frame, false)
    }

    /// The same without regard for the receiver's window.
    pub(crate) fn throw(&self, frame: &Passing) -> bool {
        self.desk.deliver(frame, true)
    }

    /// Has heard this, too.
    pub(crate) fn overhear(&self, frame: Passing) {
        lock(&self.desk.captured).push(frame);
    }

    /// Everything that was published so far.
    pub(crate) fn captured(&self) -> Vec<Passing> {
        lock(&self.desk.captured).clone()
    }

    /// Whether this participant is connected and has acknowledged everything it was given.
    pub(crate) fn has_taken_all(&self, uid: &str) -> bool {
        let sessions = lock(&self.desk.sessions);
        sessions.get(uid).is_some_and(|session| session.window.available_permits() >= WINDOW)
    }
}

impl Desk {
    fn published(&self, topic: String, payload: Vec<u8>) {
        let Ok(parsed) = topic.parse::<Topic>() else { return };
        let to = match parsed.direction {
            Direction::Down => parsed.carrier.to_string(),
            Direction::Up => parsed.seller.to_string(),
        };
        let frame = Passing { to, topic, payload };
        lock(&self.captured).push(frame.clone());
        let outcome = lock(&self.mood)(frame);
        for frame in &outcome {
            self.deliver(frame, false);
        }
    }

    /// Whether there is a connection to put it on.
    fn deliver(&self, frame: &Passing, rude: bool) -> bool {
        let sessions = lock(&self.sessions);
        let Some(session) = sessions.get(&frame.to) else { return false };
        let message = Out::Message { topic: frame.topic.clone(), payload: frame.payload.clone(), rude };
        session.packets.send(message).is_ok()
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, desk: Arc<Desk>) {
    let mut sessions = JoinSet::new();
    let mut number = 0;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        number += 1;
        sessions.spawn(serve(stream, tls.clone(), Arc::clone(&desk), number));
        while sessions.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, desk: Arc<Desk>, number: u64) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let uid = common_name(&stream);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (packets, mut queue) = mpsc::unbounded_channel();
    let session = Session { packets, window: Arc::new(Semaphore::new(WINDOW)), number };
    let window = Arc::clone(&session.window);
    let writing = async {
        let mut id = 0_u16;
        while let Some(out) = queue.recv().await {
            let bytes = match out {
                Out::Answer(bytes) => bytes,
                Out::Message { topic, payload, rude } => {
                    if !rude {
                        window.acquire().await.unwrap().forget();
                    }
                    id = id.checked_add(1).unwrap_or(1);
                    wire::publish(id, &topic, &payload)
                }
            };
            // One flush for everything that waits.
            if writer.write_all(&bytes).await.is_err() || (queue.is_empty() && writer.flush().await.is_err()) {
                return;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = hear(&mut reader, &session, (&uid, &desk)) => {}
    }
    let mut sessions = lock(&desk.sessions);
    if sessions.get(&uid).is_some_and(|current| current.number == number) {
        sessions.remove(&uid);
    }
}

async fn hear(reader: &mut (impl tokio::io::AsyncRead + Unpin), session: &Session, (uid, desk): (&str, &Desk)) {
    let answer = |bytes| drop(session.packets.send(Out::Answer(bytes)));
    while let Some(packet) = wire::read(reader).await {
        match packet {
            Packet::Connect => answer(wire::connected()),
            Packet::Subscribe { id, filters } => {
                answer(wire::granted(id, filters));
                lock(&desk.sessions).insert(uid.to_owned(), session.clone());
            }
            Packet::Publish { id, topic, payload } => {
                id.into_iter().for_each(|id| answer(wire::acked(id)));
                desk.published(topic, payload);
            }
            Packet::Acked => session.window.add_permits(1),
            Packet::Ping => answer(wire::pong()),
            Packet::Disconnect => return,
            Packet::Other => {}
        }
    }
}

fn acceptor(certificate: &str, key: &str, bundle: &str) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let clients =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.unwrap())
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

fn common_name(stream: &TlsStream<TcpStream>) -> String {
    let certificate = &stream.get_ref().1.peer_certificates().unwrap()[0];
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).unwrap();
    certificate.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
