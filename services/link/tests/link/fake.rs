//! A broker small enough to do exactly one thing wrong: MQTT 3.1.1 by hand over TLS, one script a connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A packet a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Connect { clean: bool },
    Publish { id: u16, topic: String, payload: Vec<u8> },
    PubAck(u16),
    Subscribe { id: u16, filters: usize },
    Ping,
    Disconnect,
    Other(u8),
}

/// One accepted connection.
pub(crate) struct Conn {
    stream: TlsStream<TcpStream>,
    next_id: u16,
}

/// A listener and its script; ends with the value.
pub(crate) struct FakeBroker {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    accepted: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl FakeBroker {
    /// Runs `script` for each connection, with its number from 0; the connection closes when the script ends.
    pub(crate) async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(usize, Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Option<()>> + Send + 'static,
    {
        let (server, client) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (stop, count) = (CancellationToken::new(), Arc::clone(&accepted));
        let stopped = stop.clone();
        tokio::spawn(stopped.run_until_cancelled_owned(accept(listener, TlsAcceptor::from(server), script, count)));
        Self { addr, tls: client, accepted, _stop: stop.drop_guard() }
    }

    /// How many connections came so far.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn accept<F, Fut>(listener: TcpListener, tls: TlsAcceptor, script: F, count: Arc<AtomicUsize>)
where
    F: Fn(usize, Conn) -> Fut,
    Fut: Future<Output = Option<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let Ok(stream) = tls.accept(stream).await else { continue };
        let number = count.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(script(number, Conn { stream, next_id: 1 }));
    }
}

fn certificates() -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let cert: CertificateDer<'static> = cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

// Every step returns `None` once the client is gone, so that scripts end by `?`.
impl Conn {
    /// The next packet of the client.
    pub(crate) async fn read(&mut self) -> Option<Sent> {
        let kind = self.stream.read_u8().await.ok()?;
        let mut body = vec![0; self.remaining_length().await?];
        self.stream.read_exact(&mut body).await.ok()?;
        let id = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        Some(match kind >> 4 {
            1 => Sent::Connect { clean: body[7] & 2 != 0 },
            3 => {
                let topic = usize::from(id(0));
                let name = String::from_utf8(body[2..2 + topic].to_vec()).unwrap();
                let qos = kind >> 1 & 3;
                let (packet, start) = if qos == 0 { (0, 2 + topic) } else { (id(2 + topic), 4 + topic) };
                Sent::Publish { id: packet, topic: name, payload: body[start..].to_vec() }
            }
            4 => Sent::PubAck(id(0)),
            8 => Sent::Subscribe { id: id(0), filters: filters(&body[2..]) },
            12 => Sent::Ping,
            14 => Sent::Disconnect,
            other => Sent::Other(other),
        })
    }

    async fn remaining_length(&mut self) -> Option<usize> {
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(length);
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.stream.write_all(bytes).await.ok()?;
        self.stream.flush().await.ok()
    }

    /// Reads CONNECT and answers it; a kept session is resumed by those who want one.
    pub(crate) async fn accept(&mut self, kept: bool) -> Option<()> {
        let Sent::Connect { clean } = self.read().await? else { panic!("expected CONNECT") };
        self.write(&[0x20, 2, u8::from(kept && !clean), 0]).await
    }

    pub(crate) async fn ack(&mut self, id: u16) -> Option<()> {
        let [high, low] = id.to_be_bytes();
        self.write(&[0x40, 2, high, low]).await
    }

    /// Answers a SUBSCRIBE with one code for each filter.
    pub(crate) async fn suback(&mut self, id: u16, filters: usize, code: u8) -> Option<()> {
        let [high, low] = id.to_be_bytes();
        let mut packet = vec![0x90, u8::try_from(2 + filters).unwrap(), high, low];
        packet.resize(4 + filters, code);
        self.write(&packet).await
    }

    pub(crate) async fn pong(&mut self) -> Option<()> {
        self.write(&[0xd0, 0]).await
    }

    /// Sends a message at QoS 1; returns its packet id.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8]) -> Option<u16> {
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(payload);
        let mut packet = vec![0x32];
        let mut length = body.len();
        while length > 0 {
            let byte = u8::try_from(length & 0x7f).unwrap();
            length >>= 7;
            packet.push(if length > 0 { byte | 0x80 } else { byte });
        }
        packet.extend_from_slice(&body);
        self.write(&packet).await.map(|()| id)
    }

    /// Keeps the socket open and reads nothing more: a peer behind a cut cable.
    pub(crate) async fn go_silent(self) -> Option<()> {
        std::future::pending().await
    }
}

fn filters(mut rest: &[u8]) -> usize {
    let mut count = 0;
    while rest.len() >= 2 {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        rest = &rest[2 + length + 1..];
        count += 1;
    }
    count
}
