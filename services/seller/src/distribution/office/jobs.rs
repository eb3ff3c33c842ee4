//! What runs beside the loop: writes, reads after a conflict, and asking for orders.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use waybill_chassis::telemetry::report;
use waybill_cluster::custody::{self, AppendError};
use waybill_crds::{Delivery, SELLER_FIELD_MANAGER};
use waybill_protocol::{EventId, Order, Part, SignedEvent, Stage};

use super::super::case::{Effect, Input};
use super::Office;
use crate::availability::API_PATIENCE;
use crate::clock::now as wall;
use crate::source::{FetchError, Source, order_system};

/// What ran beside the loop.
pub(super) enum Done {
    Wrote(Box<Result<Delivery, AppendError>>),
    /// After a conflict.
    Refreshed(kube::Result<Option<Arc<Delivery>>>),
    Fetched(EventId, Stage, Result<Part, FetchError>),
    Read(Result<Order, FetchError>),
}

impl Office {
    pub(super) fn act(&mut self, uid: &str, effect: Effect) {
        let owner = uid.to_owned();
        match effect {
            Effect::Append { delivery, log, events } => {
                let deliveries = self.watched.deliveries.clone();
                self.jobs.spawn(async move {
                    let api = deliveries.api();
                    let append = custody::append(api, &delivery, &log, &events, SELLER_FIELD_MANAGER);
                    let wrote = in_time(append, AppendError::Api).await;
                    if wrote.is_ok() {
                        told(&owner, &events);
                    }
                    (owner, Done::Wrote(Box::new(wrote)))
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

    pub(super) fn take(&mut self, uid: String, done: Done) {
        match done {
            Done::Wrote(wrote) => self.wrote(uid, *wrote),
            Done::Refreshed(Ok(None)) => self.forget(&uid),
            Done::Refreshed(Ok(Some(_))) => self.written(&uid),
            Done::Refreshed(Err(error)) => {
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
        }
    }

    fn wrote(&mut self, uid: String, wrote: Result<Delivery, AppendError>) {
        match wrote {
            Ok(delivery) => {
                self.watched.deliveries.offer(delivery);
                self.written(&uid);
            }
            Err(AppendError::Conflict) => {
                self.watched.metrics.conflicts.inc();
                self.refresh(uid);
            }
            Err(AppendError::Gone) => self.forget(&uid),
            Err(error) => {
                tracing::warn!(delivery = uid, error = %report(&error), "failed to append");
                self.tell(&uid, Input::NotWritten);
            }
        }
    }

    fn written(&mut self, uid: &str) {
        match self.watched.facts(uid) {
            Some(facts) => self.tell(uid, Input::Written(Box::new(facts))),
            None => self.forget(uid),
        }
    }

    fn refresh(&mut self, uid: String) {
        let deliveries = self.watched.deliveries.clone();
        let Some(name) = deliveries.get(&uid).and_then(|delivery| delivery.metadata.name.clone()) else {
            return self.forget(&uid);
        };
        self.jobs.spawn(async move {
            let refreshed = in_time(deliveries.refresh(&name), |late| late).await;
            (uid, Done::Refreshed(refreshed))
        });
    }

    /// Shows what became of asking an order system.
    fn show_health(&self, asked: Result<(), &FetchError>) {
        let Some((url, _)) = &self.system else { return };
        let health = Some(match asked {
            Ok(()) => Ok(url.clone()),
            Err(error) => Err((url.clone(), error.clone())),
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
