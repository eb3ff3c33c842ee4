//! What an agent needs to go on after a time without a network, or without its journal.

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waybill_chassis::problem::{Checked, Problem};
use waybill_crds::Delivery;
use waybill_crds::delivery::LocationSharing;
use waybill_protocol::fact::reason::EvidenceKind;
use waybill_protocol::{Conversation, Direction, Log, Uid};

use super::access::Agent;
use super::shipment::expected;
use crate::report;
use crate::service::{Service, Shared};

/// Its open deliveries.
pub(super) async fn deliveries(State(service): State<Service>, agent: Agent) -> Result<Json<Value>, Problem> {
    agent.for_itself()?;
    let all = service.deliveries.all();
    let open: Vec<Value> = all.iter().filter_map(|delivery| open(&service, delivery, &agent.uid)).collect();
    Ok(Json(json!({"deliveries": open})))
}

/// Its line for one delivery, if there is something left to do. A log is read only where the status points to this carrier.
fn open(service: &Shared, delivery: &Delivery, carrier: &Uid) -> Option<Value> {
    let status = delivery.status.as_ref()?;
    let named = service.names(delivery, carrier);
    let pinned = status.carrier_uid.as_deref() == Some(carrier.as_str());
    // Not admitted yet: nobody speaks about it.
    if !(named || pinned) || status.topics.is_none() {
        return None;
    }
    let log = service.log(delivery)?;
    if !report::is_its_job(&log, carrier, named) || !is_open(&log) {
        return None;
    }
    let subject = log.subject();
    let (seller, uid) = (subject.seller.clone(), subject.delivery.clone());
    let talk = Conversation { seller, carrier: carrier.clone(), delivery: uid };
    let topic = |direction| talk.topic(direction).to_string();
    Some(json!({
        "uid": subject.delivery.as_str(), "upc": delivery.spec.upc, "namespace": subject.namespace.as_str(),
        "sellerUid": subject.seller.as_str(), "phase": log.phase().as_str(), "attempt": log.state().attempt(),
        "topics": {"down": topic(Direction::Down), "up": topic(Direction::Up)},
        "expected": expected(&log, carrier), "location": location(delivery),
    }))
}

/// How exactly anybody may see where the parcel is: an agent says no more than that.
fn location(delivery: &Delivery) -> LocationSharing {
    delivery.spec.share.map_or(LocationSharing::None, |share| share.location)
}

/// A delivered parcel is not done with while the photo its terms ask for is missing.
fn is_open(log: &Log) -> bool {
    let state = log.state();
    let photo = state.proofs().iter().any(|proof| proof.kind == EvidenceKind::Photo);
    let owed = state.terms().is_some_and(|terms| terms.photo) && !photo;
    !log.phase().is_terminal() || (log.phase() == waybill_protocol::Phase::Delivered && owed)
}

/// The whole log as it stands, and the statement by which its seller is known.
pub(super) async fn log(
    State(service): State<Service>,
    Checked(Path(uid)): Checked<Path<String>>,
    agent: Agent,
) -> Result<Json<Value>, Problem> {
    let delivery = agent.delivery_by_uid(&service, &uid)?;
    let log = agent.for_delivery(&service, &delivery)?;
    let custody: Vec<String> = log.entries().iter().map(|entry| STANDARD.encode(entry.bytes())).collect();
    let seller = service.sellers.object(&delivery.spec.seller);
    let statement = seller.and_then(|seller| seller.status.as_ref()?.key_statement.clone());
    Ok(Json(json!({"custody": custody, "sellerStatement": statement, "location": location(&delivery)})))
}
