//! MQTT 3.1.1 from the broker's side, by hand: as much of it as a client of ours says and hears.

use tokio::io::{AsyncRead, AsyncReadExt};

/// A packet a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    Connect,
    Publish { id: Option<u16>, topic: String, payload: Vec<u8> },
    Acked,
    Subscribe { id: u16, filters: usize },
    Ping,
    Disconnect,
    Other,
}

/// The next packet; `None` once the client is gone or speaks something else.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Packet> {
    let kind = stream.read_u8().await.ok()?;
    let mut body = vec![0; length(stream).await?];
    stream.read_exact(&mut body).await.ok()?;
    let number = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    Some(match kind >> 4 {
        1 => Packet::Connect,
        3 => {
            let end = 2 + usize::from(number(0)?);
            let topic = String::from_utf8(body.get(2..end)?.to_vec()).ok()?;
            let id = if kind & 6 == 0 { None } else { Some(number(end)?) };
            let start = if id.is_some() { end + 2 } else { end };
            Packet::Publish { id, topic, payload: body.get(start..)?.to_vec() }
        }
        4 => Packet::Acked,
        8 => Packet::Subscribe { id: number(0)?, filters: filters(body.get(2..)?) },
        12 => Packet::Ping,
        14 => Packet::Disconnect,
        _ => Packet::Other,
    })
}

async fn length(stream: &mut (impl AsyncRead + Unpin)) -> Option<usize> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        match byte & 0x80 {
            0 => return Some(length),
            _ if shift > 21 => return None,
            _ => {}
        }
    }
}

fn filters(mut rest: &[u8]) -> usize {
    let mut count = 0;
    while let [high, low, ..] = rest {
        let next = 3 + usize::from(u16::from_be_bytes([*high, *low]));
        rest = rest.get(next..).unwrap_or_default();
        count += 1;
    }
    count
}

pub(super) fn connected() -> Vec<u8> {
    vec![0x20, 2, 0, 0]
}

pub(super) fn acked(id: u16) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![0x40, 2, high, low]
}

/// Everything asked for is granted, whatever it is.
pub(super) fn granted(id: u16, filters: usize) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut packet = vec![0x90, u8::try_from(2 + filters).unwrap(), high, low];
    packet.resize(4 + filters, 1);
    packet
}

pub(super) fn pong() -> Vec<u8> {
    vec![0xd0, 0]
}

/// A message at QoS 1.
pub(super) fn publish(id: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut length = 2 + topic.len() + 2 + payload.len();
    let mut packet = vec![0x32];
    while length > 0 {
        let byte = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
    }
    packet.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}
