use super::*;
use crate::pki::{Ca, When, number};
use time::Duration;

fn now() -> Timestamp {
    Timestamp::now()
}

fn pair(bundle: &str, lists: &str) -> Result<Trust, Unfit> {
    Trust::new(Some(bundle.as_bytes()), Some(lists.as_bytes()), now())
}

/// Refused, with these words for people.
fn refused(bundle: &str, lists: &str) -> &'static str {
    pair(bundle, lists).unwrap_err().word()
}

#[test]
fn a_list_of_every_authority_is_used_and_written_as_it_was_verified() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let bundle = old.pem() + &new.pem() + &new.crossed_by(&old);
    let lists = new.list(number(7), &[1, 2]) + "words between\n" + &old.list(number(6), &[]);
    let trust = pair(&bundle, &lists).unwrap();
    assert_eq!((trust.number(), trust.bundle.as_slice()), (7, bundle.as_bytes()));
    let written = String::from_utf8(trust.crl.clone()).unwrap();
    assert!(!written.contains("words") && written.matches("BEGIN X509 CRL").count() == 2, "{written}");
    assert_eq!(pair(&bundle, &written).unwrap(), trust, "what is written reads the same");
}

#[test]
fn a_list_cut_anywhere_is_refused() {
    let ca = Ca::new("ca");
    let list = ca.list(number(1), &[1, 2, 3]);
    let body = list.trim_end().len();
    for length in 0..body {
        assert!(pair(&ca.pem(), &list[..length]).is_err(), "cut at {length} of {body}");
    }
    assert!(pair(&ca.pem(), &list[..body]).is_ok());
}

#[test]
fn a_list_with_any_byte_changed_is_refused_or_says_the_same() {
    let ca = Ca::new("ca");
    let list = ca.list(number(1), &[1]);
    let good = pair(&ca.pem(), &list).unwrap();
    for at in 0..list.len() {
        let mut bent = list.clone().into_bytes();
        bent[at] ^= 1;
        if let Ok(trust) = Trust::new(Some(ca.pem().as_bytes()), Some(&bent), now()) {
            assert_eq!(trust.crl, good.crl, "byte {at}");
        }
    }
}

#[test]
fn missing_and_empty_lists_are_refused() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    assert_eq!(Trust::new(Some(old.pem().as_bytes()), None, now()).unwrap_err().word(), "no revocation list");
    assert_eq!(refused(&old.pem(), "\n"), "no revocation list");
    let both = old.pem() + &new.pem();
    assert_eq!(refused(&both, &old.list(number(1), &[])), "an authority without a revocation list");
    assert_eq!(Trust::new(None, Some(b""), now()).unwrap_err().word(), "no trust bundle");
}

#[test]
fn a_list_signed_by_another_is_refused_even_under_the_right_name() {
    let (ca, forger) = (Ca::new("ca"), Ca::new("ca"));
    assert_eq!(refused(&ca.pem(), &forger.list(number(9), &[])), "revocation list not signed by its authority");
    let stranger = Ca::new("stranger").list(number(9), &[]);
    assert_eq!(refused(&ca.pem(), &stranger), "an authority without a revocation list");
    let trust = pair(&ca.pem(), &(ca.list(number(1), &[5]) + &stranger)).unwrap();
    assert_eq!(trust.number(), 1, "a stranger's list beside the right one is left out");
}

#[test]
fn two_lists_of_one_authority_are_refused() {
    let ca = Ca::new("ca");
    let two = ca.list(number(1), &[1]) + &ca.list(number(2), &[]);
    assert_eq!(refused(&ca.pem(), &two), "an authority with two revocation lists");
}

#[test]
fn lists_out_of_their_time_are_refused() {
    let ca = Ca::new("ca");
    let expired = When { until: Duration::seconds(-1), ..number(1) };
    let early = When { from: Duration::minutes(5), ..number(1) };
    assert_eq!(refused(&ca.pem(), &ca.list(expired, &[])), "expired revocation list");
    assert_eq!(refused(&ca.pem(), &ca.list(early, &[])), "revocation list of the future");
}

#[test]
fn older_lists_and_ones_changed_under_their_number_are_refused() {
    let ca = Ca::new("ca");
    let trust = |when, serials: &[u64]| pair(&ca.pem(), &ca.list(when, serials)).unwrap();
    let mut floor = Floor::default();
    floor.raise(&trust(number(5), &[1]));
    assert!(matches!(floor.check(&trust(number(4), &[1])), Err(Unfit::Older { number: 4, held: 5, .. })));
    assert!(matches!(floor.check(&trust(number(5), &[])), Err(Unfit::Changed(_))));
    let longer = When { until: Duration::days(91), ..number(5) };
    assert!(floor.check(&trust(longer, &[1])).is_ok(), "the same list signed for longer");
    assert!(floor.check(&trust(number(6), &[])).is_ok(), "entries leave a list when their certificates end");
}

#[test]
fn a_bundle_that_is_no_bundle_is_refused() {
    let ca = Ca::new("ca");
    let list = ca.list(number(1), &[]);
    assert_eq!(refused(&(ca.pem() + &ca.client("leaf").chain), &list), "damaged trust bundle");
    assert_eq!(refused(&ca.pem()[..200], &list), "damaged trust bundle");
    assert_eq!(refused("nothing", &list), "no trust bundle");
}
