//! What there is to tell of a delivery: each phase it came into, from the log alone. Pure.
//!
//! A notice names the parcel by its UPC and says nothing that is not in the custom resource: no person, no place, no words of anybody.

use serde_json::{Value, json};
use waybill_crds::{Delivery, Phase};
use waybill_protocol::{Log, UnixMillis, Verdict};

use super::time;

/// One phase of one delivery, at one place in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// The id of the event that brought the parcel there: the same however often it is told.
    pub(super) id: String,
    /// Its place in the log.
    pub(super) position: usize,
    /// Uid of the Delivery.
    pub(super) delivery: String,
    pub(super) name: String,
    pub(super) upc: String,
    pub(super) phase: &'static str,
    previous: &'static str,
    attempt: u32,
    at: Option<UnixMillis>,
}

/// How far the log of a delivery goes; one called off before it began counts as one entry.
pub(super) fn end(delivery: &Delivery, log: &Log) -> usize {
    let entries = log.entries().len();
    if entries == 0 && delivery.phase() == Phase::Cancelled { 1 } else { entries }
}

/// What the log tells from this place on.
pub(super) fn since(delivery: &Delivery, log: &Log, from: usize) -> Vec<Notice> {
    let uid = delivery.metadata.uid.clone().unwrap_or_default();
    let notice = |position, id: String| Notice {
        id,
        position,
        delivery: uid.clone(),
        name: delivery.metadata.name.clone().unwrap_or_default(),
        upc: delivery.spec.upc.clone(),
        phase: Phase::Cancelled.as_str(),
        previous: Phase::Pending.as_str(),
        attempt: 0,
        at: None,
    };
    if log.entries().is_empty() {
        // Nobody signed anything about it: the operator itself says that it is called off.
        let called_off = from < end(delivery, log);
        return called_off.then(|| notice(0, format!("{uid}-cancelled"))).into_iter().collect();
    }
    let told = log.entries().iter().enumerate().skip(from).filter_map(|(position, entry)| {
        let (Verdict::Counts(effect), signed) = (entry.verdict(), entry.event()?) else { return None };
        let event = signed.event();
        (effect.from != effect.to).then(|| Notice {
            phase: effect.to.as_str(),
            previous: effect.from.as_str(),
            attempt: event.attempt,
            at: Some(event.at),
            ..notice(position, signed.id().to_string())
        })
    });
    told.collect()
}

impl Notice {
    /// As a webhook's body has it.
    pub(super) fn body(&self, (namespace, seller): (&str, &str)) -> Value {
        json!({
            "type": "delivery.phase",
            "timestamp": self.at.map(time),
            "data": {
                "namespace": namespace, "seller": seller, "delivery": self.name, "uid": self.delivery, "upc": self.upc,
                "phase": self.phase, "previous": self.previous, "attempt": self.attempt,
            },
        })
    }
}

#[cfg(test)]
impl Notice {
    /// One at this place in the log of a delivery of this uid.
    pub(super) fn of(uid: &str, position: usize) -> Self {
        Self {
            id: format!("{uid}-{position}"),
            position,
            delivery: uid.to_owned(),
            name: "upc-1".into(),
            upc: "UPC_1".into(),
            phase: Phase::Delivered.as_str(),
            previous: Phase::OutForDelivery.as_str(),
            attempt: 1,
            at: Some(UnixMillis(0)),
        }
    }
}
