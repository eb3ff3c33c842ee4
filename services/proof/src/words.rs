//! Events in plain words, the same in a bundle's page, on the board and in the terminal. No name, no address, no place: an event holds none,
//! but a declaration's author, and that is for whoever holds the bundle.

use time::UtcDateTime;
use time::format_description::well_known::Rfc3339;
use waybill_protocol::fact::reason::{
    CancelReason, Cause, DeclaredFact, DeliveredTo, ErasedScope, Guarantee, Happening, HoldReason, Incident,
    ReturnReason,
};
use waybill_protocol::{Author, Event, Fact, Gate, Phase, Reason, ScanOutcome, Stage, UnixMillis};

/// What an event says, as a sentence without its end.
pub fn event(event: &Event) -> String {
    match &event.fact {
        Fact::Accepted { .. } => format!("The carrier took the job (attempt {})", event.attempt),
        Fact::Rekeyed { .. } => "The carrier's agent made a fresh key for this attempt".into(),
        Fact::KeyRotated => format!("{} changed its signing key", who(event.author)),
        Fact::HandedOver { .. } => "The seller handed the parcel over".into(),
        Fact::PickedUp => "The carrier picked the parcel up".into(),
        Fact::Released { stage, gate } => released(*stage, gate.as_ref()),
        Fact::Posted { stage, .. } => format!("The carrier confirmed the {}", part(*stage)),
        Fact::Scanned { outcome, tries } => scanned(outcome, *tries),
        Fact::ScanRefused { .. } => "The seller checked the scan: not this parcel's label".into(),
        Fact::IncidentReported { incident, .. } => format!("The carrier reported: {}", self::incident(*incident)),
        Fact::Delivered { to, .. } => format!("The parcel was delivered to {}", delivered_to(*to)),
        Fact::ProofAttached { .. } => "A picture was attached as proof".into(),
        Fact::ReceiptProved { .. } => "The recipient proved the receipt with their own code".into(),
        Fact::AttemptFailed { reason } => format!("The attempt failed: {}", self::reason(reason)),
        Fact::Rescheduled { .. } => "The seller asked for another attempt".into(),
        Fact::AvailableForPickup { .. } => "The parcel waits to be fetched".into(),
        Fact::OnHold { reason, .. } => format!("The parcel was put on hold: {}", hold(*reason)),
        Fact::Resumed => "The hold ended".into(),
        Fact::Refused { reason } => format!("The parcel was refused: {}", self::reason(reason)),
        Fact::Damaged { reason } => format!("The parcel was damaged: {}", self::reason(reason)),
        Fact::Lost { reason } => format!("The parcel was lost: {}", self::reason(reason)),
        Fact::Found { .. } => "The lost parcel was found".into(),
        Fact::Cancelled { reason } => format!("The seller called the delivery off: {}", cancelled(*reason)),
        Fact::ReturnRequested { reason } => format!("The seller asked for the parcel back: {}", returned(*reason)),
        Fact::GivenBack => "The carrier gave the parcel back".into(),
        Fact::ReturnReceived => "The seller has the parcel again".into(),
        Fact::AddressChanged { .. } => "The seller changed the address".into(),
        Fact::CarrierAssigned { .. } => "The seller gave the job to another carrier".into(),
        Fact::Declared { fact, by, .. } => format!("{} declared: {}", by.as_str(), declared(*fact)),
        Fact::Countersigned { .. } => "The seller countersigned a declaration".into(),
        Fact::Corrected { .. } => format!("{} took a step back: it was a mistake", who(event.author)),
        Fact::Erased { scope } => erased(*scope).into(),
        Fact::Forgotten { guarantee } => forgotten(*guarantee).into(),
    }
}

/// A phase, as people say it.
pub const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "not begun",
        Phase::Accepted => "accepted by the carrier",
        Phase::PickedUp => "picked up",
        Phase::InTransit => "in transit",
        Phase::OutForDelivery => "out for delivery",
        Phase::AvailableForPickup => "waiting to be fetched",
        Phase::Delivered => "delivered",
        Phase::AttemptFailed => "not delivered at this attempt",
        Phase::Rescheduled => "to be tried again",
        Phase::OnHold => "on hold",
        Phase::Refused => "refused",
        Phase::Damaged => "damaged",
        Phase::Lost => "lost",
        Phase::ReturnToSender => "on its way back to the seller",
        Phase::Returned => "back at the seller",
        Phase::Cancelled => "called off",
    }
}

/// A part of the address.
pub const fn part(stage: Stage) -> &'static str {
    match stage {
        Stage::Country => "country",
        Stage::PostalCode => "postal code",
        Stage::Door => "door",
    }
}

/// Who speaks.
pub const fn who(author: Author) -> &'static str {
    match author {
        Author::Seller => "The seller",
        Author::Transport => "The carrier",
        Author::Person => "A person",
    }
}

/// The last millisecond that is written as claimed: two hours before the year 10000.
const LAST: u64 = 253_402_207_200_000;

/// RFC 3339 in UTC; a device may claim any time, and one that cannot be written is the last that can.
pub fn time(at: UnixMillis) -> String {
    let claimed = Some(at.0).filter(|at| *at <= LAST).map(|at| i128::from(at) * 1_000_000);
    let claimed = claimed.and_then(|nanos| UtcDateTime::from_unix_timestamp_nanos(nanos).ok()?.format(&Rfc3339).ok());
    claimed.unwrap_or_else(|| "9999-12-30T22:00:00.999999999Z".into())
}

fn released(stage: Stage, gate: Option<&Gate>) -> String {
    let why = match gate {
        Some(Gate::Scan { .. }) => ", after the label was scanned",
        Some(Gate::Incident { .. }) => ", without a scan because of a reported incident",
        Some(Gate::NotAsked) | None => "",
    };
    format!("The seller released the {}{why}", part(stage))
}

fn scanned(outcome: &ScanOutcome, tries: u32) -> String {
    let what = match outcome {
        ScanOutcome::Read { .. } => "The carrier scanned the label",
        ScanOutcome::WrongParcel => "The carrier scanned another parcel's label",
        ScanOutcome::Unreadable => "The carrier could not read the label",
    };
    if tries > 1 { format!("{what} ({tries} tries)") } else { what.into() }
}

/// Both axes of a failure.
pub fn reason(reason: &Reason) -> String {
    let what = happening(reason.what);
    match reason.cause {
        Cause::Unknown => what.into(),
        Cause::Recipient => format!("{what} (on the recipient's side)"),
        Cause::Seller => format!("{what} (on the seller's side)"),
        Cause::Carrier => format!("{what} (on the carrier's side)"),
        Cause::ThirdParty => format!("{what} (a third party's doing)"),
        Cause::Nature => format!("{what} (nobody's doing)"),
    }
}

const fn happening(what: Happening) -> &'static str {
    match what {
        Happening::RecipientAbsent => "nobody was there",
        Happening::RecipientUnknown => "the recipient is not known there",
        Happening::RecipientRefused => "the recipient did not want it",
        Happening::AddressIncomplete => "the address is incomplete",
        Happening::AddressNotFound => "the address could not be found",
        Happening::NoAccess => "there was no way in",
        Happening::IdentityNotProved => "the recipient could not be identified",
        Happening::ParcelDamaged => "the parcel is damaged",
        Happening::ParcelLost => "the parcel is lost",
        Happening::ParcelStolen => "the parcel was stolen",
        Happening::ParcelDoesNotFit => "the parcel does not fit",
        Happening::WrongParcel => "it was the wrong parcel",
        Happening::VehicleBreakdown => "the vehicle broke down",
        Happening::OutOfTime => "time ran out",
        Happening::Unsafe => "it was not safe",
        Happening::Weather => "the weather",
        Happening::Customs => "customs",
        Happening::Other => "another reason",
    }
}

const fn hold(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::SellerRequest => "the seller asked for it",
        HoldReason::RecipientRequest => "the recipient asked for it",
        HoldReason::CarrierRequest => "the carrier asked for it",
        HoldReason::CarrierRevoked => "the carrier's identity was revoked; what it signs from here on is void",
        HoldReason::CarrierReplaced => {
            "another carrier stands under its name; what the former signs from here on is void"
        }
        HoldReason::CarrierKeyLost => "the carrier lost its key; what it signs from here on is void",
        HoldReason::OrderMissing => "the order is missing",
        HoldReason::AddressUnclear => "the address is not clear",
        HoldReason::Customs => "customs",
        HoldReason::Weather => "the weather",
        HoldReason::Investigation => "an investigation",
        HoldReason::Other => "another reason",
    }
}

const fn incident(incident: Incident) -> &'static str {
    match incident {
        Incident::LabelUnreadable => "the label cannot be read",
        Incident::LabelMismatch => "the label is not the one expected",
        Incident::CameraBroken => "the camera is broken",
        Incident::ParcelOpened => "the parcel was opened",
        Incident::Accident => "an accident",
        Incident::Theft => "a theft",
        Incident::Delay => "a delay",
        Incident::Other => "an incident",
    }
}

const fn delivered_to(to: DeliveredTo) -> &'static str {
    match to {
        DeliveredTo::Recipient => "the recipient",
        DeliveredTo::Household => "somebody of the household",
        DeliveredTo::Neighbour => "a neighbour",
        DeliveredTo::Mailbox => "the mailbox",
        DeliveredTo::SafePlace => "a safe place",
        DeliveredTo::PickupPoint => "a pick-up point",
    }
}

const fn cancelled(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::RecipientRequest => "the recipient asked for it",
        CancelReason::SellerRequest => "its own wish",
        CancelReason::OutOfStock => "out of stock",
        CancelReason::AddressInvalid => "the address is not valid",
        CancelReason::Duplicate => "it was ordered twice",
        CancelReason::Fraud => "fraud",
        CancelReason::Other => "another reason",
    }
}

const fn returned(reason: ReturnReason) -> &'static str {
    match reason {
        ReturnReason::AttemptsExhausted => "no attempt is left",
        ReturnReason::Refused => "it was refused",
        ReturnReason::Damaged => "it is damaged",
        ReturnReason::NotCollected => "nobody fetched it",
        ReturnReason::AddressInvalid => "the address is not valid",
        ReturnReason::SellerRequest => "its own wish",
        ReturnReason::Other => "another reason",
    }
}

const fn declared(fact: DeclaredFact) -> &'static str {
    match fact {
        DeclaredFact::Delivered => "the parcel was delivered",
        DeclaredFact::AttemptFailed => "the attempt failed",
        DeclaredFact::Refused => "the parcel was refused",
        DeclaredFact::Damaged => "the parcel was damaged",
        DeclaredFact::Lost => "the parcel was lost",
        DeclaredFact::Found => "the parcel was found",
        DeclaredFact::GivenBack => "the parcel was given back",
        DeclaredFact::Incident => "an incident",
    }
}

const fn erased(scope: ErasedScope) -> &'static str {
    match scope {
        ErasedScope::Attempt => "The carrier's agent wiped the keys and the address of the attempt",
        ErasedScope::Delivery => "The carrier's agent wiped everything it held of the delivery",
    }
}

const fn forgotten(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::Full => "The order was erased; nothing left can test a guess at the address",
        Guarantee::WhileCommitKeyIsSafe => {
            "The order was erased; a guess at the whole address can be tested only with the seller's key"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of a bundle is compared byte by byte: moments are written as they were from the first.
    #[test]
    fn a_moment_is_written_in_its_one_form_whatever_a_device_claims() {
        let said = |at: u64| time(UnixMillis(at));
        assert_eq!(said(0), "1970-01-01T00:00:00Z");
        assert_eq!(said(1_800_000_000_120), "2027-01-15T08:00:00.12Z");
        let last = "9999-12-30T22:00:00.999999999Z";
        assert_eq!((said(LAST + 1).as_str(), said(u64::MAX).as_str()), (last, last));
        for at in [1, 999, 1_000, 951_782_400_001, 1_800_000_000_005, 1_800_000_000_500, LAST] {
            let once = jiff::Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap();
            assert_eq!(said(at), once.to_string());
        }
        assert_eq!(jiff::Timestamp::MAX.to_string(), last);
    }
}
