//! A participant who may do what no well-behaved client does: MQTT 3.1.1 by hand over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use waybill_chassis::tls::Material;

use crate::pki::{BROKER_NAME, Leaf};

/// The broker would not have it: no handshake, no CONNACK, or the connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// A message the broker delivered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// One connection.
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    got: Vec<Got>,
}

/// A client's configuration as the services have it.
pub(crate) fn config(bundle: &str, leaf: &Leaf) -> ClientConfig {
    let material = Material::from_pem(leaf.chain.as_bytes(), leaf.key.as_bytes(), bundle.as_bytes()).unwrap();
    material.client().unwrap()
}

/// What the broker sent, beside messages.
#[derive(Debug, PartialEq, Eq)]
enum Packet {
    Accepted,
    Acked,
    Granted(Vec<u8>),
    Pong,
    Message,
}

impl Client {
    /// Connects as `leaf`, asking for its own uid.
    pub(crate) async fn connect(addr: SocketAddr, bundle: &str, leaf: &Leaf) -> Result<Self, Gone> {
        Self::connect_as(addr, bundle, leaf, &leaf.uid).await
    }

    /// Connects as `leaf`, asking for any client id.
    pub(crate) async fn connect_as(addr: SocketAddr, bundle: &str, leaf: &Leaf, id: &str) -> Result<Self, Gone> {
        let mut client = Self::handshake(addr, bundle, leaf).await?;
        client.say_connect(id).await?;
        Ok(client)
    }

    /// Only the TLS handshake. (With TLS 1.3 the broker's refusal shows at the first read.)
    pub(crate) async fn handshake(addr: SocketAddr, bundle: &str, leaf: &Leaf) -> Result<Self, Gone> {
        Self::handshake_with(addr, Arc::new(config(bundle, leaf))).await
    }

    /// The same with a configuration of the caller's, which may remember sessions.
    pub(crate) async fn handshake_with(addr: SocketAddr, config: Arc<ClientConfig>) -> Result<Self, Gone> {
        let stream = TcpStream::connect(addr).await.map_err(|_| Gone)?;
        stream.set_nodelay(true).unwrap();
        let connector = TlsConnector::from(config);
        let stream = connector.connect(BROKER_NAME.try_into().unwrap(), stream).await.map_err(|_| Gone)?;
        Ok(Self { stream, got: Vec::new() })
    }

    /// True where the handshake went on from an earlier one, without certificates.
    pub(crate) fn resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) async fn say_connect(&mut self, id: &str) -> Result<(), Gone> {
        self.say_connect_with(id, None).await
    }

    /// The same with a last will: topic, message, and whether the broker is to keep it.
    pub(crate) async fn say_connect_with(&mut self, id: &str, will: Option<(&str, &str, bool)>) -> Result<(), Gone> {
        let flags = will.map_or(2, |(_, _, kept)| 2 | 4 | 8 | u8::from(kept) << 5);
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60];
        text(&mut body, id);
        if let Some((topic, message, _)) = will {
            text(&mut body, topic);
            text(&mut body, message);
        }
        self.write(0x10, &body).await?;
        match self.read().await? {
            Packet::Accepted => Ok(()),
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// The broker's certificate on this connection.
    pub(crate) fn server_certificate(&self) -> Vec<u8> {
        self.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }

    /// Subscribes; true where the broker granted it.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> Result<bool, Gone> {
        let mut body = vec![0, 9];
        text(&mut body, filter);
        body.push(1);
        self.write(0x82, &body).await?;
        loop {
            if let Packet::Granted(codes) = self.read().await? {
                return Ok(codes == [1] || codes == [0]);
            }
        }
    }

    /// Publishes at QoS 1 and waits for the acknowledgement, which says nothing about delivery.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), Gone> {
        self.publish_flagged(0x32, topic, payload).await
    }

    pub(crate) async fn publish_retained(&mut self, topic: &str, payload: &[u8]) -> Result<(), Gone> {
        self.publish_flagged(0x33, topic, payload).await
    }

    async fn publish_flagged(&mut self, kind: u8, topic: &str, payload: &[u8]) -> Result<(), Gone> {
        let mut body = Vec::new();
        text(&mut body, topic);
        body.extend_from_slice(&[0, 7]);
        body.extend_from_slice(payload);
        self.write(kind, &body).await?;
        while self.read().await? != Packet::Acked {}
        Ok(())
    }

    /// Everything delivered up to now: whatever was sent before the answer to a ping is here with it.
    pub(crate) async fn messages(&mut self) -> Result<Vec<Got>, Gone> {
        self.write(0xc0, &[]).await?;
        while self.read().await? != Packet::Pong {}
        Ok(std::mem::take(&mut self.got))
    }

    /// Waits until the broker ends the connection.
    pub(crate) async fn ended(&mut self) {
        while self.read().await.is_ok() {}
    }

    async fn write(&mut self, kind: u8, body: &[u8]) -> Result<(), Gone> {
        let mut packet = vec![kind];
        let mut length = body.len();
        loop {
            let byte = u8::try_from(length & 0x7f).unwrap();
            length >>= 7;
            packet.push(if length > 0 { byte | 0x80 } else { byte });
            if length == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        self.stream.write_all(&packet).await.map_err(|_| Gone)?;
        self.stream.flush().await.map_err(|_| Gone)
    }

    async fn read(&mut self) -> Result<Packet, Gone> {
        let kind = self.stream.read_u8().await.map_err(|_| Gone)?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.map_err(|_| Gone)?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.map_err(|_| Gone)?;
        Ok(match kind >> 4 {
            2 if body[1] == 0 => Packet::Accepted,
            2 => return Err(Gone),
            3 => {
                self.deliver(kind, &body).await?;
                Packet::Message
            }
            4 => Packet::Acked,
            9 => Packet::Granted(body[2..].to_vec()),
            13 => Packet::Pong,
            other => panic!("unexpected packet {other}"),
        })
    }

    async fn deliver(&mut self, kind: u8, body: &[u8]) -> Result<(), Gone> {
        let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let name = String::from_utf8(body[2..2 + topic].to_vec()).unwrap();
        let mut start = 2 + topic;
        if kind & 0x06 != 0 {
            self.write(0x40, &body[start..start + 2]).await?;
            start += 2;
        }
        self.got.push(Got { topic: name, payload: body[start..].to_vec() });
        Ok(())
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}
