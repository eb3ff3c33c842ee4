use proptest::prelude::*;

use super::*;

const CA: Fingerprint = Fingerprint([1; 32]);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn wanted() -> Wanted {
    Wanted {
        uid: "uid-1".into(),
        names: Names { dns: ["a.svc".to_owned()].into(), ..Names::default() },
        usage: Usage::Client,
        ttl: hours(72),
        renew_before: None,
        spki_sha256: [3; 32],
    }
}

fn issuer() -> Issuer {
    Issuer { fingerprint: CA, since: at(-86_400), not_after: at(86_400 * 365), spread: hours(12) }
}

/// The leaf `wanted` gets at `issued` under `issuer`.
fn current(wanted: &Wanted, issuer: &Issuer, issued: Timestamp, serial: u8) -> Current {
    let facts = Facts {
        fingerprint: Fingerprint([9; 32]),
        serial: None,
        common_name: wanted.uid.clone(),
        names: wanted.names.clone(),
        usage: Some(wanted.usage),
        not_before: Timestamp::from_second((issued - BACKDATE).as_second()).unwrap(),
        not_after: not_after(issued, wanted.ttl, issuer.not_after),
        spki_sha256: wanted.spki_sha256,
        key_id: None,
        issuer_key_id: None,
    };
    Current { serial: Serial::from_entropy([serial; 16]), facts, issuer: issuer.fingerprint }
}

fn decide_at(current: &Current, wanted: &Wanted, issuer: &Issuer, now: Timestamp) -> Decision {
    decide(Some(current), false, wanted, issuer, now)
}

#[test]
fn a_missing_or_revoked_leaf_is_issued() {
    assert_eq!(decide(None, false, &wanted(), &issuer(), at(0)), Decision::Issue(Reason::Missing));
    let leaf = current(&wanted(), &issuer(), at(0), 1);
    assert_eq!(decide(Some(&leaf), true, &wanted(), &issuer(), at(0)), Decision::Issue(Reason::Revoked));
}

#[test]
fn each_change_is_a_reason_of_its_own() {
    let leaf = current(&wanted(), &issuer(), at(0), 1);
    type Edit = fn(&mut Wanted);
    let changes: [(Edit, Reason); 6] = [
        (|w| w.spki_sha256 = [4; 32], Reason::KeyChanged),
        (|w| _ = w.names.dns.insert("b.svc".into()), Reason::NamesChanged),
        (|w| w.usage = Usage::ServerAndClient, Reason::NamesChanged),
        (|w| w.uid = "uid-2".into(), Reason::NamesChanged),
        (|w| w.ttl = hours(48), Reason::TtlChanged),
        (|w| w.ttl = hours(96), Reason::TtlChanged),
    ];
    for (change, reason) in changes {
        let mut wanted = wanted();
        change(&mut wanted);
        assert_eq!(decide_at(&leaf, &wanted, &issuer(), at(60)), Decision::Issue(reason));
    }
}

#[test]
fn renew_before_moves_the_date_without_a_reissue() {
    let leaf = current(&wanted(), &issuer(), at(0), 1);
    let early = Wanted { renew_before: Some(hours(60)), ..wanted() };
    let Decision::Keep { renew_at } = decide_at(&leaf, &early, &issuer(), at(60)) else { panic!("reissued") };
    assert!(renew_at <= leaf.facts.not_after - hours(60));
    assert_eq!(decide_at(&leaf, &early, &issuer(), at(13 * 3600)), Decision::Issue(Reason::Due));
}

#[test]
fn a_leaf_of_another_authority_is_replaced_when_its_turn_comes() {
    let leaf = current(&wanted(), &issuer(), at(0), 1);
    let next = Issuer { fingerprint: Fingerprint([2; 32]), since: at(3600), ..issuer() };
    let Decision::Keep { renew_at } = decide_at(&leaf, &wanted(), &next, at(3600)) else { panic!("no spread") };
    assert!(renew_at >= next.since && renew_at < next.since + next.spread);
    assert_eq!(decide_at(&leaf, &wanted(), &next, renew_at), Decision::Issue(Reason::IssuerChanged));
}

#[test]
fn at_the_end_of_an_authority_leafs_are_not_reissued_for_nothing() {
    let ending = Issuer { not_after: at(3600), ..issuer() };
    let leaf = current(&wanted(), &ending, at(0), 1);
    assert_eq!(leaf.facts.not_after, ending.not_after);
    for second in [0, 1800, 3599, 7200] {
        assert!(matches!(decide_at(&leaf, &wanted(), &ending, at(second)), Decision::Keep { .. }), "{second}");
    }
}

#[test]
fn leafs_issued_together_are_renewed_apart() {
    let count = 10_000u32;
    let mut per_hour = std::collections::BTreeMap::<i64, u32>::new();
    for index in 0..count {
        let wanted = Wanted { uid: format!("uid-{index}"), ..wanted() };
        let mut leaf = current(&wanted, &issuer(), at(0), 1);
        leaf.serial = Serial::from_entropy(u128::from(index).to_be_bytes());
        let hour = renewal(&leaf, &wanted).duration_since(at(0)).as_hours();
        assert!((24..48).contains(&hour), "{hour}");
        *per_hour.entry(hour).or_default() += 1;
    }
    let mean = f64::from(count) / 36.0;
    assert!(per_hour.values().all(|&n| f64::from(n) <= 2.0 * mean), "{per_hour:?}");
}

proptest! {
    /// D-73 and "no storm": over any life and any clock within an hour of the truth, a leaf is kept until close to its turn and
    /// replaced well before it ends; and a fresh leaf is never replaced at once.
    #[test]
    fn clocks_within_an_hour_cause_no_storm(
        ttl in 6i64..2000,
        renew in prop::option::of(1i64..1500),
        serial: u8,
        issued in -1_000_000i64..1_000_000,
        step in -3600i64..3600,
        age in 0f64..1.0,
    ) {
        let wanted = Wanted { ttl: hours(ttl), renew_before: renew.map(|h| hours(h.min(ttl / 2))), ..wanted() };
        let leaf = current(&wanted, &issuer(), at(issued), serial);
        let due = renewal(&leaf, &wanted);
        let life = leaf.facts.not_after.duration_since(leaf.issued_at());
        prop_assert!(due > leaf.issued_at() + life / 20, "a new leaf is not due at once");
        prop_assert!(due <= leaf.facts.not_after - wanted.renew_before.unwrap_or(wanted.ttl / 3).min(life * 9 / 10));
        let truth = leaf.issued_at() + SignedDuration::from_secs((life.as_secs() as f64 * age) as i64);
        let seen = truth + SignedDuration::from_secs(step);
        match decide_at(&leaf, &wanted, &issuer(), seen) {
            Decision::Keep { renew_at } => prop_assert!(seen < renew_at),
            Decision::Issue(reason) => {
                prop_assert_eq!(reason, Reason::Due);
                prop_assert!(truth >= due - SignedDuration::from_hours(1), "at most an hour before its turn");
            }
        }
    }

    /// Issuing answers the decision: whatever the reason was, the new leaf is kept.
    #[test]
    fn a_new_leaf_settles_the_matter(ttl in 1i64..2000, renew in prop::option::of(1i64..3000), serial: u8, left in 1i64..400_000) {
        let wanted = Wanted { ttl: hours(ttl), renew_before: renew.map(hours), ..wanted() };
        let issuer = Issuer { not_after: at(left), ..issuer() };
        let leaf = current(&wanted, &issuer, at(0), serial);
        prop_assert!(leaf.facts.not_after <= issuer.not_after);
        let now = decide_at(&leaf, &wanted, &issuer, at(0));
        prop_assert!(matches!(now, Decision::Keep { .. }), "{now:?}");
    }

    #[test]
    fn jitter_depends_on_the_certificate_alone_and_stays_inside(uid in "[a-f0-9-]{1,36}", serial: [u8; 16], whole in 0i64..1_000_000) {
        let (whole, serial) = (SignedDuration::from_secs(whole), Serial::from_entropy(serial));
        let part = fraction(whole, &uid, &serial);
        prop_assert_eq!(part, fraction(whole, &uid, &serial));
        prop_assert!(part >= SignedDuration::ZERO && (part < whole || whole.is_zero()));
    }
}
