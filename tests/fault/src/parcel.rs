//! What is carried: every variety of a delivery that a plan can draw, and what it should come to.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use waybill_crds::Phase;

use crate::world::Character;

/// What a carrier does at the door, in its attempts one after the other; then it delivers.
const FATES: &[(&str, &[&str])] = &[
    ("delivers", &[]),
    ("delivers", &[]),
    ("fails-once", &["attemptFailed"]),
    ("fails-twice", &["attemptFailed", "attemptFailed"]),
    ("refused", &["refused"]),
    ("damaged", &["damaged"]),
    ("loses", &["lost"]),
    ("leaves", &["availableForPickup"]),
    ("mislabels", &["wrongLabel"]),
    ("fails-then-refused", &["attemptFailed", "refused"]),
];
const KINDS: &[&str] = &["truck", "drone", "person"];

/// One delivery, without its name. Equal ones come to equal ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Parcel {
    fate: usize,
    camera: bool,
    /// Photo and scan, where they are asked for in so many words.
    proof: Option<(bool, bool)>,
    max_attempts: u8,
    /// Called off once its log has this many entries.
    pub(crate) cancelled_after: Option<usize>,
}

impl Parcel {
    pub(crate) fn draw(chance: &mut StdRng) -> Self {
        let camera = chance.random_bool(0.6);
        // Nobody notices a wrong label without a camera.
        let fate = loop {
            let fate = chance.random_range(0..FATES.len());
            if camera || FATES[fate].0 != "mislabels" {
                break fate;
            }
        };
        let proofs = [None, Some((true, true)), Some((true, false)), Some((false, true))];
        Self {
            fate,
            camera,
            proof: if camera { proofs[chance.random_range(0..proofs.len())] } else { None },
            max_attempts: chance.random_range(1..=3),
            cancelled_after: chance.random_bool(0.12).then(|| chance.random_range(1..9)),
        }
    }

    /// The same, left alone by its sender.
    pub(crate) fn kept(&self) -> Self {
        Self { cancelled_after: None, ..self.clone() }
    }

    /// Name of the carrier who behaves so.
    pub(crate) fn carrier(&self) -> String {
        format!("{}{}", FATES[self.fate].0, if self.camera { "-cam" } else { "" })
    }

    pub(crate) fn character(&self, pace: &'static str) -> Character {
        let script = FATES[self.fate].1.iter().map(|outcome| json!({ "outcome": outcome })).collect();
        let kind = KINDS[self.fate % KINDS.len()];
        Character { name: self.carrier(), kind, camera: self.camera, script: Value::Array(script), pace }
    }

    /// What its Delivery says beside who sends and who carries.
    pub(crate) fn spec(&self) -> Value {
        let mut spec = json!({"maxAttempts": self.max_attempts});
        if let Some((photo, scan)) = self.proof {
            spec["proof"] = json!({"photo": photo, "scan": scan});
        }
        spec
    }

    /// Entries its log has in the end at least.
    pub(crate) fn entries(&self) -> usize {
        match self.destiny() {
            Phase::Lost => 6,
            Phase::Returned => 12,
            _ => 10,
        }
    }

    /// Where it must end if nothing disturbs it: a check on the undisturbed run itself.
    pub(crate) fn destiny(&self) -> Phase {
        let scans = self.camera && self.proof.is_none_or(|(_, scan)| scan);
        let fate = FATES[self.fate];
        let failures = fate.1.iter().take_while(|outcome| matches!(**outcome, "attemptFailed" | "wrongLabel"));
        let failures = failures.filter(|outcome| scans || **outcome != "wrongLabel").count();
        if failures >= usize::from(self.max_attempts) {
            return Phase::Returned;
        }
        match fate.1.last() {
            Some(&("refused" | "damaged")) => Phase::Returned,
            Some(&"lost") => Phase::Lost,
            _ => Phase::Delivered,
        }
    }
}
