//! What the board shows, kept current by watches: rows, who carries them, and the last changes. Never polls.
//!
//! A change is known to readers as soon as it is in; a reader holds nothing but a number.

pub(crate) mod parcel;
pub(crate) mod ring;
pub(crate) mod row;
mod standing;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use waybill_chassis::probes::Gate;
use waybill_crds::{Carrier, Seller};

use parcel::Parcel;
use ring::{Change, Missed, Ring};
use row::Row;
use standing::{Standing, Takes};
use stream::{List, Seen};

/// How often it is looked whether a certificate came close to its end.
const LOOK: Duration = Duration::from_secs(30);
/// Between two looks because somebody changed: thousands may at once.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two words to readers: well within the second a change may take to be seen.
pub(crate) const PACE: Duration = Duration::from_millis(250);
/// The same after so many changes at once: a thousand readers are a thousand messages.
const BUSY_PACE: Duration = Duration::from_millis(750);
const BUSY: u64 = 16;

/// The rows, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    board: RwLock<Board>,
    standing: RwLock<Standing>,
    /// The last change.
    told: watch::Sender<u64>,
    /// Up to which change readers are told now: all of them the same, so that it is written once.
    tick: watch::Sender<u64>,
    /// Of this process: its numbers are nobody else's.
    life: u32,
    /// Watches that have not finished their first list.
    missing: watch::Sender<usize>,
    dirty: Notify,
}

#[derive(Debug, Default)]
struct Board {
    rows: HashMap<Arc<str>, Arc<Row>>,
    counts: HashMap<Arc<str>, [usize; 3]>,
    ring: Ring,
}

impl Feed {
    /// Starts following; `gate` opens with the first lists.
    pub(crate) fn follow(client: &Client, namespaces: &[String], gate: Gate, stop: &CancellationToken) -> Self {
        gate.close("no list of Deliveries yet");
        let feed = Self::empty(3 * namespaces.len().max(1));
        let parcels = feed.clone();
        stream::follow::<Parcel>(client, namespaces, stop, move |seen| parcels.take(seen));
        feed.parties::<Seller>(client, namespaces, stop);
        feed.parties::<Carrier>(client, namespaces, stop);
        let complete = feed.clone();
        tokio::spawn(async move {
            // The sender lives in what is held here.
            let _ = complete.0.missing.subscribe().wait_for(|missing| *missing == 0).await;
            gate.open();
        });
        let (looking, ticking) = (feed.clone(), feed.clone());
        let (stop, stopped) = (stop.clone(), stop.clone());
        tokio::spawn(async move { stop.run_until_cancelled(looking.look()).await });
        tokio::spawn(async move { stopped.run_until_cancelled(ticking.tick()).await });
        feed
    }

    pub(crate) fn empty(missing: usize) -> Self {
        Self(Arc::new(Shared {
            board: RwLock::default(),
            standing: RwLock::default(),
            told: watch::channel(0).0,
            tick: watch::channel(0).0,
            life: rand::random(),
            missing: watch::channel(missing).0,
            dirty: Notify::new(),
        }))
    }

    fn parties<K>(&self, client: &Client, namespaces: &[String], stop: &CancellationToken)
    where
        K: Takes
            + kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let feed = self.clone();
        stream::follow::<K>(client, namespaces, stop, move |seen| {
            let mut standing = feed.0.standing.write().unwrap_or_else(PoisonError::into_inner);
            let changed = match seen {
                Seen::Is(object) => standing.put(&object),
                Seen::Gone(uid) => {
                    standing.remove(K::KIND, &uid);
                    true
                }
                Seen::Listed(list) => {
                    standing.retain(K::KIND, |namespace, uid| !list.misses(namespace, uid));
                    feed.listed(&list);
                    true
                }
            };
            if changed {
                feed.0.dirty.notify_one();
            }
        });
    }

    /// One word of the watch of Deliveries.
    fn take(&self, seen: Seen<Parcel>) {
        match seen {
            Seen::Is(parcel) => self.put(parcel),
            Seen::Gone(uid) => self.remove(&uid),
            Seen::Listed(list) => {
                let missed = self.select(|row| list.misses(&row.namespace, &row.uid));
                missed.iter().for_each(|row| self.remove(&row.uid));
                self.listed(&list);
            }
        }
    }

    pub(crate) fn put(&self, parcel: Parcel) {
        let now = Timestamp::now();
        let row = Row::of(parcel, &self.0.standing.read().unwrap_or_else(PoisonError::into_inner), now);
        if let Some(row) = row {
            self.change(|board| board.put(row));
        }
    }

    fn remove(&self, uid: &str) {
        self.change(|board| board.remove(uid));
    }

    fn listed(&self, list: &List) {
        if list.first {
            self.0.missing.send_modify(|missing| *missing = missing.saturating_sub(1));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Board) -> Option<u64>) {
        let told = change(&mut self.board_mut());
        if let Some(id) = told {
            self.0.told.send_replace(id);
        }
    }

    /// Looks at every row again when somebody it depends on changed, or time went on.
    async fn look(&self) {
        loop {
            tokio::select! {
                () = self.0.dirty.notified() => tokio::time::sleep(PAUSE).await,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = Timestamp::now();
            for row in self.rows() {
                let dressed = {
                    let standing = self.0.standing.read().unwrap_or_else(PoisonError::into_inner);
                    Row::clone(&row).dressed(&standing, now)
                };
                if dressed != *row {
                    self.change(|board| board.redress(&row, dressed));
                }
            }
        }
    }

    /// Says from time to time that there is something to tell.
    async fn tick(&self) {
        let (mut told, mut before, mut crowd) = (self.0.told.subscribe(), 0, None::<Instant>);
        while told.changed().await.is_ok() {
            let busy = crowd.is_some_and(|at| at.elapsed() < BUSY_PACE);
            // Whatever comes in the meantime is told together.
            tokio::time::sleep(if busy { BUSY_PACE } else { PACE }).await;
            told.mark_unchanged();
            let last = self.last();
            crowd = (last - before > BUSY).then(Instant::now);
            before = last;
            self.0.tick.send_replace(last);
        }
    }

    /// Every row, in no order.
    pub(crate) fn rows(&self) -> Vec<Arc<Row>> {
        self.board().rows.values().cloned().collect()
    }

    /// Those this keeps, in no order.
    pub(crate) fn select(&self, keep: impl Fn(&Row) -> bool) -> Vec<Arc<Row>> {
        self.board().rows.values().filter(|row| keep(row)).cloned().collect()
    }

    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Row>> {
        self.board().rows.values().find(|row| *row.name == *name && *row.namespace == *namespace).cloned()
    }

    /// The uid of the Seller of this name.
    pub(crate) fn seller(&self, namespace: &str, name: &str) -> Option<String> {
        self.0.standing.read().unwrap_or_else(PoisonError::into_inner).seller(namespace, name)
    }

    /// The namespaces that have rows, by name.
    pub(crate) fn namespaces(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.board().counts.keys().cloned().collect();
        names.sort();
        names
    }

    /// How many rows lie on each lane, of the namespaces this keeps.
    pub(crate) fn counts(&self, keep: impl Fn(&str) -> bool) -> [usize; 3] {
        let board = self.board();
        let kept = board.counts.iter().filter(|(namespace, _)| keep(namespace));
        kept.fold([0; 3], |sum, (_, counts)| std::array::from_fn(|lane| sum[lane] + counts[lane]))
    }

    /// The number up to which readers are told, for who waits for more.
    pub(crate) fn ticks(&self) -> watch::Receiver<u64> {
        self.0.tick.subscribe()
    }

    /// Where readers who have seen everything stand, as text.
    pub(crate) fn position(&self) -> String {
        self.text(self.board().ring.last())
    }

    pub(crate) fn last(&self) -> u64 {
        self.board().ring.last()
    }

    pub(crate) fn text(&self, id: u64) -> String {
        format!("{:08x}-{id}", self.0.life)
    }

    /// The number in such a text; `None` for one of another life of this process.
    pub(crate) fn number(&self, text: &str) -> Option<u64> {
        let (life, id) = text.split_once('-')?;
        (u32::from_str_radix(life, 16).ok()? == self.0.life).then(|| id.parse().ok())?
    }

    /// What changed in this stretch, as a reader sees it, unless it is more than `most` rows.
    pub(crate) fn between(&self, stretch: (u64, u64), most: usize, sees: impl Fn(&Change) -> bool) -> Missed {
        self.board().ring.between(stretch, most, sees)
    }

    fn board(&self) -> RwLockReadGuard<'_, Board> {
        self.0.board.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn board_mut(&self) -> RwLockWriteGuard<'_, Board> {
        self.0.board.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn put(&mut self, row: Row) -> Option<u64> {
        if self.rows.get(&row.uid).is_some_and(|known| **known == row) {
            return None;
        }
        let row = Arc::new(row);
        self.count(&row, 1);
        if let Some(before) = self.rows.insert(Arc::clone(&row.uid), Arc::clone(&row)) {
            self.count(&before, -1);
        }
        Some(self.ring.push(Arc::clone(&row.uid), Arc::clone(&row.namespace), Some(row)))
    }

    /// Only if nothing came in between.
    fn redress(&mut self, before: &Arc<Row>, row: Row) -> Option<u64> {
        let same = self.rows.get(&row.uid).is_some_and(|known| Arc::ptr_eq(known, before));
        if same { self.put(row) } else { None }
    }

    fn remove(&mut self, uid: &str) -> Option<u64> {
        let row = self.rows.remove(uid)?;
        self.count(&row, -1);
        Some(self.ring.push(Arc::clone(&row.uid), Arc::clone(&row.namespace), None))
    }

    fn count(&mut self, row: &Row, by: isize) {
        let counts = self.counts.entry(Arc::clone(&row.namespace)).or_default();
        let lane = &mut counts[row.lane.index()];
        *lane = lane.saturating_add_signed(by);
        if *counts == [0; 3] {
            self.counts.remove(&row.namespace);
        }
    }
}
