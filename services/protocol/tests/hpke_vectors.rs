//! RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, base mode. All of its vectors: key derivation,
//! encapsulation in both directions, every listed sequence number, every export.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use hex::decode;
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256 as Kem, setup_receiver, setup_sender_with_rng,
};

const IKM_E: &str = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
const SK_E: &str = "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600";
const PK_E: &str = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
const IKM_R: &str = "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df";
const SK_R: &str = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
const PK_R: &str = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
const INFO: &str = "4f6465206f6e2061204772656369616e2055726e";
const PLAINTEXT: &str = "4265617574792069732074727574682c20747275746820626561757479";

const CIPHERTEXTS: [(usize, &str); 6] = [
    (0, "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"),
    (1, "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c"),
    (2, "71146bd6795ccc9c49ce25dda112a48f202ad220559502cef1f34271e0cb4b02b4f10ecac6f48c32f878fae86b"),
    (4, "63357a2aa291f5a4e5f27db6baa2af8cf77427c7c1a909e0b37214dd47db122bb153495ff0b02e9e54a50dbe16"),
    (255, "18ab939d63ddec9f6ac2b60d61d36a7375d2070c9b683861110757062c52b8880a5f6b3936da9cd6c23ef2a95c"),
    (256, "7a4a13e9ef23978e2c520fd4d2e757514ae160cd0cd05e556ef692370ca53076214c0c40d4c728d6ed9e727a5b"),
];

const EXPORTS: [(&[u8], &str); 3] = [
    (b"", "4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e"),
    (b"\0", "8c1df14732580e5501b00f82b10a1647b40713191b7c1240ac80e2b68808ba69"),
    (b"TestContext", "5acb09211139c43b3090489a9da433e8a30ee7188ba8b0a9a1ccf0c229283e53"),
];

#[test]
fn key_pairs_are_derived_as_in_the_rfc() {
    for (ikm, secret, public) in [(IKM_E, SK_E, PK_E), (IKM_R, SK_R, PK_R)] {
        let (own, shown) = Kem::derive_keypair(&decode(ikm).unwrap());
        assert_eq!(hex::encode(shown.to_bytes()), public);
        // The RFC prints the scalar before clamping; what it stands for is the same key.
        let printed = <Kem as hpke::Kem>::PrivateKey::from_bytes(&decode(secret).unwrap()).unwrap();
        assert_eq!(own.to_bytes(), printed.to_bytes());
    }
}

#[test]
fn a_sender_seals_every_vector_of_the_rfc() {
    let to = <Kem as hpke::Kem>::PublicKey::from_bytes(&decode(PK_R).unwrap()).unwrap();
    let mut rng = Given(decode(IKM_E).unwrap());
    let (enc, mut context) = setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &to,
        &decode(INFO).unwrap(),
        &mut rng,
    )
    .unwrap();
    assert_eq!(hex::encode(enc.to_bytes()), PK_E);
    let plaintext = decode(PLAINTEXT).unwrap();
    for number in 0..=256 {
        let sealed = context.seal(&plaintext, format!("Count-{number}").as_bytes()).unwrap();
        if let Some((_, expected)) = CIPHERTEXTS.iter().find(|(listed, _)| *listed == number) {
            assert_eq!(hex::encode(sealed), *expected, "sequence number {number}");
        }
    }
    for (of, expected) in EXPORTS {
        let mut value = [0; 32];
        context.export(of, &mut value).unwrap();
        assert_eq!(hex::encode(value), expected);
    }
}

#[test]
fn a_receiver_opens_the_first_vectors_of_the_rfc_and_no_bent_one() {
    let own = <Kem as hpke::Kem>::PrivateKey::from_bytes(&decode(SK_R).unwrap()).unwrap();
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&decode(PK_E).unwrap()).unwrap();
    let receiver = || {
        setup_receiver::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeR::Base, &own, &enc, &decode(INFO).unwrap()).unwrap()
    };
    let mut context = receiver();
    for (number, ciphertext) in &CIPHERTEXTS[..3] {
        let opened = context.open(&decode(ciphertext).unwrap(), format!("Count-{number}").as_bytes()).unwrap();
        assert_eq!(hex::encode(opened), PLAINTEXT);
    }
    let ciphertext = decode(CIPHERTEXTS[0].1).unwrap();
    for bit in 0..ciphertext.len() * 8 {
        let mut bent = ciphertext.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(receiver().open(&bent, b"Count-0").is_err(), "bit {bit}");
    }
}

/// A generator that gives just these bytes.
struct Given(Vec<u8>);

impl rand::TryRng for Given {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("keys are made of bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("keys are made of bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl rand::TryCryptoRng for Given {}
