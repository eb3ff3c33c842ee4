//! How the legs of a simulated way go: how long each takes and how it ends. Pure: the same errand has the same end.
//!
//! A script says how attempts end, one entry an attempt; after the last entry it delivers. Where on the way a fate
//! strikes is the fate's own: a parcel is lost on the road, and refused at the door.

use std::time::Duration;

use waybill_crds::carrier::{CarrierKind, FailureReason, Outcome, Step};
use waybill_protocol::fact::reason::{Cause, Happening, HoldReason};
use waybill_protocol::{Reason, Stage, Uid};

use crate::camera::place;
use crate::job::{Arrival, Errand, Fix, Leg};

/// Tries at a label before a courier with nobody to ask gives the attempt up.
const PATIENCE: u32 = 3;

/// One agent's temper.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub kind: CarrierKind,
    /// How long a leg takes.
    pub pace: Duration,
    /// How attempts end, in their order.
    pub script: Vec<Step>,
}

impl Simulator {
    /// How long this leg takes and how it ends.
    pub fn travel(&self, errand: &Errand) -> (Duration, Arrival) {
        (self.pace.mul_f32(self.effort(errand.leg)), self.arrival(errand))
    }

    /// Where a parcel is on its way to somewhere: drawn from its delivery, never from an address.
    pub fn position(&self, delivery: &Uid, leg: Leg, progress: f64) -> Fix {
        let (north, east) = place(delivery);
        // From a depot some twenty kilometres off, in a direction of its own.
        let turn = (north + east).fract() * std::f64::consts::TAU;
        let (from, to) = match leg {
            Leg::PickUp => (1.0, 1.0),
            Leg::To(Stage::Country) => (1.0, 0.5),
            Leg::To(Stage::PostalCode) => (0.5, 0.1),
            Leg::Rescan => (0.1, 0.1),
            Leg::To(Stage::Door) => (0.1, 0.0),
            Leg::Collect => (0.0, 0.0),
            Leg::Return => (0.0, 1.0),
        };
        let away = 0.2 * (from + (to - from) * progress.clamp(0.0, 1.0));
        #[expect(clippy::cast_possible_truncation, reason = "degrees on earth fit")]
        let e7 = |degrees: f64| (degrees * 1e7) as i32;
        Fix {
            latitude_e7: e7(north + away * turn.sin()),
            longitude_e7: e7(east + away * turn.cos()),
            accuracy_m: Some(match self.kind {
                CarrierKind::Drone => 5,
                CarrierKind::Truck => 15,
                CarrierKind::Person => 30,
            }),
        }
    }

    /// Whether the parcel in this courier's hands is another one, in this attempt.
    pub fn holds_wrong_parcel(&self, attempt: u32) -> bool {
        self.step(attempt).is_some_and(|step| step.outcome == Outcome::WrongLabel)
    }

    /// A truck is even, a drone is quick in the air and a person slow on the stairs; a recipient takes a while.
    fn effort(&self, leg: Leg) -> f32 {
        match (self.kind, leg) {
            (_, Leg::Collect) => 3.0,
            (CarrierKind::Truck, _) => 1.0,
            (CarrierKind::Drone, Leg::To(_)) => 0.5,
            (CarrierKind::Person, Leg::To(Stage::Door)) => 1.5,
            (CarrierKind::Drone | CarrierKind::Person, _) => 1.0,
        }
    }

    fn arrival(&self, errand: &Errand) -> Arrival {
        if errand.leg == Leg::Rescan && errand.tries >= PATIENCE {
            let (cause, what) = (Cause::Carrier, Happening::WrongParcel);
            return Arrival::Failed(Reason { cause, what, note: None });
        }
        // What the script holds for this attempt happens once in it.
        let step = self.step(errand.attempt).filter(|_| !errand.again);
        let Some(Step { outcome, reason }) = step else { return Arrival::AsPlanned };
        match (outcome, errand.leg) {
            (Outcome::Lost, Leg::To(Stage::PostalCode)) => {
                Arrival::Lost(told(*reason, (Cause::Carrier, Happening::ParcelLost)))
            }
            (Outcome::AttemptFailed, Leg::To(Stage::Door)) => {
                Arrival::Failed(told(*reason, (Cause::Recipient, Happening::RecipientAbsent)))
            }
            (Outcome::Refused, Leg::To(Stage::Door)) => {
                Arrival::Refused(told(*reason, (Cause::Recipient, Happening::RecipientRefused)))
            }
            (Outcome::Damaged, Leg::To(Stage::Door)) => {
                Arrival::Damaged(told(*reason, (Cause::Carrier, Happening::ParcelDamaged)))
            }
            (Outcome::OnHold, Leg::To(Stage::Door)) => Arrival::Held(HoldReason::CarrierRequest),
            (Outcome::AvailableForPickup, Leg::To(Stage::Door)) => Arrival::LeftForPickup,
            _ => Arrival::AsPlanned,
        }
    }

    fn step(&self, attempt: u32) -> Option<&Step> {
        self.script.get(usize::try_from(attempt.checked_sub(1)?).ok()?)
    }
}

/// The reason the script gives, or the usual one.
fn told(reason: Option<FailureReason>, (cause, what): (Cause, Happening)) -> Reason {
    let Some(FailureReason { cause: whose, what: why }) = reason else { return Reason { cause, what, note: None } };
    Reason { cause: word(whose).unwrap_or(cause), what: word(why).unwrap_or(what), note: None }
}

/// The custom resource's lists and the protocol's have the same words; a test holds them together.
fn word<T: std::str::FromStr>(listed: impl serde::Serialize) -> Option<T> {
    serde_json::to_value(listed).ok()?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_protocol::Hash;

    fn simulator(script: &str) -> Simulator {
        let script = serde_json::from_str(script).unwrap();
        Simulator { kind: CarrierKind::Truck, pace: Duration::from_secs(2), script }
    }

    fn errand(leg: Leg, attempt: u32) -> Errand {
        Errand { leg, attempt, about: Hash::NONE, again: false, tries: 0 }
    }

    #[test]
    fn every_word_of_the_custom_resource_is_one_of_the_protocol() {
        let causes = ["recipient", "seller", "carrier", "thirdParty", "nature", "unknown"];
        let whats = Happening::ALL.iter().map(|what| what.as_str());
        for cause in causes {
            for what in whats.clone() {
                let what = format!("{}{}", what[..1].to_lowercase(), &what[1..]);
                let script =
                    format!(r#"[{{"outcome":"attemptFailed","reason":{{"cause":"{cause}","what":"{what}"}}}}]"#);
                let (_, arrival) = simulator(&script).travel(&errand(Leg::To(Stage::Door), 1));
                let Arrival::Failed(reason) = arrival else { panic!("{arrival:?}") };
                assert_eq!(reason.cause, cause.parse().unwrap());
                assert_eq!(reason.what, what.parse().unwrap());
            }
        }
    }

    #[test]
    fn a_script_counts_attempts_and_then_delivers() {
        let simulator = simulator(r#"[{"outcome":"attemptFailed"},{"outcome":"refused"}]"#);
        let at_door = |attempt| simulator.travel(&errand(Leg::To(Stage::Door), attempt)).1;
        assert!(matches!(at_door(1), Arrival::Failed(_)));
        assert!(matches!(at_door(2), Arrival::Refused(_)));
        assert_eq!(at_door(3), Arrival::AsPlanned);
    }

    #[test]
    fn a_fate_strikes_once_and_where_it_belongs() {
        let simulator = simulator(r#"[{"outcome":"lost"}]"#);
        assert_eq!(simulator.travel(&errand(Leg::To(Stage::Country), 1)).1, Arrival::AsPlanned);
        assert!(matches!(simulator.travel(&errand(Leg::To(Stage::PostalCode), 1)).1, Arrival::Lost(_)));
        let again = Errand { again: true, ..errand(Leg::To(Stage::PostalCode), 1) };
        assert_eq!(simulator.travel(&again).1, Arrival::AsPlanned);
    }

    #[test]
    fn d_07_a_parcel_comes_nearer_leg_by_leg_and_ends_at_its_door() {
        let (delivery, way) = (Uid::new("dddddddd-0000-4000-8000-000000000001").unwrap(), simulator("[]"));
        let (north, east) = place(&delivery);
        let away = |leg, progress| {
            let fix = way.position(&delivery, leg, progress);
            (f64::from(fix.latitude_e7) / 1e7 - north).hypot(f64::from(fix.longitude_e7) / 1e7 - east)
        };
        let legs = [Leg::PickUp, Leg::To(Stage::Country), Leg::To(Stage::PostalCode), Leg::To(Stage::Door)];
        let way_down: Vec<f64> =
            legs.iter().flat_map(|leg| [away(*leg, 0.0), away(*leg, 0.5), away(*leg, 1.0)]).collect();
        assert!(way_down.is_sorted_by(|one, next| next <= &(one + 1e-6)), "{way_down:?}");
        assert!(way_down[0] > 0.19 && way_down[11] < 1e-6, "{way_down:?}");
    }

    #[test]
    fn d_03_kinds_differ_in_their_pace_and_a_pace_of_zero_is_at_once() {
        let pace = |kind| Simulator { kind, ..simulator("[]") }.travel(&errand(Leg::To(Stage::Door), 1)).0;
        assert!(pace(CarrierKind::Drone) < pace(CarrierKind::Truck));
        assert!(pace(CarrierKind::Truck) < pace(CarrierKind::Person));
        let hurried = Simulator { pace: Duration::ZERO, ..simulator("[]") };
        assert_eq!(hurried.travel(&errand(Leg::Collect, 1)).0, Duration::ZERO);
    }
}
