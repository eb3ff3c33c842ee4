//! A KeyStatement: the CA's signed word on which keys belong to whom. It is what peers check at first contact, what the first event of
//! every author carries, and the only thing a verifier needs besides the root.
//!
//! The operator signs in three steps, because the CA's key never comes here:
//! `KeyStatement::to_be_signed` → signature over [`ToBeSigned::bytes`] → [`ToBeSigned::assemble`].

use minicbor::{Decode, Encode};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use sha2::{Digest, Sha256};

use crate::{
    codec::{self, WireError},
    cose::{self, Domain, Sign1},
    id::{Hash, Name, Uid, UnixMillis},
    key::{Ed25519Key, X25519Key},
};

/// The largest statement that is read.
pub const MAX_STATEMENT: usize = 1024;
const WHAT: &str = "key statement";

/// What a participant is in this trust domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    #[n(0)]
    Seller,
    #[n(1)]
    Carrier,
    #[n(2)]
    CarrierApi,
}

/// Where the participant's keys live, and so who else could use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Custody {
    /// In a Secret: whoever may read the namespace's Secrets can sign.
    #[n(0)]
    Managed,
    /// With the participant alone: the cluster never saw them.
    #[n(1)]
    External,
}

/// Who holds which keys, from when to when.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyStatement {
    #[n(0)]
    pub version: u16,
    /// The uid of the Seller, Carrier or Carrier API: the CN of its certificate.
    #[n(1)]
    pub uid: Uid,
    #[n(2)]
    pub namespace: Name,
    #[n(3)]
    pub name: Name,
    #[n(4)]
    pub role: Role,
    #[n(5)]
    pub custody: Custody,
    /// Signs events, messages and tokens.
    #[n(6)]
    pub ed25519: Ed25519Key,
    /// Messages are sealed to it. A Carrier API receives none and has none.
    #[n(7)]
    pub x25519: Option<X25519Key>,
    /// SHA-256 of the SubjectPublicKeyInfo of the TLS leaf.
    #[n(8)]
    pub tls_spki_sha256: Hash,
    /// Counts the statements of this uid: a later one replaces all earlier ones.
    #[n(9)]
    pub epoch: u64,
    #[n(10)]
    pub not_before: UnixMillis,
    #[n(11)]
    pub not_after: UnixMillis,
}

/// A CA as a signer of statements. X.509 is read by the caller; what this needs of a certificate is its bytes and its key.
#[derive(Debug, Clone)]
pub struct CaKey {
    kid: Hash,
    key: VerifyingKey,
}

/// A statement on its way to its signature.
#[derive(Debug, Clone)]
pub struct ToBeSigned {
    protected: Vec<u8>,
    payload: Vec<u8>,
}

/// Why a statement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    #[error("failed to read key statement: {0}")]
    Wire(#[source] WireError),
    #[error("the certificate's key is no P-256 point")]
    CaKey,
    #[error("no trusted CA has the certificate {0}")]
    UnknownCa(Hash),
    #[error("the statement's signature is not its CA's")]
    BadSignature,
    #[error("the statement begins at {not_before:?}, it is {now:?}")]
    NotYetValid { not_before: UnixMillis, now: UnixMillis },
    #[error("the statement ended at {not_after:?}, it is {now:?}")]
    Expired { not_after: UnixMillis, now: UnixMillis },
    #[error("the statement contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl CaKey {
    /// `certificate_der`: the CA's certificate. `public_key_sec1`: the uncompressed point in its SubjectPublicKeyInfo.
    pub fn new(certificate_der: &[u8], public_key_sec1: &[u8]) -> Result<Self, StatementError> {
        let key = VerifyingKey::from_sec1_bytes(public_key_sec1).map_err(|_| StatementError::CaKey)?;
        Ok(Self { kid: kid(certificate_der), key })
    }

    /// SHA-256 of the certificate: the `kid` of every statement it signed.
    pub fn kid(&self) -> Hash {
        self.kid
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

fn kid(certificate_der: &[u8]) -> Hash {
    Hash(Sha256::digest(certificate_der).into())
}

impl KeyStatement {
    /// Encodes this statement for the CA with that certificate. Refuses one that no verifier would believe.
    pub fn to_be_signed(&self, ca_certificate_der: &[u8]) -> Result<ToBeSigned, StatementError> {
        codec::check_version(WHAT, u64::from(self.version)).map_err(StatementError::Wire)?;
        self.check_consistent()?;
        Ok(ToBeSigned { protected: protected(kid(ca_certificate_der)), payload: codec::encode(self) })
    }

    /// Reads and checks a statement at first contact: by a trusted CA, and valid now.
    pub fn verify(bytes: &[u8], trusted: &[CaKey], now: UnixMillis) -> Result<Self, StatementError> {
        let statement = Self::verify_recorded(bytes, trusted)?;
        if now < statement.not_before {
            return Err(StatementError::NotYetValid { not_before: statement.not_before, now });
        }
        if now >= statement.not_after {
            return Err(StatementError::Expired { not_after: statement.not_after, now });
        }
        Ok(statement)
    }

    /// Reads and checks a statement that stands in a log. Its dates are not looked at: the peer looked at them at first contact and signed
    /// that it did, and from then on it is the position in the log that counts, not a claimed time.
    pub fn verify_recorded(bytes: &[u8], trusted: &[CaKey]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_STATEMENT {
            let error = WireError::TooLarge { what: WHAT, size: bytes.len(), limit: MAX_STATEMENT };
            return Err(StatementError::Wire(error));
        }
        let envelope = Sign1::read(Domain::Statement, bytes).map_err(StatementError::Wire)?;
        let kid = kid_of(envelope.protected).map_err(StatementError::Wire)?;
        let ca = trusted.iter().find(|ca| ca.kid == kid).ok_or(StatementError::UnknownCa(kid))?;
        let signature = Signature::from_slice(envelope.signature).map_err(|_| StatementError::BadSignature)?;
        // An ECDSA signature has a twin with the other half's s: only one of them counts, so a statement has one form.
        if signature.normalize_s() != signature {
            return Err(StatementError::BadSignature);
        }
        let tbs = cose::sig_structure(envelope.protected, Domain::Statement, envelope.payload);
        ca.key.verify(&tbs, &signature).map_err(|_| StatementError::BadSignature)?;
        let statement = Self::read_verified(bytes).map_err(StatementError::Wire)?;
        statement.check_consistent()?;
        Ok(statement)
    }

    /// Reads a statement whose signature was verified.
    pub(crate) fn read_verified(bytes: &[u8]) -> Result<Self, WireError> {
        codec::decode_versioned(WHAT, Sign1::read(Domain::Statement, bytes)?.payload)
    }

    fn check_consistent(&self) -> Result<(), StatementError> {
        let wrong = |reason| Err(StatementError::Inconsistent(reason));
        if self.not_before >= self.not_after {
            return wrong("it ends before it begins");
        }
        match (self.role, self.x25519) {
            (Role::CarrierApi, Some(_)) => wrong("a Carrier API has no agreement key"),
            (Role::Seller | Role::Carrier, None) => wrong("a seller or carrier needs an agreement key"),
            _ if self.role != Role::Carrier && self.custody == Custody::External => {
                wrong("only a carrier's keys can be external")
            }
            _ => Ok(()),
        }
    }
}

impl ToBeSigned {
    /// What the CA signs with ES256 (ECDSA P-256 over SHA-256 of these bytes).
    pub fn bytes(&self) -> Vec<u8> {
        cose::sig_structure(&self.protected, Domain::Statement, &self.payload)
    }

    /// The signed statement. Either of the two equivalent signatures will do: it is brought into the form that verifies.
    pub fn assemble(&self, signature: &Signature) -> Vec<u8> {
        let bytes: [u8; 64] = signature.normalize_s().to_bytes().into();
        cose::assemble(&self.protected, &self.payload, &bytes)
    }
}

/// The protected header of a statement: ES256 (-7) and the CA's certificate as `kid`.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Protected {
    #[n(1)]
    algorithm: i8,
    #[n(4)]
    kid: Hash,
}

const ES256: i8 = -7;

fn protected(kid: Hash) -> Vec<u8> {
    codec::encode(&Protected { algorithm: ES256, kid })
}

fn kid_of(bytes: &[u8]) -> Result<Hash, WireError> {
    match codec::decode::<Protected>(WHAT, bytes) {
        Ok(header) if header.algorithm == ES256 => Ok(header.kid),
        _ => Err(WireError::ForeignEnvelope { what: WHAT }),
    }
}
