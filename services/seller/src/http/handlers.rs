//! Thin skins: read the request, ask the domain, shape the answer.
//!
//! Order of the questions: is there a token (401), is it for this very order and part (403), is there such an order (404), is
//! the part open (403). A token opens one part of one delivery, and only while the log says so.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use k8s_openapi::jiff::Timestamp;
use waybill_chassis::jwt::{self, bearer};
use waybill_chassis::problem::{Checked, Kind, Problem};
use waybill_protocol::{Log, Stage};

use super::Desk;
use super::said::{Alive, Country, Door, Part, PostalCode};
use crate::clock::now;
use crate::orders::Order;
use crate::part::{is_readable, opens};

pub(super) const ORDER_UNKNOWN: Kind =
    Kind { slug: "order-unknown", title: "No such order", status: StatusCode::NOT_FOUND };
pub(super) const PART_NOT_OPEN: Kind =
    Kind { slug: "part-not-open", title: "Part of the address not open", status: StatusCode::FORBIDDEN };
pub(super) const NOT_READY: Kind =
    Kind { slug: "not-ready", title: "Not ready yet", status: StatusCode::SERVICE_UNAVAILABLE };

type Asked = (State<Arc<Desk>>, HeaderMap, Checked<Path<String>>);
type Answer<T> = Result<Json<Part<T>>, Problem>;

/// Says that somebody is here, to anybody.
pub(super) async fn alive() -> Json<Alive> {
    Json(Alive { seller: "connected" })
}

/// D-08.
pub(super) async fn country(desk: State<Arc<Desk>>, headers: HeaderMap, upc: Checked<Path<String>>) -> Answer<Country> {
    let part = |order: &Order| Country {
        country: order.country.expose().to_owned(),
        province: order.province.expose().to_owned(),
        city: order.city.expose().to_owned(),
    };
    answer((desk, headers, upc), Stage::Country, part)
}

/// D-09.
pub(super) async fn postal_code(
    desk: State<Arc<Desk>>,
    headers: HeaderMap,
    upc: Checked<Path<String>>,
) -> Answer<PostalCode> {
    let part = |order: &Order| PostalCode { postal_code: order.postal_code.expose().to_owned() };
    answer((desk, headers, upc), Stage::PostalCode, part)
}

/// D-10.
pub(super) async fn door(desk: State<Arc<Desk>>, headers: HeaderMap, upc: Checked<Path<String>>) -> Answer<Door> {
    let part = |order: &Order| Door {
        client_name: order.client_name.expose().to_owned(),
        door_number: order.door.expose().to_owned(),
        phone_number: order.client_phone.expose().to_owned(),
    };
    answer((desk, headers, upc), Stage::Door, part)
}

fn answer<T>((State(desk), headers, Checked(Path(upc))): Asked, stage: Stage, part: fn(&Order) -> T) -> Answer<T> {
    let pass = desk.verifier.verify(bearer(&headers)?, now().as_secs()).map_err(jwt::Refusal::problem)?;
    if pass.upc != upc || pass.stage != stage.as_str() {
        return Err(Problem::new(jwt::INVALID, "the token is not valid for this request"));
    }
    let book = desk.book.borrow().clone();
    let book = book.ok_or_else(|| Problem::new(NOT_READY, "the orders are not read yet; try again"))?;
    let unknown = || Problem::new(ORDER_UNKNOWN, format!("no order has the UPC {upc}"));
    let order = book.order(&upc).ok_or_else(unknown)?;
    let log = desk.log(&pass.sub, &upc).ok_or_else(unknown)?;
    if !is_readable(&log, stage) {
        return Err(not_open(&log, stage));
    }
    let part = part(order);
    // RFC 3339 in UTC; the first implementation's clock had no zone (D-11).
    let time = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string();
    Ok(Json(Part { upc, part, time }))
}

fn not_open(log: &Log, stage: Stage) -> Problem {
    let name = |stage: Option<Stage>| stage.map_or("None", Stage::as_str);
    let open = name(log.stage());
    let detail = format!("the {stage} part is not open ({open} is): {}", opens(log, stage));
    Problem::new(PART_NOT_OPEN, detail)
        .with("open", open)
        .with("due", name(log.state().due()))
        .with("part", stage.as_str())
}

impl Desk {
    /// The log of the one delivery a token is for.
    fn log(&self, uid: &str, upc: &str) -> Option<Arc<Log>> {
        let delivery = self.deliveries.get(uid)?;
        let same = delivery.spec.upc == upc && delivery.spec.seller == self.name;
        let trust = self.trust.borrow().clone();
        same.then(|| self.logs.read(&delivery, &self.uid, &trust)).flatten()
    }
}
