use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::identity::BACKDATE;
use crate::identity::ca::lifecycle::{Reason, Step};
use crate::identity::ca::tests::{authority_at, rotate, take};
use crate::identity::crl::Change;
use crate::identity::crl::read::read;
use crate::identity::ledger::index::Detail;
use crate::identity::openssl::OpenSsl;
use crate::identity::serial::Serial;
use crate::identity::x509::key::PrivateKey;
use crate::identity::x509::{Names, Usage};
use crate::identity::{SKEW, leaf};

fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn entry(authority: &Authority, serial: Serial, uid: &str) -> Entry {
    let ca = Some(Arc::from(authority.active().id.as_str()));
    Entry { serial, uid: Some(uid.into()), not_after: Some(now() + SKEW), revoked_at: now(), ca }
}

fn numbered(index: u32) -> Serial {
    Serial::from_entropy(u128::from(index).to_be_bytes())
}

fn published(authority: &Authority, entries: Vec<Entry>) -> Published {
    let fingerprints: Vec<_> = authority.trusted().map(|ca| ca.fingerprint()).collect();
    let change = Change { revoke: entries, ..Change::default() };
    render(Crl::default().after(&change, &fingerprints, now()).unwrap(), authority, now()).unwrap()
}

fn leaf(authority: &Authority, serial: Serial) -> String {
    let key = PrivateKey::generate().unwrap();
    let wanted = leaf::Wanted {
        uid: "u".into(),
        names: Names::default(),
        usage: Usage::Client,
        ttl: jiff::SignedDuration::from_hours(72),
        renew_before: None,
        spki_sha256: key.spki_sha256(),
    };
    leaf::issue(&wanted, serial, &key, authority.active(), leaf::issued(now(), authority.active())).unwrap()
}

#[test]
fn openssl_refuses_the_revoked_and_nobody_else() {
    let authority = authority_at(now());
    let (good, bad) = (numbered(1), numbered(2));
    let list = published(&authority, vec![entry(&authority, bad, "u")]);
    let openssl = OpenSsl::new();
    openssl.put("ca.pem", authority.bundle()).put("crl.pem", &list.crl_pem);
    openssl.put("good.pem", leaf(&authority, good)).put("bad.pem", leaf(&authority, bad));
    openssl.succeeds("verify -CAfile ca.pem -crl_check -CRLfile crl.pem -x509_strict good.pem");
    openssl.fails("verify -CAfile ca.pem -crl_check -CRLfile crl.pem bad.pem", "certificate revoked");
    let text = openssl.succeeds("crl -in crl.pem -noout -text");
    assert!(text.contains("Version 2") && text.contains(&format!("{}", list.crl.number)), "{text}");
    let verified = openssl.succeeds("crl -in crl.pem -noout -CAfile ca.pem");
    assert!(verified.contains("verify OK"), "{verified}");
}

#[test]
fn an_empty_list_of_every_authority_lets_everybody_in() {
    let first = authority_at(now());
    let prepared = take(&first, &Step::Prepare(Reason::Age), now());
    let list = published(&prepared, Vec::new());
    assert_eq!(list.crl_pem.matches("BEGIN X509 CRL").count(), 2, "the next authority has one before its first leaf");
    let rotated = rotate(&first, now());
    let list = published(&rotated, Vec::new());
    let openssl = OpenSsl::new();
    openssl.put("ca.pem", rotated.bundle()).put("crl.pem", &list.crl_pem).put("chain.pem", rotated.chain());
    openssl.put("old.pem", leaf(&first, numbered(1))).put("new.pem", leaf(&rotated, numbered(2)));
    for name in ["old", "new"] {
        openssl.succeeds(&format!("verify -CAfile ca.pem -crl_check_all -CRLfile crl.pem {name}.pem"));
    }
    // A broker that has not reloaded its bundle yet, but has the new lists.
    openssl.put("only-old.pem", pem::encode(pem::CERTIFICATE, &first.active().der));
    openssl.succeeds("verify -CAfile only-old.pem -untrusted chain.pem -crl_check -CRLfile crl.pem new.pem");
}

#[test]
fn readers_with_clocks_an_hour_behind_take_the_list() {
    let authority = authority_at(now());
    let list = published(&authority, Vec::new());
    let openssl = OpenSsl::new();
    openssl
        .put("ca.pem", authority.bundle())
        .put("crl.pem", &list.crl_pem)
        .put("leaf.pem", leaf(&authority, numbered(1)));
    let behind = (now() - BACKDATE).as_second() + 2;
    openssl.succeeds(&format!("verify -CAfile ca.pem -crl_check -CRLfile crl.pem -attime {behind} leaf.pem"));
}

/// OpenSSL, holding two lists of one authority (mosquitto's store after SIGHUP), must believe the newer one even if both were made
/// within a second.
#[test]
fn of_two_lists_the_newer_one_is_believed() {
    let authority = authority_at(now());
    let fingerprints = [authority.active().fingerprint()];
    let first = published(&authority, Vec::new());
    let change = Change { revoke: vec![entry(&authority, numbered(1), "u")], ..Change::default() };
    let second = render(first.crl.after(&change, &fingerprints, now()).unwrap(), &authority, now()).unwrap();
    assert!(second.crl.this_update > first.crl.this_update);
    let openssl = OpenSsl::new();
    openssl.put("ca.pem", authority.bundle()).put("leaf.pem", leaf(&authority, numbered(1)));
    for (order, lists) in [("12", [&first, &second]), ("21", [&second, &first])] {
        openssl.put(&format!("{order}.pem"), lists.map(|list| list.crl_pem.as_str()).concat());
        openssl
            .fails(&format!("verify -CAfile ca.pem -crl_check -CRLfile {order}.pem leaf.pem"), "certificate revoked");
    }
}

#[test]
fn what_is_published_reads_back_the_same() {
    let first = authority_at(now());
    let rotated = rotate(&first, now());
    let entries = vec![entry(&first, numbered(1), "a"), Entry { uid: None, ..entry(&rotated, numbered(2), "b") }];
    let list = published(&rotated, entries);
    let again = read(&list.crl_pem, &list.revoked_json, &rotated, |_| HashMap::new(), now());
    assert_eq!(again, list.crl);
    assert!(list.cuts_off("a") && !list.cuts_off("b"));
    assert!(!again.is_due(&rotated.trusted().map(|ca| ca.fingerprint()).collect::<Vec<_>>(), now()));
}

#[test]
fn a_list_signed_by_nobody_we_trust_says_nothing_and_is_replaced() {
    let (ours, theirs) = (authority_at(now()), authority_at(now()));
    let forged = published(&theirs, vec![entry(&theirs, numbered(1), "a")]);
    let read = read(&forged.crl_pem, "", &ours, |_| HashMap::new(), now());
    assert!(read.entries.is_empty());
    assert!(read.is_due(&[ours.active().fingerprint()], now()));
}

/// Ten thousand carriers deleted at once: the list fits its ConfigMap, refuses each of them, and loses nothing on the way back.
#[test]
fn ten_thousand_revocations_fit_and_read_back() {
    let authority = authority_at(now());
    let uid = |index: u32| format!("3f0c1d2e-0000-4000-8000-{index:012}");
    let entries: Vec<_> = (0..10_000).map(|index| entry(&authority, numbered(index), &uid(index))).collect();
    let details: HashMap<_, _> = entries
        .iter()
        .map(|entry| {
            let (uid, not_after, ca) =
                (entry.uid.clone().unwrap(), entry.not_after.unwrap(), entry.ca.clone().unwrap());
            (entry.serial, Detail { uid, not_after, ca })
        })
        .collect();
    let list = published(&authority, entries);
    assert!(
        list.crl_pem.len() + list.revoked_json.len() < 1_000_000,
        "{} + {}",
        list.crl_pem.len(),
        list.revoked_json.len()
    );
    let again = read(&list.crl_pem, &list.revoked_json, &authority, |_| details, now());
    assert_eq!(again.entries, list.crl.entries);
}

#[test]
fn beyond_any_size_it_still_fits() {
    let authority = authority_at(now());
    let entries: Vec<_> =
        (0..15_000).map(|index| entry(&authority, numbered(index), &format!("{index:036}"))).collect();
    let list = published(&authority, entries);
    assert!(list.crl_pem.len() + list.revoked_json.len() <= 1_000_000);
    assert_eq!(list.crl.entries.len(), 15_000, "memory keeps what the ConfigMap cannot");
}
