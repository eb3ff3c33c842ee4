//! Which part of an order may be read now: the log says so, nothing else. Pure.

use waybill_protocol::{DoorGate, Log, Phase, Stage};

/// Whether a part is open, or due and so about to be.
pub(crate) fn is_readable(log: &Log, stage: Stage) -> bool {
    let state = log.state();
    state.stage() >= Some(stage) || state.due() == Some(stage)
}

/// In words for whoever asked too early: what opens this part.
pub(crate) fn opens(log: &Log, stage: Stage) -> String {
    let state = log.state();
    if state.hold().is_some() {
        return "the parcel is on hold: nothing opens before the hold ends".to_owned();
    }
    if state.phase().is_terminal() {
        return "the delivery is over: nothing opens any more".to_owned();
    }
    let running = matches!(state.phase(), Phase::PickedUp | Phase::InTransit | Phase::OutForDelivery);
    match stage {
        _ if !running => "no attempt runs: the country part opens once the carrier has picked the parcel up".to_owned(),
        Stage::Door if state.posted() >= Some(Stage::PostalCode) && state.door_gate() == DoorGate::AwaitsScan => {
            "it opens once the parcel's label was scanned, or an incident was reported".to_owned()
        }
        Stage::Door if state.terms().is_some_and(|terms| terms.scan) => {
            "it opens once the carrier has posted the PostalCode part and scanned the parcel's label".to_owned()
        }
        Stage::Country => "it opens once the carrier has picked the parcel up".to_owned(),
        Stage::PostalCode | Stage::Door => {
            let before = stage.previous().unwrap_or(Stage::Country);
            format!("it opens once the carrier has posted the {before} part")
        }
    }
}
