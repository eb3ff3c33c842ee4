//! The chains of a log: whether an event is genuine and stands in its place. No word here on what it means.

use std::collections::BTreeMap;

use super::{Invalid, Subject};
use crate::{
    event::{Author, Event, SignedEvent},
    fact::{Fact, Kind},
    id::{EventId, Uid},
    key::Ed25519Key,
    statement::KeyStatement,
    trust::Trust,
};

/// Every author's chain, and where each genuine event stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Chains {
    chains: BTreeMap<(Author, Uid), Chain>,
    genuine: BTreeMap<EventId, Place>,
    /// Every end of a carrier's word, the lifted ones too.
    cuts: Vec<Cut>,
    /// The last event the seller has seen of each carrier.
    acknowledged: BTreeMap<Uid, u32>,
}

/// One author's events so far.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) last: EventId,
    /// Each event with its position in the log, by number.
    events: Vec<(EventId, usize)>,
    /// The author's statements, each with the first number its key signs.
    statements: Vec<(u32, KeyStatement)>,
    /// The position of the last event of the other side it has seen.
    pub(super) seen: Option<usize>,
}

/// Where a genuine event stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) position: usize,
    author: Author,
    uid: Uid,
    pub(super) seq: u32,
}

/// The end of a carrier's word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cut {
    carrier: Uid,
    by: EventId,
    /// The last of its events that still counts.
    after: Option<u32>,
    /// A later event of the seller gave the carrier the job again.
    lifted: bool,
}

impl Cut {
    fn ends(&self, carrier: &Uid, seq: u32) -> bool {
        !self.lifted && self.carrier == *carrier && self.after.is_none_or(|after| seq > after)
    }
}

impl Chain {
    pub(super) fn next(&self) -> u32 {
        u32::try_from(self.events.len()).expect("a log has few entries")
    }

    /// Where its events stand, from this number on.
    pub(super) fn positions(&self, from: u32) -> impl Iterator<Item = usize> {
        self.events.iter().skip(from as usize).map(|(_, position)| *position)
    }

    pub(super) fn statement(&self) -> &KeyStatement {
        &self.statements.last().expect("a chain begins with a statement").1
    }

    fn key_at(&self, seq: u32) -> &Ed25519Key {
        let statement = self.statements.iter().rev().find(|(from, _)| *from <= seq);
        &statement.expect("a chain begins with a statement").1.ed25519
    }
}

impl Chains {
    pub(super) fn get(&self, author: Author, uid: &Uid) -> Option<&Chain> {
        self.chains.get(&(author, uid.clone()))
    }

    pub(super) fn place(&self, id: &EventId) -> Option<&Place> {
        self.genuine.get(id)
    }

    /// The last genuine event of the side an author looks at.
    pub(super) fn last_of_other_side(&self, author: Author) -> Option<EventId> {
        let of_other_side = self.genuine.iter().filter(|(_, place)| place.author == other_side(author));
        of_other_side.max_by_key(|(_, place)| place.position).map(|(id, _)| *id)
    }

    /// Takes an event into its author's chain, or says why it has no place there.
    pub(super) fn take(
        &mut self,
        signed: &SignedEvent,
        position: usize,
        subject: &Subject,
        trust: &Trust,
    ) -> Result<(), Invalid> {
        let event = signed.event();
        check_subject(event, subject)?;
        let statement = self.check_place(signed, subject, trust)?;
        let seen = self.check_seen(event)?;
        self.check_cut(event)?;
        let chain = self.chains.entry((event.author, event.uid.clone())).or_insert_with(|| Chain {
            last: signed.id(),
            events: Vec::new(),
            statements: Vec::new(),
            seen: None,
        });
        chain.last = signed.id();
        chain.events.push((signed.id(), position));
        chain.seen = seen.or(chain.seen);
        if let Some(statement) = statement {
            // A rotation is signed by the old key; the new one signs what follows.
            let from = if event.seq == 0 { 0 } else { event.seq + 1 };
            chain.statements.push((from, statement));
        }
        let place = Place { position, author: event.author, uid: event.uid.clone(), seq: event.seq };
        self.genuine.insert(signed.id(), place);
        Ok(())
    }

    /// Number, predecessor, statement and signature.
    fn check_place(
        &self,
        signed: &SignedEvent,
        subject: &Subject,
        trust: &Trust,
    ) -> Result<Option<KeyStatement>, Invalid> {
        let event = signed.event();
        let verify = |key: &Ed25519Key| trust.verify(signed, key).map_err(|_| Invalid::BadSignature);
        let Some(chain) = self.get(event.author, &event.uid) else {
            if event.seq != 0 {
                return Err(Invalid::Gap { expected: 0, got: event.seq });
            }
            let statement = carried_statement(event, subject, trust)?;
            verify(&statement.ed25519)?;
            return if event.prev.is_none() { Ok(Some(statement)) } else { Err(Invalid::BrokenChain) };
        };
        if let Some((known, first)) = chain.events.get(event.seq as usize) {
            verify(chain.key_at(event.seq))?;
            let first = *first;
            return Err(if *known == signed.id() { Invalid::Repeated { first } } else { Invalid::Fork { first } });
        }
        if event.seq > chain.next() {
            return Err(Invalid::Gap { expected: chain.next(), got: event.seq });
        }
        verify(chain.key_at(event.seq))?;
        if event.prev != Some(chain.last) {
            return Err(Invalid::BrokenChain);
        }
        self.next_statement(event, chain, subject, trust)
    }

    fn next_statement(
        &self,
        event: &Event,
        chain: &Chain,
        subject: &Subject,
        trust: &Trust,
    ) -> Result<Option<KeyStatement>, Invalid> {
        if event.kind() != Kind::KeyRotated {
            return if event.statement.is_none() { Ok(None) } else { Err(Invalid::StatementUnexpected) };
        }
        let statement = carried_statement(event, subject, trust)?;
        if statement.epoch <= chain.statement().epoch {
            return Err(Invalid::ForeignStatement("epoch"));
        }
        Ok(Some(statement))
    }

    /// The position of what the author has seen: of the other side, before this event, and not less than it had seen before.
    fn check_seen(&self, event: &Event) -> Result<Option<usize>, Invalid> {
        let before = self.get(event.author, &event.uid).and_then(|chain| chain.seen);
        let Some(seen) = event.seen else {
            return if before.is_none() { Ok(None) } else { Err(Invalid::SeenGoesBack) };
        };
        let place = self.place(&seen).filter(|place| place.author == other_side(event.author));
        let position = place.ok_or(Invalid::UnknownSeen)?.position;
        if before.is_some_and(|before| position < before) {
            return Err(Invalid::SeenGoesBack);
        }
        Ok(Some(position))
    }

    fn check_cut(&self, event: &Event) -> Result<(), Invalid> {
        let cut = self.cuts.iter().find(|cut| event.author == Author::Transport && cut.ends(&event.uid, event.seq));
        cut.map_or(Ok(()), |cut| Err(Invalid::CutOff { by: cut.by }))
    }

    /// What a genuine event means for the carriers' words. True if one of them counted that counts no longer.
    pub(super) fn cut(&mut self, signed: &SignedEvent) -> bool {
        let event = signed.event();
        if event.author != Author::Seller {
            return false;
        }
        if let Some(Place { author: Author::Transport, uid, seq, .. }) =
            event.seen.and_then(|seen| self.genuine.get(&seen))
        {
            self.acknowledged.insert(uid.clone(), *seq);
        }
        match &event.fact {
            Fact::OnHold { reason, .. } if reason.cuts_carrier() => self.cut_all_but(None, signed.id()),
            Fact::CarrierAssigned { carrier } => {
                self.cut_all_but(Some(carrier), signed.id());
                self.lift(carrier);
            }
            _ => return false,
        }
        self.is_cut_behind()
    }

    fn cut_all_but(&mut self, kept: Option<&Uid>, by: EventId) {
        let carriers = self.chains.keys().filter(|(author, uid)| *author == Author::Transport && Some(uid) != kept);
        for (_, carrier) in carriers {
            let known = self.cuts.iter().any(|cut| cut.carrier == *carrier && cut.by == by);
            if !known {
                let after = self.acknowledged.get(carrier).copied();
                self.cuts.push(Cut { carrier: carrier.clone(), by, after, lifted: false });
            }
        }
    }

    /// Ends what ended this carrier's word up to here. What ends it later, a log that is read again knows already.
    fn lift(&mut self, carrier: &Uid) {
        for cut in self.cuts.iter_mut().filter(|cut| cut.carrier == *carrier) {
            cut.lifted |= self.genuine.contains_key(&cut.by);
        }
    }

    /// Whether a chain holds events beyond its end.
    fn is_cut_behind(&self) -> bool {
        let last = |carrier| self.get(Author::Transport, carrier).and_then(|chain| chain.next().checked_sub(1));
        self.cuts.iter().any(|cut| last(&cut.carrier).is_some_and(|seq| cut.ends(&cut.carrier, seq)))
    }

    /// The chains of an empty log that knows these ends from the beginning.
    pub(super) fn with_cuts_of(other: &Self) -> Self {
        let cuts = other.cuts.iter().map(|cut| Cut { lifted: false, ..cut.clone() }).collect();
        Self { cuts, ..Self::default() }
    }
}

/// Whose events an author's `seen` names.
pub(super) const fn other_side(author: Author) -> Author {
    match author {
        Author::Seller => Author::Transport,
        Author::Transport | Author::Person => Author::Seller,
    }
}

fn check_subject(event: &Event, subject: &Subject) -> Result<(), Invalid> {
    if event.delivery != subject.delivery {
        return Err(Invalid::AnotherDelivery { got: event.delivery.clone() });
    }
    if event.author == Author::Seller && event.uid != subject.seller {
        return Err(Invalid::AnotherSeller { expected: subject.seller.clone(), got: event.uid.clone() });
    }
    Ok(())
}

/// The statement an event carries: of its author, in this namespace, by a trusted CA.
fn carried_statement(event: &Event, subject: &Subject, trust: &Trust) -> Result<KeyStatement, Invalid> {
    let bytes = event.statement.as_ref().ok_or(Invalid::StatementMissing)?;
    let statement = trust.recorded_statement(&bytes.0).map_err(Invalid::Statement)?;
    let same = [
        ("uid", statement.uid == event.uid),
        ("role", statement.role == event.author.role()),
        ("namespace", statement.namespace == subject.namespace),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(Invalid::ForeignStatement(what)),
        None => Ok(statement),
    }
}
