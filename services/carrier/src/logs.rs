//! Logs as they were read last: a delivery is looked at more often than it changes.
//!
//! What is kept counts only for the very object, seller and authorities it was read with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use waybill_cluster::custody;
use waybill_crds::Delivery;
use waybill_protocol::{Log, Trust, Uid};

/// The most logs that are kept.
const CAPACITY: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<HashMap<String, Read>>);

#[derive(Debug)]
struct Read {
    version: Option<String>,
    seller: Uid,
    trust: Trust,
    log: Arc<Log>,
}

impl Logs {
    /// The log of a Delivery; `None` where its names can't be read.
    pub(crate) fn read(&self, delivery: &Delivery, seller: &Uid, trust: &Trust) -> Option<Arc<Log>> {
        let (uid, version) = (delivery.metadata.uid.as_ref()?, &delivery.metadata.resource_version);
        let fits = |read: &&Read| {
            read.version == *version && version.is_some() && read.seller == *seller && is_same(&read.trust, trust)
        };
        // A panic elsewhere leaves at worst a log that is read again.
        let known = |logs: &HashMap<String, Read>| logs.get(uid).filter(fits).map(|read| Arc::clone(&read.log));
        if let Some(log) = known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Some(log);
        }
        let log = Arc::new(custody::read(delivery, seller, trust).ok()?);
        let read =
            Read { version: version.clone(), seller: seller.clone(), trust: trust.clone(), log: Arc::clone(&log) };
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.len() >= CAPACITY {
            logs.clear();
        }
        logs.insert(uid.clone(), read);
        Some(log)
    }
}

/// Clones of one trust share their list.
fn is_same(one: &Trust, other: &Trust) -> bool {
    std::ptr::eq(one.cas(), other.cas())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(version: &str) -> Delivery {
        let mut delivery = Delivery::new("d", waybill_crds::DeliverySpec::default());
        delivery.metadata.uid = Some("d-1".into());
        delivery.metadata.namespace = Some("shop".into());
        delivery.metadata.resource_version = Some(version.into());
        delivery
    }

    #[test]
    fn a_log_is_read_again_only_when_something_about_it_changed() {
        let (logs, trust, seller) = (Logs::default(), Trust::new(Vec::new()), Uid::new("s-1").unwrap());
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
            Trust::new(waybill_cluster::trust::keys(root.pem().as_bytes()).unwrap())
        };
        let (one, other) = (authority(), authority());
        let known = read(&delivery("3"), &seller, &one);
        assert!(!Arc::ptr_eq(&known, &read(&delivery("3"), &seller, &other)));
    }
}
