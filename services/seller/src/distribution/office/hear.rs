//! What comes from the broker: opened for the delivery it is about, or dropped and counted by reason. Nothing is answered
//! that did not open.

use waybill_link::Message;
use waybill_protocol::{Author, Conversation, Direction, Frame, OpenError, Topic, WireError};

use super::super::case::Input;
use super::Office;
use crate::clock::now as wall;

/// Why a message was dropped. Counted, never answered.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error("the topic is none that carriers speak to this seller on")]
    Topic,
    #[error("no such delivery is under way here")]
    Delivery,
    #[error("the carrier is revoked")]
    Revoked,
    #[error("the carrier has no part in this delivery")]
    Stranger,
    #[error("failed to read frame")]
    Frame(#[source] WireError),
    #[error("failed to open frame")]
    Open(#[source] OpenError),
}

impl Unheard {
    /// One word, for a metric: the agent's words for the same.
    const fn word(&self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Delivery => "delivery",
            Self::Revoked => "revoked",
            Self::Stranger => "stranger",
            Self::Frame(WireError::FromTheFuture { .. })
            | Self::Open(OpenError::Wire(WireError::FromTheFuture { .. })) => "future",
            Self::Frame(_) => "frame",
            Self::Open(_) => "open",
        }
    }
}

impl Office {
    pub(super) fn receive(&mut self, message: &Message) {
        match self.open(message) {
            Ok((uid, input)) => {
                self.watched.metrics.heard.inc();
                self.tell(&uid, input);
            }
            Err(unheard) => {
                tracing::debug!(error = %waybill_chassis::telemetry::report(&unheard), "dropped a message");
                self.watched.metrics.dropped(unheard.word());
            }
        }
    }

    /// What a carrier certainly said about a delivery that is under way here.
    fn open(&self, message: &Message) -> Result<(String, Input), Unheard> {
        let topic: Topic = message.topic.parse().map_err(|_| Unheard::Topic)?;
        if topic.direction != Direction::Up || topic.seller != self.watched.uid {
            return Err(Unheard::Topic);
        }
        let uid = topic.delivery.to_string();
        let facts = self.cases.get(&uid).and_then(|case| case.facts.as_ref()).ok_or(Unheard::Delivery)?;
        if self.watched.carriers.is_revoked(topic.carrier.as_str()) {
            return Err(Unheard::Revoked);
        }
        if !facts.is_party(&topic.carrier) {
            return Err(Unheard::Stranger);
        }
        let current = self.watched.carriers.by_uid(topic.carrier.as_str(), wall()).and_then(Result::ok);
        let logged = facts.log.key_of(Author::Transport, &topic.carrier).copied();
        let keys: Vec<_> = current.map(|party| party.statement.ed25519).into_iter().chain(logged).collect();
        let frame = Frame::read(&message.payload).map_err(Unheard::Frame)?;
        let said = Conversation::from(&topic).open_up(&frame, &facts.keys.agreement, &keys).map_err(Unheard::Open)?;
        Ok((uid, Input::Heard(Box::new(said), topic.carrier)))
    }
}
