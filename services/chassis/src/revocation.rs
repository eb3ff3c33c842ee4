//! Who may no longer be served: a list shared by the whole process and asked on **every request**, because a
//! connection may outlive its client's right to have it.
//!
//! Trust: the list's number only goes up, so neither a stale cache nor an old file brings anybody back. Until a first
//! list is known, a client with a certificate gets 503, not the benefit of the doubt; clients without one are anonymous
//! and nothing here concerns them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::watch;

use crate::peer::{Connection, Peer, canonical_serial};
use crate::problem::{Kind, Problem};

/// The peer's certificate, or the one it was issued to, is revoked.
pub const REVOKED: Kind =
    Kind { slug: "certificate-revoked", title: "Certificate revoked", status: StatusCode::FORBIDDEN };
/// The peer's certificate ended while its connection went on.
pub const EXPIRED: Kind =
    Kind { slug: "certificate-expired", title: "Certificate expired", status: StatusCode::FORBIDDEN };
/// No list of revocations was seen yet.
pub const UNKNOWN: Kind =
    Kind { slug: "revocations-unknown", title: "Revocations not known yet", status: StatusCode::SERVICE_UNAVAILABLE };

/// What a request with a certificate may be refused with, whatever it asks.
pub const KINDS: [Kind; 3] = [REVOKED, EXPIRED, UNKNOWN];

/// Why a list was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to parse the list of revocations")]
    Parse(#[source] serde_json::Error),
    #[error("refused an entry that names neither serial nor uid")]
    EmptyEntry,
}

/// One published list: everything in it is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    number: u64,
    uids: HashSet<String>,
    serials: HashSet<String>,
}

#[derive(Deserialize)]
struct Wire {
    number: u64,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    serial: String,
    #[serde(default)]
    uid: String,
}

impl List {
    /// Parses `{"number": N, "entries": [{"serial", "uid", …}]}`; unknown members are for others.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let wire: Wire = serde_json::from_slice(json).map_err(Error::Parse)?;
        let mut list = Self { number: wire.number, ..Self::default() };
        for entry in wire.entries {
            let serial = canonical_serial(&entry.serial);
            if serial.is_empty() && entry.uid.is_empty() {
                return Err(Error::EmptyEntry);
            }
            if !serial.is_empty() {
                list.serials.insert(serial);
            }
            if !entry.uid.is_empty() {
                list.uids.insert(entry.uid);
            }
        }
        Ok(list)
    }

    /// The list's number: a higher one replaces a lower.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// True for a peer whose uid or serial is listed.
    pub fn refuses(&self, peer: &Peer) -> bool {
        self.uids.contains(&peer.uid) || self.serials.contains(&peer.serial)
    }

    /// True when the uid is listed: for peers met elsewhere than in TLS.
    pub fn names(&self, uid: &str) -> bool {
        self.uids.contains(uid)
    }
}

/// What became of an offered list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// In force now.
    Taken,
    /// Has the number in force: nothing to do.
    Same,
    /// Has a lower number than the one in force, which stays.
    Stale,
}

/// The end that whoever watches the source feeds.
#[derive(Debug)]
pub struct Feed(watch::Sender<Option<Arc<List>>>);

/// The end that is asked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Revocations(watch::Receiver<Option<Arc<List>>>);

/// A list that nobody has offered yet.
pub fn channel() -> (Feed, Revocations) {
    let (sender, receiver) = watch::channel(None);
    (Feed(sender), Revocations(receiver))
}

impl Feed {
    /// Puts a list in force if its number is higher than the last one's.
    pub fn offer(&self, list: List) -> Offer {
        let mut offer = Offer::Taken;
        self.0.send_if_modified(|current| {
            offer = match current {
                Some(current) if list.number == current.number => Offer::Same,
                Some(current) if list.number < current.number => Offer::Stale,
                _ => Offer::Taken,
            };
            if offer == Offer::Taken {
                tracing::info!(number = list.number, serials = list.serials.len(), "revocations in force");
                *current = Some(Arc::new(list));
            }
            offer == Offer::Taken
        });
        if offer == Offer::Stale {
            tracing::warn!("refused a list of revocations older than the one in force");
        }
        offer
    }

    /// Parses and offers; a list that cannot be read leaves the last one in force.
    pub fn offer_json(&self, json: &[u8]) -> Result<Offer, Error> {
        Ok(self.offer(List::parse(json)?))
    }
}

impl Revocations {
    /// The list in force, once there is one.
    pub fn current(&self) -> Option<Arc<List>> {
        self.0.borrow().clone()
    }

    /// Waits for the next list: for those who must act when somebody is cut off.
    pub async fn changed(&mut self) -> Option<Arc<List>> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().clone()
    }

    /// The verdict on a peer at `now` (seconds since the epoch).
    pub fn check(&self, peer: &Peer, now: i64) -> Result<(), Kind> {
        match self.current() {
            None => Err(UNKNOWN),
            Some(list) if list.refuses(peer) => Err(REVOKED),
            Some(_) if peer.not_after < now => Err(EXPIRED),
            Some(_) => Ok(()),
        }
    }
}

/// Axum middleware: refuses a request whose connection belongs to a revoked or expired certificate.
pub async fn refuse_revoked(State(revocations): State<Revocations>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Connection>().and_then(|connection| connection.peer.clone());
    if let Some(peer) = peer
        && let Err(kind) = revocations.check(&peer, now())
    {
        tracing::warn!(uid = %peer.uid, serial = %peer.serial, reason = kind.slug, "refused a request");
        return Problem::new(kind, "the client certificate of this connection is not accepted").into_response();
    }
    next.run(request).await
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: &str, serial: &str) -> Peer {
        let (dns_names, uris) = (Vec::new(), Vec::new());
        Peer { uid: uid.into(), serial: serial.into(), spki_sha256: [0; 32], dns_names, uris, not_after: 1000 }
    }

    #[test]
    fn a_uid_or_a_serial_is_enough_to_be_refused() {
        let (feed, revocations) = channel();
        feed.offer_json(br#"{"number":3,"entries":[{"serial":"0A:BC","uid":"u1","notAfter":"2030-01-01T00:00:00Z"}]}"#)
            .unwrap();
        assert_eq!(revocations.check(&peer("u1", "77"), 0), Err(REVOKED));
        assert_eq!(revocations.check(&peer("u2", "abc"), 0), Err(REVOKED));
        assert_eq!(revocations.check(&peer("u2", "77"), 0), Ok(()));
    }

    #[test]
    fn a_certificate_that_ended_is_refused() {
        let (feed, revocations) = channel();
        feed.offer(List::default());
        assert_eq!(revocations.check(&peer("u", "1"), 1000), Ok(()));
        assert_eq!(revocations.check(&peer("u", "1"), 1001), Err(EXPIRED));
    }

    #[test]
    fn nobody_is_trusted_before_the_first_list() {
        let (_feed, revocations) = channel();
        assert_eq!(revocations.check(&peer("u", "1"), 0), Err(UNKNOWN));
    }

    #[test]
    fn an_older_list_brings_nobody_back() {
        let (feed, revocations) = channel();
        let list =
            |number: u64, uid: &str| format!(r#"{{"number":{number},"entries":[{{"serial":"1","uid":"{uid}"}}]}}"#);
        assert_eq!(feed.offer_json(list(5, "u1").as_bytes()).unwrap(), Offer::Taken);
        assert_eq!(feed.offer_json(list(4, "u2").as_bytes()).unwrap(), Offer::Stale);
        assert_eq!(feed.offer_json(list(5, "u3").as_bytes()).unwrap(), Offer::Same);
        assert!(revocations.current().unwrap().names("u1"));
        assert_eq!(feed.offer_json(list(6, "u2").as_bytes()).unwrap(), Offer::Taken);
        assert!(revocations.current().unwrap().names("u2"));
    }

    #[test]
    fn a_damaged_list_leaves_the_last_good_one() {
        let (feed, revocations) = channel();
        feed.offer_json(br#"{"number":1,"entries":[{"uid":"u1"}]}"#).unwrap();
        for bad in
            [&b"{\"number\":2"[..], b"", b"{}", br#"{"number":2,"entries":[{}]}"#, br#"{"number":-1,"entries":[]}"#]
        {
            assert!(feed.offer_json(bad).is_err());
        }
        assert_eq!(revocations.current().unwrap().number(), 1);
    }
}
