//! One term of office of notifications: what changes in the cluster goes in, what must be told goes out.
//!
//! One loop. Every try, every save and every word to the API server runs beside it; a save is at most a second behind what was told.

mod keep;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;
use waybill_cluster::custody;
use waybill_crds::seller::Notify;
use waybill_crds::{Delivery, Seller};
use waybill_protocol::{Log, Stage};

use super::links::Links;
use super::memory::Memory;
use super::notice::{self, Notice};
use super::queue::{Outcome, Queue};
use super::target::{self, Blocked, Secrets, Target, Way};
use super::told;
use super::{Notifications, mail, webhook};
use crate::clock::now as wall;
use crate::orders::Private;
use crate::source::{FetchError, Source, System};

/// Between looks at what is missing, tries to reach the API server, and the fewest between two saves or two words.
const RETRY: Duration = Duration::from_secs(2);
const APART: Duration = Duration::from_secs(1);
/// Between looks where nothing is in the way.
const IDLE: Duration = Duration::from_secs(300);
/// How long the end of a term waits for what is on its way.
const FAREWELL: Duration = Duration::from_secs(3);

/// A receiver at work.
struct Receiver {
    target: Target,
    queue: Queue,
    /// Whether there is a way to it; unknown until it was looked for.
    way: Option<Result<(), Blocked>>,
}

impl Receiver {
    fn is_open(&self) -> bool {
        matches!(self.way, Some(Ok(())))
    }

    fn blocked(&self) -> Option<&Blocked> {
        self.way.as_ref()?.as_ref().err()
    }
}

/// What a job of the term brought.
enum Done {
    Tried(Outcome),
    Saved(bool),
    Said(bool),
    Noted,
}

/// Somebody to tell, and what is known of it.
pub(super) struct Term {
    all: Arc<Notifications>,
    links: Arc<Links>,
    maps: Api<ConfigMap>,
    memory: Memory,
    notify: Option<Notify>,
    receivers: Vec<Receiver>,
    secrets: Secrets,
    system: System,
    client: reqwest::Client,
    jobs: JoinSet<Done>,
    /// Which receiver a try was for, and which delivery.
    owners: HashMap<Id, (String, String)>,
    unsaved: bool,
    saving: bool,
    save_at: Instant,
    saying: bool,
    say_at: Instant,
    look_at: Instant,
}

impl Term {
    /// Reads how far everybody was told; none where the term is over before, or there is nobody to tell.
    pub(super) async fn begin(
        all: &Arc<Notifications>,
        links: &Arc<Links>,
        (over, shutdown): (impl Future<Output = ()>, &CancellationToken),
    ) -> Option<Self> {
        let loaded = async {
            all.state.deliveries.ready().await;
            let mut trust = all.state.trust.clone();
            trust.wait_for(|trust| !trust.cas().is_empty()).await.ok()?;
            loop {
                let seller = all.state.seller.borrow().clone()?;
                match Self::load(all, links, &seller).await {
                    Ok(term) => return term,
                    Err(error) => tracing::warn!(error = %report(&error), "failed to read how far everybody was told"),
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = over => None,
            () = shutdown.cancelled() => None,
            term = loaded => term,
        }
    }

    async fn load(all: &Arc<Notifications>, links: &Arc<Links>, seller: &Seller) -> kube::Result<Option<Self>> {
        let sellers = Api::namespaced(all.client.clone(), &all.namespace);
        if seller.spec.notify.is_none() {
            if let Some(conditions) = told::change(seller, &[], Timestamp::now()) {
                told::apply(&sellers, &all.name, &conditions).await?;
                // The watch will say so too; until then there is nothing more to do.
                tokio::time::sleep(RETRY).await;
            }
            return Ok(None);
        }
        let maps = Api::<ConfigMap>::namespaced(all.client.clone(), &all.namespace);
        let kept = Memory::load(&maps, &map(&all.name)).await?;
        let Ok(client) = webhook::client() else { return Ok(None) };
        let (now, first) = (Instant::now(), kept.is_none());
        let mut term = Self {
            all: Arc::clone(all),
            links: Arc::clone(links),
            maps,
            memory: kept.unwrap_or_default(),
            notify: None,
            receivers: Vec::new(),
            secrets: Secrets::new(),
            system: System::new(Arc::clone(&all.order_urls)),
            client,
            jobs: JoinSet::new(),
            owners: HashMap::new(),
            unsaved: first,
            saving: false,
            save_at: now,
            saying: false,
            say_at: now + RETRY,
            look_at: now,
        };
        if first {
            term.skip_what_was();
        }
        term.retarget(seller);
        Ok(Some(term))
    }

    /// Nobody is flooded with what happened before anybody was to be told.
    fn skip_what_was(&mut self) {
        for delivery in self.all.state.deliveries.all() {
            if let (Some(uid), Some(log)) = (delivery.metadata.uid.clone(), self.log(&delivery)) {
                self.memory.seen.insert(uid, notice::end(&delivery, &log));
            }
        }
    }

    /// Works until the term is over.
    pub(super) async fn run(mut self, over: impl Future<Output = ()>, shutdown: &CancellationToken) {
        let (mut changes, mut seller) = (self.all.state.deliveries.changed(), self.all.state.seller.clone());
        let mut over = std::pin::pin!(over);
        loop {
            self.tell_due();
            self.save_due();
            self.say_due();
            let wake = self.wake();
            tokio::select! {
                () = &mut over => return,
                () = shutdown.cancelled() => return self.farewell().await,
                uid = changes.next() => {
                    self.look(&uid);
                    while let Some(uid) = changes.try_next() {
                        self.look(&uid);
                    }
                }
                Some(done) = self.jobs.join_next_with_id() => self.ended(done),
                changed = seller.changed() => {
                    let now = seller.borrow_and_update().clone();
                    match now.filter(|seller| changed.is_ok() && seller.spec.notify.is_some()) {
                        Some(seller) => self.retarget(&seller),
                        None => return self.farewell().await,
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    /// Whom the Seller names now. Who stays keeps what is waiting.
    fn retarget(&mut self, seller: &Seller) {
        let notify = seller.spec.notify.clone();
        if self.notify == notify {
            return;
        }
        let wanted = notify.unwrap_or_default();
        self.secrets = target::follow(&self.all.client, &self.all.namespace, &wanted);
        let mut before: HashMap<String, Queue> =
            self.receivers.drain(..).map(|one| (one.target.id, one.queue)).collect();
        for target in target::all(&wanted) {
            let queue = before.remove(&target.id).unwrap_or_else(|| self.left_behind(&target));
            self.receivers.push(Receiver { target, queue, way: None });
        }
        self.notify = seller.spec.notify.clone();
        (self.unsaved, self.say_at, self.look_at) = (true, Instant::now() + RETRY, Instant::now());
    }

    fn log(&self, delivery: &Delivery) -> Option<Log> {
        let trust = self.all.state.trust.borrow().clone();
        custody::read(delivery, &self.all.state.uid, &trust).ok()
    }

    fn look(&mut self, uid: &str) {
        let Some(delivery) = self.all.state.deliveries.get(uid) else {
            self.unsaved |= self.memory.seen.remove(uid).is_some();
            return self.links.forget(uid);
        };
        let from = self.memory.seen.get(uid).copied().unwrap_or_default();
        let Some(log) = self.log(&delivery).filter(|log| notice::end(&delivery, log) > from) else { return };
        for notice in notice::since(&delivery, &log, from).into_iter().map(Arc::new) {
            for one in self.receivers.iter_mut().filter(|one| one.target.wants(notice.phase)) {
                one.queue.add(Arc::clone(&notice), Instant::now());
            }
        }
        self.memory.seen.insert(uid.to_owned(), notice::end(&delivery, &log));
        self.unsaved = true;
    }

    fn tell_due(&mut self) {
        let now = Instant::now();
        let again = self.look_at <= now;
        for at in 0..self.receivers.len() {
            let one = &mut self.receivers[at];
            let due = one.queue.wake().is_some_and(|wake| wake <= now);
            // What was in the way may be mended by now.
            let looks = if one.is_open() { due } else { again };
            if !looks {
                continue;
            }
            let way = one.target.way(&self.all.hosts, &self.secrets);
            one.way = Some(way.as_ref().map(drop).map_err(Clone::clone));
            let Ok(way) = way else { continue };
            while let Some(notice) = self.receivers[at].queue.take(now) {
                self.tell(at, &way, notice);
            }
        }
        if again {
            self.look_at = now + IDLE;
        }
        if !self.receivers.iter().all(Receiver::is_open) {
            self.look_at = self.look_at.min(now + RETRY);
        }
        let waiting: usize = self.receivers.iter().map(|one| one.queue.waiting()).sum();
        self.all.metrics.notices_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    fn tell(&mut self, at: usize, way: &Way, notice: Arc<Notice>) {
        let owner = (self.receivers[at].target.id.clone(), notice.delivery.clone());
        let (all, links) = (Arc::clone(&self.all), Arc::clone(&self.links));
        let id = match way {
            Way::Post { url, key } => {
                let (client, url, key) = (self.client.clone(), url.clone(), key.clone());
                self.jobs.spawn(async move {
                    let body = notice.body((&all.namespace, &all.name)).to_string().into_bytes();
                    let key = key.as_ref().map(|key| key.as_slice());
                    Done::Tried(webhook::tell(&client, (&url, key), (&notice.id, wall().as_secs()), body).await)
                })
            }
            Way::Send { server, from } => {
                let (server, from) = (server.clone(), from.clone());
                let url = all.state.seller.borrow().as_ref().and_then(|seller| seller.spec.url.clone());
                let system = url.map(|url| self.system.at(&url));
                self.jobs.spawn(async move {
                    let to = address(&all, system, &notice).await;
                    Done::Tried(send((&all, &links), (&server, &from), to, &notice).await)
                })
            }
        };
        self.owners.insert(id.id(), owner);
    }

    fn ended(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let owner = self.owners.remove(&id);
        // A job that ended without a word is one that failed.
        let lost = || Outcome::Later { why: "could not be told".into(), away: false, after: None };
        let done = done.map_or_else(|_| Done::Tried(lost()), |(_, done)| done);
        match (done, owner) {
            (Done::Tried(outcome), Some((target, delivery))) => self.tried(&target, &delivery, outcome),
            (Done::Saved(well), _) => {
                (self.saving, self.save_at) = (false, Instant::now() + APART);
                self.unsaved |= !well;
            }
            (Done::Said(well), _) => {
                (self.saying, self.say_at) = (false, Instant::now() + if well { APART } else { RETRY });
            }
            (Done::Noted | Done::Tried(_), _) => {}
        }
    }

    fn tried(&mut self, target: &str, delivery: &str, outcome: Outcome) {
        let Some(one) = self.receivers.iter_mut().find(|one| one.target.id == target) else { return };
        let word = match &outcome {
            Outcome::Told => "told",
            Outcome::Nobody => "nobody",
            Outcome::Later { .. } => "failed",
            Outcome::Never { .. } | Outcome::Closed { .. } => "refused",
        };
        self.all.metrics.notice(one.target.word(), word);
        if let Outcome::Later { why, .. } | Outcome::Never { why } | Outcome::Closed { why } = &outcome {
            tracing::info!(delivery, to = one.target.shown, why, "a notice was not taken");
        }
        let shown = one.target.shown.clone();
        let dropped = one.queue.ended(delivery, outcome, (Instant::now(), self.all.policy));
        self.unsaved = true;
        for one in dropped {
            self.give_up(&shown, one);
        }
    }

    fn wake(&self) -> Instant {
        let queues = self.receivers.iter().filter(|one| one.is_open()).filter_map(|one| one.queue.wake());
        let save = (self.unsaved && !self.saving).then_some(self.save_at);
        let say = Some(self.say_at).filter(|at| !self.saying && *at > Instant::now());
        let soonest = queues.chain(save).chain(say).min();
        soonest.unwrap_or(self.look_at).min(self.look_at)
    }
}

/// An order system, or why it is not asked.
type Asked = Result<Arc<Source>, FetchError>;

fn map(seller: &str) -> String {
    format!("wb-seller-{seller}-notices")
}

/// Where the recipient is written to, as the order is now; kept nowhere.
async fn address(all: &Notifications, system: Option<Asked>, notice: &Notice) -> Result<Option<Private>, FetchError> {
    let Some(system) = system else {
        let book = all.state.book.borrow().clone();
        return Ok(book.and_then(|book| book.order(&notice.upc)?.email.clone()));
    };
    let keys = all.state.keys.borrow().clone().ok_or(FetchError::Unreachable)?;
    let token = keys.tokens.seller_api(&notice.delivery, &notice.upc, Stage::Door, wall());
    match system?.email(&notice.upc, &token).await {
        Err(FetchError::Unknown) => Ok(None),
        said => said,
    }
}

/// To the recipient.
async fn send(
    (all, links): (&Notifications, &Links),
    (server, from): (&mail::Server, &str),
    to: Result<Option<Private>, FetchError>,
    notice: &Notice,
) -> Outcome {
    let email = match to {
        Ok(Some(email)) => email,
        Ok(None) => return Outcome::Nobody,
        Err(error) => {
            let why = format!("waits for the recipient's address: the order system {error}");
            return Outcome::Later { why, away: !error.is_of_one_order(), after: None };
        }
    };
    let link = match links.of(&notice.delivery, &notice.upc).await {
        Ok(link) => link,
        Err(error) => return Outcome::Later { why: format!("waits for a link: {error}"), away: true, after: None },
    };
    mail::tell(server, notice, (from, email.expose()), (&all.name, link.as_ref())).await
}
