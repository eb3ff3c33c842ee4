//! The owner's end of what arrives: a bounded queue in the order of arrival.

use bytes::Bytes;
use rumqttc::{ManualAck, Publish};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::metrics::LinkMetrics;

/// One message as it came: nothing in it is trusted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Bytes,
}

/// Receives messages of all the link's sessions, in order for each topic. Taking one acknowledges it, which is what
/// lets the broker send the next beyond its window: to take slowly is to slow the broker down.
#[derive(Debug)]
pub struct Inbox {
    waiting: mpsc::Receiver<Waiting>,
}

/// A message and the way to acknowledge it to the session it came by; gone with that session.
#[derive(Debug)]
struct Waiting {
    message: Message,
    receipt: Option<(ManualAck, mpsc::UnboundedSender<ManualAck>)>,
}

/// A session's end of the queue. Never waits.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    queue: mpsc::Sender<Waiting>,
    metrics: LinkMetrics,
}

pub(crate) fn inbox(capacity: usize, metrics: LinkMetrics) -> (Delivery, Inbox) {
    let (queue, waiting) = mpsc::channel(capacity);
    (Delivery { queue, metrics }, Inbox { waiting })
}

impl Inbox {
    /// The next message, or `None` when the link's driver is gone. Losing the race in a `select!` loses no message.
    pub async fn recv(&mut self) -> Option<Message> {
        let Waiting { message, receipt } = self.waiting.recv().await?;
        if let Some((ack, acks)) = receipt {
            // A closed session needs no acknowledgement.
            let _ = acks.send(ack);
        }
        Some(message)
    }
}

impl Delivery {
    /// Queues what arrived, or drops and counts it when the owner is behind. What is dropped is acknowledged at once:
    /// a window left open for it would be one smaller until the connection ends.
    pub(crate) fn arrived(&self, publish: Publish, ack: Option<ManualAck>, acks: &mpsc::UnboundedSender<ManualAck>) {
        let Ok(topic) = String::from_utf8(publish.topic.to_vec()) else {
            return; // the client decodes none such; if it ever did, no owner could use it
        };
        let message = Message { topic, payload: publish.payload };
        let waiting = Waiting { message, receipt: ack.map(|ack| (ack, acks.clone())) };
        match self.queue.try_send(waiting) {
            Ok(()) => drop(self.metrics.received.inc()),
            Err(TrySendError::Full(waiting) | TrySendError::Closed(waiting)) => {
                self.metrics.dropped.inc();
                if let Some((ack, acks)) = waiting.receipt {
                    let _ = acks.send(ack);
                }
            }
        }
    }
}
