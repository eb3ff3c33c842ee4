//! The way: which leg is due, what came of it, what the camera saw. Who decides how a leg goes is outside (the simulator,
//! or the world); what may be said about it is the log's business.

use waybill_crds::carrier::CarrierKind;
use waybill_protocol::fact::reason::{DeliveredTo, Incident};
use waybill_protocol::{Fact, Hash, LabelCode, Mac, Phase, ScanOutcome, Stage};

use super::{Arrival, Effect, Errand, Job, Leg, Photo, Time};

/// Tries at a label before an agent that is alone stops trying.
pub(crate) const PATIENCE: u32 = 3;

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Road {
    pub(super) under_way: Option<Errand>,
    /// Tries at the label in this attempt that no event stands for yet.
    pub(super) untold: u32,
    /// Tries since the last success or the attempt's beginning.
    tries: u32,
    /// The attempt these are of.
    attempt: u32,
}

impl Job {
    /// Sets out on the leg that is due. What was under way and is not due any more is forgotten: its end is ignored.
    pub(super) fn travel(&mut self) {
        let attempt = self.log.state().attempt();
        if self.road.attempt != attempt {
            self.road = Road { attempt, ..Road::default() };
        }
        let due = self.due();
        if due != self.road.under_way {
            self.road.under_way = due;
            self.out.extend(due.map(Effect::Travel));
        }
    }

    fn due(&self) -> Option<Errand> {
        let state = self.log.state();
        if state.carrier() != Some(self.uid()) || state.hold().is_some() {
            return None;
        }
        match state.phase_beneath() {
            Phase::Accepted if self.may_pick_up() => Some(self.errand(Leg::PickUp, Hash::NONE)),
            Phase::PickedUp | Phase::InTransit | Phase::OutForDelivery => self.due_on_the_way(),
            Phase::AvailableForPickup => Some(self.errand(Leg::Collect, Hash::NONE)),
            Phase::ReturnToSender if self.allows(&Fact::GivenBack) => Some(self.errand(Leg::Return, Hash::NONE)),
            _ => None,
        }
    }

    fn due_on_the_way(&self) -> Option<Errand> {
        match self.log.state().unanswered() {
            Some((_, released)) if !self.holds_part(&released) => None,
            Some((Stage::PostalCode, released)) if self.must_scan() && self.road.tries > 0 => {
                Some(self.errand(Leg::Rescan, released))
            }
            Some((stage, released)) => Some(self.errand(Leg::To(stage), released)),
            // The seller refused the scan: it was another label.
            None if self.must_scan() && self.log.state().posted() == Some(Stage::PostalCode) => {
                Some(self.errand(Leg::Rescan, Hash::NONE))
            }
            None => None,
        }
    }

    fn errand(&self, leg: Leg, about: Hash) -> Errand {
        let again =
            self.said_in_this_attempt(|fact| matches!(fact, Fact::OnHold { .. } | Fact::AvailableForPickup { .. }));
        let tries = if leg == Leg::Rescan { self.road.tries } else { 0 };
        Errand { leg, attempt: self.log.state().attempt(), about, again, tries }
    }

    fn may_pick_up(&self) -> bool {
        let state = self.log.state();
        let fits = state.terms().is_some_and(|terms| {
            terms.carrier == *self.uid()
                && self.upc.as_ref().is_none_or(|upc| *upc == terms.upc)
                && (self.profile.camera || !(terms.photo || terms.scan))
        });
        state.is_handed_over() && fits && self.held.key.is_some()
    }

    fn holds_part(&self, released: &Hash) -> bool {
        self.held.parts.iter().any(|(known, _)| known == released)
    }

    /// Whether the label has to be read still: no incident lets the seller go on without it.
    pub(super) fn must_scan(&self) -> bool {
        self.log.state().door_gate() == waybill_protocol::DoorGate::AwaitsScan
    }

    pub(super) fn allows(&self, fact: &Fact) -> bool {
        self.log.allows(waybill_protocol::Author::Transport, self.uid(), fact).is_ok()
    }

    pub(super) fn arrived(&mut self, errand: Errand, arrival: Arrival, now: Time) {
        if self.road.under_way != Some(errand) {
            return;
        }
        let fact = match arrival {
            Arrival::AsPlanned => return self.arrived_as_planned(errand, now),
            Arrival::Failed(reason) => Fact::AttemptFailed { reason },
            Arrival::Refused(reason) => Fact::Refused { reason },
            Arrival::Damaged(reason) => Fact::Damaged { reason },
            Arrival::Lost(reason) => Fact::Lost { reason },
            Arrival::Held(reason) => Fact::OnHold { reason, note: None },
            Arrival::LeftForPickup => Fact::AvailableForPickup { note: None },
        };
        self.state(fact, now);
    }

    pub(super) fn arrived_as_planned(&mut self, errand: Errand, now: Time) {
        match errand.leg {
            Leg::PickUp => {
                self.state(Fact::PickedUp, now);
                self.say_news(Vec::new());
            }
            Leg::To(Stage::PostalCode) | Leg::Rescan if self.must_scan() => {
                self.out.push(Effect::Scan(errand, self.held.label.clone()));
            }
            Leg::Rescan => {}
            Leg::To(Stage::Door) if self.log.state().terms().is_some_and(|terms| terms.photo) => {
                self.out.push(Effect::Photograph(errand));
            }
            Leg::To(Stage::Door) => self.deliver(now),
            Leg::To(stage) => self.post_stage(stage, now),
            Leg::Collect => {
                self.state(Fact::Delivered { to: DeliveredTo::PickupPoint, note: None }, now);
            }
            Leg::Return => {
                self.state(Fact::GivenBack, now);
            }
        }
    }

    fn post_stage(&mut self, stage: Stage, now: Time) {
        let Some(commitments) = self.log.state().commitments() else { return };
        let commitment = commitments.of(stage);
        self.state(Fact::Posted { stage, commitment }, now);
    }

    fn deliver(&mut self, now: Time) {
        let to = match self.profile.kind {
            CarrierKind::Truck | CarrierKind::Person => DeliveredTo::Recipient,
            // Nobody has to open a door to it.
            CarrierKind::Drone => DeliveredTo::SafePlace,
        };
        self.state(Fact::Delivered { to, note: None }, now);
    }

    /// What the camera read. Only the right label lets the postal part be posted; every try is counted.
    pub(super) fn scanned(&mut self, errand: Errand, codes: &[String], now: Time) {
        if self.road.under_way != Some(errand) {
            return;
        }
        let outcome = self.outcome(codes);
        let told = self.log.state().scans().iter().map(|scan| scan.tries).max().unwrap_or(0);
        let tries = told + self.road.untold + 1;
        let fact = Fact::Scanned { outcome, tries };
        let new = self.allows(&fact);
        if new {
            self.road.untold = 0;
            self.state(fact, now);
        } else {
            self.road.untold += 1;
        }
        if new && matches!(outcome, ScanOutcome::Read { .. }) {
            self.road.tries = 0;
            return self.go_on_after_label(now);
        }
        self.road.tries += 1;
        if outcome == ScanOutcome::Unreadable && self.profile.alone && self.road.tries >= PATIENCE {
            self.report(Incident::LabelUnreadable, now);
        }
    }

    fn outcome(&self, codes: &[String]) -> ScanOutcome {
        let labels: Vec<LabelCode> = codes.iter().filter_map(|code| code.parse().ok()).collect();
        let own = labels.iter().find(|label| label.delivery == *self.delivery());
        match own {
            Some(label) => ScanOutcome::Read { mac: self.scan_mac(label) },
            None if labels.is_empty() => ScanOutcome::Unreadable,
            None => ScanOutcome::WrongParcel,
        }
    }

    fn scan_mac(&self, label: &LabelCode) -> Mac {
        label.secret.scan_mac(self.delivery(), self.log.state().attempt())
    }

    pub(super) fn report(&mut self, incident: Incident, now: Time) {
        if self.state(Fact::IncidentReported { incident, note: None }, now) {
            self.road.tries = 0;
            self.go_on_after_label(now);
        }
    }

    /// The postal part waited for the label; now it is posted.
    fn go_on_after_label(&mut self, now: Time) {
        let waits =
            matches!(self.log.state().unanswered(), Some((Stage::PostalCode, released)) if self.holds_part(&released));
        let asked = self.log.state().terms().is_some_and(|terms| terms.scan);
        let arrived = matches!(self.road.under_way, Some(Errand { leg: Leg::To(Stage::PostalCode) | Leg::Rescan, .. }));
        if waits && asked && arrived && !self.must_scan() {
            self.post_stage(Stage::PostalCode, now);
        }
    }

    /// The picture first, then the word that it shows: a courier stands at the door once.
    pub(super) fn photographed(&mut self, errand: Errand, photo: Option<Photo>, now: Time) {
        if self.road.under_way != Some(errand) {
            return;
        }
        match photo {
            Some(photo) => {
                self.keep(photo.record());
                self.held.photo = Some(photo);
            }
            None => drop(self.state(Fact::IncidentReported { incident: Incident::CameraBroken, note: None }, now)),
        }
        self.deliver(now);
    }
}
