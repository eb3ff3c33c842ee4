//! MQTT 3.1.1 over TLS by hand, on a plain blocking socket: ten thousand of them must fit into one process beside what is measured.
//!
//! It counts what it gets; it repeats nothing. A read that takes longer than the limit is an error, and a loss.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::pki::BROKER;

const LIMIT: Duration = Duration::from_secs(30);
/// Seconds a client may be silent; the chart's broker allows no more.
const KEEP_ALIVE: u8 = 60;

const CONNECT: u8 = 0x10;
const PUBLISH_QOS1: u8 = 0x32;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const PINGREQ: u8 = 0xc0;
const DISCONNECT: u8 = 0xe0;

/// One connection.
pub(super) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// Published and not acknowledged yet.
    unacknowledged: usize,
}

/// What the broker sends.
#[derive(Debug, PartialEq, Eq)]
enum Packet {
    Accepted,
    Acknowledged,
    Granted,
    Pong,
    Message { topic: String, payload: Vec<u8> },
}

impl Client {
    /// Connects and subscribes to one filter; both must be granted.
    pub(super) fn join(address: SocketAddr, config: Arc<ClientConfig>, filter: &str) -> Result<Self> {
        let socket = TcpStream::connect(address).context("no connection")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        let session = ClientConnection::new(config, BROKER.try_into()?)?;
        let mut client = Self { stream: StreamOwned::new(session, socket), unacknowledged: 0 };
        // Clean session, and a client id that the broker replaces by the certificate's name.
        client.write(CONNECT, &[&text("MQTT"), &[4, 2, 0, KEEP_ALIVE][..], &text("any")].concat())?;
        client.expect(&Packet::Accepted)?;
        client.write(SUBSCRIBE, &[&[0, 9][..], &text(filter), &[1]].concat())?;
        client.expect(&Packet::Granted)?;
        Ok(client)
    }

    pub(super) fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        self.unacknowledged += 1;
        self.write(PUBLISH_QOS1, &[&text(topic), &[0, 7][..], payload].concat())
    }

    /// Reads on to the next message, acknowledges it, and says whether it is this one.
    pub(super) fn receive(&mut self, topic: &str, payload: &[u8]) -> Result<bool> {
        loop {
            match self.read()? {
                Packet::Message { topic: of, payload: what } => return Ok(of == topic && what == payload),
                Packet::Acknowledged => self.acknowledged(),
                other => bail!("expected a message, got {other:?}"),
            }
        }
    }

    /// A round trip; whatever was sent to this client before is read with it. Answers what is still unacknowledged.
    pub(super) fn ping(&mut self) -> Result<usize> {
        self.write(PINGREQ, &[])?;
        loop {
            match self.read()? {
                Packet::Pong => return Ok(self.unacknowledged),
                Packet::Acknowledged => self.acknowledged(),
                other => bail!("expected nothing but acknowledgements, got {other:?}"),
            }
        }
    }

    pub(super) fn leave(mut self) -> Result<()> {
        self.write(DISCONNECT, &[])
    }

    fn acknowledged(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
    }

    fn expect(&mut self, wanted: &Packet) -> Result<()> {
        let packet = self.read()?;
        ensure!(packet == *wanted, "expected {wanted:?}, got {packet:?}");
        Ok(())
    }

    fn write(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        self.stream.write_all(&packet(kind, body)).context("failed to write to the broker")?;
        self.stream.flush().context("failed to write to the broker")
    }

    fn read(&mut self) -> Result<Packet> {
        let [kind] = self.take()?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let [byte] = self.take()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).context("failed to read from the broker")?;
        self.understand(kind, body)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).context("failed to read from the broker")?;
        Ok(bytes)
    }

    fn understand(&mut self, kind: u8, body: Vec<u8>) -> Result<Packet> {
        Ok(match (kind >> 4, body.as_slice()) {
            (2, [_, 0]) => Packet::Accepted,
            (3, _) => {
                let (topic, id, payload) = message(&body).context("a message cut short")?;
                self.write(PUBACK, &id)?;
                Packet::Message { topic, payload }
            }
            (4, _) => Packet::Acknowledged,
            (9, [.., 1]) => Packet::Granted,
            (13, _) => Packet::Pong,
            other => bail!("unexpected packet {other:?}"),
        })
    }
}

/// Topic, packet id and payload of a message at QoS 1.
fn message(body: &[u8]) -> Option<(String, [u8; 2], Vec<u8>)> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (id, payload) = rest.split_first_chunk::<2>()?;
    Some((String::from_utf8(topic.to_vec()).ok()?, *id, payload.to_vec()))
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        // Seven bits each: the value fits.
        let byte = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// A string as MQTT has it. Topics here are short.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_carries_its_length_in_as_few_bytes_as_needed() {
        assert_eq!(packet(PINGREQ, &[]), [0xc0, 0]);
        assert_eq!(packet(1, &[7; 127])[..2], [1, 127]);
        assert_eq!(packet(1, &[7; 128])[..3], [1, 0x80, 1]);
    }

    #[test]
    fn a_message_is_taken_apart_and_half_of_one_is_not() {
        let body = [&text("a/b"), &[0, 9][..], b"hello"].concat();
        assert_eq!(message(&body), Some(("a/b".into(), [0, 9], b"hello".to_vec())));
        assert_eq!(message(&body[..6]), None);
    }
}
