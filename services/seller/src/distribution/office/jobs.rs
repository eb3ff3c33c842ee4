//! What runs beside the loop: writes, reads after a conflict, and asking for orders.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::{Id, JoinError};
use waybill_chassis::telemetry::report;
use waybill_cluster::custody::{self, AppendError};
use waybill_crds::{Delivery, SELLER_FIELD_MANAGER};
use waybill_protocol::{EventId, Order, Part, SignedEvent, Stage, Uid};

use super::super::case::{Effect, Input, Standing};
use super::super::facts::{Facts, Lost};
use super::super::hindrance::write;
use super::Office;
use crate::availability::API_PATIENCE;
use crate::clock::now as wall;
use crate::source::{FetchError, Source};

/// What ran beside the loop.
pub(super) enum Done {
    /// On which object, and what came of it.
    Wrote(Arc<Delivery>, Box<Result<Delivery, AppendError>>),
    /// After a conflict, or after a refusal.
    Refreshed(kube::Result<Option<Arc<Delivery>>>, Why),
    Fetched(EventId, Stage, Result<Part, FetchError>),
    Read(Result<Order, FetchError>),
    LookedUp(Uid, Option<Standing>),
    Told(Box<Result<Delivery, kube::Error>>),
}

/// Why a Delivery was read again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Why {
    Conflict,
    Refused,
}

impl Office {
    fn spawn(&mut self, uid: String, job: impl Future<Output = Done> + Send + 'static) {
        let id = self.jobs.spawn(job).id();
        self.owners.insert(id, uid);
    }

    /// A job that ended without a word is one that failed: its case must not wait for it for ever.
    pub(super) fn ended(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(uid) = self.owners.remove(&id) else { return };
        match done {
            Ok((_, done)) => self.take(uid, done),
            Err(_) => {
                tracing::error!(delivery = uid, "a job ended without an answer");
                self.tell(&uid, Input::Crashed);
            }
        }
    }

    pub(super) fn act(&mut self, uid: &str, effect: Effect) {
        let owner = uid.to_owned();
        match effect {
            Effect::Append { delivery, log, events } => {
                let deliveries = self.watched.deliveries.clone();
                self.spawn(owner.clone(), async move {
                    let _turn = deliveries.turn().await;
                    // Who waited for a turn may have been overtaken: known here, it costs the API server nothing.
                    let wrote = if deliveries.get(&owner).is_some_and(|now| Arc::ptr_eq(&now, &delivery)) {
                        let append = custody::append(deliveries.api(), &delivery, &log, &events, SELLER_FIELD_MANAGER);
                        in_time(append, AppendError::Api).await
                    } else {
                        Err(AppendError::Conflict)
                    };
                    if wrote.is_ok() {
                        told(&owner, &events);
                    }
                    Done::Wrote(delivery, Box::new(wrote))
                });
            }
            Effect::Fetch { upc, stage, released } => self.fetch(owner, upc, stage, released),
            Effect::Read { upc } => self.read(owner, upc),
            Effect::LookUp { carrier, name } => self.look_up(owner, carrier, name),
            Effect::Tell { delivery, hindrance } => {
                let api = self.watched.deliveries.api().clone();
                self.spawn(owner, async move {
                    let told = in_time(write(&api, &delivery, hindrance.as_ref()), |late| late).await;
                    Done::Told(Box::new(told))
                });
            }
            Effect::Resend => {
                if let Some(out) = self.out.get(uid) {
                    self.schedule.knock(&(owner, out.clone()), Instant::now());
                }
                self.challenge(uid);
            }
            Effect::Place(position) => self.watched.doors.place(uid, position),
            Effect::Answered(challenge) => self.watched.doors.answered(uid, challenge),
        }
    }

    /// From the order system, where there is one, else from the Seller API.
    fn fetch(&mut self, uid: String, upc: String, stage: Stage, released: EventId) {
        let Some(keys) = self.watched.keys.borrow().clone() else { return };
        let source = if self.has_system() { self.system() } else { self.own.get().ok_or(FetchError::Unreachable) };
        self.spawn(uid.clone(), async move {
            let token = keys.tokens.seller_api(&uid, &upc, stage, wall());
            let part = match source {
                Ok(source) => source.part(&upc, stage, &token).await,
                Err(error) => Err(error),
            };
            Done::Fetched(released, stage, part)
        });
    }

    fn read(&mut self, uid: String, upc: String) {
        let Some(keys) = self.watched.keys.borrow().clone() else { return };
        let source = self.system();
        self.spawn(uid.clone(), async move {
            let token = |stage| keys.tokens.seller_api(&uid, &upc, stage, wall());
            let order = match source {
                Ok(source) => source.order(&upc, token).await,
                Err(error) => Err(error),
            };
            Done::Read(order)
        });
    }

    /// What the API server itself says, not what a watch that may be late does: a list by name, which the account may ask for.
    fn look_up(&mut self, uid: String, carrier: Uid, name: String) {
        let carriers = self.watched.carriers.clone();
        self.spawn(uid, async move {
            let found = in_time(carriers.look_up(&name), |late| late).await;
            let found =
                found.inspect_err(|error| tracing::warn!(error = %report(error), "failed to look a carrier up"));
            let standing = found.ok().map(|found| match found {
                None => Standing::Lost(Lost::Revoked),
                Some(there) if there == carrier.as_str() => Standing::Here,
                Some(_) => Standing::Lost(Lost::Replaced),
            });
            Done::LookedUp(carrier, standing)
        });
    }

    fn has_system(&self) -> bool {
        self.watched.seller.borrow().as_ref().is_some_and(|seller| seller.spec.url.is_some())
    }

    /// The order system the Seller names now, if the operator allows it.
    fn system(&mut self) -> Result<Arc<Source>, FetchError> {
        let url = self.watched.seller.borrow().as_ref().and_then(|seller| seller.spec.url.clone());
        self.system.at(&url.ok_or(FetchError::Unreachable)?)
    }

    pub(super) fn take(&mut self, uid: String, done: Done) {
        match done {
            Done::Wrote(known, wrote) => self.wrote(uid, known, *wrote),
            Done::Refreshed(Ok(None), _) => self.forget(&uid),
            Done::Refreshed(Ok(Some(_)), Why::Conflict) => self.written(&uid, Input::Written),
            Done::Refreshed(Ok(Some(_)), Why::Refused) => self.written(&uid, Input::Refused),
            Done::Refreshed(Err(error), _) => {
                tracing::warn!(delivery = uid, error = %report(&error), "failed to read");
                self.tell(&uid, Input::NotWritten);
            }
            Done::Fetched(released, stage, part) => {
                self.show_health(part.as_ref().map(|_| ()));
                if let Err(error) = &part {
                    tracing::warn!(delivery = uid, %stage, %error, "failed to read a part of an order");
                }
                self.tell(&uid, Input::Fetched(released, part));
            }
            Done::Read(order) => {
                self.show_health(order.as_ref().map(|_| ()));
                if let Err(error) = &order {
                    tracing::warn!(delivery = uid, %error, "failed to read an order");
                }
                self.tell(&uid, Input::Read(order));
            }
            Done::LookedUp(carrier, standing) => self.tell(&uid, Input::LookedUp(carrier, standing)),
            Done::Told(told) => self.told(&uid, *told),
        }
    }

    fn told(&mut self, uid: &str, told: Result<Delivery, kube::Error>) {
        let told = told
            .inspect_err(|error| tracing::warn!(delivery = uid, error = %report(error), "failed to say what hinders"));
        let done = told.is_ok();
        if let Ok(delivery) = told {
            self.watched.deliveries.offer(delivery);
            self.look(uid);
        }
        self.tell(uid, Input::Told(done));
    }

    fn wrote(&mut self, uid: String, known: Arc<Delivery>, wrote: Result<Delivery, AppendError>) {
        match wrote {
            Ok(delivery) => {
                self.watched.deliveries.offer(delivery);
                self.written(&uid, Input::Written);
            }
            Err(AppendError::Conflict) => {
                self.watched.metrics.conflicts.inc();
                self.refresh(uid, known, Why::Conflict);
            }
            // Decided on what is there by now it may well be taken; if not, it is tried again more and more rarely, and told.
            Err(AppendError::Refused(error)) => {
                tracing::error!(delivery = uid, error = %report(&error), "the API server refused events");
                self.refresh(uid, known, Why::Refused);
            }
            Err(AppendError::Gone) => self.forget(&uid),
            Err(error) => {
                tracing::warn!(delivery = uid, error = %report(&error), "failed to append");
                self.tell(&uid, Input::NotWritten);
            }
        }
    }

    fn written(&mut self, uid: &str, input: fn(Box<Facts>) -> Input) {
        match self.watched.facts(uid) {
            Some(facts) => self.tell(uid, input(Box::new(facts))),
            None => self.forget(uid),
        }
    }

    fn refresh(&mut self, uid: String, known: Arc<Delivery>, why: Why) {
        let deliveries = self.watched.deliveries.clone();
        self.spawn(uid, async move {
            let name = known.metadata.name.as_deref().unwrap_or_default();
            let refreshed = match why {
                Why::Conflict => in_time(deliveries.catch_up(&known), |late| late).await,
                Why::Refused => in_time(deliveries.refresh(name), |late| late).await,
            };
            Done::Refreshed(refreshed, why)
        });
    }

    /// Shows what became of asking an order system.
    fn show_health(&self, asked: Result<(), &FetchError>) {
        let Some(url) = self.watched.seller.borrow().as_ref().and_then(|seller| seller.spec.url.clone()) else {
            return;
        };
        let health = Some(match asked {
            Ok(()) => Ok(url),
            // It is there and answers; what is wrong with this order, the Delivery says.
            Err(error) if error.is_of_one_order() => Ok(url),
            Err(error) => Err((url, error.clone())),
        });
        self.watched.health.send_if_modified(|before| std::mem::replace(before, health.clone()) != health);
    }
}

/// An API server that never answers counts as one that failed: nothing else of the delivery would be written meanwhile.
async fn in_time<T, E>(call: impl Future<Output = Result<T, E>>, late: impl FnOnce(kube::Error) -> E) -> Result<T, E> {
    match tokio::time::timeout(API_PATIENCE, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(late(kube::Error::Service(Box::new(elapsed)))),
    }
}

fn told(uid: &str, events: &[SignedEvent]) {
    for event in events {
        let event = event.event();
        tracing::info!(delivery = uid, author = %event.author, event = %event.kind(), attempt = event.attempt, "logged");
    }
}
