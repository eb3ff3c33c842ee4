use ed25519_dalek::SigningKey;
use jiff::SignedDuration;
use waybill_protocol::AgreementSecret;

use super::*;
use crate::identity::ca::tests::{authority_at, rotate};

fn owner() -> Owner {
    Owner {
        kind: Kind::Carrier,
        namespace: "shop".into(),
        name: "van".into(),
        uid: "3f0c1d2e-0000-4000-8000-000000000001".into(),
    }
}

fn keys(seed: u8) -> PublicKeys {
    PublicKeys {
        ed25519: SigningKey::from_bytes(&[seed; 32]).verifying_key().into(),
        x25519: Some(AgreementSecret::from_bytes([seed; 32]).public()),
    }
}

fn wanted<'a>(owner: &'a Owner, keys: &'a PublicKeys) -> Wanted<'a> {
    Wanted { owner, custody: Custody::Managed, keys, tls_spki_sha256: [3; 32] }
}

fn read(text: &str, authority: &Authority, now: Timestamp) -> KeyStatement {
    let known: Vec<CaKey> = authority.trusted().map(|ca| ca.statement_key().unwrap()).collect();
    KeyStatement::verify(&STANDARD.decode(text).unwrap(), &known, millis(now)).unwrap()
}

#[test]
fn a_statement_verifies_by_its_authority_and_says_who_holds_what() {
    let now = Timestamp::now();
    let (authority, owner, keys) = (authority_at(now), owner(), keys(1));
    let text = ensure(None, &wanted(&owner, &keys), authority.active(), &authority, now).unwrap();
    let said = read(&text, &authority, now);
    assert_eq!((said.uid.as_str(), said.role, said.custody), (owner.uid.as_str(), Role::Carrier, Custody::Managed));
    assert_eq!((said.ed25519, said.x25519), (keys.ed25519, keys.x25519));
    assert_eq!(said.tls_spki_sha256, Hash([3; 32]));
    assert!(is_about(&text, &owner.uid, &authority) && !is_about(&text, "another", &authority));
    let stranger = authority_at(now);
    assert!(!is_about(&text, &owner.uid, &stranger));
}

#[test]
fn it_is_kept_while_what_it_says_stays_the_same() {
    let now = Timestamp::now();
    let (authority, owner, keys) = (authority_at(now), owner(), keys(1));
    let first = ensure(None, &wanted(&owner, &keys), authority.active(), &authority, now).unwrap();
    for hours in [0, 1, -1, 1000] {
        let later = now + SignedDuration::from_hours(hours);
        let again = ensure(Some(&first), &wanted(&owner, &keys), authority.active(), &authority, later).unwrap();
        assert_eq!(again, first, "{hours}");
    }
}

#[test]
fn each_change_of_a_key_or_of_the_authority_has_a_later_epoch() {
    let now = Timestamp::now();
    let (authority, owner) = (authority_at(now), owner());
    let (old, new) = (keys(1), keys(2));
    let first = ensure(None, &wanted(&owner, &old), authority.active(), &authority, now).unwrap();
    let second = ensure(Some(&first), &wanted(&owner, &new), authority.active(), &authority, now).unwrap();
    let leaf = Wanted { tls_spki_sha256: [4; 32], ..wanted(&owner, &new) };
    let third = ensure(Some(&second), &leaf, authority.active(), &authority, now).unwrap();
    let rotated = rotate(&authority, now);
    let kept = ensure(Some(&third), &leaf, authority.active(), &rotated, now).unwrap();
    assert_eq!(kept, third, "the leaf is still the old authority's, and so is the statement");
    let fourth = ensure(Some(&third), &leaf, rotated.active(), &rotated, now).unwrap();
    let epochs = [&first, &second, &third, &fourth].map(|text| read(text, &rotated, now).epoch);
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

#[test]
fn a_lost_status_does_not_turn_epochs_back() {
    let now = Timestamp::now();
    let (authority, owner) = (authority_at(now), owner());
    let first = ensure(None, &wanted(&owner, &keys(1)), authority.active(), &authority, now).unwrap();
    let later = now + SignedDuration::from_secs(1);
    for lost in [None, Some(""), Some("!!"), Some("AAAA")] {
        let again = ensure(lost, &wanted(&owner, &keys(1)), authority.active(), &authority, later).unwrap();
        assert!(read(&again, &authority, later).epoch > read(&first, &authority, now).epoch);
    }
}
