//! The owner's end of what leaves.

use bytes::Bytes;
use rumqttc::{AsyncClient, ClientError, PublishOptions};
use tokio::sync::watch;

use crate::metrics::LinkMetrics;
use crate::settings::{MAX_PAYLOAD, MAX_TOPIC};

/// Why a message was not taken. None of these is an end: the schedule that wanted it out tries again when it is due,
/// except where the message itself is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("message of {size} bytes is larger than the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error("topic is not one a message can be published to")]
    BadTopic,
    #[error("no session with the broker")]
    NotConnected,
    #[error("too many messages wait for the wire")]
    Busy,
}

impl PublishError {
    /// False where sending the same message again can never work.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotConnected | Self::Busy)
    }
}

/// Publishes through whatever session is up; cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    pub(crate) session: watch::Receiver<Option<AsyncClient>>,
    pub(crate) connected: watch::Receiver<bool>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) metrics: LinkMetrics,
}

impl Link {
    /// True while a session is up and every subscription was granted.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// The same for whoever shows it: the moment a session takes to move to another certificate is no break.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// The largest payload that is not refused.
    pub const fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }

    /// Hands a message to the session, waiting for room. `Ok` means queued, no more: it counts as sent when its
    /// receiver's signed answer is here.
    pub async fn publish(&self, topic: &str, payload: impl Into<Bytes> + Send) -> Result<(), PublishError> {
        let (client, payload) = self.accept(topic, payload.into())?;
        self.outcome(client.publish(topic, payload, PublishOptions::at_least_once()).await)
    }

    /// The same without waiting: `Busy` when the queue to the wire is full.
    pub fn try_publish(&self, topic: &str, payload: impl Into<Bytes>) -> Result<(), PublishError> {
        let (client, payload) = self.accept(topic, payload.into())?;
        self.outcome(client.try_publish(topic, payload, PublishOptions::at_least_once()))
    }

    /// All checks happen here: once in the client, a packet it cannot encode costs the whole connection.
    fn accept(&self, topic: &str, payload: Bytes) -> Result<(AsyncClient, Bytes), PublishError> {
        let refused = if payload.len() > MAX_PAYLOAD {
            Some(PublishError::TooLarge { size: payload.len(), limit: MAX_PAYLOAD })
        } else if !publishable(topic) {
            Some(PublishError::BadTopic)
        } else {
            None
        };
        if let Some(refused) = refused {
            self.metrics.refused.inc();
            return Err(refused);
        }
        let client = self.session.borrow().clone().ok_or(PublishError::NotConnected)?;
        Ok((client, payload))
    }

    fn outcome(&self, sent: Result<(), ClientError>) -> Result<(), PublishError> {
        match sent {
            Ok(()) => {
                self.metrics.published.inc();
                Ok(())
            }
            Err(ClientError::RequestChannelFull(_)) => Err(PublishError::Busy),
            Err(ClientError::InvalidRequest(_)) => Err(PublishError::BadTopic),
            Err(_) => Err(PublishError::NotConnected),
        }
    }
}

fn publishable(topic: &str) -> bool {
    (1..=MAX_TOPIC).contains(&topic.len()) && !topic.contains(['+', '#', '\0']) && !topic.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unconnected() -> Link {
        let (_, session) = watch::channel(None);
        let (_, connected) = watch::channel(false);
        let ready = connected.clone();
        Link { session, connected, ready, metrics: LinkMetrics::default() }
    }

    #[test]
    fn a_message_over_the_limit_is_refused_before_it_is_sent() {
        let link = unconnected();
        let refused = link.try_publish("wb/a/b/c/up", vec![0; MAX_PAYLOAD + 1]).unwrap_err();
        assert_eq!(refused, PublishError::TooLarge { size: MAX_PAYLOAD + 1, limit: MAX_PAYLOAD });
        assert!(!refused.is_retryable());
        assert_eq!(link.metrics.refused.get(), 1);
        assert_eq!(link.try_publish("wb/a/b/c/up", vec![0; MAX_PAYLOAD]).unwrap_err(), PublishError::NotConnected);
    }

    #[test]
    fn topics_that_would_cost_the_connection_are_refused() {
        let link = unconnected();
        let long = "t".repeat(MAX_TOPIC + 1);
        for topic in ["", "wb/+/x", "wb/#", "wb/\0", "$SYS/x", long.as_str()] {
            assert_eq!(link.try_publish(topic, "x").unwrap_err(), PublishError::BadTopic, "{topic:?}");
        }
    }
}
