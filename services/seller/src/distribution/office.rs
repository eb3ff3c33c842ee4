//! The skin around the cases: what changes in the cluster and what comes from the broker goes in, what must happen is done.
//!
//! One loop, many deliveries: every write and every fetch runs beside it, at most one write for a delivery at a time.

mod check;
mod hear;
mod jobs;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use waybill_link::resend::{Policy, Schedule};
use waybill_link::{Inbox, Link};
use waybill_protocol::seller_to_carrier::Message;
use waybill_protocol::{Conversation, Direction, Outgoing, Recipient};

use super::case::{Case, Input, Now};
use super::say::Out;
use super::watched::Watched;
use crate::clock::now as wall;
use crate::source::{Own, System};
use jobs::Done;

/// Messages sent in one turn of the loop, before it looks at what came in.
const BATCH: usize = 64;

/// One term of office.
pub(crate) struct Office {
    watched: Watched,
    link: Link,
    cases: HashMap<String, Case>,
    /// What is out, for each delivery.
    out: HashMap<String, Out>,
    schedule: Schedule<(String, Out)>,
    wakes: BTreeSet<(Instant, String)>,
    jobs: JoinSet<Done>,
    /// Whose they are.
    owners: HashMap<tokio::task::Id, String>,
    own: Own,
    system: System,
}

impl Office {
    pub(crate) fn new(watched: Watched, link: Link) -> Self {
        let own = Own::new(&watched.seller_api, watched.tls.clone());
        let schedule = Schedule::new(Policy::default(), rand::random());
        let (cases, out, owners) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (wakes, jobs) = (BTreeSet::new(), JoinSet::new());
        let system = System::new(Arc::clone(&watched.order_urls));
        Self { watched, link, cases, out, schedule, wakes, jobs, owners, own, system }
    }

    /// Works until dropped, or until nothing can come any more.
    pub(crate) async fn run(mut self, mut inbox: Inbox) {
        self.watched.begin().await;
        let doors = self.watched.doors.clone();
        let (mut deliveries, mut carriers) = (self.watched.deliveries.changed(), self.watched.carriers.changes());
        let (mut connected, mut revoked) = (self.link.connected(), self.watched.carriers.revocations());
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
                Some(done) = self.jobs.join_next_with_id() => self.ended(done),
                uid = doors.rung() => self.challenge(&uid),
                list = revoked.changed() => if list.is_some() { self.look_at_all() },
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
            Some(facts) => self.tell(uid, Input::Known(Box::new(facts))),
            None => self.forget(uid),
        }
    }

    fn forget(&mut self, uid: &str) {
        self.cases.remove(uid);
        self.set_out(uid, None);
        self.wakes.retain(|(_, waiting)| waiting != uid);
        self.watched.doors.forget(uid);
        self.show();
    }

    fn tell(&mut self, uid: &str, input: Input) {
        // What comes late about a delivery that is forgotten begins nothing.
        let begins = matches!(input, Input::Known(_) | Input::Written(_) | Input::Refused(_));
        if !begins && !self.cases.contains_key(uid) {
            return;
        }
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
        let Some(message) = case.message(out, wall()) else { return true };
        let sent = self.publish(uid, message);
        tracing::debug!(delivery = uid, what = ?out.what, attempt = out.attempt, sent, "said");
        sent
    }

    fn publish(&self, uid: &str, (conversation, message, to): (Conversation, Outgoing<Message>, Recipient)) -> bool {
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
                true
            }
            Err(error) => !error.is_retryable(),
        }
    }
}

fn now() -> Now {
    Now { wall: wall(), instant: Instant::now() }
}
