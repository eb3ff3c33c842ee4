//! The certificate authority as it stands: who issues, who is trusted, how the authorities vouch for each other. Built from Secret
//! `waybill-ca` (`codec`), changed one step at a time (`lifecycle`), read and written by `store`.

pub(crate) mod codec;
pub(crate) mod lifecycle;
pub(crate) mod store;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer;
use p256::pkcs8::DecodePrivateKey;
use rcgen::{Issuer, PublicKeyData, SigningKey};
use waybill_protocol::{CaKey, Hash, published};

use super::BACKDATE;
use super::pem;
use super::serial::Serial;
use super::x509::key::{self, PrivateKey};
use super::x509::sign::{self, Subject};
use super::x509::{self, Facts, Fingerprint};
use lifecycle::{Active, Former, Lifecycle, Observed, Policy, Step};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read the certificate of CA {id}")]
    Certificate {
        id: String,
        #[source]
        source: x509::Error,
    },
    #[error("failed to read the key of CA {id}")]
    Key {
        id: String,
        #[source]
        source: key::Error,
    },
    #[error("failed to use CA {id}: its key does not belong to its certificate")]
    Mismatch { id: String },
    #[error("failed to make a certificate for CA {id}")]
    Sign {
        id: String,
        #[source]
        source: sign::Error,
    },
    #[error("failed to sign with CA {id}")]
    Signature { id: String },
}

/// One authority: a self-signed root and its key.
pub(crate) struct Ca {
    pub(crate) id: String,
    pub(crate) der: Vec<u8>,
    pub(crate) facts: Facts,
    issuer: Issuer<'static, PrivateKey>,
}

/// The randomness of a new authority, so that making one is a function of its arguments.
pub(crate) struct Fresh {
    pub(crate) id: String,
    pub(crate) key: PrivateKey,
    pub(crate) serials: [Serial; 3],
}

impl Fresh {
    pub(crate) fn generate() -> Result<Self, key::Error> {
        let serial = || Serial::from_entropy(rand::random());
        let id = hex::encode(rand::random::<[u8; 4]>());
        Ok(Self { id, key: PrivateKey::generate()?, serials: [serial(), serial(), serial()] })
    }
}

impl Ca {
    fn create(id: String, key: PrivateKey, serial: Serial, now: Timestamp, ttl: SignedDuration) -> Result<Self, Error> {
        let subject =
            Subject { common_name: common_name(&id), serial, not_before: now - BACKDATE, not_after: now + ttl };
        let der = sign::root(&subject, &key).map_err(|source| Error::Sign { id: id.clone(), source })?;
        Self::new(id, der, key)
    }

    fn new(id: String, der: Vec<u8>, key: PrivateKey) -> Result<Self, Error> {
        let facts = x509::facts(&der).map_err(|source| Error::Certificate { id: id.clone(), source })?;
        if facts.spki_sha256 != key.spki_sha256() {
            return Err(Error::Mismatch { id });
        }
        let issuer = sign::issuer(&der, key).map_err(|source| Error::Sign { id: id.clone(), source })?;
        Ok(Self { id, der, facts, issuer })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.facts.fingerprint
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, PrivateKey> {
        &self.issuer
    }

    pub(crate) fn certificate_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der)
    }

    /// ES256, made with the same key and the same code as certificates are.
    pub(crate) fn sign_es256(&self, message: &[u8]) -> Result<Signature, Error> {
        let failed = || Error::Signature { id: self.id.clone() };
        let der = self.issuer.key().sign(message).map_err(|_| failed())?;
        Signature::from_der(&der).map_err(|_| failed())
    }

    /// This authority as key statements name it.
    pub(crate) fn statement_key(&self) -> Result<CaKey, Error> {
        let point = self.issuer.key().der_bytes();
        CaKey::new(&self.der, point).map_err(|_| Error::Signature { id: self.id.clone() })
    }

    /// `subject`'s name and key, vouched for by this authority, for as long as both live.
    fn vouch_for(&self, subject: &Ca, serial: Serial, now: Timestamp) -> Result<Option<Cross>, Error> {
        let not_after = self.facts.not_after.min(subject.facts.not_after);
        if not_after <= now {
            return Ok(None);
        }
        let template = Subject { common_name: common_name(&subject.id), serial, not_before: now - BACKDATE, not_after };
        let der = sign::cross(&template, subject.issuer.key(), &self.issuer)
            .map_err(|source| Error::Sign { id: subject.id.clone(), source })?;
        Ok(Some(Cross {
            subject: subject.id.clone(),
            issuer: self.id.clone(),
            pem: pem::encode(pem::CERTIFICATE, &der),
        }))
    }
}

fn common_name(id: &str) -> String {
    format!("Waybill CA {id}")
}

/// A cross-certificate: `issuer` vouches for `subject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cross {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) pem: String,
}

/// All authorities of one moment. Immutable: a step gives a new one.
#[derive(Clone)]
pub(crate) struct Authority {
    pub(crate) state: Lifecycle,
    /// Value of the rotate annotation when it was read.
    pub(crate) rotate: Option<String>,
    pub(crate) resource_version: Option<String>,
    /// Active, next, previous (youngest first).
    cas: Vec<Arc<Ca>>,
    crosses: Vec<Cross>,
}

impl Authority {
    pub(crate) fn bootstrap(fresh: Fresh, now: Timestamp, ttl: SignedDuration) -> Result<Self, Error> {
        let ca = Ca::create(fresh.id.clone(), fresh.key, fresh.serials[0], now, ttl)?;
        let active = Active { id: fresh.id, since: now };
        Ok(Self {
            state: Lifecycle { active, next: None, previous: Vec::new(), former: Vec::new(), rotate_seen: None },
            rotate: None,
            resource_version: None,
            cas: vec![Arc::new(ca)],
            crosses: Vec::new(),
        })
    }

    pub(crate) fn active(&self) -> &Arc<Ca> {
        &self.cas[0]
    }

    pub(crate) fn trusted(&self) -> impl Iterator<Item = &Arc<Ca>> {
        self.cas.iter()
    }

    pub(crate) fn by_state(&self) -> impl Iterator<Item = (&'static str, &Arc<Ca>)> {
        self.cas.iter().map(|ca| {
            let is_next = self.state.next.as_ref().is_some_and(|next| next.id == ca.id);
            let state = if ca.id == self.state.active.id {
                "active"
            } else if is_next {
                "next"
            } else {
                "previous"
            };
            (state, ca)
        })
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Arc<Ca>> {
        self.cas.iter().find(|ca| ca.id == id)
    }

    /// Who signed this certificate, by key identifier and then by signature.
    pub(crate) fn issuer_of(&self, der: &[u8], facts: &Facts) -> Option<&Arc<Ca>> {
        let key_id = facts.issuer_key_id.as_ref()?;
        self.cas.iter().find(|ca| ca.facts.key_id.as_ref() == Some(key_id)).filter(|ca| x509::signed_by(der, &ca.der))
    }

    /// Every trusted root, the active one first.
    pub(crate) fn bundle(&self) -> String {
        self.cas.iter().map(|ca| ca.certificate_pem()).collect()
    }

    /// The certificates of those that left, the youngest first: for what stands in logs and for nothing else.
    pub(crate) fn former(&self) -> String {
        self.state.former.iter().map(|former| former.certificate.as_str()).collect()
    }

    /// Signs what is published under this name, for those who get it through other hands. The same content, the same
    /// signature, as long as the same authority issues.
    pub(crate) fn sign_published(&self, name: &str, content: &str) -> Result<String, Error> {
        let ca = self.active();
        let failed = || Error::Signature { id: ca.id.clone() };
        let pem = ca.issuer.key().to_pem();
        let key = p256::ecdsa::SigningKey::from_pkcs8_pem(&pem).map_err(|_| failed())?;
        let signature: Signature = Signer::sign(&key, &published::to_be_signed(name, content.as_bytes()));
        Ok(STANDARD.encode(published::assemble(Hash(ca.fingerprint().0), &signature)))
    }

    /// Every cross-certificate, for verifiers who bring one root and meet another.
    pub(crate) fn crosses(&self) -> String {
        self.crosses.iter().map(|cross| cross.pem.as_str()).collect()
    }

    /// What follows a leaf of the active authority: the way back to the oldest trusted root.
    pub(crate) fn chain(&self) -> String {
        let mut subject = &self.state.active.id;
        let mut chain = String::new();
        for previous in &self.state.previous {
            let Some(cross) = self.crosses.iter().find(|c| c.subject == *subject && c.issuer == previous.id) else {
                break;
            };
            chain.push_str(&cross.pem);
            subject = &previous.id;
        }
        chain
    }

    /// The root a verifier is told to bring: the oldest one trusted, since every leaf's chain leads to it.
    pub(crate) fn root(&self) -> &Arc<Ca> {
        let oldest = self.state.previous.last().and_then(|previous| self.by_id(&previous.id));
        oldest.unwrap_or(self.active())
    }

    pub(crate) fn observed<'a>(&'a self, now: Timestamp, published: bool, spent: &'a [String]) -> Observed<'a> {
        let life = (self.active().facts.not_before, self.active().facts.not_after);
        Observed { now, active_life: life, rotate: self.rotate.as_deref(), published, spent }
    }

    /// This authority after `step`; `fresh` is used up by `Prepare`.
    pub(crate) fn after(
        &self,
        step: &Step,
        fresh: Fresh,
        observed: &Observed<'_>,
        policy: &Policy,
        ttl: SignedDuration,
    ) -> Result<Self, Error> {
        let mut after = self.clone();
        let Fresh { id, key, serials } = fresh;
        after.state = lifecycle::advance(self.state.clone(), step, Some(id.clone()), observed, policy);
        if let Step::Prepare(_) = step {
            let next = Ca::create(id, key, serials[0], observed.now, ttl)?;
            let active = self.active();
            after.crosses.extend(active.vouch_for(&next, serials[1], observed.now)?);
            after.crosses.extend(next.vouch_for(active, serials[2], observed.now)?);
            after.cas.push(Arc::new(next));
        }
        if let Step::Retire(id) = step
            && let Some(ca) = self.by_id(id)
        {
            let (id, certificate) = (id.clone(), ca.certificate_pem());
            after.state.remember(Former { id, retired: observed.now, certificate });
        }
        after.arrange()
    }

    /// Brings certificates in line with the lifecycle: active first, nobody who has left.
    fn arrange(mut self) -> Result<Self, Error> {
        let state = &self.state;
        let ids = [&state.active.id].into_iter().chain(state.next.iter().map(|next| &next.id));
        let ids = ids.chain(state.previous.iter().map(|previous| &previous.id));
        let cas = ids.map(|id| self.by_id(id).cloned().ok_or_else(|| Error::Mismatch { id: id.clone() }));
        self.cas = cas.collect::<Result<_, _>>()?;
        let known = |id: &String| self.cas.iter().any(|ca| ca.id == *id);
        self.crosses.retain(|cross| known(&cross.subject) && known(&cross.issuer));
        Ok(self)
    }
}

#[cfg(test)]
pub(crate) mod tests;
