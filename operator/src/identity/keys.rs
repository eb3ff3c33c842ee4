//! The keys a managed participant signs, seals and commits with, as its Secrets hold them: raw 32 bytes each, made once from given
//! randomness and never replaced. Pure.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use k8s_openapi::ByteString;
use waybill_protocol::{AgreementSecret, Ed25519Key, X25519Key};
use zeroize::Zeroizing;

use super::ledger::Kind;
use super::secret::Bytes;

const ED25519: &str = "ed25519.seed";
const X25519: &str = "x25519.key";
const COMMIT: &str = "commit.key";
const LABEL: &str = "label.key";
/// Not a key: what the authority says of them, as it signed it, for the program that shows it to its peers.
pub(crate) const STATEMENT: &str = "statement";

/// What the world may know of a participant's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKeys {
    pub(crate) ed25519: Ed25519Key,
    /// A Carrier API receives nothing sealed and has none.
    pub(crate) x25519: Option<X25519Key>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("key {key} is missing or not 32 bytes")]
pub struct Damaged {
    pub(crate) key: &'static str,
}

fn in_keys(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Seller => &[ED25519, X25519, COMMIT],
        Kind::Carrier => &[ED25519, X25519],
        Kind::CarrierApi => &[ED25519],
        Kind::Broker | Kind::Board => &[],
    }
}

/// The data of a new `…-keys` Secret.
pub(crate) fn create(kind: Kind, entropy: &mut impl FnMut() -> [u8; 32]) -> BTreeMap<String, ByteString> {
    in_keys(kind).iter().map(|key| ((*key).to_owned(), ByteString(entropy().to_vec()))).collect()
}

/// The data of a seller's new `…-label` Secret.
pub(crate) fn create_label(entropy: &mut impl FnMut() -> [u8; 32]) -> BTreeMap<String, ByteString> {
    BTreeMap::from([(LABEL.to_owned(), ByteString(entropy().to_vec()))])
}

/// The public halves, once every key of the kind is there.
pub(crate) fn public(kind: Kind, secret: &Bytes) -> Result<PublicKeys, Damaged> {
    for key in in_keys(kind) {
        read(secret, key)?;
    }
    let signing = SigningKey::from_bytes(&*read(secret, ED25519)?);
    let x25519 = match kind {
        Kind::Seller | Kind::Carrier => Some(AgreementSecret::from_bytes(*read(secret, X25519)?).public()),
        Kind::CarrierApi | Kind::Broker | Kind::Board => None,
    };
    Ok(PublicKeys { ed25519: signing.verifying_key().into(), x25519 })
}

pub(crate) fn check_label(secret: &Bytes) -> Result<(), Damaged> {
    read(secret, LABEL).map(drop)
}

fn read(secret: &Bytes, key: &'static str) -> Result<Zeroizing<[u8; 32]>, Damaged> {
    let bytes = secret.get(key).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(Zeroizing::new).ok_or(Damaged { key })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;

    use super::*;

    fn held(data: BTreeMap<String, ByteString>) -> Bytes {
        Bytes::of(Secret { data: Some(data), ..Secret::default() })
    }

    #[test]
    fn each_kind_has_its_keys_and_no_others() {
        let names = |kind| create(kind, &mut rand::random).into_keys().collect::<Vec<_>>();
        assert_eq!(names(Kind::Seller), ["commit.key", "ed25519.seed", "x25519.key"]);
        assert_eq!(names(Kind::Carrier), ["ed25519.seed", "x25519.key"]);
        assert_eq!(names(Kind::CarrierApi), ["ed25519.seed"]);
        assert_eq!(create_label(&mut rand::random).into_keys().collect::<Vec<_>>(), ["label.key"]);
    }

    #[test]
    fn public_halves_follow_from_the_secret_ones() {
        let secret = held(create(Kind::Carrier, &mut || [7; 32]));
        let keys = public(Kind::Carrier, &secret).unwrap();
        assert_eq!(keys.ed25519, SigningKey::from_bytes(&[7; 32]).verifying_key().into());
        assert_eq!(keys.x25519, Some(AgreementSecret::from_bytes([7; 32]).public()));
        assert_eq!(public(Kind::CarrierApi, &secret).unwrap().x25519, None);
    }

    #[test]
    fn a_damaged_secret_names_the_key_and_shows_nothing() {
        let mut data = create(Kind::Seller, &mut || [0x41; 32]);
        data.insert("commit.key".into(), ByteString(b"short".to_vec()));
        let error = public(Kind::Seller, &held(data)).unwrap_err();
        assert_eq!(error.to_string(), "key commit.key is missing or not 32 bytes");
    }
}
