//! What the recipient sees, in words: where it is, what happens next, when, and what is proved. Pure.

use std::sync::Arc;

use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;
use waybill_crds::Phase;

use super::visit::Visit;
use crate::page::{Chrome, words};

/// A delivery as its Carrier API shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shipment {
    upc: String,
    phase: Phase,
    #[serde(default)]
    since: Option<Timestamp>,
    seller: String,
    #[serde(default)]
    window: Option<Window>,
    #[serde(default)]
    location: String,
    #[serde(default)]
    history: Vec<Step>,
    #[serde(default)]
    photos: Vec<Photo>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Window {
    from: Timestamp,
    to: Timestamp,
}

#[derive(Debug, Clone, Deserialize)]
struct Step {
    event: String,
    #[serde(default)]
    at: Option<Timestamp>,
    verified: bool,
    counts: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct Photo {
    hash: String,
}

/// Where the carrier last said it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Position {
    latitude: f64,
    longitude: f64,
    #[serde(default)]
    accuracy_m: Option<u32>,
    at: Timestamp,
}

impl Shipment {
    pub(super) fn not_begun(upc: &str, seller: &str) -> Self {
        Self {
            upc: upc.to_owned(),
            phase: Phase::Pending,
            since: None,
            seller: seller.to_owned(),
            window: None,
            location: String::new(),
            history: Vec::new(),
            photos: Vec::new(),
        }
    }

    pub(super) fn is_moving(&self) -> bool {
        matches!(self.phase, Phase::PickedUp | Phase::InTransit | Phase::OutForDelivery)
    }

    pub(super) fn shares(&self) -> bool {
        matches!(self.location.as_str(), "coarse" | "exact")
    }
}

/// What follows where a parcel is, for who waits for it.
const fn next(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "The sender is looking for a carrier.",
        Phase::Accepted => "A carrier agreed to bring it and will pick it up from the sender.",
        Phase::PickedUp => "The carrier has it and is about to set out.",
        Phase::InTransit => "It is under way to your area.",
        Phase::OutForDelivery => "The courier is on the way to your door. You can check who rings.",
        Phase::AvailableForPickup => "It waits for you where the courier left it to be fetched.",
        Phase::Delivered => "Nothing more: it has arrived.",
        Phase::AttemptFailed => "It could not be handed over. There will be another attempt, or it goes back.",
        Phase::Rescheduled => "A carrier will try again.",
        Phase::OnHold => "It waits, and goes on when what is in the way is mended.",
        Phase::Refused => "It was not taken at the door and goes back to the sender.",
        Phase::Damaged => "It was reported damaged. The sender knows.",
        Phase::Lost => "It was reported lost. Ask the sender.",
        Phase::ReturnToSender => "It is on its way back to the sender.",
        Phase::Returned => "It is back with the sender.",
        Phase::Cancelled => "Nothing more: the delivery was called off.",
    }
}

/// The plain way, and how far along it a phase is.
const WAY: [(Phase, &str); 5] = [
    (Phase::Accepted, "Accepted"),
    (Phase::PickedUp, "Picked up"),
    (Phase::InTransit, "In transit"),
    (Phase::OutForDelivery, "At your door soon"),
    (Phase::Delivered, "Delivered"),
];

/// One stop of the way.
pub(super) struct Stop {
    pub(super) label: &'static str,
    pub(super) state: &'static str,
    pub(super) said: &'static str,
}

fn way(shipment: &Shipment) -> Vec<Stop> {
    let at = WAY.iter().position(|(phase, _)| *phase == shipment.phase);
    let stop = |(place, (_, label)): (usize, &(Phase, &'static str))| match at {
        Some(at) if place < at => Stop { label, state: "past", said: "done" },
        Some(at) if place == at => Stop { label, state: "here", said: "now" },
        _ => Stop { label, state: "ahead", said: "to come" },
    };
    // Off the plain way the words above say it; a bar would say something wrong.
    match at {
        None if shipment.phase != Phase::Pending => Vec::new(),
        _ => WAY.iter().enumerate().map(stop).collect(),
    }
}

/// An event of the log, as people say it.
pub(super) struct Line {
    pub(super) said: String,
    pub(super) iso: String,
    pub(super) exact: String,
    pub(super) verdict: &'static str,
}

fn lines(shipment: &Shipment) -> Vec<Line> {
    let line = |step: &Step| Line {
        said: words::event(&step.event),
        iso: step.at.map(|at| at.to_string()).unwrap_or_default(),
        exact: step.at.map(words::exactly).unwrap_or_default(),
        verdict: match (step.verified, step.counts) {
            (true, true) => "signed and checked",
            (true, false) => "signed; changes nothing",
            (false, _) => "not signed by whom it claims",
        },
    };
    shipment.history.iter().rev().map(line).collect()
}

/// A moment, for a machine and for people.
pub(super) struct Moment {
    pub(super) iso: String,
    pub(super) said: String,
}

fn moment(at: Timestamp) -> Moment {
    Moment { iso: at.to_string(), said: words::exactly(at) }
}

/// A place, as far as it may be known.
pub(super) struct Place {
    pub(super) link: String,
    pub(super) said: String,
    pub(super) at: Moment,
    pub(super) ago: String,
}

fn place(position: &Position, now: Timestamp) -> Place {
    let (latitude, longitude) = (position.latitude, position.longitude);
    let within = position.accuracy_m.map(|metres| format!(", within {metres} m")).unwrap_or_default();
    Place {
        link: format!("geo:{latitude},{longitude}"),
        said: format!("{latitude:.4}, {longitude:.4}{within}"),
        at: moment(position.at),
        ago: words::ago(position.at, now),
    }
}

#[derive(Template)]
#[template(path = "track.html")]
pub(super) struct TrackPage {
    chrome: Chrome,
    upc: String,
    seller: String,
    tone: &'static str,
    icon: String,
    label: &'static str,
    since: Option<Moment>,
    next: &'static str,
    way: Vec<Stop>,
    window: Option<(Moment, Moment)>,
    place: Option<Place>,
    photos: Vec<String>,
    lines: Vec<Line>,
    /// The courier may ring: there is somebody to check.
    has_door: bool,
    has_code: bool,
    has_proof: bool,
}

impl TrackPage {
    pub(super) fn of(visit: &Arc<Visit>, shipment: Shipment, position: Option<Position>, now: Timestamp) -> Self {
        let phase = shipment.phase;
        let delivered = phase == Phase::Delivered;
        Self {
            chrome: Chrome { title: format!("Parcel {}", shipment.upc), user: None, script: Some("track.js") },
            tone: words::tone(phase),
            icon: crate::page::row::icon(words::phase_icon(phase)),
            label: words::phase(phase),
            since: shipment.since.map(moment),
            next: next(phase),
            way: way(&shipment),
            window: shipment
                .window
                .filter(|_| !phase.terminal())
                .map(|window| (moment(window.from), moment(window.to))),
            place: position.as_ref().map(|position| place(position, now)),
            photos: shipment.photos.iter().filter(|_| delivered).map(|photo| photo.hash.clone()).collect(),
            lines: lines(&shipment),
            has_door: shipment.is_moving(),
            has_code: visit.is_recipient && !phase.terminal(),
            has_proof: !shipment.history.is_empty(),
            upc: shipment.upc,
            seller: shipment.seller,
        }
    }
}

#[derive(Template)]
#[template(path = "track_enter.html")]
pub(super) struct EnterPage {
    pub(super) chrome: Chrome,
    pub(super) refused: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "track_code.html")]
pub(super) struct CodePage {
    pub(super) chrome: Chrome,
    pub(super) upc: String,
    pub(super) qr: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shipment(phase: Phase) -> Shipment {
        let body = json!({"upc": "UPC_1", "phase": phase, "attempt": 1, "seller": "acme", "location": "coarse",
            "history": [{"event": "PickedUp", "at": "2026-01-01T10:00:00Z", "author": "Transport", "verified": true, "counts": true}],
            "photos": []});
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn every_phase_says_what_happens_next_and_the_plain_way_knows_where_it_is() {
        for phase in Phase::ALL {
            assert!(next(phase).ends_with('.'), "{phase}");
        }
        let states: Vec<_> = way(&shipment(Phase::InTransit)).iter().map(|stop| stop.state).collect();
        assert_eq!(states, ["past", "past", "here", "ahead", "ahead"]);
        assert!(way(&shipment(Phase::Lost)).is_empty(), "a bar would promise something");
        assert_eq!(way(&shipment(Phase::Pending)).len(), 5);
    }

    #[test]
    fn a_position_is_said_with_how_exact_it_is_and_how_old() {
        let at = Timestamp::from_second(1_000).unwrap();
        let position = Position { latitude: 52.525, longitude: 13.405, accuracy_m: Some(1000), at };
        let place = place(&position, Timestamp::from_second(1_300).unwrap());
        assert_eq!(
            (place.said.as_str(), place.link.as_str()),
            ("52.5250, 13.4050, within 1000 m", "geo:52.525,13.405")
        );
        assert_eq!(place.ago, "5 min ago");
    }
}
