use super::*;
use lifecycle::Reason;

pub(crate) const TTL: SignedDuration = SignedDuration::from_hours(8760);

pub(crate) fn policy() -> Policy {
    Policy { overlap: SignedDuration::from_hours(24), longest_leaf: SignedDuration::from_hours(72) }
}

pub(crate) fn authority() -> Authority {
    authority_at(Timestamp::now())
}

pub(crate) fn authority_at(now: Timestamp) -> Authority {
    Authority::bootstrap(Fresh::generate().unwrap(), now, TTL).unwrap()
}

/// Takes one step, as the store does without its Secret.
pub(crate) fn take(authority: &Authority, step: &Step, now: Timestamp) -> Authority {
    let observed = authority.observed(now, true, &[]);
    authority.after(step, Fresh::generate().unwrap(), &observed, &policy(), TTL).unwrap()
}

/// A whole rotation.
pub(crate) fn rotate(authority: &Authority, now: Timestamp) -> Authority {
    let prepared = take(authority, &Step::Prepare(Reason::Asked), now);
    take(&take(&prepared, &Step::MarkPublished, now), &Step::Activate, now)
}

fn stored(authority: &Authority) -> Authority {
    let secret =
        k8s_openapi::api::core::v1::Secret { data: Some(codec::encode(authority).unwrap()), ..Default::default() };
    codec::decode(secret).unwrap()
}

#[test]
fn a_rotation_survives_its_secret_at_every_step() {
    let now = Timestamp::now();
    let first = authority();
    let prepared = take(&first, &Step::Prepare(Reason::Age), now);
    let published = take(&prepared, &Step::MarkPublished, now);
    let active = take(&published, &Step::Activate, now);
    let old = first.active().id.clone();
    let retired = take(&active, &Step::Retire(old), now);
    for authority in [&first, &prepared, &published, &active, &retired] {
        let again = stored(authority);
        assert_eq!(again.state, authority.state);
        assert_eq!(again.bundle(), authority.bundle());
        assert_eq!(again.chain(), authority.chain());
        assert_eq!(codec::encode(&again).unwrap(), codec::encode(authority).unwrap());
    }
    assert_eq!(prepared.trusted().count(), 2);
    assert_eq!(prepared.crosses.len(), 2, "each vouches for the other");
    assert_eq!(active.root().fingerprint(), first.active().fingerprint(), "the oldest root stays the one to bring");
    assert_eq!(retired.root().fingerprint(), active.active().fingerprint());
    assert!(retired.crosses.is_empty() && retired.chain().is_empty());
}

#[test]
fn two_rotations_later_the_chain_still_leads_to_the_first_root() {
    let first = authority();
    let third = rotate(&rotate(&first, Timestamp::now()), Timestamp::now());
    assert_eq!(third.chain().matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(third.root().fingerprint(), first.active().fingerprint());
    assert_eq!(stored(&third).chain(), third.chain());
}

#[test]
fn a_damaged_secret_is_an_error_and_not_another_ca() {
    let authority = authority();
    let id = authority.active().id.clone();
    let broken = |change: &dyn Fn(&mut std::collections::BTreeMap<String, k8s_openapi::ByteString>)| {
        let mut data = codec::encode(&authority).unwrap();
        change(&mut data);
        codec::decode(k8s_openapi::api::core::v1::Secret { data: Some(data), ..Default::default() })
            .err()
            .unwrap()
            .to_string()
    };
    assert!(broken(&|data| _ = data.remove(&format!("{id}.key"))).contains(".key"));
    assert!(broken(&|data| _ = data.remove("state.json")).contains("state.json"));
    let other = codec::encode(&self::authority()).unwrap();
    let key = other.iter().find(|(name, _)| name.ends_with(".key")).unwrap().1.clone();
    assert!(broken(&|data| _ = data.insert(format!("{id}.key"), key.clone())).contains("load a CA"));
}
