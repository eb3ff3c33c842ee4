//! The state machine that seller, Carrier API, transport, operator, board and verifier share: what an event does to a delivery.
//!
//! [`TABLE`] decides; this module only looks up. It sees facts whose signatures and chains were checked by [`Log`](crate::Log), one
//! after the other, and answers each with an [`Effect`] or a [`Refusal`]. No cryptography, no clock.

mod apply;
mod need;
mod refusal;
mod state;
mod table;

use crate::{
    event::Author,
    fact::{Fact, Kind},
    id::{EventId, Uid},
    phase::Phase,
};

pub use need::Need;
pub use refusal::{GateRefusal, Refusal};
pub use state::{Acceptance, DoorGate, Hold, Proof, Scan, State};
pub use table::{Late, Of, OnHold, Row, StageAfter, TABLE, To, followers};

/// The machine at one point of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    state: State,
    steps: Vec<Step>,
}

/// One event, as the machine sees it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub id: EventId,
    pub delivery: &'a Uid,
    pub author: Author,
    pub uid: &'a Uid,
    /// Its number in its author's chain.
    pub seq: u32,
    /// The number of the seller's event its author had seen.
    pub seen: Option<u32>,
    pub attempt: u32,
    pub fact: &'a Fact,
}

/// What an event that counts did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    pub from: Phase,
    pub to: Phase,
    /// Its author did not know that the seller had moved on.
    pub late: bool,
}

/// An event that changed where the parcel stands, and where it stood before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    event: EventId,
    author: Author,
    uid: Uid,
    seq: u32,
    correctable: bool,
    before: state::Standing,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// Before the first event.
    pub fn new() -> Self {
        Self { state: State::new(), steps: Vec::new() }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes one event: it counts, or nothing changes.
    pub fn on(&mut self, input: &Input<'_>) -> Result<Effect, Refusal> {
        let from = self.state.phase();
        let (row, late) = match find(&self.state, &self.steps, input) {
            Ok(row) => (row, false),
            Err(refusal) => (self.find_as_seen(input).ok_or(refusal)?, true),
        };
        let noted = late && (row.late == Late::Noted || self.state.phase_beneath().is_terminal());
        if !noted {
            self.take(row, input);
        }
        Ok(Effect { from, to: self.state.phase(), late })
    }

    /// The row that would have taken a carrier's event where its author believed the delivery to be: before the steps of the seller
    /// that it had not seen.
    fn find_as_seen(&self, input: &Input<'_>) -> Option<&'static Row> {
        if input.author != Author::Transport {
            return None;
        }
        let unseen = |step: &&Step| step.author == Author::Seller && input.seen.is_none_or(|seen| step.seq > seen);
        let count = self.steps.iter().rev().take_while(unseen).count();
        let (known, unknown) = self.steps.split_at(self.steps.len() - count);
        let standing = unknown.first()?.before.clone();
        find(&State { standing, ..self.state.clone() }, known, input).ok()
    }

    fn take(&mut self, row: &Row, input: &Input<'_>) {
        let before = self.state.standing.clone();
        match (row.to, self.steps.last()) {
            (To::Before, Some(step)) => self.state.standing = step.before.clone(),
            _ => apply::apply(&mut self.state, row, input),
        }
        if self.state.standing != before {
            let Input { id: event, author, seq, .. } = *input;
            self.steps.push(Step { event, author, uid: input.uid.clone(), seq, correctable: row.correctable, before });
        }
    }
}

/// The row of the table that takes this event, or why none does.
fn find(state: &State, steps: &[Step], input: &Input<'_>) -> Result<&'static Row, Refusal> {
    let kind = input.fact.kind();
    let of = of(state, input)?;
    let rows = || TABLE.iter().filter(|row| row.kind == kind && (row.of == Of::All || Some(row.of) == of));
    if !rows().any(|row| row.by.contains(&input.author)) {
        return Err(Refusal::NotByThisAuthor { kind, author: input.author });
    }
    if input.author == Author::Transport && kind != Kind::Accepted && !state.is_carrier(input.uid) {
        return Err(Refusal::NotTheCarrier { expected: state.carrier().cloned(), got: input.uid.clone() });
    }
    let mut refusal = Refusal::OutOfPlace { kind, phase: state.phase() };
    for row in rows().filter(|row| row.by.contains(&input.author) && row.from.contains(&state.phase_beneath())) {
        match check(row, state, steps, input) {
            Ok(()) => return Ok(row),
            Err(reason) => refusal = reason,
        }
    }
    Err(refusal)
}

fn check(row: &Row, state: &State, steps: &[Step], input: &Input<'_>) -> Result<(), Refusal> {
    if row.on_hold == OnHold::Refused && state.hold().is_some() {
        return Err(Refusal::Held { kind: row.kind });
    }
    let expected = state.attempt() + u32::from(row.needs.contains(&Need::NextAttempt));
    if input.attempt != expected {
        return Err(Refusal::WrongAttempt { expected, got: input.attempt });
    }
    row.needs.iter().try_for_each(|need| need.check(state, steps, input))
}

/// Which of its kind a fact is, where the table asks.
fn of(state: &State, input: &Input<'_>) -> Result<Option<Of>, Refusal> {
    match input.fact {
        Fact::Released { stage, .. } | Fact::Posted { stage, .. } => Ok(Some(Of::Stage(*stage))),
        Fact::Countersigned { event } => match state.declared(event) {
            Some(declared) => Ok(Some(Of::Declared(declared))),
            None => Err(Refusal::UnknownReference { event: *event }),
        },
        _ => Ok(None),
    }
}
