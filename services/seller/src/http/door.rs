//! Where the parcel is, and whether this is the courier: for whoever holds a view token of the delivery.
//!
//! Order of the questions: is there a token (401), is it of this delivery (403), is there such a delivery here (404), may it be
//! seen, is somebody on the way (403, 409). What only the replica that distributes knows, the others ask that replica.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use waybill_chassis::etag::tagged;
use waybill_chassis::idempotency;
use waybill_chassis::jwt::{self, bearer};
use waybill_chassis::problem::{Checked, Kind, Problem};
use waybill_crds::Delivery;
use waybill_crds::delivery::LocationSharing;
use waybill_protocol::{Challenge, Digits, Log, ReceiptText, UnixMillis, receipt_code as code_of};

use super::Desk;
use super::handlers::NOT_READY;
use super::said::{Challenged, Device, Place, ReceiptCode, Verdict, Whose};
use crate::clock::now;
use crate::door::{Asked, Courier, Position, Proof, Refusal, courier};
use crate::keys::Keys;

pub(super) const DELIVERY_UNKNOWN: Kind =
    Kind { slug: "delivery-unknown", title: "No such delivery", status: StatusCode::NOT_FOUND };
pub(super) const NOT_SHARED: Kind =
    Kind { slug: "position-not-shared", title: "Position not shared", status: StatusCode::FORBIDDEN };
pub(super) const NO_POSITION: Kind =
    Kind { slug: "position-unknown", title: "No position known", status: StatusCode::NOT_FOUND };
pub(super) const NO_COURIER: Kind =
    Kind { slug: "no-courier", title: "Nobody is on the way", status: StatusCode::CONFLICT };
pub(super) const NO_CHALLENGE: Kind =
    Kind { slug: "challenge-over", title: "No such challenge", status: StatusCode::NOT_FOUND };
pub(super) const TOO_MANY: Kind =
    Kind { slug: "too-many-checks", title: "Too many checks", status: StatusCode::TOO_MANY_REQUESTS };
pub(super) const NOT_AN_ANSWER: Kind =
    Kind { slug: "bad-request", title: "Bad request", status: StatusCode::BAD_REQUEST };
pub(super) const NOT_THE_RECIPIENT: Kind =
    Kind { slug: "recipient-only", title: "Not the recipient", status: StatusCode::FORBIDDEN };
/// What a view token of a recipient's grant says.
const RECIPIENT: &str = "recipient";

/// A hundredth of a degree: about a kilometre, a neighbourhood.
const COARSE_E7: i32 = 100_000;
const COARSE_M: u32 = 1_000;

type Answer = Result<Response, Problem>;

/// Somebody with a view token asks for something.
struct Visit {
    delivery: Arc<Delivery>,
    log: Arc<Log>,
    keys: Arc<Keys>,
    /// The token is of a grant that was made for the recipient.
    is_recipient: bool,
}

/// An answer to a challenge, as a recipient's page sends it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CourierAnswer")]
pub(super) struct Given {
    /// The challenge's text.
    challenge: String,
    /// Six, as the courier reads them out; these or a signature.
    digits: Option<String>,
    /// Base64url, as the courier's device shows it in its code.
    signature: Option<String>,
}

/// `GET /api/delivery/{upc}/position`
pub(super) async fn position(desk: State<Arc<Desk>>, upc: Checked<Path<String>>, headers: HeaderMap) -> Answer {
    let visit = desk.visit(&upc.0, &headers)?;
    let sharing = visit.delivery.spec.share.unwrap_or_default().location;
    if sharing == LocationSharing::None {
        return Err(Problem::new(NOT_SHARED, "the position of this parcel is not shared: spec.share.location is none"));
    }
    let courier = visit.courier()?;
    if !desk.holds() {
        return desk.pass_on(Method::GET, &format!("{}/position", upc.0.0), &headers, Bytes::new()).await;
    }
    let known = desk.doors.position(&visit.uid(), courier.attempt);
    let known = known.ok_or_else(|| Problem::new(NO_POSITION, "the courier has not said where the parcel is"))?;
    tagged(&headers, &shown(&visit.delivery.spec.upc, known, sharing))
}

/// `GET /api/delivery/{upc}/receipt-code`: what the recipient shows at the door, to the recipient alone.
pub(super) async fn receipt_code(desk: State<Arc<Desk>>, upc: Checked<Path<String>>, headers: HeaderMap) -> Answer {
    let visit = desk.visit(&upc.0, &headers)?;
    if !visit.is_recipient {
        return Err(Problem::new(NOT_THE_RECIPIENT, "only a link made for the recipient shows the recipient's code"));
    }
    let delivery = visit.log.subject().delivery.clone();
    let code = code_of(&visit.keys.label, &delivery);
    Ok(Json(ReceiptCode { code: ReceiptText { delivery, code }.to_string() }).into_response())
}

/// `POST /api/delivery/{upc}/courier-check`
pub(super) async fn ask(desk: State<Arc<Desk>>, upc: Checked<Path<String>>, headers: HeaderMap) -> Answer {
    let visit = desk.visit(&upc.0, &headers)?;
    let courier = visit.courier()?;
    let key = idempotency::key(&headers)?;
    if !desk.holds() {
        return desk.pass_on(Method::POST, &format!("{}/courier-check", upc.0.0), &headers, Bytes::new()).await;
    }
    let asked = desk.doors.ask(&visit.uid(), courier.attempt, (rand::random(), key), now()).map_err(problem)?;
    Ok((StatusCode::CREATED, Json(challenge(&asked))).into_response())
}

/// `GET /api/delivery/{upc}/courier-check/{challenge}`
pub(super) async fn look(
    desk: State<Arc<Desk>>,
    Checked(Path((upc, text))): Checked<Path<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    let visit = desk.visit(&Path(upc.clone()), &headers)?;
    let courier = visit.courier()?;
    let asked = Challenge::parse(&text).ok_or_else(|| problem(Refusal::NoChallenge))?;
    if !desk.holds() {
        return desk.pass_on(Method::GET, &format!("{upc}/courier-check/{asked}"), &headers, Bytes::new()).await;
    }
    let asked = desk.doors.look(&visit.uid(), courier.attempt, asked, now()).map_err(problem)?;
    Ok(Json(challenge(&asked)).into_response())
}

/// `POST /api/delivery/{upc}/courier-check/answer`
pub(super) async fn answer(
    desk: State<Arc<Desk>>,
    upc: Checked<Path<String>>,
    headers: HeaderMap,
    body: Checked<Bytes>,
) -> Answer {
    let visit = desk.visit(&upc.0, &headers)?;
    let courier = visit.courier()?;
    let (asked, proof) = given(&body.0)?;
    if !desk.holds() {
        return desk.pass_on(Method::POST, &format!("{}/courier-check/answer", upc.0.0), &headers, body.0).await;
    }
    let uid = visit.log.subject().delivery.clone();
    let right = || courier.gave(&proof, &uid, &visit.keys, asked);
    let (right, left) = desk.doors.answer((uid.as_str(), courier.attempt), (asked, now()), right).map_err(problem)?;
    let courier = if right { Whose::Yours } else { Whose::NotYours };
    Ok(Json(Verdict { courier, tries_left: left }).into_response())
}

fn given(body: &[u8]) -> Result<(Challenge, Proof), Problem> {
    let refused = || {
        Problem::new(
            NOT_AN_ANSWER,
            "an answer is a JSON map with `challenge` and either `digits` (six) or `signature` (base64url)",
        )
    };
    let given: Given = serde_json::from_slice(body).map_err(|_| refused())?;
    let challenge = Challenge::parse(&given.challenge).ok_or_else(refused)?;
    let proof = match (given.digits, given.signature) {
        (Some(digits), None) => Digits::parse(&digits).map(Proof::Digits),
        (None, Some(signature)) => URL_SAFE_NO_PAD.decode(signature).ok().map(Proof::Signature),
        _ => None,
    };
    Ok((challenge, proof.ok_or_else(refused)?))
}

fn challenge(asked: &Asked) -> Challenged {
    Challenged {
        challenge: URL_SAFE_NO_PAD.encode(asked.challenge.as_bytes()),
        text: asked.challenge.to_string(),
        expires_at: instant(asked.expires),
        tries_left: asked.tries_left,
        device: if asked.answered { Device::Answered } else { Device::Silent },
    }
}

fn shown(upc: &str, position: Position, sharing: LocationSharing) -> Place {
    let coarse = sharing == LocationSharing::Coarse;
    let degrees = |e7: i32| {
        let step = if coarse { COARSE_E7 } else { 1 };
        // The middle of the square it is in, whichever way one crosses its edge.
        let e7 = if coarse { e7.div_euclid(step) * step + step / 2 } else { e7 };
        f64::from(e7) / 1e7
    };
    let accuracy =
        if coarse { Some(position.accuracy_m.unwrap_or_default().max(COARSE_M)) } else { position.accuracy_m };
    Place {
        upc: upc.to_owned(),
        latitude: degrees(position.latitude_e7),
        longitude: degrees(position.longitude_e7),
        accuracy_m: accuracy,
        at: instant(position.at),
        sharing,
    }
}

fn instant(at: UnixMillis) -> String {
    let at = i64::try_from(at.0).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    at.unwrap_or(Timestamp::MAX).to_string()
}

fn problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NoChallenge => Problem::new(NO_CHALLENGE, refusal.to_string()),
        Refusal::TooMany => Problem::new(TOO_MANY, refusal.to_string()),
    }
}

impl Visit {
    fn uid(&self) -> String {
        self.log.subject().delivery.to_string()
    }

    fn courier(&self) -> Result<Courier<'_>, Problem> {
        courier(&self.log, &self.keys).ok_or_else(|| Problem::new(NO_COURIER, "nobody is on the way with this parcel"))
    }
}

impl Desk {
    /// Who asks about which delivery.
    fn visit(&self, Path(upc): &Path<String>, headers: &HeaderMap) -> Result<Visit, Problem> {
        let pass = self.viewers.verify(bearer(headers)?, now().as_secs()).map_err(jwt::Refusal::problem)?;
        if pass.upc != *upc {
            return Err(Problem::new(jwt::INVALID, "the token is not valid for this request"));
        }
        let keys = self.keys.borrow().clone().ok_or_else(|| Problem::new(NOT_READY, "not ready yet; try again"))?;
        let delivery = self.deliveries.get(&pass.sub);
        let delivery = delivery.filter(|delivery| delivery.spec.upc == *upc && delivery.spec.seller == self.name);
        let unknown =
            || Problem::new(DELIVERY_UNKNOWN, format!("this Seller has no delivery of the UPC {upc} for this token"));
        let delivery = delivery.ok_or_else(unknown)?;
        let trust = self.trust.borrow().clone();
        let log = self.logs.read(&delivery, &self.uid, &trust).ok_or_else(unknown)?;
        Ok(Visit { delivery, log, keys, is_recipient: pass.role.as_deref() == Some(RECIPIENT) })
    }

    fn holds(&self) -> bool {
        *self.holds.borrow()
    }

    async fn pass_on(&self, method: Method, path: &str, headers: &HeaderMap, body: Bytes) -> Answer {
        self.colleague.ask(method, path, headers, body).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(latitude_e7: i32, sharing: LocationSharing) -> (f64, u32) {
        let position =
            Position { number: 1, at: UnixMillis(0), attempt: 1, latitude_e7, longitude_e7: 0, accuracy_m: Some(5) };
        let shown = shown("UPC_1", position, sharing);
        (shown.latitude, shown.accuracy_m.unwrap())
    }

    #[test]
    fn a_coarse_position_is_the_middle_of_a_square_and_says_how_coarse_it_is() {
        for latitude in [525_200_000, 525_250_000, 525_299_999] {
            assert_eq!(at(latitude, LocationSharing::Coarse), (52.525, 1000));
        }
        assert_eq!(at(-1, LocationSharing::Coarse), (-0.005, 1000));
        assert_eq!(at(525_212_345, LocationSharing::Exact), (52.521_234_5, 5));
    }

    #[test]
    fn an_answer_is_digits_or_a_signature_and_never_both() {
        assert!(matches!(given(br#"{"challenge":"k7qf 2m9x","digits":"123-456"}"#), Ok((_, Proof::Digits(_)))));
        assert!(matches!(given(br#"{"challenge":"K7QF-2M9X","signature":"AAAA"}"#), Ok((_, Proof::Signature(_)))));
        for bad in [
            r#"{"challenge":"K7QF-2M9X"}"#,
            r#"{"challenge":"K7QF-2M9X","digits":"12345"}"#,
            r#"{"challenge":"K7QF-2M9X","digits":"123456","signature":"AAAA"}"#,
            r#"{"challenge":"K7QF","digits":"123456"}"#,
            "junk",
        ] {
            assert!(given(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
