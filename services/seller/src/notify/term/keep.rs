//! What a term keeps and says: how far everybody was told, what was given up, what is wrong.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use kube::Api;
use waybill_chassis::telemetry::report;
use waybill_crds::Reason;

use super::super::memory::{Kept, Memory};
use super::super::queue::{Dropped, Queue, Trouble};
use super::super::target::Target;
use super::super::told::{self, Complaint};
use super::super::{notice, target, time};
use super::{Done, FAREWELL, Receiver, Term, map};
use crate::availability::API_PATIENCE;
use crate::clock::now as wall;

impl Term {
    /// What a receiver had not been told when the last term ended.
    pub(super) fn left_behind(&self, target: &Target) -> Queue {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (uid, from) in self.memory.behind.get(&target.id).into_iter().flatten() {
            let Some(delivery) = self.all.state.deliveries.get(uid) else { continue };
            let seen = self.memory.seen.get(uid).copied().unwrap_or_default();
            let told = self.log(&delivery).map(|log| notice::since(&delivery, &log, *from)).unwrap_or_default();
            for notice in told.into_iter().filter(|one| one.position < seen && target.wants(one.phase)) {
                queue.add(Arc::new(notice), now);
            }
        }
        queue
    }

    pub(super) fn give_up(&mut self, to: &str, dropped: Dropped) {
        let Dropped { notice, why, tries } = dropped;
        self.all.metrics.notice(if to.starts_with(target::MAIL) { target::MAIL } else { "webhook" }, "given_up");
        let note = format!("{to} was not told that {} is {}: it {why} ({tries} tries)", notice.upc, notice.phase);
        let key: String = notice.id.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        self.memory.drop_one(Kept {
            id: notice.id.clone(),
            to: to.to_owned(),
            delivery: notice.name.clone(),
            upc: notice.upc.clone(),
            phase: notice.phase.to_owned(),
            why,
            tries,
            at: time(wall()),
        });
        let (client, seller) = (self.all.client.clone(), self.all.state.seller.borrow().clone());
        self.jobs.spawn(async move {
            if let Some(seller) = seller
                && let Err(error) = told::event(&client, &seller, &key, note).await
            {
                tracing::warn!(error = %report(&error), "failed to tell of a notice that was given up");
            }
            Done::Noted
        });
    }

    pub(super) fn save_due(&mut self) {
        if !self.unsaved || self.saving || self.save_at > Instant::now() {
            return;
        }
        let (maps, name, memory) = (self.maps.clone(), map(&self.all.name), self.snapshot());
        (self.unsaved, self.saving) = (false, true);
        self.jobs.spawn(async move { Done::Saved(in_time(memory.save(&maps, &name)).await) });
    }

    fn snapshot(&mut self) -> Memory {
        let behind = self.receivers.iter().map(|one| (one.target.id.clone(), one.queue.behind()));
        self.memory.behind = behind.filter(|(_, places)| !places.is_empty()).collect();
        self.memory.clone()
    }

    fn complaints(&self) -> Vec<Complaint> {
        let complaint = |one: &Receiver| {
            let shown = &one.target.shown;
            if let Some(blocked) = one.blocked() {
                return Some(Complaint { reason: blocked.reason, text: format!("{shown}: {}", blocked.why) });
            }
            let (reason, text) = match one.queue.trouble()? {
                Trouble::Failing(why) => {
                    (Reason::NotifyFailing, format!("{shown} {why}: it is tried again, more and more rarely"))
                }
                Trouble::GivenUp(why) => {
                    let place = map(&self.all.name);
                    (Reason::NotifyGivenUp, format!("{shown} {why}: what was given up is in ConfigMap {place}"))
                }
            };
            Some(Complaint { reason, text })
        };
        self.receivers.iter().filter_map(complaint).collect()
    }

    pub(super) fn say_due(&mut self) {
        if self.saying || self.say_at > Instant::now() {
            return;
        }
        let Some(seller) = self.all.state.seller.borrow().clone() else { return };
        let change = told::change(&seller, &self.complaints(), Timestamp::now());
        let Some(conditions) = change.filter(|_| seller.metadata.deletion_timestamp.is_none()) else { return };
        let (api, name) = (Api::namespaced(self.all.client.clone(), &self.all.namespace), self.all.name.clone());
        self.saying = true;
        self.jobs.spawn(async move { Done::Said(in_time(told::apply(&api, &name, &conditions)).await) });
    }

    /// The process ends, the Lease is still ours: what is on its way may arrive, and how far everybody got is kept.
    pub(super) async fn farewell(mut self) {
        let over = Instant::now() + FAREWELL;
        while !self.owners.is_empty() {
            let next = tokio::time::timeout_at(over.into(), self.jobs.join_next_with_id()).await;
            let Ok(Some(done)) = next else { break };
            self.ended(done);
        }
        let (maps, name) = (self.maps.clone(), map(&self.all.name));
        in_time(self.snapshot().save(&maps, &name)).await;
    }
}

/// Whether it was done, within the time an answer may take.
async fn in_time(call: impl Future<Output = kube::Result<()>>) -> bool {
    match tokio::time::timeout(API_PATIENCE, call).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = %report(&error), "failed to write about notifications");
            false
        }
        Err(_) => false,
    }
}
