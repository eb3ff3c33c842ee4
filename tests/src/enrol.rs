//! An external carrier as its owner makes it: keys of its own, a signing request, a proof that it holds them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

/// What the owner of an external carrier keeps to itself.
pub struct Keys {
    pub tls: KeyPair,
    pub signing: SigningKey,
    pub sealing_secret: [u8; 32],
    pub sealing: [u8; 32],
}

impl Keys {
    pub fn fresh() -> Self {
        let sealing_secret: [u8; 32] = rand::random();
        let sealing = PublicKey::from(&StaticSecret::from(sealing_secret)).to_bytes();
        Self {
            tls: KeyPair::generate().expect("a P-256 key"),
            signing: SigningKey::from_bytes(&rand::random()),
            sealing_secret,
            sealing,
        }
    }

    /// The Carrier to apply: `waybill-enrol-v1` as the field's documentation says.
    pub fn carrier(&self, namespace: &str, name: &str) -> Value {
        let request = CertificateParams::default().serialize_request(&self.tls).expect("a signing request");
        let mut proof = b"waybill-enrol-v1\0".to_vec();
        proof.extend_from_slice(format!("{namespace}/{name}\0").as_bytes());
        proof.extend_from_slice(self.signing.verifying_key().as_bytes());
        proof.extend_from_slice(&self.sealing);
        proof.extend_from_slice(&Sha256::digest(request.der()));
        json!({
            "apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": name},
            "spec": {"kind": "truck", "transport": {"external": {
                "csr": request.pem().expect("a PEM"),
                "keys": {
                    "ed25519": STANDARD.encode(self.signing.verifying_key().as_bytes()),
                    "x25519": STANDARD.encode(self.sealing),
                    "proof": STANDARD.encode(self.signing.sign(&proof).to_bytes()),
                }}}}
        })
    }
}
