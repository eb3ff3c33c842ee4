//! What an agent needs to go on after a time without a network, or without its journal.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waybill_chassis::etag::tagged;
use waybill_chassis::problem::{Checked, Problem};
use waybill_crds::Delivery;
use waybill_crds::delivery::LocationSharing;
use waybill_protocol::fact::reason::EvidenceKind;
use waybill_protocol::{Conversation, Direction, Log, Uid};

use super::access::Agent;
use super::page::{Page, cut};
use super::said::{OpenDeliveries, OpenDelivery, OwnLog, Topics};
use super::shipment::expected;
use crate::report;
use crate::service::{Service, Shared};

/// How many an agent is told of that does not say how many it wants: those of before there were pages ask once.
const UNSAID: usize = 1000;

/// Its open deliveries, by uid.
pub(super) async fn deliveries(
    State(service): State<Service>,
    agent: Agent,
    Checked(Query(page)): Checked<Query<Page>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    agent.for_itself()?;
    let all = service.deliveries.all();
    let open: Vec<OpenDelivery> = all.iter().filter_map(|delivery| open(&service, delivery, &agent.uid)).collect();
    let (deliveries, next) = cut(&page, page.limit_within(UNSAID), open, |one| one.uid.clone());
    tagged(&headers, &OpenDeliveries { deliveries, next })
}

/// Its line for one delivery, if there is something left to do. A log is read only where the status points to this carrier.
fn open(service: &Shared, delivery: &Delivery, carrier: &Uid) -> Option<OpenDelivery> {
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
    Some(OpenDelivery {
        uid: subject.delivery.to_string(),
        upc: delivery.spec.upc.clone(),
        namespace: subject.namespace.to_string(),
        seller_uid: subject.seller.to_string(),
        phase: log.phase().as_str(),
        attempt: log.state().attempt(),
        topics: Topics { down: topic(Direction::Down), up: topic(Direction::Up) },
        expected: expected(&log, carrier),
        location: location(delivery),
    })
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
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let delivery = agent.delivery_by_uid(&service, &uid)?;
    let log = agent.for_delivery(&service, &delivery)?;
    let custody: Vec<String> = log.entries().iter().map(|entry| STANDARD.encode(entry.bytes())).collect();
    let seller = service.sellers.object(&delivery.spec.seller);
    let seller_statement = seller.and_then(|seller| seller.status.as_ref()?.key_statement.clone());
    tagged(&headers, &OwnLog { custody, seller_statement, location: location(&delivery) })
}
