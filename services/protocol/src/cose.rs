//! COSE_Sign1 (RFC 9052), and of it only what we sign: tag 18, one exact protected header, an empty unprotected header, an attached
//! payload. An envelope therefore has one form, and nothing can be hidden in it or bent about it.
//!
//! What a signature is for is the external additional data of its Sig_structure ([`Domain`]), so no signature counts in two places.

use ed25519_dalek::{Signature, Signer, SigningKey};
use minicbor::{Decoder, Encoder, decode::Error};
use sha2::{Digest, Sha256};

use crate::{codec::WireError, key::Ed25519Key};

/// `{1: -8}`: EdDSA, and no other header.
const EDDSA: [u8; 3] = [0xa1, 0x01, 0x27];
const TAG: u64 = 18;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    Statement,
    Event,
    Message,
    Courier,
    Renewal,
}

impl Domain {
    pub(crate) fn external_aad(self) -> &'static [u8] {
        match self {
            Self::Statement => b"waybill.dev/key-statement",
            Self::Event => b"waybill.dev/event",
            Self::Message => b"waybill.dev/message",
            Self::Courier => b"waybill.dev/courier-check",
            Self::Renewal => b"waybill.dev/renewal-request",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Statement => "key statement",
            Self::Event => "event",
            Self::Message => "message",
            Self::Courier => "courier check",
            Self::Renewal => "renewal request",
        }
    }
}

/// The three parts of an envelope that carry something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sign1<'b> {
    pub(crate) protected: &'b [u8],
    pub(crate) payload: &'b [u8],
    pub(crate) signature: &'b [u8; 64],
}

impl<'b> Sign1<'b> {
    /// Reads an envelope and refuses every form but the canonical one. Verifies nothing yet.
    pub(crate) fn read(domain: Domain, bytes: &'b [u8]) -> Result<Self, WireError> {
        let what = domain.name();
        let parts = parse(bytes).map_err(|error| WireError::Malformed { what, detail: error.to_string() })?;
        let Some((protected, payload, signature)) = parts else {
            return Err(WireError::ForeignEnvelope { what });
        };
        if assemble(protected, payload, signature) != bytes {
            return Err(WireError::NotCanonical { what });
        }
        Ok(Self { protected, payload, signature })
    }

    /// Reads an Ed25519 envelope: any other algorithm or header is refused here.
    pub(crate) fn read_eddsa(domain: Domain, bytes: &'b [u8]) -> Result<Self, WireError> {
        let envelope = Self::read(domain, bytes)?;
        if envelope.protected != EDDSA {
            return Err(WireError::ForeignEnvelope { what: domain.name() });
        }
        Ok(envelope)
    }

    /// Strict verification: the cofactorless equation, no small-order key or point, canonical scalars.
    pub(crate) fn verify_eddsa(&self, domain: Domain, key: &Ed25519Key) -> Result<(), WireError> {
        let tbs = sig_structure(self.protected, domain, self.payload);
        key.as_dalek()
            .verify_strict(&tbs, &Signature::from_bytes(self.signature))
            .map_err(|_| WireError::BadSignature { what: domain.name() })
    }

    /// SHA-256 of the Sig_structure: the name of what was signed, whatever signature it carries.
    pub(crate) fn id(&self, domain: Domain) -> [u8; 32] {
        Sha256::digest(sig_structure(self.protected, domain, self.payload)).into()
    }
}

/// Signs a payload into an envelope.
pub(crate) fn sign_eddsa(domain: Domain, key: &SigningKey, payload: &[u8]) -> Vec<u8> {
    let signature = key.sign(&sig_structure(&EDDSA, domain, payload));
    assemble(&EDDSA, payload, &signature.to_bytes())
}

/// The id an EdDSA envelope around this payload has.
pub(crate) fn eddsa_id(domain: Domain, payload: &[u8]) -> [u8; 32] {
    Sha256::digest(sig_structure(&EDDSA, domain, payload)).into()
}

/// The bytes a signature covers: `["Signature1", protected, external_aad, payload]`.
pub(crate) fn sig_structure(protected: &[u8], domain: Domain, payload: &[u8]) -> Vec<u8> {
    write(payload.len() + 128, |e| {
        e.array(4)?.str("Signature1")?.bytes(protected)?.bytes(domain.external_aad())?.bytes(payload)?.ok()
    })
}

/// The envelope: `18([protected, {}, payload, signature])`.
pub(crate) fn assemble(protected: &[u8], payload: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    write(payload.len() + 128, |e| {
        e.tag(minicbor::data::Tag::new(TAG))?.array(4)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(signature)?.ok()
    })
}

type Written = Result<(), minicbor::encode::Error<core::convert::Infallible>>;

fn write(capacity: usize, body: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::with_capacity(capacity));
    body(&mut encoder).expect("encoding into memory does not fail");
    encoder.into_writer()
}

type Parts<'b> = (&'b [u8], &'b [u8], &'b [u8; 64]);

/// `None`: well-formed CBOR, but not our kind of envelope.
fn parse(bytes: &[u8]) -> Result<Option<Parts<'_>>, Error> {
    let mut d = Decoder::new(bytes);
    if d.tag()?.as_u64() != TAG || d.array()? != Some(4) {
        return Ok(None);
    }
    let protected = d.bytes()?;
    if d.map()? != Some(0) {
        return Ok(None);
    }
    let payload = d.bytes()?;
    let Ok(signature) = <&[u8; 64]>::try_from(d.bytes()?) else { return Ok(None) };
    Ok(Some((protected, payload, signature)))
}
