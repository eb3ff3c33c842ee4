//! What a named, authorised person declares without the device that should: read, judged and signed. Pure.
//!
//! A declaration releases nothing and moves nothing: it stands in the log in the Carrier API's own chain, marked as a
//! person's word, and means something once the seller countersigns it. One that the seller could not let count where the
//! delivery stands now is refused, so that nobody waits for what can't come.

#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit, Mac};
use object_store::path::Path;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::Sha256;
use waybill_protocol::fact::reason::DeclaredFact;
use waybill_protocol::{
    Author, EventId, Fact, Hash, Log, PersonName, Refusal, SignError, SignedEvent, Signer, UnixMillis,
};

/// The file with the key statement of this Carrier API.
pub(crate) const STATEMENT: &str = "statement";
/// The longest note, in bytes.
pub(crate) const MAX_NOTE: usize = 2 << 10;
/// How many declarations one log takes.
pub(crate) const MOST: usize = 32;

/// The body of a declaration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Declaration")]
pub(crate) struct Asked {
    /// `Delivered`, `AttemptFailed`, `Refused`, `Damaged`, `Lost`, `Found`, `GivenBack` or `Incident`.
    pub(crate) fact: String,
    /// At most 2 KiB.
    #[serde(default)]
    pub(crate) note: Option<String>,
}

/// What somebody declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) fact: DeclaredFact,
    pub(crate) by: PersonName,
    /// Of what is kept for it.
    pub(crate) note: Option<Hash>,
}

/// A note as it is kept beside the cluster: its text after a salt, so that its hash in the log gives no guess away. The same
/// text about the same delivery is the same note for as long as the key is the same.
#[derive(Clone)]
pub(crate) struct Note(pub(crate) Vec<u8>);

impl Note {
    pub(crate) fn new(seed: &[u8; 32], delivery: &str, text: &str) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(seed).expect("HMAC takes a key of any length");
        mac.update(b"waybill note 1\0");
        mac.update(delivery.as_bytes());
        mac.update(b"\0");
        mac.update(text.as_bytes());
        let salt = hex::encode(&mac.finalize().into_bytes()[..16]);
        Self(format!("{salt}\n{text}").into_bytes())
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }

    /// The text of what was kept.
    pub(crate) fn text(kept: &[u8]) -> Option<&str> {
        std::str::from_utf8(kept).ok()?.split_once('\n').map(|(_, text)| text)
    }
}

/// The folder of a delivery's notes.
pub(crate) fn folder(delivery: &str) -> Path {
    Path::from_iter(["notes", delivery])
}

pub(crate) fn path(delivery: &str, hash: &str) -> Path {
    folder(delivery).join(hash)
}

/// A declaration that can be written, or that is there.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) id: EventId,
    pub(crate) position: usize,
    /// What is to be written; nothing when it stands in the log already.
    pub(crate) new: Option<SignedEvent>,
    /// The log with it.
    pub(crate) after: Log,
}

/// Why a declaration is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The seller could not let it count where the delivery stands.
    #[error("it has no place where the delivery stands now: {0}")]
    OutOfPlace(Refusal),
    #[error("this delivery has {MOST} declarations already")]
    TooMany,
    #[error("failed to sign the declaration: {0}")]
    Sign(#[source] SignError),
}

/// Judges a declaration against the log. The same one again, in the same attempt, is the one that stands there.
pub(crate) fn judge(log: &Log, wanted: &Declaration, signer: &Signer, at: UnixMillis) -> Result<Judged, Refused> {
    let Declaration { fact, by, note } = wanted;
    let fact = Fact::Declared { fact: *fact, by: by.clone(), note: *note };
    if let Some((position, id)) = standing(log, &fact) {
        return Ok(Judged { id, position, new: None, after: log.clone() });
    }
    let persons = log.entries().iter().filter_map(|entry| entry.event()).filter(|signed| is_declared(signed));
    if persons.count() >= MOST {
        return Err(Refused::TooMany);
    }
    let event = log.sign(signer, fact, at).map_err(|error| match error {
        SignError::Refused(refusal) => Refused::OutOfPlace(refusal),
        other => Refused::Sign(other),
    })?;
    let mut after = log.clone();
    after.push(event.bytes());
    let (id, position) = (event.id(), log.entries().len());
    let seller = log.subject().seller.clone();
    after.allows(Author::Seller, &seller, &Fact::Countersigned { event: id }).map_err(Refused::OutOfPlace)?;
    Ok(Judged { id, position, new: Some(event), after })
}

fn is_declared(signed: &SignedEvent) -> bool {
    signed.event().author == Author::Person && matches!(signed.event().fact, Fact::Declared { .. })
}

/// Where this very fact was declared in this attempt.
fn standing(log: &Log, fact: &Fact) -> Option<(usize, EventId)> {
    let attempt = log.state().attempt();
    let same = |signed: &&SignedEvent| {
        signed.event().author == Author::Person && signed.event().attempt == attempt && signed.event().fact == *fact
    };
    log.entries().iter().enumerate().find_map(|(position, entry)| {
        let genuine = entry.verdict().is_genuine();
        entry.event().filter(|_| genuine).filter(same).map(|signed| (position, signed.id()))
    })
}
