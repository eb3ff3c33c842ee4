//! Words and signs of what a row says, the same in every page.

use jiff::{SignedDuration, Timestamp};
use waybill_crds::carrier::CarrierKind;
use waybill_crds::{Phase, Stage};

/// How a phase feels: colour is never alone, the words and the sign say the same.
pub(crate) const fn tone(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending | Phase::Accepted | Phase::Rescheduled | Phase::Cancelled => "quiet",
        Phase::PickedUp | Phase::InTransit | Phase::OutForDelivery | Phase::AvailableForPickup => "move",
        Phase::ReturnToSender | Phase::OnHold => "warn",
        Phase::Delivered | Phase::Returned => "good",
        Phase::AttemptFailed | Phase::Refused | Phase::Damaged | Phase::Lost => "bad",
    }
}

pub(crate) const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Not begun",
        Phase::Accepted => "Accepted",
        Phase::PickedUp => "Picked up",
        Phase::InTransit => "In transit",
        Phase::OutForDelivery => "Out for delivery",
        Phase::AvailableForPickup => "Ready to fetch",
        Phase::Delivered => "Delivered",
        Phase::AttemptFailed => "Attempt failed",
        Phase::Rescheduled => "To be tried again",
        Phase::OnHold => "On hold",
        Phase::Refused => "Refused",
        Phase::Damaged => "Damaged",
        Phase::Lost => "Lost",
        Phase::ReturnToSender => "On its way back",
        Phase::Returned => "Back at the seller",
        Phase::Cancelled => "Called off",
    }
}

/// A symbol of `icons.svg`.
pub(crate) const fn phase_icon(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending | Phase::Accepted => "clock",
        Phase::PickedUp => "box",
        Phase::InTransit => "road",
        Phase::OutForDelivery => "pin",
        Phase::AvailableForPickup => "shop",
        Phase::Delivered => "check",
        Phase::AttemptFailed | Phase::Refused | Phase::Lost => "cross",
        Phase::Damaged => "alert",
        Phase::Rescheduled => "again",
        Phase::OnHold => "pause",
        Phase::ReturnToSender | Phase::Returned => "back",
        Phase::Cancelled => "stop",
    }
}

pub(crate) const fn kind_icon(kind: Option<CarrierKind>) -> &'static str {
    match kind {
        Some(CarrierKind::Drone) => "drone",
        Some(CarrierKind::Person) => "person",
        Some(CarrierKind::Truck) | None => "truck",
    }
}

/// The part of the address that is open.
pub(crate) const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::None => "Address closed",
        Stage::Country => "Country open",
        Stage::PostalCode => "Postal code open",
        Stage::Door => "Door open",
    }
}

pub(crate) const fn stage_level(stage: Stage) -> u8 {
    match stage {
        Stage::None => 0,
        Stage::Country => 1,
        Stage::PostalCode => 2,
        Stage::Door => 3,
    }
}

/// `PickedUp` as people write it.
pub(crate) fn event(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            text.push(' ');
            text.push(letter.to_ascii_lowercase());
        } else {
            text.push(letter);
        }
    }
    text
}

/// How long ago, in the fewest letters.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..10 => "now".into(),
        10..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// For people who want to know exactly.
pub(crate) fn exactly(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_ages_read_as_people_say_them() {
        assert_eq!(event("PickedUp"), "Picked up");
        assert_eq!(event("AvailableForPickup"), "Available for pickup");
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ago = |seconds: i64| ago(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        assert_eq!(
            [ago(-5), ago(9), ago(119), ago(7199), ago(90_000)],
            ["now", "now", "119 s ago", "119 min ago", "25 h ago"]
        );
    }
}
