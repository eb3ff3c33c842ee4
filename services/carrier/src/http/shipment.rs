//! What an agent reports and a viewer reads: `/api/shipment/{upc}`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use waybill_chassis::etag::tagged;
use waybill_chassis::jwt::bearer;
use waybill_chassis::peer::Peer;
use waybill_chassis::problem::{Checked, Problem};
use waybill_crds::Delivery;
use waybill_protocol::{Author, Log, SignedEvent, Uid};

use super::access::{Agent, Viewer};
use super::page::{Page, cut};
use super::problems::{
    CHAIN_GAP, EVENT_REFUSED, FOREIGN_EVENT, MALFORMED, NOTHING_POSTED, TOO_MANY_EVENTS, unknown_delivery,
};
use super::said::{Expected, Reported, Shipments};
use super::user::{allowed, denied, user};
use super::write;
use crate::report::{Judged, Refused, Report, concerns, judge};
use crate::service::{Service, Shared};
use crate::view::{Line, line};
use waybill_cluster::permission::LIST;

/// D-17: events of a carrier into the log. All of them or none; what is there already is no error.
pub(super) async fn post(
    State(service): State<Service>,
    Checked(Path(upc)): Checked<Path<String>>,
    peer: Peer,
    headers: HeaderMap,
    Checked(body): Checked<Bytes>,
) -> Result<Response, Problem> {
    let report: Result<Report, _> = serde_json::from_slice(&body);
    // D-19: the header first; the body's own field only where there is none.
    let token = match (bearer(&headers), &report) {
        (Ok(token), _) => token,
        (Err(_), Ok(Report { token: Some(token), .. })) => token,
        (Err(missing), _) => return Err(missing),
    };
    let agent = Agent::prove(&service, &peer, token)?;
    let delivery = agent.delivery_by_upc(&service, &upc)?;
    let report = report.map_err(|error| Problem::new(MALFORMED, format!("the body is no report: {error}")))?;
    let events = report.read().map_err(|error| Problem::new(MALFORMED, error.to_string()))?;
    let uid = delivery.metadata.uid.clone().unwrap_or_default();
    append(&service, &agent.uid, &uid, &events).await
}

/// All of the post or nothing of it.
async fn append(service: &Shared, carrier: &Uid, uid: &str, events: &[SignedEvent]) -> Result<Response, Problem> {
    let decide = |delivery: &Delivery, log: &Log| {
        if !concerns(log, carrier, service.names(delivery, carrier)) {
            return Err(write::Refused::Always(unknown_delivery()));
        }
        let judged = judge(log, carrier, events);
        let judged = judged.map_err(|refused| write::Refused::Now(refusal(&refused, log, carrier)))?;
        Ok(write::Decided { new: judged.new.clone(), told: judged })
    };
    let (status, judged) = write::write(service, uid, decide).await?;
    Ok(answer(status, &judged))
}

fn answer(status: StatusCode, judged: &Judged) -> Response {
    let state = judged.after.state();
    let stage = state.stage().map_or("None", |stage| stage.as_str());
    let (accepted, phase) = (judged.taken.clone(), state.phase().as_str());
    let body = Reported { accepted, phase, stage, attempt: state.attempt() };
    (status, Json(body)).into_response()
}

fn refusal(refused: &Refused, log: &Log, carrier: &Uid) -> Problem {
    let (kind, detail, index, id, reason) = match refused {
        Refused::Foreign { index, id } => {
            (FOREIGN_EVENT, "an event is not by the carrier that reports it", index, id, "NotByThisAuthor")
        }
        Refused::OutOfChain { index, id, reason } => {
            (CHAIN_GAP, "an event does not follow what the log holds; go on from `expected`", index, id, *reason)
        }
        Refused::TooMany { index, id } => (
            TOO_MANY_EVENTS,
            "this carrier has filled its part of the log; only an end can be told",
            index,
            id,
            "TooMany",
        ),
        Refused::Never { index, id, reason } => {
            (EVENT_REFUSED, "an event has no place in this log", index, id, *reason)
        }
    };
    let problem = Problem::new(kind, detail)
        .with("reason", reason)
        .with("refused", json!({"index": index, "id": id.to_string()}));
    match refused {
        Refused::OutOfChain { .. } => problem.with("expected", json!(expected(log, carrier))),
        _ => problem,
    }
}

/// The number of the carrier's next event, and what it builds on.
pub(super) fn expected(log: &Log, carrier: &Uid) -> Expected {
    let (seq, previous) = log.expected(Author::Transport, carrier);
    Expected { seq, previous: previous.map(|id| id.to_string()) }
}

/// D-20: where it is and how it came there, for a viewer.
pub(super) async fn get(
    State(service): State<Service>,
    viewer: Viewer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if viewer.log.entries().is_empty() {
        return Err(Problem::new(NOTHING_POSTED, "nothing was reported about this delivery yet"));
    }
    Ok(service.shown.of(&viewer.delivery, &viewer.log)?.answer(&headers))
}

/// A line for each delivery of the namespace, by name, for who may list them.
pub(super) async fn list(
    State(service): State<Service>,
    Checked(Query(page)): Checked<Query<Page>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = user(&service, &headers).await?;
    if !allowed(&service, &user, LIST, "").await? {
        return Err(denied(LIST));
    }
    let name = |delivery: &Delivery| delivery.metadata.name.clone().unwrap_or_default();
    let (all, next) = cut(&page, page.limit(), service.deliveries.all(), |delivery| name(delivery));
    let shipments: Vec<Line> = all.iter().map(|delivery| line(delivery, service.log(delivery).as_deref())).collect();
    tagged(&headers, &Shipments { shipments, next })
}
