//! Logs as they were read last: a delivery is looked at more often than it changes.
//!
//! What is kept counts only for the very object, seller and authorities it was read with. What was not looked at for the
//! longest makes room, by its size.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::custody;
use waybill_crds::Delivery;
use waybill_protocol::{Log, Trust, Uid};

/// The logs; what is kept of them is bounded.
#[derive(Debug)]
pub struct Logs {
    kept: Mutex<Kept>,
    room: usize,
}

#[derive(Debug, Default)]
struct Kept {
    reads: HashMap<String, Read>,
    /// Uids by when they were looked at last.
    by_look: BTreeMap<u64, String>,
    looks: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Read {
    version: Option<String>,
    seller: Uid,
    trust: Trust,
    log: Arc<Log>,
    look: u64,
    bytes: usize,
}

impl Logs {
    /// Keeps about so many bytes of them: a mebibyte is some hundred deliveries under way.
    pub fn within(room: usize) -> Self {
        Self { kept: Mutex::default(), room }
    }

    /// The log of a Delivery; `None` where its names can't be read.
    pub fn read(&self, delivery: &Delivery, seller: &Uid, trust: &Trust) -> Option<Arc<Log>> {
        let (uid, version) = (delivery.metadata.uid.as_ref()?, &delivery.metadata.resource_version);
        let fits = |read: &Read| {
            read.version == *version && version.is_some() && read.seller == *seller && is_same(&read.trust, trust)
        };
        if let Some(log) = self.kept().look(uid, fits) {
            return Some(log);
        }
        let log = Arc::new(custody::read(delivery, seller, trust).ok()?);
        let (version, seller, bytes) = (version.clone(), seller.clone(), size(&log));
        let read = Read { version, seller, trust: trust.clone(), log: Arc::clone(&log), look: 0, bytes };
        self.kept().put(uid, read, self.room);
        Some(log)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // A panic elsewhere leaves at worst a log that is read again.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn look(&mut self, uid: &str, fits: impl Fn(&Read) -> bool) -> Option<Arc<Log>> {
        let read = self.reads.get_mut(uid).filter(|read| fits(read))?;
        self.looks += 1;
        self.by_look.remove(&read.look);
        self.by_look.insert(self.looks, uid.to_owned());
        read.look = self.looks;
        Some(Arc::clone(&read.log))
    }

    fn put(&mut self, uid: &str, read: Read, room: usize) {
        self.remove(uid);
        self.looks += 1;
        self.bytes += read.bytes;
        self.by_look.insert(self.looks, uid.to_owned());
        self.reads.insert(uid.to_owned(), Read { look: self.looks, ..read });
        while self.bytes > room
            && let Some((_, oldest)) = self.by_look.pop_first()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, uid: &str) {
        if let Some(read) = self.reads.remove(uid) {
            self.by_look.remove(&read.look);
            self.bytes -= read.bytes;
        }
    }
}

/// About what a log takes: each entry as it came and as it was read.
fn size(log: &Log) -> usize {
    1024 + log.entries().iter().map(|entry| 512 + 3 * entry.bytes().len()).sum::<usize>()
}

/// Clones of one trust share their list; a trust is made whole, former authorities included.
fn is_same(one: &Trust, other: &Trust) -> bool {
    std::ptr::eq(one.cas(), other.cas())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(version: &str) -> Delivery {
        named("d-1", version)
    }

    fn named(uid: &str, version: &str) -> Delivery {
        let mut delivery = Delivery::new("d", waybill_crds::DeliverySpec::default());
        delivery.metadata.uid = Some(uid.into());
        delivery.metadata.namespace = Some("shop".into());
        delivery.metadata.resource_version = Some(version.into());
        delivery
    }

    #[test]
    fn a_log_is_read_again_only_when_something_about_it_changed() {
        let (logs, trust, seller) = (Logs::within(64 << 20), Trust::new(Vec::new()), Uid::new("s-1").unwrap());
        let read = |delivery: &Delivery, seller: &Uid, trust: &Trust| logs.read(delivery, seller, trust).unwrap();
        let first = read(&delivery("1"), &seller, &trust);
        assert!(Arc::ptr_eq(&first, &read(&delivery("1"), &seller, &trust.clone())));
        assert!(!Arc::ptr_eq(&first, &read(&delivery("2"), &seller, &trust)));
        let other_seller = read(&delivery("2"), &Uid::new("s-2").unwrap(), &trust);
        assert_eq!(other_seller.subject().seller.as_str(), "s-2");
        // Empty lists share no storage worth comparing; a trust with an authority is told from another.
        let authority = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let root = rcgen::CertificateParams::default().self_signed(&key).unwrap();
            Trust::new(crate::trust::keys(root.pem().as_bytes()).unwrap())
        };
        let (one, other) = (authority(), authority());
        let known = read(&delivery("3"), &seller, &one);
        assert!(!Arc::ptr_eq(&known, &read(&delivery("3"), &seller, &other)));
    }

    #[test]
    fn a_thousand_deliveries_looked_at_in_turn_are_each_read_once() {
        let (logs, trust, seller) = (Logs::within(64 << 20), Trust::new(Vec::new()), Uid::new("s-1").unwrap());
        let round = || -> Vec<Arc<Log>> {
            let read = |number| logs.read(&named(&format!("d-{number}"), "1"), &seller, &trust).unwrap();
            (0..1000).map(read).collect()
        };
        let (first, second) = (round(), round());
        assert!(first.iter().zip(&second).all(|(one, again)| Arc::ptr_eq(one, again)));
    }

    #[test]
    fn what_was_not_looked_at_for_the_longest_makes_room() {
        let (trust, seller) = (Trust::new(Vec::new()), Uid::new("s-1").unwrap());
        let logs = Logs::within(2 * 1024);
        let read = |uid: &str| logs.read(&named(uid, "1"), &seller, &trust).unwrap();
        let (one, two) = (read("d-1"), read("d-2"));
        assert!(Arc::ptr_eq(&one, &read("d-1")));
        read("d-3");
        assert!(Arc::ptr_eq(&one, &read("d-1")), "it was looked at again");
        assert!(!Arc::ptr_eq(&two, &read("d-2")), "it made room");
        let kept = logs.kept();
        assert_eq!((kept.reads.len(), kept.by_look.len(), kept.bytes), (2, 2, 2048));
    }
}
