//! The agent: one task a delivery, and here what they share and who wakes them. A frame from the broker, a line in the
//! Carrier API's list or a journal on the disk each bring a delivery's task to life; it ends when nothing is left to do.
//!
//! A stranger's frame makes nothing: before a delivery gets a journal here, its first frame must open, be a hello, and
//! carry a seller's statement by a CA we trust. A hostile broker can only cost the time of that check.

pub(crate) mod retry;
mod task;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waybill_chassis::revocation::Revocations;
use waybill_chassis::telemetry::report;
use waybill_link::{Link, Message};
use waybill_protocol::{Conversation, Direction, Frame, SellerTrust, Topic, Uid, seller_to_carrier};

use crate::api::{Api, Error as ApiError, Open};
use crate::camera::Camera;
use crate::clock::Clock;
use crate::job::{Answer, Ask, Fix, Input, Profile};
use crate::journal::Folder;
use crate::keys::Identity;
use crate::metrics::TransportMetrics;
use crate::simulator::Simulator;

/// Inputs that wait for one delivery; what does not fit is said again by its sender.
const MAILBOX: usize = 64;
/// Before a task that failed is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// What every delivery's task needs.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) identity: watch::Receiver<Option<Arc<Identity>>>,
    pub(crate) api: Api,
    pub(crate) folder: Folder,
    /// How the way goes, where nobody taps what happens on it.
    pub(crate) simulator: Option<Simulator>,
    pub(crate) camera: Camera,
    pub(crate) profile: Profile,
    pub(crate) clock: Clock,
    pub(crate) link: watch::Receiver<Option<Link>>,
    pub(crate) revocations: Revocations,
    pub(crate) metrics: TransportMetrics,
    /// Journals that are read at the same time.
    pub(crate) opening: Semaphore,
}

/// What comes for one delivery, and who waits for an answer to it.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) input: Input,
    pub(crate) reply: Option<oneshot::Sender<Answer>>,
}

/// What somebody at the device wants of the agent.
#[derive(Debug)]
pub(crate) enum Request {
    /// Every open delivery's view, as it comes.
    All(mpsc::UnboundedSender<oneshot::Receiver<Answer>>),
    /// Something about one; no answer where it is not open here.
    One(Uid, Ask, oneshot::Sender<Answer>),
    Moved(Fix),
}

/// What the outside brings.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Frames, as they arrive.
    pub(crate) messages: mpsc::Receiver<Message>,
    /// Counts the times the link came up.
    pub(crate) connects: watch::Receiver<u64>,
    /// What is asked at the device.
    pub(crate) requests: mpsc::Receiver<Request>,
}

/// How a task ended: with what came too late for it, with an error, or in a panic.
type Ended = Result<(tokio::task::Id, Result<Vec<Mail>, task::Failed>), tokio::task::JoinError>;

/// All deliveries of this agent.
pub(crate) struct Agent {
    shared: Arc<Shared>,
    mailboxes: HashMap<Uid, mpsc::Sender<Mail>>,
    tasks: JoinSet<Result<Vec<Mail>, task::Failed>>,
    /// Whose task each is.
    whose: HashMap<tokio::task::Id, Uid>,
    listing: JoinSet<Result<Vec<Open>, ApiError>>,
    /// Lines of the list that found a mailbox full: nobody says them again.
    lines: JoinSet<(Uid, Result<(), mpsc::error::SendError<Mail>>)>,
}

impl Agent {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            mailboxes: HashMap::new(),
            tasks: JoinSet::new(),
            whose: HashMap::new(),
            listing: JoinSet::new(),
            lines: JoinSet::new(),
        }
    }

    /// Runs until `shutdown`. Nothing has to be said at the end: whatever counts is on the disk.
    pub(crate) async fn run(mut self, mut sources: Sources, shutdown: CancellationToken) {
        self.wake_all();
        self.list();
        let mut revocations = self.shared.revocations.clone();
        self.end_if_revoked();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(message) = sources.messages.recv() => self.heard(&message),
                Ok(()) = sources.connects.changed() => self.list(),
                Some(listed) = self.listing.join_next() => self.listed(listed),
                Some(request) = sources.requests.recv() => self.asked(request),
                Some(listed) = revocations.changed() => {
                    drop(listed);
                    self.end_if_revoked();
                }
                Some(line) = self.lines.join_next() => {
                    // The task it was for has ended meanwhile: it is another's to take up.
                    if let Ok((delivery, Err(unsent))) = line {
                        self.tell(&delivery, None, unsent.0);
                    }
                }
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
            }
        }
    }

    /// Every delivery that has a journal; those with nothing left to do end at once.
    fn wake_all(&mut self) {
        match self.shared.folder.deliveries() {
            Ok(found) => found.into_iter().for_each(|delivery| drop(self.wake(delivery, None))),
            Err(error) => tracing::error!(error = %report(&error), "failed to look for journals"),
        }
    }

    fn wake(&mut self, delivery: Uid, seller: Option<Uid>) -> mpsc::Sender<Mail> {
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        self.mailboxes.insert(delivery.clone(), sender.clone());
        let (shared, whose) = (Arc::clone(&self.shared), delivery.clone());
        let task = self.tasks.spawn(async move {
            let ended = task::run(shared, delivery, seller, mailbox).await;
            if ended.is_err() {
                tokio::time::sleep(AGAIN).await;
            }
            ended
        });
        self.whose.insert(task.id(), whose);
        self.shared.metrics.deliveries.set(i64::try_from(self.mailboxes.len()).unwrap_or(i64::MAX));
        sender
    }

    fn ended(&mut self, ended: Ended) {
        let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
        let Some(delivery) = self.whose.remove(&id) else { return };
        // Woken again while it was ending? Then that one goes on: two would sign two truths.
        let alive = self.mailboxes.get(&delivery).is_some_and(|mailbox| !mailbox.is_closed());
        if !alive {
            self.mailboxes.remove(&delivery);
        }
        let late = match ended {
            Ok((_, Ok(late))) => late,
            Ok((_, Err(error))) => {
                tracing::error!(%delivery, error = %report(&error), "a delivery's work failed and begins again");
                self.wake_unless(alive, &delivery)
            }
            Err(error) => {
                tracing::error!(%delivery, %error, "a delivery's task ended unasked and begins again");
                self.wake_unless(alive, &delivery)
            }
        };
        late.into_iter().for_each(|mail| self.tell(&delivery, None, mail));
        self.shared.metrics.deliveries.set(i64::try_from(self.mailboxes.len()).unwrap_or(i64::MAX));
    }

    fn wake_unless(&mut self, alive: bool, delivery: &Uid) -> Vec<Mail> {
        if !alive {
            self.wake(delivery.clone(), None);
        }
        Vec::new()
    }

    /// Its seller says again what does not fit; a line of the list waits for room.
    fn tell(&mut self, delivery: &Uid, seller: Option<&Uid>, mail: Mail) {
        let mailbox = match self.mailboxes.get(delivery).filter(|mailbox| !mailbox.is_closed()) {
            Some(mailbox) => mailbox.clone(),
            None => self.wake(delivery.clone(), seller.cloned()),
        };
        match mailbox.try_send(mail) {
            Ok(()) => {}
            Err(unsent) if matches!(unsent_mail(&unsent).input, Input::Listed { .. } | Input::Gone) => {
                let (delivery, mail) = (delivery.clone(), unsent.into_inner());
                self.lines.spawn(async move { (delivery, mailbox.send(mail).await) });
            }
            Err(_) => self.shared.metrics.dropped("busy"),
        }
    }

    /// Only of deliveries that are open here: a question wakes none.
    fn asked(&mut self, request: Request) {
        let ask = |mailbox: &mpsc::Sender<Mail>, ask, reply| {
            let sent = mailbox.try_send(Mail { input: Input::Asked(ask), reply: Some(reply) });
            if sent.is_err() {
                self.shared.metrics.dropped("busy");
            }
        };
        match request {
            Request::All(views) => self.mailboxes.values().for_each(|mailbox| {
                let (reply, view) = oneshot::channel();
                let _ = views.send(view);
                ask(mailbox, Ask::Show, reply);
            }),
            Request::One(delivery, what, reply) => {
                if let Some(mailbox) = self.mailboxes.get(&delivery) {
                    ask(mailbox, what, reply);
                }
            }
            Request::Moved(fix) => self.mailboxes.values().for_each(|mailbox| {
                let _ = mailbox.try_send(Mail { input: Input::Moved(fix), reply: None });
            }),
        }
    }

    /// Once this agent's identity has ended nothing is left to do: what it holds of its deliveries goes, and what it has
    /// not told stays on its disk as evidence.
    fn end_if_revoked(&mut self) {
        let own = self.shared.identity.borrow().as_ref().map(|identity| identity.own.signer.uid().clone());
        let list = self.shared.revocations.current();
        if !own.zip(list).is_some_and(|(own, list)| list.names(own.as_str())) {
            return;
        }
        tracing::error!(deliveries = self.mailboxes.len(), "this agent is revoked: it ends its deliveries");
        for delivery in self.mailboxes.keys().cloned().collect::<Vec<_>>() {
            self.tell(&delivery, None, Mail { input: Input::Gone, reply: None });
        }
    }

    fn heard(&mut self, message: &Message) {
        self.shared.metrics.heard.inc();
        match self.addressee(message) {
            Ok(topic) => {
                let frame = Mail { input: Input::Heard(message.payload.to_vec()), reply: None };
                self.tell(&topic.delivery, Some(&topic.seller), frame);
            }
            Err(reason) => self.shared.metrics.dropped(reason),
        }
    }

    /// Whose frame this is, if it is worth anybody's time.
    fn addressee(&self, message: &Message) -> Result<Topic, &'static str> {
        let topic: Topic = message.topic.parse().map_err(|_| "topic")?;
        let identity = self.shared.identity.borrow().clone().ok_or("identity")?;
        if topic.direction != Direction::Down || topic.carrier != *identity.own.signer.uid() {
            return Err("topic");
        }
        let revoked = self.shared.revocations.current().is_some_and(|list| list.names(topic.seller.as_str()));
        if revoked {
            return Err("revoked");
        }
        let known = self.mailboxes.contains_key(&topic.delivery) || self.shared.folder.knows(&topic.delivery);
        if known || self.is_hello(&topic, &message.payload, &identity) { Ok(topic) } else { Err("stranger") }
    }

    /// Whether a frame about a delivery nobody here knows is a seller's greeting.
    fn is_hello(&self, topic: &Topic, payload: &[u8], identity: &Identity) -> bool {
        let Ok(frame) = Frame::read(payload) else { return false };
        let own = &identity.own;
        let now = self.shared.clock.now().trusted;
        let namespace = &own.signer.statement().namespace;
        let trust = SellerTrust { known: None, trust: &own.trust, namespace, now };
        let conversation = Conversation::from(topic);
        own.agreement.iter().any(|key| {
            let opened = conversation.open_down(&frame, key, trust);
            matches!(opened, Ok((incoming, _)) if matches!(incoming.body, seller_to_carrier::Message::Hello { .. }))
        })
    }

    /// Asks what is open, until there is an answer; a later question takes the place of an earlier one.
    fn list(&mut self) {
        self.listing.abort_all();
        let api = self.shared.api.clone();
        self.listing.spawn(async move { retry::until_answered(&api, || api.open_deliveries()).await });
    }

    fn listed(&mut self, listed: Result<Result<Vec<Open>, ApiError>, tokio::task::JoinError>) {
        let Ok(Ok(open)) = listed else { return };
        tracing::info!(open = open.len(), "the Carrier API lists open deliveries");
        for Open { delivery, seller, upc, expected, location } in open {
            let line = Mail { input: Input::Listed { upc, expected, location }, reply: None };
            self.tell(&delivery, Some(&seller), line);
        }
    }
}

fn unsent_mail(error: &mpsc::error::TrySendError<Mail>) -> &Mail {
    match error {
        mpsc::error::TrySendError::Full(mail) | mpsc::error::TrySendError::Closed(mail) => mail,
    }
}

#[cfg(test)]
mod tests;
