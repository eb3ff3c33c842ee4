//! Leaf certificates: what one should be, whether the one at hand still is it, and when to look again. Pure; `now` is an argument.
//!
//! A leaf is replaced because something about it changed or because its time is near, never by its age alone: a clock that jumps
//! and comes back leaves every certificate as it was.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::BACKDATE;
use super::ca::{Authority, Ca, Error as CaError};
use super::pem;
use super::serial::Serial;
use super::x509::sign::{self, Subject};
use super::x509::{self, Facts, Fingerprint, Names, Usage};

/// The leaf a participant should have.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) uid: String,
    pub(crate) names: Names,
    pub(crate) usage: Usage,
    pub(crate) ttl: SignedDuration,
    /// How long before its end a leaf is replaced at the latest; a third of its life by default.
    pub(crate) renew_before: Option<SignedDuration>,
    pub(crate) spki_sha256: [u8; 32],
}

/// The leaf it has.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) serial: Serial,
    pub(crate) facts: Facts,
    /// The authority that provably signed it.
    pub(crate) issuer: Fingerprint,
}

impl Current {
    /// `None` for anything this authority did not sign: unreadable, foreign, or of an authority long retired.
    pub(crate) fn read(chain: &str, authority: &Authority) -> Option<Self> {
        let der = x509::first_of_chain(chain).ok()?;
        let facts = x509::facts(&der).ok()?;
        let issuer = authority.issuer_of(&der, &facts)?.fingerprint();
        Some(Self { serial: facts.serial?, facts, issuer })
    }

    fn issued_at(&self) -> Timestamp {
        self.facts.not_before + BACKDATE
    }
}

/// The authority that would sign a new one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issuer {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) since: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Over how long the leafs of the previous authority are replaced.
    pub(crate) spread: SignedDuration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Missing,
    Revoked,
    KeyChanged,
    NamesChanged,
    TtlChanged,
    IssuerChanged,
    Due,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "Missing",
            Self::Revoked => "Revoked",
            Self::KeyChanged => "KeyChanged",
            Self::NamesChanged => "NamesChanged",
            Self::TtlChanged => "TtlChanged",
            Self::IssuerChanged => "IssuerChanged",
            Self::Due => "Due",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Keep { renew_at: Timestamp },
    Issue(Reason),
}

/// `revoked`: is the current serial on the CRL? A revoked number never comes back, a participant may: with a new one.
pub(crate) fn decide(
    current: Option<&Current>,
    revoked: bool,
    wanted: &Wanted,
    issuer: &Issuer,
    now: Timestamp,
) -> Decision {
    let Some(current) = current else { return Decision::Issue(Reason::Missing) };
    let facts = &current.facts;
    if revoked {
        return Decision::Issue(Reason::Revoked);
    }
    if facts.spki_sha256 != wanted.spki_sha256 {
        return Decision::Issue(Reason::KeyChanged);
    }
    if facts.names != wanted.names || facts.usage != Some(wanted.usage) || facts.common_name != wanted.uid {
        return Decision::Issue(Reason::NamesChanged);
    }
    let due = renewal(current, wanted);
    if current.issuer != issuer.fingerprint {
        let turn = issuer.since + fraction(issuer.spread, &wanted.uid, &current.serial);
        return when(now >= turn.min(due), Reason::IssuerChanged, turn.min(due));
    }
    // Issued at the same moment with the ttl of today, would it end at the same moment?
    if not_after(current.issued_at(), wanted.ttl, issuer.not_after) != facts.not_after {
        return Decision::Issue(Reason::TtlChanged);
    }
    // At the very end of an authority a new leaf would end no later: wait for the next authority instead of spinning.
    let gains = not_after(now, wanted.ttl, issuer.not_after) > facts.not_after;
    when(now >= due && gains, Reason::Due, due)
}

fn when(issue: bool, reason: Reason, renew_at: Timestamp) -> Decision {
    if issue { Decision::Issue(reason) } else { Decision::Keep { renew_at } }
}

/// The end of a leaf issued at `now`: its ttl, but never beyond the authority's own.
pub(crate) fn not_after(now: Timestamp, ttl: SignedDuration, issuer: Timestamp) -> Timestamp {
    let end = now.checked_add(ttl).unwrap_or(issuer).min(issuer);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

/// When to replace a leaf: `renew_before` its end at the latest, up to half the time until then earlier. Half, because leafs that
/// were issued in one minute must not come back in one minute: spread so, the busiest hour is at most 1.5 times the mean one.
pub(crate) fn renewal(current: &Current, wanted: &Wanted) -> Timestamp {
    let end = current.facts.not_after;
    let life = end.duration_since(current.issued_at()).max(SignedDuration::ZERO);
    let before = wanted.renew_before.unwrap_or(wanted.ttl / 3).clamp(SignedDuration::ZERO, life * 9 / 10);
    let latest = end - before;
    latest - fraction((life - before) / 2, &wanted.uid, &current.serial)
}

/// A part of `whole` that depends on the certificate alone: every operator, at any time, computes the same.
fn fraction(whole: SignedDuration, uid: &str, serial: &Serial) -> SignedDuration {
    let digest = Sha256::new().chain_update(uid).chain_update(serial.as_bytes()).finalize();
    let part = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let seconds = (i128::from(whole.as_secs().max(0)) * i128::from(part)) >> 32;
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
}

/// When a leaf made now counts as issued: in whole seconds, and never before its authority was (a clock may have gone back).
pub(crate) fn issued(now: Timestamp, ca: &Ca) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now).max(ca.facts.not_before + BACKDATE)
}

/// Signs the leaf the ledger has already been told of; `at` comes from `issued`.
pub(crate) fn issue(
    wanted: &Wanted,
    serial: Serial,
    key: &impl rcgen::PublicKeyData,
    ca: &Ca,
    at: Timestamp,
) -> Result<String, CaError> {
    let subject = Subject {
        common_name: wanted.uid.clone(),
        serial,
        not_before: at - BACKDATE,
        not_after: not_after(at, wanted.ttl, ca.facts.not_after),
    };
    let der = sign::leaf(&subject, &wanted.names, wanted.usage, key, ca.issuer())
        .map_err(|source| CaError::Sign { id: ca.id.clone(), source })?;
    Ok(pem::encode(pem::CERTIFICATE, &der))
}

#[cfg(test)]
mod tests;
