//! What the seller says. A frame counts when it opens, when its seller is the one the CA names, and when it is about
//! this delivery; then its events are pushed and its body is acted on. Everything may come twice and in any order.

use waybill_protocol::carrier_to_seller::{self as up, Decline};
use waybill_protocol::seller_to_carrier::{Message, Offer, Picture, Token};
use waybill_protocol::{
    Author, Bytes, Fact, Frame, Hash, Incoming, KeyStatement, Mac, Outgoing, Recipient, SealedTo, SellerTrust,
    SignedEvent, Upc, sign_courier_check, version,
};

use super::{Dropped, Effect, Job, Time};
use crate::journal::Record;
use crate::token::LinkTokens;

/// Events in one message; a seller that lacks more reads them in the log.
const NEWS: usize = 8;

impl Job {
    pub(super) fn hear(&mut self, frame: Vec<u8>, now: Time) {
        if let Err(dropped) = self.try_hear(frame, now) {
            self.out.push(Effect::Drop(dropped));
        }
    }

    fn try_hear(&mut self, bytes: Vec<u8>, now: Time) -> Result<(), Dropped> {
        let frame = Frame::read(&bytes).map_err(Dropped::Frame)?;
        let (incoming, statement) = self.open(&frame, now)?;
        self.spoken_of();
        if let (Some(statement), Message::Hello { statement: bytes, offer, .. }) = (statement, &incoming.body) {
            self.meet(statement, bytes.clone());
            self.learn_upc(&offer.upc);
        }
        if !self.standing.sure {
            self.standing.waiting = Some(bytes);
            return Ok(());
        }
        self.learn(&incoming.events);
        self.act_on(incoming, now)
    }

    fn open(&self, frame: &Frame, now: Time) -> Result<(Incoming<Message>, Option<KeyStatement>), Dropped> {
        let attempt_key = self.held.key.as_ref().filter(|key| key.attempt == frame.attempt).map(|key| key.secret());
        let keys = match frame.sealed_to {
            SealedTo::Statement => self.own.agreement.clone(),
            SealedTo::Attempt => attempt_key.into_iter().collect(),
        };
        let namespace = &self.log.subject().namespace;
        let trust = SellerTrust { known: self.seller(), trust: &self.own.trust, namespace, now: now.trusted };
        let mut last = Dropped::NoKey;
        for key in &keys {
            match self.conversation.open_down(frame, key, trust) {
                Ok(opened) => return Ok(opened),
                Err(error) => last = Dropped::Open(error),
            }
        }
        Err(last)
    }

    /// The seller's statement: the later one of what it said itself and what stands in the log.
    pub(super) fn seller(&self) -> Option<&KeyStatement> {
        let met = self.seller.as_ref().map(|(statement, _)| statement);
        let logged = self.log.statement_of(Author::Seller, &self.conversation.seller);
        met.into_iter().chain(logged).max_by_key(|statement| statement.epoch)
    }

    /// Remembers a statement that was verified.
    pub(super) fn meet(&mut self, statement: KeyStatement, bytes: Bytes) {
        if self.seller.as_ref().is_none_or(|(known, _)| known.epoch < statement.epoch) {
            self.keep(Record::Statement { bytes: bytes.clone() });
            self.seller = Some((statement, bytes));
        }
    }

    /// What the parcel is called does not change.
    pub(super) fn learn_upc(&mut self, upc: &Upc) {
        if self.upc.is_none() {
            self.upc = Some(upc.clone());
            self.keep(Record::Upc { upc: upc.clone() });
        }
    }

    fn act_on(&mut self, incoming: Incoming<Message>, now: Time) -> Result<(), Dropped> {
        let (attempt, about) = (incoming.attempt, incoming.about);
        match incoming.body {
            Message::Hello { nonce, min, current, offer, .. } => {
                self.on_hello(attempt, nonce, (min, current), &offer, now)
            }
            Message::HandOver { label } => {
                self.on_hand_over(label)?;
                self.say(attempt, about, Vec::new(), up::Message::Received {});
                Ok(())
            }
            Message::Part { part, salt, token } => {
                self.check_token(&token, &about, now)?;
                self.log.check_part(&about, &part.0, &salt).map_err(Dropped::Part)?;
                self.take_part(about, part);
                self.say(attempt, about, Vec::new(), up::Message::Received {});
                Ok(())
            }
            Message::News {} => {
                self.say(attempt, about, Vec::new(), up::Message::Received {});
                Ok(())
            }
            Message::Challenge { challenge, expires_at } => {
                if now.trusted < expires_at {
                    self.answer_challenge(attempt, about, challenge);
                }
                Ok(())
            }
            Message::Erase {} => {
                self.erase_delivery(now);
                Ok(())
            }
        }
    }

    fn on_hello(
        &mut self,
        attempt: u32,
        nonce: Mac,
        versions: (u16, u16),
        offer: &Offer,
        now: Time,
    ) -> Result<(), Dropped> {
        if let Some(reason) = self.objection(versions, offer) {
            self.say(attempt, Hash::NONE, Vec::new(), up::Message::Declined { reason });
            return Ok(());
        }
        let protocol = versions.1.min(version::CURRENT);
        if self.accept(attempt, nonce, protocol, now) {
            let events = self.since_acceptance();
            self.say(attempt, Hash::NONE, events, up::Message::Answer {});
        }
        Ok(())
    }

    fn objection(&self, (min, current): (u16, u16), offer: &Offer) -> Option<Decline> {
        if current.min(version::CURRENT) < min.max(version::MIN) {
            return Some(Decline::NoCommonVersion);
        }
        ((offer.photo || offer.scan) && !self.profile.camera).then_some(Decline::NoCamera)
    }

    fn on_hand_over(&mut self, label: Option<Picture>) -> Result<(), Dropped> {
        let Some(terms) = self.log.state().terms() else { return Ok(()) };
        let ours = terms.carrier == *self.uid();
        let as_offered = self.upc.as_ref().is_none_or(|upc| *upc == terms.upc);
        let able = self.profile.camera || !(terms.photo || terms.scan);
        if !ours || !as_offered || !able {
            return Err(Dropped::Terms);
        }
        if let Some(picture) = label
            && self.held.key.is_some()
            && self.held.label.as_ref() != Some(&picture)
        {
            self.keep(Record::Label { picture: picture.clone() });
            self.held.label = Some(picture);
        }
        // Said again: the answer is what the seller lacks.
        self.say_news(Vec::new());
        Ok(())
    }

    /// The seller's token for this leg, by the pinned statement: the envelope says who speaks, the token for how long.
    fn check_token(&self, token: &Token, about: &Hash, now: Time) -> Result<(), Dropped> {
        let stage = self.log.event(about).and_then(|signed| match signed.event().fact {
            Fact::Released { stage, .. } => Some(stage),
            _ => None,
        });
        let (Some(stage), Some(seller)) = (stage, self.seller()) else { return Err(Dropped::Token) };
        let tokens = LinkTokens { seller, delivery: self.delivery(), upc: self.upc.as_ref() };
        if tokens.check(token.as_str(), stage, now.trusted) { Ok(()) } else { Err(Dropped::Token) }
    }

    fn take_part(&mut self, released: Hash, part: Bytes) {
        if !self.held.parts.iter().any(|(known, _)| *known == released) {
            self.keep(Record::Part { released, part: part.clone() });
            self.held.parts.push((released, part));
        }
    }

    fn answer_challenge(&mut self, attempt: u32, about: Hash, challenge: Bytes) {
        if challenge.0.len() > waybill_protocol::MAX_CHALLENGE || self.held.key.is_none() {
            return;
        }
        let signature = sign_courier_check(&self.own.signer, self.delivery(), attempt, &challenge.0);
        let body = up::Message::CourierAnswer { challenge, signature: Bytes(signature) };
        self.say(attempt, about, Vec::new(), body);
    }

    /// What the log does not show as known to the seller, and these.
    pub(super) fn say_news(&mut self, also: Vec<Bytes>) {
        let events = if also.is_empty() { self.unacknowledged() } else { also };
        if events.is_empty() {
            return;
        }
        let about = self.log.expected(Author::Transport, self.uid()).1.unwrap_or(Hash::NONE);
        self.say(self.log.state().attempt(), about, events, up::Message::News {});
    }

    pub(super) fn pay_knock(&mut self) {
        if self.standing.knock && self.seller().is_some() {
            self.standing.knock = false;
            let events = self.unacknowledged();
            self.say(self.log.state().attempt(), Hash::NONE, events, up::Message::Knock {});
        }
    }

    /// Signs, seals and hands out a message. It may be lost: whoever needs it asks again.
    pub(super) fn say(&mut self, attempt: u32, about: Hash, events: Vec<Bytes>, body: up::Message) {
        let Some(key) = self.seller().and_then(|seller| seller.x25519) else { return };
        let events = events.into_iter().take(NEWS).collect();
        let message = Outgoing { attempt, about, events, body };
        let to = Recipient::Statement(key);
        match self.conversation.seal(&message, &self.own.signer, to, &mut self.rng) {
            Ok(frame) => self.out.push(Effect::Say(frame)),
            Err(error) => tracing::error!(delivery = %self.delivery(), %error, "failed to seal a message"),
        }
    }

    /// Own events that the seller is not known to have, oldest first.
    pub(super) fn unacknowledged(&self) -> Vec<Bytes> {
        self.own_events(self.post.acknowledged())
    }

    pub(super) fn own_events(&self, from: u32) -> Vec<Bytes> {
        let own = self.log.events_of(Author::Transport, self.uid(), from);
        own.map(|signed: &SignedEvent| Bytes(signed.bytes().to_vec())).collect()
    }
}
