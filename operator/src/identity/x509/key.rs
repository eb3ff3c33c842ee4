//! A private key that can sign certificates, wiped when dropped and never printed.

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

pub(crate) struct PrivateKey(KeyPair);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to generate a P-256 key")]
    Generate(#[source] rcgen::Error),
    #[error("failed to read private key")]
    Read(#[source] rcgen::Error),
}

impl PrivateKey {
    /// A fresh P-256 key from the operating system's randomness.
    pub(crate) fn generate() -> Result<Self, Error> {
        KeyPair::generate().map(Self).map_err(Error::Generate)
    }

    pub(crate) fn from_pem(pem: &str) -> Result<Self, Error> {
        KeyPair::from_pem(pem).map(Self).map_err(Error::Read)
    }

    /// PKCS#8, the form Secrets hold.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    pub(crate) fn spki_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.subject_public_key_info()).into()
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(&self.0)
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}
