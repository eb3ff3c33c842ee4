//! What a viewer sees of a delivery: where it is, how it came there, and which photos prove it. Pure.
//!
//! Nothing of an event's content is shown but its kind, its author and its time: no person, no place (D-24).

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use waybill_crds::Delivery;
use waybill_crds::delivery::{LocationSharing, Window};
use waybill_protocol::fact::reason::EvidenceKind;
use waybill_protocol::{Entry, Log, Phase, Stage, State, UnixMillis, Verdict};

/// One delivery, as a viewer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Shipment")]
pub(crate) struct View {
    pub(crate) upc: String,
    pub(crate) phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stage: Option<&'static str>,
    pub(crate) attempt: u32,
    /// When it came into its phase, by the clock of the event that brought it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    pub(crate) seller: String,
    /// When the recipient expects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<Window>,
    /// How exactly anybody may see where it is.
    pub(crate) location: LocationSharing,
    pub(crate) history: Vec<Step>,
    pub(crate) photos: Vec<Shown>,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Step {
    pub(crate) event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<&'static str>,
    /// It is its author's and stands in its place.
    pub(crate) verified: bool,
    /// It changed what the log says.
    pub(crate) counts: bool,
}

/// One photo that the log names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Shown {
    pub(crate) hash: String,
    pub(crate) url: String,
}

pub(crate) fn view(delivery: &Delivery, log: &Log) -> View {
    let (state, upc) = (log.state(), &delivery.spec.upc);
    View {
        upc: upc.clone(),
        seller: delivery.spec.seller.clone(),
        window: delivery.spec.window.clone(),
        location: delivery.spec.share.unwrap_or_default().location,
        phase: state.phase().as_str(),
        stage: state.stage().map(|stage| stage.as_str()),
        attempt: state.attempt(),
        since: since(log),
        history: log.entries().iter().map(step).collect(),
        photos: photos(log).map(|hash| Shown { url: format!("/api/shipment/{upc}/photos/{hash}"), hash }).collect(),
    }
}

/// One delivery among others, for those who may read them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ShipmentLine")]
pub(crate) struct Line {
    name: String,
    uid: String,
    upc: String,
    seller: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    photos: usize,
}

/// By its log; one that nobody can read has not begun.
pub(crate) fn line(delivery: &Delivery, log: Option<&Log>) -> Line {
    let state = log.map(Log::state);
    Line {
        name: delivery.metadata.name.clone().unwrap_or_default(),
        uid: delivery.metadata.uid.clone().unwrap_or_default(),
        upc: delivery.spec.upc.clone(),
        seller: delivery.spec.seller.clone(),
        carrier: delivery.spec.carrier.clone(),
        phase: state.map_or(Phase::Pending, State::phase).as_str(),
        stage: state.and_then(State::stage).map(Stage::as_str),
        attempt: state.map_or(0, State::attempt),
        since: log.and_then(since),
        photos: log.map_or(0, |log| photos(log).count()),
    }
}

/// The hashes of the photos the log names as evidence, in hexadecimal.
pub(crate) fn photos(log: &Log) -> impl Iterator<Item = String> {
    let photos = log.state().proofs().iter().filter(|proof| proof.kind == EvidenceKind::Photo);
    photos.map(|proof| proof.sha256.to_string())
}

fn step(entry: &Entry) -> Step {
    let (verified, counts) = (entry.verdict().is_genuine(), entry.verdict().counts());
    match entry.event().map(|signed| signed.event()) {
        Some(event) => Step {
            event: event.kind().as_str(),
            at: Some(time(event.at)),
            author: Some(event.author.as_str()),
            verified,
            counts,
        },
        None => Step { event: "Unreadable", at: None, author: None, verified, counts },
    }
}

fn since(log: &Log) -> Option<String> {
    let moved = |entry: &&Entry| matches!(entry.verdict(), Verdict::Counts(effect) if effect.from != effect.to);
    let last = log.entries().iter().rev().find(moved)?;
    last.event().map(|signed| time(signed.event().at))
}

/// RFC 3339 in UTC; a device may claim any time, and one that cannot be written is the last that can.
fn time(at: UnixMillis) -> String {
    let claimed = i64::try_from(at.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    claimed.unwrap_or(Timestamp::MAX).to_string()
}

/// Seconds since the epoch in RFC 3339.
pub(crate) fn time_of(secs: u64) -> String {
    time(UnixMillis::from_secs(secs))
}
