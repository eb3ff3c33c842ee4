//! What is asked at the recipient's door: where the parcel is, and whether this is the courier. In memory, on the replica that
//! distributes, and gone with its term: a position is worth nothing later, and a challenge lives for two minutes.
//!
//! Trust: whoever asks has a view token. Guessing is bounded: few tries a challenge, few wrong answers an attempt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use waybill_protocol::{
    AttemptSecret, Author, Challenge, Digits, Ed25519Key, Log, Phase, Uid, UnixMillis, X25519Key, hello_nonce,
    verify_courier_check,
};

use crate::keys::Keys;

/// How long a challenge can be answered.
const LIFE: u64 = 120_000;
/// Answers to one challenge.
pub(crate) const TRIES: u32 = 3;
/// Wrong answers in one attempt of a delivery: six digits are guessed once in a hundred thousand attempts.
const WRONG: u32 = 10;
/// Challenges in one attempt of a delivery; each is a message to the agent.
const ASKED: u32 = 100;
/// Challenges that can be answered at once; the oldest gives way.
const OPEN: usize = 4;
/// Deliveries whose agents are still to be asked.
const WAITING: usize = 256;

/// Where a carrier says the parcel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) number: u64,
    /// By the agent's clock.
    pub(crate) at: UnixMillis,
    pub(crate) attempt: u32,
    pub(crate) latitude_e7: i32,
    pub(crate) longitude_e7: i32,
    pub(crate) accuracy_m: Option<u32>,
}

/// Who is on the way with a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Courier<'l> {
    pub(crate) carrier: &'l Uid,
    pub(crate) attempt: u32,
    attempt_key: X25519Key,
    key: &'l Ed25519Key,
}

/// How somebody who says to be the courier answers a challenge.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// Read off the courier's device.
    Digits(Digits),
    /// The code the courier's device shows.
    Signature(Vec<u8>),
}

/// A challenge as it is shown to the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) challenge: Challenge,
    pub(crate) expires: UnixMillis,
    pub(crate) tries_left: u32,
    /// The attempt's own agent has signed it, wherever it is.
    pub(crate) answered: bool,
    /// SHA-256 of the key it was asked for under, so that the same request sent again asks for no other.
    key: Option<[u8; 32]>,
}

/// Why nothing is asked or answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such challenge, or its time or its tries are over: ask for another one")]
    NoChallenge,
    #[error("too many checks of this delivery in this attempt")]
    TooMany,
}

#[derive(Debug, Default)]
struct Door {
    attempt: u32,
    position: Option<Position>,
    open: Vec<Asked>,
    asked: u32,
    wrong: u32,
}

/// All doors; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    doors: Arc<Mutex<HashMap<String, Door>>>,
    ring: mpsc::Sender<String>,
    rung: Arc<tokio::sync::Mutex<mpsc::Receiver<String>>>,
}

impl Doors {
    pub(crate) fn new() -> Self {
        let (ring, rung) = mpsc::channel(WAITING);
        Self { doors: Arc::default(), ring, rung: Arc::new(tokio::sync::Mutex::new(rung)) }
    }

    /// The next delivery whose agent is to be asked.
    pub(crate) async fn rung(&self) -> String {
        match self.rung.lock().await.recv().await {
            Some(uid) => uid,
            // The sender lives as long as this.
            None => std::future::pending().await,
        }
    }

    /// Only the newest of the attempt counts.
    pub(crate) fn place(&self, delivery: &str, position: Position) {
        let mut doors = self.lock();
        let door = at(&mut doors, delivery, position.attempt);
        if door.position.is_none_or(|known| position.number > known.number) {
            door.position = Some(position);
        }
    }

    pub(crate) fn position(&self, delivery: &str, attempt: u32) -> Option<Position> {
        self.lock().get(delivery).filter(|door| door.attempt == attempt)?.position
    }

    /// Asks the courier of this attempt; its agent hears it too.
    pub(crate) fn ask(
        &self,
        delivery: &str,
        attempt: u32,
        (random, key): ([u8; Challenge::LEN], Option<&str>),
        now: UnixMillis,
    ) -> Result<Asked, Refusal> {
        let key: Option<[u8; 32]> = key.map(|key| Sha256::digest(key).into());
        let mut doors = self.lock();
        let door = at(&mut doors, delivery, attempt);
        let same = |asked: &&Asked| key.is_some() && asked.key == key && asked.expires > now;
        if let Some(asked) = door.open.iter().find(same) {
            return Ok(*asked);
        }
        if door.wrong >= WRONG || door.asked >= ASKED {
            return Err(Refusal::TooMany);
        }
        door.asked += 1;
        door.open.retain(|asked| asked.expires > now);
        if door.open.len() == OPEN {
            door.open.remove(0);
        }
        let (challenge, expires) = (Challenge::from_random(random), UnixMillis(now.0 + LIFE));
        let asked = Asked { challenge, expires, tries_left: TRIES, answered: false, key };
        door.open.push(asked);
        // Where so many wait, this one's agent is asked when it knocks.
        let _ = self.ring.try_send(delivery.to_owned());
        Ok(asked)
    }

    /// How a challenge stands.
    pub(crate) fn look(
        &self,
        delivery: &str,
        attempt: u32,
        challenge: Challenge,
        now: UnixMillis,
    ) -> Result<Asked, Refusal> {
        let mut doors = self.lock();
        at(&mut doors, delivery, attempt).find(challenge, now).copied()
    }

    /// Tries an answer: whether it is right, and how many tries are left. A right one ends the challenge.
    pub(crate) fn answer(
        &self,
        (delivery, attempt): (&str, u32),
        (challenge, now): (Challenge, UnixMillis),
        right: impl FnOnce() -> bool,
    ) -> Result<(bool, u32), Refusal> {
        let mut doors = self.lock();
        let door = at(&mut doors, delivery, attempt);
        if door.wrong >= WRONG {
            return Err(Refusal::TooMany);
        }
        let asked = door.find(challenge, now)?;
        asked.tries_left -= 1;
        let (left, right) = (asked.tries_left, right());
        if !right {
            door.wrong += 1;
        }
        if right || left == 0 {
            door.open.retain(|asked| asked.challenge != challenge);
        }
        Ok((right, left))
    }

    /// The attempt's own agent signed it.
    pub(crate) fn answered(&self, delivery: &str, challenge: Challenge) {
        let mut doors = self.lock();
        let open = doors.get_mut(delivery).map(|door| &mut door.open).into_iter().flatten();
        open.filter(|asked| asked.challenge == challenge).for_each(|asked| asked.answered = true);
    }

    /// What the agent of an attempt has to answer still.
    pub(crate) fn unanswered(&self, delivery: &str, attempt: u32, now: UnixMillis) -> Vec<Asked> {
        let doors = self.lock();
        let door = doors.get(delivery).filter(|door| door.attempt == attempt);
        let open = door.into_iter().flat_map(|door| &door.open);
        open.filter(|asked| !asked.answered && asked.expires > now).copied().collect()
    }

    pub(crate) fn forget(&self, delivery: &str) {
        self.lock().remove(delivery);
    }

    /// The end of a term: somebody else knows better from now on.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Nothing that can panic half-way runs under this lock.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was asked in another attempt counts no longer.
fn at<'d>(doors: &'d mut HashMap<String, Door>, delivery: &str, attempt: u32) -> &'d mut Door {
    let door = doors.entry(delivery.to_owned()).or_default();
    if door.attempt != attempt {
        *door = Door { attempt, ..Door::default() };
    }
    door
}

impl Door {
    fn find(&mut self, challenge: Challenge, now: UnixMillis) -> Result<&mut Asked, Refusal> {
        let open = self.open.iter_mut().find(|asked| asked.challenge == challenge && asked.expires > now);
        open.ok_or(Refusal::NoChallenge)
    }
}

/// Who is on the way with the parcel of this log: only who answered our own hello.
pub(crate) fn courier<'l>(log: &'l Log, keys: &Keys) -> Option<Courier<'l>> {
    let state = log.state();
    if !matches!(state.phase(), Phase::PickedUp | Phase::InTransit | Phase::OutForDelivery) {
        return None;
    }
    let (carrier, attempt) = (state.carrier()?, state.attempt());
    let nonce = hello_nonce(&keys.commit, &log.subject().delivery, attempt);
    state.acceptance_of(carrier).filter(|acceptance| acceptance.nonce == nonce)?;
    let attempt_key = state.attempt_key(carrier)?;
    Some(Courier { carrier, attempt, attempt_key, key: log.key_of(Author::Transport, carrier)? })
}

impl Courier<'_> {
    /// Whether only this courier could have given that answer.
    pub(crate) fn gave(&self, proof: &Proof, delivery: &Uid, keys: &Keys, challenge: Challenge) -> bool {
        let challenge = challenge.as_bytes();
        match proof {
            Proof::Digits(digits) => {
                let secret = AttemptSecret::of_seller(&keys.agreement, &self.attempt_key, delivery, self.attempt);
                secret.check(challenge, digits)
            }
            Proof::Signature(bytes) => verify_courier_check(bytes, self.key, delivery, self.attempt, challenge).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::from_secs(1_800_000_000);

    fn ask(doors: &Doors, attempt: u32) -> Challenge {
        doors.ask("d", attempt, (rand::random(), None), NOW).unwrap().challenge
    }

    #[test]
    fn only_the_newest_position_of_the_attempt_is_kept() {
        let doors = Doors::new();
        let position =
            |number, attempt| Position { number, at: NOW, attempt, latitude_e7: 0, longitude_e7: 0, accuracy_m: None };
        doors.place("d", position(2, 1));
        doors.place("d", position(1, 1));
        assert_eq!(doors.position("d", 1), Some(position(2, 1)));
        doors.place("d", position(1, 2));
        assert_eq!((doors.position("d", 1), doors.position("d", 2)), (None, Some(position(1, 2))));
        doors.forget("d");
        assert_eq!(doors.position("d", 2), None);
    }

    #[test]
    fn a_challenge_has_three_tries_and_a_right_answer_ends_it() {
        let doors = Doors::new();
        let challenge = ask(&doors, 1);
        let answer = |challenge, right| doors.answer(("d", 1), (challenge, NOW), || right);
        assert_eq!(answer(challenge, false), Ok((false, 2)));
        assert_eq!(answer(challenge, true), Ok((true, 1)));
        assert_eq!(answer(challenge, true), Err(Refusal::NoChallenge));
        let second = ask(&doors, 1);
        for left in [2, 1, 0] {
            assert_eq!(answer(second, false), Ok((false, left)));
        }
        assert_eq!(answer(second, true), Err(Refusal::NoChallenge));
    }

    #[test]
    fn wrong_answers_are_counted_over_all_challenges_of_an_attempt() {
        let doors = Doors::new();
        for _ in 0..WRONG {
            let challenge = ask(&doors, 1);
            doors.answer(("d", 1), (challenge, NOW), || false).unwrap();
        }
        assert_eq!(doors.ask("d", 1, ([0; 8], None), NOW), Err(Refusal::TooMany));
        assert!(doors.ask("d", 2, ([0; 8], None), NOW).is_ok(), "another attempt is another courier");
    }

    #[test]
    fn a_challenge_ends_by_time_and_the_oldest_gives_way() {
        let doors = Doors::new();
        let first = ask(&doors, 1);
        let late = UnixMillis(NOW.0 + LIFE);
        assert_eq!(doors.answer(("d", 1), (first, late), || true), Err(Refusal::NoChallenge));
        for _ in 0..OPEN {
            ask(&doors, 1);
        }
        assert_eq!(doors.look("d", 1, first, NOW), Err(Refusal::NoChallenge));
        assert_eq!(doors.unanswered("d", 1, NOW).len(), OPEN);
        assert!(doors.unanswered("d", 1, late).is_empty() && doors.unanswered("d", 2, NOW).is_empty());
    }

    #[test]
    fn what_the_agent_answered_is_not_asked_again_and_settles_nothing() {
        let doors = Doors::new();
        let challenge = ask(&doors, 1);
        doors.answered("d", challenge);
        assert!(doors.unanswered("d", 1, NOW).is_empty());
        assert!(doors.look("d", 1, challenge, NOW).unwrap().answered);
        assert_eq!(doors.answer(("d", 1), (challenge, NOW), || false), Ok((false, 2)));
    }

    #[test]
    fn the_same_key_asks_for_no_other_challenge_while_the_first_can_be_answered() {
        let doors = Doors::new();
        let ask = |key, now| doors.ask("d", 1, (rand::random(), key), now).unwrap().challenge;
        let first = ask(Some("k"), NOW);
        assert_eq!(ask(Some("k"), NOW), first);
        assert_ne!(ask(Some("l"), NOW), first);
        assert_ne!(ask(None, NOW), ask(None, NOW), "without a key each is another one");
        assert_ne!(ask(Some("k"), UnixMillis(NOW.0 + LIFE)), first, "what is over comes not back");
    }
}
