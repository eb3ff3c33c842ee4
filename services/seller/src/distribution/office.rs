//! The skin around the cases: what changes in the cluster and what comes from the broker goes in, what must happen is done.
//!
//! One loop, many deliveries: every write and every fetch runs beside it, at most one write for a delivery at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinSet;
use waybill_cluster::custody::{self, AppendError};
use waybill_cluster::deliveries::Deliveries;
use waybill_cluster::participants::Participants;
use waybill_crds::{Carrier, Delivery, SELLER_FIELD_MANAGER, Seller};
use waybill_link::resend::{Policy, Schedule};
use waybill_link::{Inbox, Link, Message};
use waybill_protocol::{
    Author, Conversation, Direction, EventId, Frame, Log, Order, Part, SignedEvent, Stage, Topic, Trust, Uid,
};

use super::case::{Case, Effect, Input, Now};
use super::facts::{CarrierFacts, Facts, Found, Lost, OrderData, SellerFacts};
use super::say::Out;
use crate::clock::now as wall;
use crate::keys::Keys;
use crate::metrics::SellerMetrics;
use crate::orders::Book;
use crate::source::{FetchError, Health, Own, Source, order_system};

/// Messages sent in one turn of the loop, before it looks at what came in.
const BATCH: usize = 64;

/// What distribution follows; cheap to clone, shared by all terms of office.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) seller_api: String,
    pub(crate) deliveries: Deliveries,
    pub(crate) carriers: Participants<Carrier>,
    pub(crate) seller: watch::Receiver<Option<Arc<Seller>>>,
    pub(crate) book: watch::Receiver<Option<Arc<Book>>>,
    pub(crate) keys: watch::Receiver<Option<Arc<Keys>>>,
    pub(crate) trust: watch::Receiver<Trust>,
    pub(crate) tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    /// What the last look at the order system said.
    pub(crate) health: watch::Sender<Health>,
    pub(crate) metrics: SellerMetrics,
}

/// One term of office.
pub(crate) struct Office {
    watched: Watched,
    link: Link,
    cases: HashMap<String, Case>,
    /// What is out, for each delivery.
    out: HashMap<String, Out>,
    schedule: Schedule<(String, Out)>,
    wakes: BTreeSet<(Instant, String)>,
    jobs: JoinSet<(String, Done)>,
    own: Own,
    system: Option<(String, Arc<Source>)>,
}

/// What ran beside the loop.
enum Done {
    Wrote(Result<Delivery, AppendError>),
    /// After a conflict.
    Refreshed(kube::Result<Option<Arc<Delivery>>>),
    Fetched(EventId, Stage, Result<Part, FetchError>),
    Read(Result<Order, FetchError>),
}

impl Office {
    pub(crate) fn new(watched: Watched, link: Link) -> Self {
        let own = Own::new(&watched.seller_api, watched.tls.clone());
        let schedule = Schedule::new(Policy::default(), rand::random());
        let (cases, out, wakes, jobs) = (HashMap::new(), HashMap::new(), BTreeSet::new(), JoinSet::new());
        Self { watched, link, cases, out, schedule, wakes, jobs, own, system: None }
    }

    /// Works until dropped, or until nothing can come any more.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.watched.begin().await;
        let (mut deliveries, mut carriers) = (self.watched.deliveries.changed(), self.watched.carriers.changes());
        let mut connected = self.link.connected();
        loop {
            self.send_due();
            let next = self.schedule.next_due().into_iter().chain(self.wakes.first().map(|(at, _)| *at)).min();
            let waiting = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                uid = deliveries.next() => self.look(&uid),
                uid = carriers.next() => self.look_at_those_of(&uid),
                message = inbox.recv() => match message {
                    Some(message) => self.receive(&message),
                    None => return,
                },
                Some(done) = self.jobs.join_next() => if let Ok((uid, done)) = done { self.take(uid, done) },
                changed = self.watched.seller.changed() => if changed.is_ok() { self.look_at_all() },
                changed = self.watched.book.changed() => if changed.is_ok() { self.look_at_all() },
                changed = self.watched.keys.changed() => if changed.is_ok() { self.look_at_all() },
                changed = self.watched.trust.changed() => if changed.is_ok() { self.look_at_all() },
                changed = connected.changed() => if changed.is_ok() && *connected.borrow_and_update() {
                    self.schedule.reconnected(Instant::now());
                },
                () = waiting => self.wake(),
            }
        }
    }

    fn look_at_all(&mut self) {
        for uid in self.cases.keys().cloned().collect::<Vec<_>>() {
            self.look(&uid);
        }
    }

    /// Something about a carrier changed.
    fn look_at_those_of(&mut self, carrier: &str) {
        let name = self.watched.carriers.object_of(carrier).and_then(|object| object.metadata.name.clone());
        let concerned = |case: &Case| {
            let Some(facts) = &case.facts else { return true };
            let named = facts.delivery.spec.carrier.as_deref();
            named.is_some() && named == name.as_deref()
                || facts.log.state().carrier().is_some_and(|pinned| pinned.as_str() == carrier)
        };
        let uids: Vec<_> = self.cases.iter().filter(|(_, case)| concerned(case)).map(|(uid, _)| uid.clone()).collect();
        uids.iter().for_each(|uid| self.look(uid));
    }

    /// Tells a case what the cluster says.
    fn look(&mut self, uid: &str) {
        match self.watched.facts(uid) {
            Some(facts) => self.tell(uid, Input::Known(facts)),
            None => self.forget(uid),
        }
    }

    fn forget(&mut self, uid: &str) {
        self.cases.remove(uid);
        self.set_out(uid, None);
        self.wakes.retain(|(_, waiting)| waiting != uid);
        self.show();
    }

    fn tell(&mut self, uid: &str, input: Input) {
        let now = now();
        let case = self.cases.entry(uid.to_owned()).or_default();
        let before = case.wake();
        let effects = case.on(input, now);
        let (wake, out) = (case.wake(), case.outstanding(now.wall));
        let idle = out.is_none() && wake.is_none() && effects.is_empty() && case.is_over();
        if before != wake {
            self.wakes.retain(|(_, waiting)| waiting != uid);
            self.wakes.extend(wake.map(|at| (at, uid.to_owned())));
        }
        self.set_out(uid, out);
        for effect in effects {
            self.act(uid, effect);
        }
        if idle {
            self.forget(uid);
        }
        self.show();
    }

    fn show(&self) {
        self.watched.metrics.cases.set(i64::try_from(self.cases.len()).unwrap_or(i64::MAX));
    }

    fn set_out(&mut self, uid: &str, out: Option<Out>) {
        if self.out.get(uid) == out.as_ref() {
            return;
        }
        if let Some(before) = self.out.remove(uid) {
            self.schedule.answered(&(uid.to_owned(), before));
        }
        if let Some(out) = out {
            self.schedule.expect((uid.to_owned(), out.clone()), Instant::now());
            self.out.insert(uid.to_owned(), out);
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((at, uid)) = self.wakes.first().cloned().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, uid.clone()));
            self.tell(&uid, Input::Later);
        }
    }

    fn act(&mut self, uid: &str, effect: Effect) {
        let owner = uid.to_owned();
        match effect {
            Effect::Append { delivery, log, events } => {
                let deliveries = self.watched.deliveries.clone();
                self.jobs.spawn(async move {
                    let api = deliveries.api();
                    let wrote = custody::append(api, &delivery, &log, &events, SELLER_FIELD_MANAGER).await;
                    if wrote.is_ok() {
                        told(&owner, &events);
                    }
                    (owner, Done::Wrote(wrote))
                });
            }
            Effect::Fetch { upc, stage, released } => self.fetch(owner, upc, stage, released),
            Effect::Read { upc } => self.read(owner, upc),
            Effect::Resend => {
                if let Some(out) = self.out.get(uid) {
                    self.schedule.knock(&(owner, out.clone()), Instant::now());
                }
            }
        }
    }

    /// From the order system, where there is one, else from the Seller API.
    fn fetch(&mut self, uid: String, upc: String, stage: Stage, released: EventId) {
        let Some(keys) = self.watched.keys.borrow().clone() else { return };
        let source = self.system().or_else(|| self.own.get());
        self.jobs.spawn(async move {
            let token = keys.tokens.seller_api(&uid, &upc, stage, wall());
            let part = match source {
                Some(source) => source.part(&upc, stage, &token).await,
                None => Err(FetchError::Unreachable),
            };
            (uid, Done::Fetched(released, stage, part))
        });
    }

    fn read(&mut self, uid: String, upc: String) {
        let Some(keys) = self.watched.keys.borrow().clone() else { return };
        let source = self.system();
        self.jobs.spawn(async move {
            let token = |stage| keys.tokens.seller_api(&uid, &upc, stage, wall());
            let order = match source {
                Some(source) => source.order(&upc, token).await,
                None => Err(FetchError::Unreachable),
            };
            (uid, Done::Read(order))
        });
    }

    /// The order system the Seller names now.
    fn system(&mut self) -> Option<Arc<Source>> {
        let url = self.watched.seller.borrow().as_ref().and_then(|seller| seller.spec.url.clone());
        if self.system.as_ref().map(|(url, _)| url) != url.as_ref() {
            self.system = order_system(url.as_deref()).zip(url).map(|(source, url)| (url, source));
        }
        self.system.as_ref().map(|(_, source)| Arc::clone(source))
    }

    fn take(&mut self, uid: String, done: Done) {
        match done {
            Done::Wrote(Ok(delivery)) => {
                self.watched.deliveries.offer(delivery);
                self.written(&uid);
            }
            Done::Wrote(Err(AppendError::Conflict)) => {
                self.watched.metrics.conflicts.inc();
                self.refresh(uid);
            }
            Done::Wrote(Err(AppendError::Gone)) | Done::Refreshed(Ok(None)) => self.forget(&uid),
            Done::Wrote(Err(error)) => {
                tracing::warn!(delivery = uid, error = %waybill_chassis::telemetry::report(&error), "failed to append");
                self.tell(&uid, Input::NotWritten);
            }
            Done::Refreshed(Ok(Some(_))) => self.written(&uid),
            Done::Refreshed(Err(error)) => {
                tracing::warn!(delivery = uid, error = %waybill_chassis::telemetry::report(&error), "failed to read");
                self.tell(&uid, Input::NotWritten);
            }
            Done::Fetched(released, stage, part) => {
                self.report(part.as_ref().map(|_| ()));
                if let Err(error) = &part {
                    tracing::warn!(delivery = uid, %stage, %error, "failed to read a part of an order");
                }
                self.tell(&uid, Input::Fetched(released, part));
            }
            Done::Read(order) => {
                self.report(order.as_ref().map(|_| ()));
                if let Err(error) = &order {
                    tracing::warn!(delivery = uid, %error, "failed to read an order");
                }
                self.tell(&uid, Input::Read(order));
            }
        }
    }

    fn written(&mut self, uid: &str) {
        match self.watched.facts(uid) {
            Some(facts) => self.tell(uid, Input::Written(facts)),
            None => self.forget(uid),
        }
    }

    fn refresh(&mut self, uid: String) {
        let deliveries = self.watched.deliveries.clone();
        let Some(name) = deliveries.get(&uid).and_then(|delivery| delivery.metadata.name.clone()) else {
            return self.forget(&uid);
        };
        self.jobs.spawn(async move {
            let refreshed = deliveries.refresh(&name).await;
            (uid, Done::Refreshed(refreshed))
        });
    }

    /// Shows what became of asking an order system.
    fn report(&self, asked: Result<(), &FetchError>) {
        let Some((url, _)) = &self.system else { return };
        let health = Some(match asked {
            Ok(()) => Ok(url.clone()),
            Err(error) => Err((url.clone(), error.clone())),
        });
        self.watched.health.send_if_modified(|before| std::mem::replace(before, health.clone()) != health);
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        for (uid, out) in self.schedule.take_due(now, BATCH) {
            let key = (uid, out);
            if !self.send(&key.0, &key.1) {
                self.schedule.unsent(&key, now);
            }
        }
    }

    /// False where it could not leave now, and should soon.
    fn send(&self, uid: &str, out: &Out) -> bool {
        let Some(case) = self.cases.get(uid) else { return true };
        let Some((conversation, message, to)) = case.message(out, wall()) else { return true };
        let Some(keys) = self.watched.keys.borrow().clone() else { return false };
        let frame = match conversation.seal(&message, &keys.signer, to, &mut rand::rng()) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(delivery = uid, %error, "failed to seal a message");
                return true;
            }
        };
        let sent = self.link.try_publish(&conversation.topic(Direction::Down).to_string(), frame);
        match sent {
            Ok(()) => {
                self.watched.metrics.sent.inc();
                tracing::debug!(delivery = uid, what = ?out.what, attempt = out.attempt, "said");
                true
            }
            Err(error) => !error.is_retryable(),
        }
    }

    fn receive(&mut self, message: &Message) {
        match self.open(message) {
            Some((uid, input)) => {
                self.watched.metrics.heard.inc();
                self.tell(&uid, input);
            }
            None => drop(self.watched.metrics.dropped.inc()),
        }
    }

    /// What a carrier certainly said about a delivery that is under way here.
    fn open(&self, message: &Message) -> Option<(String, Input)> {
        let topic: Topic = message.topic.parse().ok()?;
        let uid = topic.delivery.to_string();
        let facts = self.cases.get(&uid)?.facts.as_ref()?;
        let ours = topic.direction == Direction::Up && topic.seller == self.watched.uid;
        let revoked = self.watched.carriers.is_revoked(topic.carrier.as_str());
        if !ours || revoked {
            return None;
        }
        let current = self.watched.carriers.by_uid(topic.carrier.as_str(), wall()).and_then(Result::ok);
        let logged = facts.log.key_of(Author::Transport, &topic.carrier).copied();
        let keys: Vec<_> = current.map(|party| party.statement.ed25519).into_iter().chain(logged).collect();
        let frame = Frame::read(&message.payload).ok()?;
        let opened = Conversation::from(&topic).open_up(&frame, &facts.keys.agreement, &keys);
        let said = opened.inspect_err(|error| tracing::debug!(delivery = uid, %error, "dropped a message")).ok()?;
        Some((uid, Input::Heard(Box::new(said), topic.carrier)))
    }
}

impl Watched {
    /// Waits until everything is known once: before, what is missing says nothing.
    async fn begin(&mut self) {
        self.deliveries.ready().await;
        self.carriers.ready().await;
        // Closed channels mean the end of the process.
        let _ = self.keys.wait_for(Option::is_some).await;
        let _ = self.seller.wait_for(Option::is_some).await;
        let _ = self.book.wait_for(Option::is_some).await;
    }

    /// All about one delivery of this Seller.
    fn facts(&self, uid: &str) -> Option<Facts> {
        let delivery = self.deliveries.get(uid).filter(|delivery| delivery.spec.seller == self.name)?;
        let (keys, trust) = (self.keys.borrow().clone()?, self.trust.borrow().clone());
        let seller = self.seller.borrow().clone()?;
        let log = custody::read(&delivery, &self.uid, &trust).ok()?;
        let carrier = delivery.spec.carrier.as_deref().and_then(|name| self.carrier(name));
        let lost = self.lost(&log, &delivery);
        let order = match (&seller.spec.url, self.book.borrow().as_ref()?.order(&delivery.spec.upc)) {
            (Some(_), _) => Found::Elsewhere,
            (None, Some(order)) => Found::Here(OrderData::of(order)),
            (None, None) => Found::Missing,
        };
        let manual = seller.spec.hand_over == waybill_crds::seller::HandOver::Manual;
        let seller = SellerFacts { suspended: seller.spec.suspended, manual };
        Some(Facts { delivery, log, keys, seller, carrier, lost, order })
    }

    fn carrier(&self, name: &str) -> Option<CarrierFacts> {
        let object = self.carriers.object(name)?;
        let uid = object.metadata.uid.clone()?;
        let statement = self.carriers.by_uid(&uid, wall())?.ok().map(|party| party.statement);
        let revoked = self.carriers.is_revoked(&uid);
        let (name, camera) = (name.to_owned(), object.spec.camera);
        Some(CarrierFacts { name, uid: Uid::new(uid).ok()?, statement, camera, revoked })
    }

    fn lost(&self, log: &Log, delivery: &Delivery) -> Option<Lost> {
        let pinned = log.state().carrier()?;
        let name = log.statement_of(Author::Transport, pinned).map(|statement| statement.name.to_string());
        let here = self.carriers.object_of(pinned.as_str()).is_some();
        let replaced = !here && name.is_some() && name == delivery.spec.carrier;
        match (here, self.carriers.is_revoked(pinned.as_str())) {
            (true, false) => None,
            _ if replaced && self.carriers.object(name.as_deref()?).is_some() => Some(Lost::Replaced),
            _ => Some(Lost::Revoked),
        }
    }
}

fn told(uid: &str, events: &[SignedEvent]) {
    for event in events {
        let event = event.event();
        tracing::info!(delivery = uid, author = %event.author, event = %event.kind(), attempt = event.attempt, "logged");
    }
}

fn now() -> Now {
    Now { wall: wall(), instant: Instant::now() }
}
