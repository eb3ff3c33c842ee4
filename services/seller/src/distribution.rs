//! The conversation with carriers: only the Lease holder has one, because one identity is one session at the broker.

mod case;
mod decide;
mod facts;
mod hindrance;
mod label;
mod office;
#[cfg(test)]
mod plays;
mod say;
mod watched;

use std::pin::pin;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waybill_chassis::probes::Gate;
use waybill_link::{Link, LinkMetrics, Settings, SettingsError};

use crate::door::Doors;
use crate::metrics::SellerMetrics;
use office::Office;

pub(crate) use watched::Watched;
use waybill_cluster::lease::holder;

/// What distribution is made of.
#[derive(Debug)]
pub(crate) struct Distribution {
    pub(crate) settings: Settings,
    pub(crate) tls: watch::Receiver<Arc<ClientConfig>>,
    pub(crate) holds: watch::Receiver<bool>,
    pub(crate) lease: watch::Receiver<Option<Arc<Lease>>>,
    /// The name this replica holds the Lease under.
    pub(crate) identity: String,
    pub(crate) gate: Gate,
    pub(crate) metrics: SellerMetrics,
    pub(crate) link_metrics: LinkMetrics,
    /// What the deliveries are judged by.
    pub(crate) watched: Watched,
}

impl Distribution {
    /// Connects while this replica holds the Lease; returns after `shutdown`, with the session ended.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), SettingsError> {
        loop {
            let held = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                held = self.stand_by() => held,
            };
            if !held {
                return Ok(());
            }
            self.converse(&shutdown).await?;
        }
    }

    /// Returns true when the Lease is ours, false when nobody will ever say so.
    async fn stand_by(&mut self) -> bool {
        loop {
            let holds = *self.holds.borrow_and_update();
            let holder = holder(self.lease.borrow_and_update().as_deref()).map(str::to_owned);
            let taken = holder.is_some_and(|holder| holder != self.identity);
            self.metrics.lease_held.set(i64::from(holds));
            show(&self.gate, state(holds, taken, false));
            if holds {
                return true;
            }
            let alive = tokio::select! {
                changed = self.holds.changed() => changed.is_ok(),
                changed = self.lease.changed() => changed.is_ok(),
            };
            if !alive {
                return false;
            }
        }
    }

    /// One term of office: a session kept up until the Lease is lost or the process ends.
    async fn converse(&mut self, shutdown: &CancellationToken) -> Result<(), SettingsError> {
        let (link, inbox, driver) =
            waybill_link::link(self.settings.clone(), self.tls.clone(), self.link_metrics.clone())?;
        let end = shutdown.child_token();
        let office = Office::new(self.watched.clone(), link.clone());
        let _over = Over(self.watched.doors.clone());
        let mut session = pin!(driver.run(end.clone()));
        tokio::select! {
            () = &mut session => {}
            // Closed counts as lost: nobody watches the Lease any more.
            () = async { drop(self.holds.wait_for(|holds| !holds).await) } => {
                end.cancel();
                session.await;
            }
            () = follow(&self.gate, link) => {}
            () = office.run(inbox) => {}
        }
        Ok(())
    }
}

/// The end of a term: what it knew of positions and challenges is somebody else's to know.
struct Over(Doors);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// The broker as `/readyz` shows it: connected, standby, or a closed gate with what is missing.
fn state(holds: bool, taken: bool, connected: bool) -> (bool, &'static str) {
    match (holds, taken, connected) {
        (true, _, true) => (true, "connected"),
        (true, _, false) => (false, "connecting"),
        (false, true, _) => (true, "standby"),
        (false, false, _) => (false, "electing"),
    }
}

fn show(gate: &Gate, (open, word): (bool, &'static str)) {
    if open { gate.open_as(word) } else { gate.close(word) }
}

async fn follow(gate: &Gate, link: Link) {
    let mut connected = link.ready();
    loop {
        show(gate, state(true, true, *connected.borrow_and_update()));
        if connected.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_waits_for_the_broker() {
        assert_eq!(state(true, true, true), (true, "connected"));
        assert_eq!(state(true, true, false), (false, "connecting"));
        assert_eq!(state(false, true, false), (true, "standby"));
    }

    #[test]
    fn a_replica_is_not_ready_while_nobody_distributes() {
        assert_eq!(state(false, false, false), (false, "electing"));
    }
}
