//! What a person at the device can say and see. A tap is judged by the same table as everything else, and by what this
//! agent itself waits for; what is refused changes nothing.

use waybill_crds::delivery::LocationSharing;
use waybill_protocol::carrier_to_seller as up;
use waybill_protocol::fact::reason::{Cause, DeliveredTo, Happening, HoldReason, Incident};
use waybill_protocol::{
    AttemptSecret, Author, DoorGate, Fact, Hash, Part, Phase, Reason, SignError, SignedEvent, Stage, sign_courier_check,
};

use super::{Ask, Errand, Fix, Job, Leg, Photo, Proof, Refused, Tap, Time, Told, View};

/// A hundredth of a degree: about a kilometre, and said to be no better.
const COARSE_E7: i32 = 100_000;
const COARSE_M: u32 = 1_000;

/// Where the parcel is, and who may know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) location: LocationSharing,
    /// The number of the last position that was sent.
    told: u64,
}

/// What a tap that is not refused does.
enum Act {
    State(Fact),
    Arrive(Errand),
    Scan(Errand),
    Report(Incident),
}

impl Job {
    /// `None`: how the delivery stands after it.
    pub(super) fn asked(&mut self, ask: Ask, now: Time) -> Result<Option<Told>, Refused> {
        match ask {
            Ask::Show => Ok(None),
            Ask::Courier(challenge) => self.courier(&challenge).map(Some),
            _ if !self.standing.sure || self.standing.gone => Err(Refused::NotReady),
            Ask::Tap(tap) => self.tapped(tap, now).map(|()| None),
            Ask::Photo(photo) => self.photo_taken(photo).map(|()| None),
        }
    }

    fn tapped(&mut self, tap: Tap, now: Time) -> Result<(), Refused> {
        match (self.judge(&tap)?, tap) {
            (Act::Arrive(errand), _) => self.arrived_as_planned(errand, now),
            (Act::Scan(errand), Tap::Scan(codes)) => self.scanned(errand, &codes, now),
            (Act::Scan(_), _) => {}
            (Act::Report(incident), _) => self.report(incident, now),
            (Act::State(fact), _) => self.try_state(fact, now).map_err(refused)?,
        }
        Ok(())
    }

    /// What would come of a tap, without anything coming of it.
    fn judge(&self, tap: &Tap) -> Result<Act, Refused> {
        let fact = match tap {
            Tap::PickedUp => return self.at(Leg::PickUp).map(Act::Arrive).ok_or_else(|| self.why(&Fact::PickedUp)),
            Tap::Arrived => return self.arrival().map(Act::Arrive),
            Tap::Scan(_) => return self.scan_due().map(Act::Scan).ok_or(Refused::NoScanDue),
            Tap::Incident(incident) => return self.incident(*incident).map(Act::Report),
            Tap::Delivered(to) => Fact::Delivered { to: *to, note: None },
            Tap::AvailableForPickup => Fact::AvailableForPickup { note: None },
            Tap::HandedBack => Fact::GivenBack,
            Tap::Failed(reason) => Fact::AttemptFailed { reason: *reason },
            Tap::Refused(reason) => Fact::Refused { reason: *reason },
            Tap::Damaged(reason) => Fact::Damaged { reason: *reason },
            Tap::Lost(reason) => Fact::Lost { reason: *reason },
            Tap::Found => Fact::Found { note: None },
            Tap::Hold(reason) => Fact::OnHold { reason: *reason, note: None },
            Tap::Resume => Fact::Resumed,
            Tap::Correct => self.last_step().ok_or(Refused::NothingToCorrect)?,
        };
        self.legal(&fact)?;
        match fact {
            Fact::Delivered { .. } if self.photo_due() => Err(Refused::PhotoFirst),
            fact => Ok(Act::State(fact)),
        }
    }

    fn legal(&self, fact: &Fact) -> Result<(), Refused> {
        self.log.allows(Author::Transport, self.uid(), fact).map_err(Refused::Machine)
    }

    fn why(&self, fact: &Fact) -> Refused {
        self.legal(fact).err().unwrap_or(Refused::NotUnderWay)
    }

    fn at(&self, leg: Leg) -> Option<Errand> {
        self.road.under_way.filter(|errand| errand.leg == leg)
    }

    fn arrival(&self) -> Result<Errand, Refused> {
        match self.road.under_way {
            Some(Errand { leg: Leg::To(Stage::PostalCode) | Leg::Rescan, .. }) if self.must_scan() => {
                Err(Refused::ScanFirst)
            }
            Some(errand) if matches!(errand.leg, Leg::To(Stage::Country | Stage::PostalCode)) => Ok(errand),
            _ => Err(Refused::NotUnderWay),
        }
    }

    fn scan_due(&self) -> Option<Errand> {
        let asked = |errand: &Errand| matches!(errand.leg, Leg::To(Stage::PostalCode) | Leg::Rescan);
        self.road.under_way.filter(|errand| asked(errand) && self.must_scan())
    }

    /// Whoever overrides a label must have heard what became of it.
    fn incident(&self, incident: Incident) -> Result<Incident, Refused> {
        self.legal(&Fact::IncidentReported { incident, note: None })?;
        let unanswered = matches!(self.log.state().door_gate(), DoorGate::CheckScan { .. })
            && self.log.state().stage() != Some(Stage::Door);
        if incident.excuses_the_scan() && unanswered && incident != Incident::CameraBroken {
            return Err(Refused::ScanUnanswered);
        }
        Ok(incident)
    }

    /// An attempt's end is followed by the word that its keys are gone: the step before that is meant.
    fn last_step(&self) -> Option<Fact> {
        let steps = self.log.events_of(Author::Transport, self.uid(), 0);
        let step = steps.filter(|signed| !matches!(signed.event().fact, Fact::Erased { .. })).last();
        step.map(SignedEvent::id).map(|event| Fact::Corrected { event, note: None })
    }

    fn photo_due(&self) -> bool {
        let asked = self.log.state().terms().is_some_and(|terms| terms.photo);
        let excused = |fact: &Fact| {
            matches!(fact, Fact::ProofAttached { .. })
                || matches!(fact, Fact::IncidentReported { incident: Incident::CameraBroken, .. })
        };
        asked && self.held.photo.is_none() && !self.said_in_this_attempt(excused)
    }

    fn photo_taken(&mut self, photo: Photo) -> Result<(), Refused> {
        let proof = Fact::ProofAttached { kind: Photo::KIND, media: photo.media, sha256: Hash::of(&photo.bytes) };
        self.legal(&proof)?;
        if self.held.photo.is_some() {
            return Err(Refused::PhotoWaiting);
        }
        self.keep(photo.record());
        self.held.photo = Some(photo);
        Ok(())
    }

    /// Without a network too: digits both sides make of what only they know, and a signature.
    fn courier(&self, challenge: &[u8]) -> Result<Told, Refused> {
        let attempt = self.log.state().attempt();
        let key = self.held.key.as_ref().filter(|key| key.attempt == attempt).ok_or(Refused::NoAttempt)?;
        let secret = AttemptSecret::of_carrier(&key.secret(), &key.seller, self.delivery(), attempt);
        let signature = sign_courier_check(&self.own.signer, self.delivery(), attempt, challenge);
        Ok(Told::Courier(Proof { digits: secret.digits(challenge).to_string(), signature }))
    }

    /// As it stands.
    pub(super) fn view(&self) -> View {
        let state = self.log.state();
        let mut parts: Vec<Part> = Vec::new();
        for part in self.held.parts.iter().filter_map(|(_, bytes)| Part::decode(&bytes.0).ok()) {
            parts.retain(|known| known.stage() != part.stage());
            parts.push(part);
        }
        let told = state.scans().iter().map(|scan| scan.tries).max().unwrap_or(0);
        View {
            delivery: self.delivery().clone(),
            upc: self.upc.clone(),
            phase: state.phase(),
            attempt: state.attempt(),
            stage: state.stage(),
            hold: state.hold().map(|hold| hold.reason),
            taps: self.taps(),
            parts,
            scan_due: self.scan_due().is_some(),
            scan_tries: told + self.road.untold,
            photo_due: self.photo_due() && self.held.key.is_some(),
            location: self.shared.location,
        }
    }

    fn taps(&self) -> Vec<&'static str> {
        if !self.standing.sure || self.standing.gone {
            return Vec::new();
        }
        let reason = Reason { cause: Cause::Unknown, what: Happening::Other, note: None };
        let all = [
            Tap::PickedUp,
            Tap::Arrived,
            Tap::Scan(Vec::new()),
            Tap::Delivered(DeliveredTo::Recipient),
            Tap::AvailableForPickup,
            Tap::HandedBack,
            Tap::Incident(Incident::Other),
            Tap::Failed(reason),
            Tap::Refused(reason),
            Tap::Damaged(reason),
            Tap::Lost(reason),
            Tap::Found,
            Tap::Hold(HoldReason::CarrierRequest),
            Tap::Resume,
            Tap::Correct,
        ];
        all.iter().filter(|tap| self.judge(tap).is_ok()).map(Tap::name).collect()
    }

    /// Said while the parcel moves, as exactly as somebody may see it, and never otherwise.
    pub(super) fn moved(&mut self, fix: Fix, now: Time) {
        let state = self.log.state();
        let moves = matches!(state.phase_beneath(), Phase::PickedUp | Phase::InTransit | Phase::OutForDelivery);
        let ours = state.carrier() == Some(self.uid()) && self.held.key.is_some();
        let Some(fix) = seen(fix, self.shared.location).filter(|_| moves && ours) else { return };
        self.shared.told = now.trusted.0.max(self.shared.told + 1);
        let body = up::Message::Position {
            number: self.shared.told,
            at: now.device,
            latitude_e7: fix.latitude_e7,
            longitude_e7: fix.longitude_e7,
            accuracy_m: fix.accuracy_m,
        };
        self.say(self.log.state().attempt(), Hash::NONE, Vec::new(), body);
    }

    /// Whether anybody may see where the parcel is.
    pub fn shares_location(&self) -> bool {
        self.shared.location != LocationSharing::None
    }
}

impl Tap {
    /// As it is tapped.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PickedUp => "pickedUp",
            Self::Arrived => "arrived",
            Self::Scan(_) => "scan",
            Self::Delivered(_) => "delivered",
            Self::AvailableForPickup => "availableForPickup",
            Self::HandedBack => "handedBack",
            Self::Incident(_) => "incident",
            Self::Failed(_) => "attemptFailed",
            Self::Refused(_) => "refused",
            Self::Damaged(_) => "damaged",
            Self::Lost(_) => "lost",
            Self::Found => "found",
            Self::Hold(_) => "hold",
            Self::Resume => "resume",
            Self::Correct => "correct",
        }
    }
}

fn seen(fix: Fix, sharing: LocationSharing) -> Option<Fix> {
    let coarse = |degrees: i32| degrees.div_euclid(COARSE_E7) * COARSE_E7 + COARSE_E7 / 2;
    match sharing {
        LocationSharing::None => None,
        LocationSharing::Exact => Some(fix),
        LocationSharing::Coarse => Some(Fix {
            latitude_e7: coarse(fix.latitude_e7),
            longitude_e7: coarse(fix.longitude_e7),
            accuracy_m: Some(fix.accuracy_m.unwrap_or_default().max(COARSE_M)),
        }),
    }
}

fn refused(error: SignError) -> Refused {
    match error {
        SignError::Refused(refusal) => Refused::Machine(refusal),
        _ => Refused::NotReady,
    }
}
