//! Who is revoked: what the list says, how it grows, when it must be signed again. Pure; `render` signs it, `store` keeps it.
//!
//! The list only grows until its entries' certificates have ended: previous unexpired entries ∪ new ones, number + 1. An entry with a
//! uid cuts the identity off; one without, only that certificate: so an identity can come back, a certificate never.

pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::serial::Serial;
use super::x509::Fingerprint;
use super::{BACKDATE, SKEW};

/// Life of a signed list. An expired one refuses everybody, so it outlives any absence of the operator that certificates survive.
pub(crate) const LIFE: SignedDuration = SignedDuration::from_hours(24 * 90);
/// With less than this left it is signed again.
const RENEW: SignedDuration = SignedDuration::from_hours(24 * 60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) serial: Serial,
    /// `None`: only this certificate is refused, its owner is in good standing again.
    pub(crate) uid: Option<String>,
    /// `None`: unknown; kept as long as its authority lives.
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) revoked_at: Timestamp,
    /// `None`: unknown; then it stands in the list of every authority.
    pub(crate) ca: Option<Arc<str>>,
}

impl Entry {
    /// Could a clock within reason still accept its certificate?
    fn lives(&self, now: Timestamp) -> bool {
        self.not_after.is_none_or(|end| end + SKEW >= now)
    }
}

/// One authority's signed list, as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) ca: Fingerprint,
    pub(crate) next_update: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crl {
    pub(crate) number: u64,
    pub(crate) this_update: Option<Timestamp>,
    pub(crate) entries: BTreeMap<Serial, Entry>,
    pub(crate) signed: Vec<Signed>,
    /// It also holds lists of authorities that are not trusted any more: readers who check every list would refuse the whole.
    pub(crate) surplus: bool,
}

/// What should change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revoke: Vec<Entry>,
    /// Uids whose certificates stay refused while they themselves come back.
    pub(crate) reinstate: BTreeSet<String>,
}

impl Crl {
    pub(crate) fn refuses(&self, serial: &Serial) -> bool {
        self.entries.contains_key(serial)
    }

    /// Brings number and date level with what was published before, and says which living entries this lacks: a list that was lost
    /// from the cluster comes back from memory.
    pub(crate) fn recover(&mut self, memory: &Self, now: Timestamp) -> Vec<Entry> {
        self.number = self.number.max(memory.number);
        self.this_update = self.this_update.max(memory.this_update);
        let lost = |entry: &&Entry| entry.lives(now) && !self.entries.contains_key(&entry.serial);
        memory.entries.values().filter(lost).cloned().collect()
    }

    /// The list after `change`, or `None` when it says that already. Expired entries leave whenever it changes.
    pub(crate) fn after(&self, change: &Change, authorities: &[Fingerprint], now: Timestamp) -> Option<Self> {
        let mut entries = self.entries.clone();
        for new in &change.revoke {
            let entry = entries.entry(new.serial).or_insert_with(|| new.clone());
            entry.uid = new.uid.clone().or(entry.uid.take());
        }
        for entry in entries.values_mut() {
            if entry.uid.as_ref().is_some_and(|uid| change.reinstate.contains(uid)) {
                entry.uid = None;
            }
        }
        if entries == self.entries && !self.is_due(authorities, now) {
            return None;
        }
        entries.retain(|_, entry| entry.lives(now));
        let (number, this_update) = (self.next_number(now), Some(self.next_update(now)));
        Some(Self { number, this_update, entries, signed: Vec::new(), surplus: false })
    }

    /// Some authority has no list, or one that is not fresh enough; or there is one too many.
    pub(crate) fn is_due(&self, authorities: &[Fingerprint], now: Timestamp) -> bool {
        self.surplus
            || authorities.iter().any(|ca| {
                let signed = self.signed.iter().find(|signed| signed.ca == *ca);
                signed.is_none_or(|signed| signed.next_update < now + RENEW)
            })
    }

    /// The first number is the time: a list whose ConfigMap was lost still gets one higher than any reader has seen.
    fn next_number(&self, now: Timestamp) -> u64 {
        if self.number == 0 { u64::try_from(now.as_second()).unwrap_or(1).max(1) } else { self.number + 1 }
    }

    /// Strictly later than the last one, whatever the clock does: OpenSSL, holding two lists of one authority, believes the one
    /// with the later date and not the one with the higher number. Backdated, so that no reader finds it in its future.
    fn next_update(&self, now: Timestamp) -> Timestamp {
        let whole = Timestamp::from_second((now - BACKDATE).as_second()).unwrap_or(now);
        self.this_update.map_or(whole, |last| whole.max(last + SignedDuration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CA: Fingerprint = Fingerprint([1; 32]);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn entry(serial: u8, uid: &str, not_after: i64) -> Entry {
        Entry {
            serial: Serial::from_entropy([serial; 16]),
            uid: Some(uid.into()),
            not_after: Some(at(not_after)),
            revoked_at: at(0),
            ca: None,
        }
    }

    fn revoke(entries: &[Entry]) -> Change {
        Change { revoke: entries.to_vec(), ..Change::default() }
    }

    fn signed(mut crl: Crl, now: Timestamp) -> Crl {
        crl.signed = vec![Signed { ca: CA, next_update: now + LIFE }];
        crl
    }

    #[test]
    fn every_authority_has_a_list_before_anybody_is_revoked() {
        let first = Crl::default().after(&Change::default(), &[CA], at(0)).unwrap();
        assert!(first.number > 0 && first.entries.is_empty());
        let first = signed(first, at(0));
        assert_eq!(first.after(&Change::default(), &[CA], at(60)), None, "no write when nothing changes");
        assert!(first.after(&Change::default(), &[CA, Fingerprint([2; 32])], at(60)).is_some());
    }

    #[test]
    fn it_is_signed_again_long_before_it_expires() {
        let crl = signed(Crl { number: 1, ..Crl::default() }, at(0));
        let day = |day: i64| at(day * 86_400);
        assert_eq!(crl.after(&Change::default(), &[CA], day(29)), None);
        assert!(crl.after(&Change::default(), &[CA], day(31)).is_some());
    }

    #[test]
    fn an_entry_stays_until_its_certificate_ended_and_then_leaves() {
        let one = Crl::default().after(&revoke(&[entry(1, "a", 100)]), &[CA], at(0)).unwrap();
        let two = one.after(&revoke(&[entry(2, "b", 9_000)]), &[CA], at(50)).unwrap();
        assert_eq!(two.entries.len(), 2);
        let three = two.after(&revoke(&[entry(3, "c", 9_000)]), &[CA], at(100) + SKEW + SKEW).unwrap();
        assert_eq!(three.entries.len(), 2);
        assert_eq!(signed(three.clone(), at(8_000)).after(&revoke(&[entry(3, "c", 9_000)]), &[CA], at(8_000)), None);
    }

    fn cuts_off(crl: &Crl) -> bool {
        crl.entries.values().any(|entry| entry.uid.is_some())
    }

    #[test]
    fn an_identity_comes_back_and_its_certificate_does_not() {
        let cut = Crl::default().after(&revoke(&[entry(1, "a", 9_000)]), &[CA], at(0)).unwrap();
        assert!(cuts_off(&cut));
        let change = Change { reinstate: ["a".to_owned()].into(), ..Change::default() };
        let back = cut.after(&change, &[CA], at(1)).unwrap();
        assert!(!cuts_off(&back));
        assert!(back.refuses(&Serial::from_entropy([1; 16])));
        let again = back.after(&revoke(&[entry(1, "a", 9_000), entry(2, "a", 9_000)]), &[CA], at(2)).unwrap();
        assert!(cuts_off(&again));
    }

    proptest! {
        /// Whatever is revoked, reinstated or lost, whatever the clock does within an hour: numbers and dates only rise, no
        /// unexpired serial ever leaves, and nothing is dated in a reader's future.
        #[test]
        fn the_list_only_moves_forward(steps in prop::collection::vec((0u8..20, 0i64..100_000, any::<bool>(), -3600i64..3600, any::<bool>()), 1..40)) {
            let (mut crl, mut clock, mut memory) = (Crl::default(), at(0), Crl::default());
            for (serial, life, reinstate, skew, lost) in steps {
                clock += SignedDuration::from_secs(120);
                let now = clock + SignedDuration::from_secs(skew);
                let new = Entry { not_after: Some(clock + SignedDuration::from_secs(life)), ..entry(serial, "u", 0) };
                let mut change = revoke(&[new]);
                if reinstate { change.reinstate.insert("u".into()); }
                if lost {
                    crl = Crl::default();
                    change.revoke.extend(crl.recover(&memory, now));
                }
                let Some(next) = crl.after(&change, &[CA], now) else { continue };
                prop_assert!(next.number > memory.number);
                prop_assert!(next.this_update > memory.this_update);
                prop_assert!(next.this_update.unwrap() <= clock + SignedDuration::from_secs(60));
                for (serial, entry) in &memory.entries {
                    prop_assert!(next.refuses(serial) || entry.not_after.unwrap() < clock);
                }
                crl = signed(next, now);
                memory = crl.clone();
            }
        }
    }
}
