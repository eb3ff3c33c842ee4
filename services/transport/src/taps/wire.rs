//! Taps and views as JSON. The words are those of the custom resource and of the protocol's closed lists, in camelCase.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use waybill_protocol::fact::reason::DeliveredTo;
use waybill_protocol::{Part, Reason};

use crate::job::{Fix, Tap, View};

#[derive(Deserialize)]
#[serde(tag = "tap", rename_all = "camelCase", deny_unknown_fields)]
enum WireTap {
    PickedUp {},
    Arrived {},
    Scan { code: String },
    Delivered { to: Option<String> },
    AvailableForPickup {},
    HandedBack {},
    Incident { incident: String },
    AttemptFailed { reason: WireReason },
    Refused { reason: WireReason },
    Damaged { reason: WireReason },
    Lost { reason: WireReason },
    Found {},
    Hold { reason: String },
    Resume {},
    Correct {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireReason {
    cause: String,
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireChallenge {
    challenge: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFix {
    latitude: f64,
    longitude: f64,
    /// Metres.
    accuracy: Option<u32>,
}

fn parse<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn word<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn reason(reason: &WireReason) -> Result<Reason, String> {
    Ok(Reason { cause: word(&reason.cause)?, what: word(&reason.what)?, note: None })
}

pub(super) fn tap(body: &[u8]) -> Result<Tap, String> {
    Ok(match parse(body)? {
        WireTap::PickedUp {} => Tap::PickedUp,
        WireTap::Arrived {} => Tap::Arrived,
        WireTap::Scan { code } => Tap::Scan(vec![code]),
        WireTap::Delivered { to } => Tap::Delivered(to.map_or(Ok(DeliveredTo::Recipient), |to| word(&to))?),
        WireTap::AvailableForPickup {} => Tap::AvailableForPickup,
        WireTap::HandedBack {} => Tap::HandedBack,
        WireTap::Incident { incident } => Tap::Incident(word(&incident)?),
        WireTap::AttemptFailed { reason: told } => Tap::Failed(reason(&told)?),
        WireTap::Refused { reason: told } => Tap::Refused(reason(&told)?),
        WireTap::Damaged { reason: told } => Tap::Damaged(reason(&told)?),
        WireTap::Lost { reason: told } => Tap::Lost(reason(&told)?),
        WireTap::Found {} => Tap::Found,
        WireTap::Hold { reason } => Tap::Hold(word(&reason)?),
        WireTap::Resume {} => Tap::Resume,
        WireTap::Correct {} => Tap::Correct,
    })
}

pub(super) fn challenge(body: &[u8]) -> Result<Vec<u8>, String> {
    let WireChallenge { challenge } = parse(body)?;
    let challenge = waybill_protocol::Challenge::parse(&challenge);
    Ok(challenge.ok_or("a challenge is eight letters and digits")?.as_bytes().to_vec())
}

pub(super) fn fix(body: &[u8]) -> Result<Fix, String> {
    let WireFix { latitude, longitude, accuracy } = parse(body)?;
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return Err("latitude is -90 to 90, longitude -180 to 180".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, reason = "both are within their bounds")]
    let e7 = |degrees: f64| (degrees * 1e7).round() as i32;
    Ok(Fix { latitude_e7: e7(latitude), longitude_e7: e7(longitude), accuracy_m: accuracy })
}

pub(super) fn view(view: &View) -> Value {
    let address: Map<String, Value> = view.parts.iter().map(part).collect();
    json!({
        "uid": view.delivery.as_str(),
        "upc": view.upc.as_ref().map(|upc| upc.as_str()),
        "phase": view.phase.as_str(),
        "attempt": view.attempt,
        "stage": view.stage.map(|stage| stage.as_str()),
        "hold": view.hold.map(|hold| hold.as_str()),
        "taps": view.taps,
        "address": address,
        "scan": {"due": view.scan_due, "tries": view.scan_tries},
        "photo": {"due": view.photo_due},
        "location": view.location,
    })
}

fn part(part: &Part) -> (String, Value) {
    let fields = match part {
        Part::Country { country, province, city } => json!({"country": country, "province": province, "city": city}),
        Part::PostalCode { postal_code } => json!({"postalCode": postal_code}),
        Part::Door { client_name, door_number, phone_number } => {
            json!({"clientName": client_name, "doorNumber": door_number, "phoneNumber": phone_number})
        }
    };
    let name = part.stage().as_str();
    (format!("{}{}", name[..1].to_lowercase(), &name[1..]), fields)
}
