//! Key statements: the CA's word on which keys belong to whom. Kept as long as what it says and who says it stay the same. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use waybill_protocol::{CaKey, Custody, Hash, KeyStatement, Name, Role, StatementError, Uid, UnixMillis, version};

use super::BACKDATE;
use super::ca::{Authority, Ca, Error as CaError};
use super::keys::PublicKeys;
use super::ledger::{Kind, Owner};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to state the keys of a {kind}: it has none of its own")]
    Role { kind: Kind },
    #[error("failed to put a name into a key statement")]
    Name(#[source] waybill_protocol::NameError),
    #[error("failed to make a key statement")]
    Statement(#[source] StatementError),
    #[error("failed to sign a key statement")]
    Sign(#[source] CaError),
}

/// What a statement should say.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) custody: Custody,
    pub(crate) keys: &'a PublicKeys,
    pub(crate) tls_spki_sha256: [u8; 32],
}

/// The statement to publish: the current one where it still holds, a new one otherwise. `issuer` signs; it is the authority of the
/// participant's leaf, so that leafs and statements change authorities together and one write does for both.
pub(crate) fn ensure(
    current: Option<&str>,
    wanted: &Wanted<'_>,
    issuer: &Ca,
    authority: &Authority,
    now: Timestamp,
) -> Result<String, Error> {
    let known = authority.trusted().map(|ca| ca.statement_key()).collect::<Result<Vec<_>, _>>().map_err(Error::Sign)?;
    let bytes = current.and_then(|text| STANDARD.decode(text).ok());
    let previous = bytes.as_deref().and_then(|bytes| KeyStatement::verify_recorded(bytes, &known).ok());
    let next = build(wanted, epoch(previous.as_ref(), &wanted.owner.uid, now), issuer, now)?;
    if let (Some(text), Some(bytes), Some(previous)) = (current, &bytes, &previous)
        && holds(previous, &next)
        && is_by(bytes, issuer)?
    {
        return Ok(text.to_owned());
    }
    let unsigned = next.to_be_signed(&issuer.der).map_err(Error::Statement)?;
    let signature = issuer.sign_es256(&unsigned.bytes()).map_err(Error::Sign)?;
    Ok(STANDARD.encode(unsigned.assemble(&signature)))
}

/// True when `text` is a statement of ours about this very object: it had keys before.
pub(crate) fn is_about(text: &str, uid: &str, authority: &Authority) -> bool {
    let known: Vec<CaKey> = authority.trusted().filter_map(|ca| ca.statement_key().ok()).collect();
    let bytes = STANDARD.decode(text).unwrap_or_default();
    KeyStatement::verify_recorded(&bytes, &known).is_ok_and(|statement| statement.uid.as_str() == uid)
}

fn build(wanted: &Wanted<'_>, epoch: u64, issuer: &Ca, now: Timestamp) -> Result<KeyStatement, Error> {
    let Owner { kind, namespace, name, uid } = wanted.owner;
    let role = match kind {
        Kind::Seller => Role::Seller,
        Kind::Carrier => Role::Carrier,
        Kind::CarrierApi => Role::CarrierApi,
        Kind::Broker | Kind::Board => return Err(Error::Role { kind: *kind }),
    };
    Ok(KeyStatement {
        version: version::CURRENT,
        uid: Uid::new(uid).map_err(Error::Name)?,
        namespace: Name::new(namespace).map_err(Error::Name)?,
        name: Name::new(name).map_err(Error::Name)?,
        role,
        custody: wanted.custody,
        ed25519: wanted.keys.ed25519,
        x25519: wanted.keys.x25519,
        tls_spki_sha256: Hash(wanted.tls_spki_sha256),
        epoch,
        not_before: millis((now - BACKDATE).max(issuer.facts.not_before)),
        // As long as its authority: a statement changes when keys do, a stolen key is answered by revocation.
        not_after: millis(issuer.facts.not_after),
    })
}

/// Counts up, and never below the time: even a status that was lost or read late yields a later epoch than any peer has seen.
fn epoch(previous: Option<&KeyStatement>, uid: &str, now: Timestamp) -> u64 {
    let floor = u64::try_from(now.as_second()).unwrap_or_default();
    let previous = previous.filter(|previous| previous.uid.as_str() == uid);
    previous.map_or(floor, |previous| floor.max(previous.epoch.saturating_add(1)))
}

/// Do both say the same, apart from when and how often it was said?
fn holds(previous: &KeyStatement, next: &KeyStatement) -> bool {
    let KeyStatement { not_before, not_after, epoch, .. } = *previous;
    not_after == next.not_after && *previous == KeyStatement { not_before, not_after, epoch, ..next.clone() }
}

fn is_by(bytes: &[u8], issuer: &Ca) -> Result<bool, Error> {
    let key = issuer.statement_key().map_err(Error::Sign)?;
    Ok(KeyStatement::verify_recorded(bytes, &[key]).is_ok())
}

fn millis(at: Timestamp) -> UnixMillis {
    UnixMillis::from_secs(u64::try_from(at.as_second()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
