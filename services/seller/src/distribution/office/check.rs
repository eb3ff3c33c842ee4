//! The courier check on its way to the agent: said when it is asked for and when the agent knocks, and not again. It lives for two
//! minutes, and a courier who is offline answers with digits.

use waybill_protocol::seller_to_carrier::Message;
use waybill_protocol::{Bytes, Conversation, Hash, Outgoing, Recipient};

use super::Office;
use crate::clock::now as wall;

impl Office {
    /// Sends the challenges that the agent has not answered.
    pub(super) fn challenge(&self, uid: &str) {
        let Some(facts) = self.cases.get(uid).and_then(|case| case.facts.as_ref()) else { return };
        let Some(courier) = facts.courier().filter(|_| facts.lost.is_none()) else { return };
        let Some(key) = facts.log.state().attempt_key(courier.carrier) else { return };
        let subject = facts.log.subject();
        for asked in self.watched.doors.unanswered(uid, courier.attempt, wall()) {
            let (challenge, expires_at) = (Bytes(asked.challenge.as_bytes().to_vec()), asked.expires);
            let conversation = Conversation {
                seller: subject.seller.clone(),
                carrier: courier.carrier.clone(),
                delivery: subject.delivery.clone(),
            };
            let body = Message::Challenge { challenge, expires_at };
            let message = Outgoing { attempt: courier.attempt, about: Hash::NONE, events: Vec::new(), body };
            self.publish(uid, (conversation, message, Recipient::Attempt(key)));
        }
    }
}
