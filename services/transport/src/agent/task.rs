//! One delivery's task: inputs in, the machine asked, its effects brought about. What must be on the disk is there
//! before anything that follows from it is begun; several inputs at once cost one write.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use waybill_chassis::telemetry::report;
use waybill_protocol::seller_to_carrier::Picture;
use waybill_protocol::{Bytes, Conversation, Direction, Uid, Upc};

use super::{Mail, Shared, retry};
use crate::api::About;
use crate::camera::{self, Scene};
use crate::job::{Answer, Effect, Errand, Input, Job, Own, Photo};
use crate::journal::{self, Journal, Record};

/// How long the seller has to write what it was told before the Carrier API is told too; for each delivery this agent has
/// open a little longer, because who gave it many has many to write. At most a minute.
const REMIND: Duration = Duration::from_secs(3);
const REMIND_EACH: Duration = Duration::from_millis(100);
const REMIND_MOST: Duration = Duration::from_secs(60);
/// How long the agent's own word is kept on the device after all is done.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Logs read in quick succession are spaced; after so long without one the count begins anew.
const CALM: Duration = Duration::from_secs(10);

/// How long a courier with a camera is given to take the proof picture, and how often it is looked for.
const AT_THE_DOOR: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries at a journal that another task is putting away.
const ENDING: Duration = Duration::from_millis(10);
/// How often a simulated parcel is seen on a leg, where it may be seen.
const SIGHTINGS: u32 = 6;

/// Why a delivery's work has to begin again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("failed to keep the journal")]
    Journal(#[source] journal::Error),
    #[error("a task ended unasked")]
    Ended,
    #[error("there is no identity to work with")]
    NoIdentity,
}

struct Task {
    shared: Arc<Shared>,
    job: Job,
    journal: Option<Journal>,
    pending: JoinSet<Option<Input>>,
    /// The upload under way.
    upload: Option<AbortHandle>,
    /// Who waits for an answer, in the order of asking.
    asking: VecDeque<oneshot::Sender<Answer>>,
    /// When the leg that is under way was begun.
    set_out: SystemTime,
    reads: u32,
    last_read: Option<Instant>,
}

/// What must be on the disk, and what must happen after.
#[derive(Default)]
struct Batch {
    rewrite: Option<Vec<Record>>,
    append: Vec<Record>,
    after: Vec<Effect>,
}

/// Works on one delivery until nothing is left to do. `seller`: whose it is, where no journal says so yet. Given back is
/// what came while it was ending: another task's to take up.
pub(super) async fn run(
    shared: Arc<Shared>,
    delivery: Uid,
    seller: Option<Uid>,
    mut mailbox: mpsc::Receiver<Mail>,
) -> Result<Vec<Mail>, Failed> {
    let mut identity = shared.identity.clone();
    identity.mark_unchanged();
    let Some((mut task, first)) = Task::open(shared, delivery, seller).await? else { return Ok(Vec::new()) };
    let mut inputs = VecDeque::from_iter(first);
    loop {
        // Answers first: frames without end must not keep them waiting.
        while let Some(done) = task.pending.try_join_next() {
            inputs.extend(done.ok().flatten());
        }
        while inputs.len() < super::MAILBOX
            && let Ok(more) = mailbox.try_recv()
        {
            inputs.push_back(task.take(more));
        }
        if !inputs.is_empty() {
            let batch = task.settle(&mut inputs);
            task.perform(batch).await?;
            continue;
        }
        if task.job.is_closed() && task.pending.is_empty() {
            mailbox.close();
            return Ok(std::iter::from_fn(|| mailbox.try_recv().ok()).collect());
        }
        tokio::select! {
            input = mailbox.recv() => match input {
                Some(mail) => inputs.push_back(task.take(mail)),
                None => return Ok(Vec::new()),
            },
            Some(done) = task.pending.join_next() => inputs.extend(done.ok().flatten()),
            Ok(()) = identity.changed() => {
                let current = identity.borrow_and_update().clone();
                inputs.extend(current.map(|identity| Input::Keys(Arc::clone(&identity.own))));
            }
        }
    }
}

impl Task {
    async fn open(
        shared: Arc<Shared>,
        delivery: Uid,
        seller: Option<Uid>,
    ) -> Result<Option<(Self, Option<Input>)>, Failed> {
        let identity = shared.identity.borrow().clone().ok_or(Failed::NoIdentity)?;
        let own = Arc::clone(&identity.own);
        // Not all files of a morning at once.
        let turn = shared.opening.acquire().await.map_err(|_| Failed::Ended)?;
        let (journal, records) = open_journal(&shared, &delivery).await?;
        let (known, age) = (!records.is_empty(), journal.age());
        let job = begin((own, shared.profile), delivery, seller, records);
        let Some(mut job) = job.filter(|job| !(job.is_closed() && age > KEPT)) else {
            // Long over; or torn at its first write, and nobody says whose it was.
            journal.remove().map_err(Failed::Journal)?;
            return Ok(None);
        };
        if journal.is_cut() {
            job.doubt();
        }
        drop(turn);
        let task = Self {
            shared,
            job,
            journal: Some(journal),
            pending: JoinSet::new(),
            upload: None,
            asking: VecDeque::new(),
            set_out: SystemTime::now(),
            reads: 0,
            last_read: None,
        };
        Ok(Some((task, known.then_some(Input::Started))))
    }

    fn take(&mut self, mail: Mail) -> Input {
        self.asking.extend(mail.reply);
        mail.input
    }

    /// Takes inputs until none is left; a leg that takes no time is over at once.
    fn settle(&mut self, inputs: &mut VecDeque<Input>) -> Batch {
        let mut batch = Batch::default();
        while let Some(input) = inputs.pop_front() {
            let effects = self.job.on(input, self.shared.clock.now());
            for effect in effects {
                match effect {
                    Effect::Keep(records) => batch.append.extend(records),
                    Effect::Rewrite(records) => {
                        // It holds all that was kept before it.
                        batch.append.clear();
                        batch.rewrite = Some(records);
                    }
                    Effect::Travel(errand) => inputs.extend(self.travel(errand)),
                    effect => batch.after.push(effect),
                }
            }
        }
        batch
    }

    fn travel(&mut self, errand: Errand) -> Option<Input> {
        self.set_out = SystemTime::now();
        // Where somebody taps, the world decides how a leg goes.
        let (takes, arrival) = self.shared.simulator.as_ref()?.travel(&errand);
        let arrived = Input::Arrived(errand, arrival);
        if takes.is_zero() {
            return Some(arrived);
        }
        self.roam(&errand, takes);
        self.pending.spawn(async move {
            tokio::time::sleep(takes).await;
            Some(arrived)
        });
        None
    }

    /// Where the parcel is on the way, now and then.
    fn roam(&mut self, errand: &Errand, takes: Duration) {
        let Some(simulator) = self.shared.simulator.as_ref().filter(|_| self.job.shares_location()) else { return };
        for step in 1..=SIGHTINGS {
            let progress = f64::from(step) / f64::from(SIGHTINGS + 1);
            let (after, fix) = (takes.mul_f64(progress), simulator.position(self.job.delivery(), errand.leg, progress));
            self.pending.spawn(async move {
                tokio::time::sleep(after).await;
                Some(Input::Moved(fix))
            });
        }
    }

    async fn perform(&mut self, batch: Batch) -> Result<(), Failed> {
        self.write(batch.rewrite, batch.append).await?;
        for effect in batch.after {
            self.begin(effect).await;
        }
        Ok(())
    }

    async fn write(&mut self, rewrite: Option<Vec<Record>>, append: Vec<Record>) -> Result<(), Failed> {
        if rewrite.is_none() && append.is_empty() {
            return Ok(());
        }
        let mut journal = self.journal.take().ok_or(Failed::Ended)?;
        let written = tokio::task::spawn_blocking(move || {
            if let Some(records) = rewrite {
                journal.rewrite(&records)?;
            }
            if !append.is_empty() {
                journal.append(&append)?;
            }
            Ok(journal)
        });
        self.shared.metrics.writes.inc();
        self.journal = Some(written.await.map_err(|_| Failed::Ended)?.map_err(Failed::Journal)?);
        Ok(())
    }

    async fn begin(&mut self, effect: Effect) {
        match effect {
            Effect::Say(frame) => self.say(frame).await,
            Effect::Post { upc, events } => self.post(upc, events),
            Effect::ReadLog { upc } => self.read_log(upc),
            Effect::Remind => {
                let wait = patience(self.shared.metrics.deliveries.get());
                self.pending.spawn(async move {
                    tokio::time::sleep(wait).await;
                    Some(Input::Overdue)
                });
            }
            Effect::Scan(errand, label) => self.scan(errand, label),
            Effect::Photograph(errand) => self.photograph(errand),
            Effect::Upload(photo) => self.upload(photo),
            Effect::Recall => self.upload.take().into_iter().for_each(|upload| upload.abort()),
            Effect::Answer(answer) => {
                // Who asked may have gone meanwhile.
                let _ = self.asking.pop_front().map(|asker| asker.send(answer));
            }
            Effect::Drop(dropped) => {
                tracing::debug!(delivery = %self.job.delivery(), reason = %report(&dropped), "dropped");
                self.shared.metrics.dropped(dropped.word());
            }
            Effect::Keep(_) | Effect::Rewrite(_) | Effect::Travel(_) => {}
        }
    }

    /// What can't be sent now is asked for again by the seller.
    async fn say(&self, frame: Vec<u8>) {
        let link = self.shared.link.borrow().clone();
        let Some(link) = link else { return };
        let subject = self.job.log().subject();
        let carrier = self.shared.identity.borrow().as_ref().map(|identity| identity.own.signer.uid().clone());
        let Some(carrier) = carrier else { return };
        let conversation = Conversation { seller: subject.seller.clone(), carrier, delivery: subject.delivery.clone() };
        let topic = conversation.topic(Direction::Up).to_string();
        if let Err(error) = link.publish(&topic, frame).await {
            tracing::debug!(%error, "a message did not leave");
        }
    }

    fn post(&mut self, upc: Upc, events: Vec<Bytes>) {
        let (shared, delivery) = (Arc::clone(&self.shared), self.job.delivery().clone());
        self.pending.spawn(async move {
            let about = About { delivery: &delivery, upc: &upc };
            let answer = retry::until_answered(&shared.api, || shared.api.post(about, &events)).await;
            shared.metrics.posts.inc();
            Some(answer.map_or(Input::Gone, Input::Posted))
        });
    }

    fn read_log(&mut self, upc: Upc) {
        let (shared, delivery) = (Arc::clone(&self.shared), self.job.delivery().clone());
        let calm = self.last_read.is_none_or(|last| last.elapsed() > CALM);
        self.reads = if calm { 0 } else { self.reads.saturating_add(1) };
        self.last_read = Some(Instant::now());
        let wait = if calm { Duration::ZERO } else { retry::pause(self.reads) };
        self.pending.spawn(async move {
            tokio::time::sleep(wait).await;
            let about = About { delivery: &delivery, upc: &upc };
            let answer = retry::until_answered(&shared.api, || shared.api.log(about)).await;
            Some(answer.map_or(Input::Gone, Input::LogRead))
        });
    }

    fn upload(&mut self, photo: Photo) {
        let (shared, delivery, upc) = (Arc::clone(&self.shared), self.job.delivery().clone(), self.job.upc().cloned());
        let Some(upc) = upc else { return };
        let upload = self.pending.spawn(async move {
            let about = About { delivery: &delivery, upc: &upc };
            let answer = retry::until_answered(&shared.api, || shared.api.upload(about, &photo)).await;
            answer.ok().map(Input::Uploaded)
        });
        self.upload = Some(upload);
    }

    fn scan(&mut self, errand: Errand, label: Option<Picture>) {
        let wrong = self.shared.simulator.as_ref().is_some_and(|way| way.holds_wrong_parcel(errand.attempt));
        let (shared, delivery) = (Arc::clone(&self.shared), self.job.delivery().clone());
        self.pending.spawn(async move {
            let read = tokio::task::spawn_blocking(move || {
                let label = if wrong { Some(camera::another_label(&delivery)) } else { label };
                shared.camera.read_codes(label.as_ref())
            });
            // A picture nothing can be read in, or at which the reader fails, holds no code.
            let codes = read.await.ok().and_then(Result::ok).unwrap_or_default();
            Some(Input::Scanned(errand, codes))
        });
    }

    fn photograph(&mut self, errand: Errand) {
        let shared = Arc::clone(&self.shared);
        let Some(upc) = self.job.upc().cloned() else { return };
        let at = shared.clock.now().trusted;
        let scene = Scene { upc, delivery: self.job.delivery().clone(), kind: shared.profile.kind, at };
        let (since, until) = (self.set_out, Instant::now() + AT_THE_DOOR);
        self.pending.spawn(async move { Some(Input::Photographed(errand, proof(shared, scene, since, until).await)) });
    }
}

/// With so many deliveries open.
fn patience(open: i64) -> Duration {
    let open = u32::try_from(open.max(0)).unwrap_or(u32::MAX);
    REMIND.saturating_add(REMIND_EACH.saturating_mul(open)).min(REMIND_MOST)
}

/// A picture of this leg; with a device, somebody has to take it first.
async fn proof(shared: Arc<Shared>, scene: Scene, since: SystemTime, until: Instant) -> Option<Photo> {
    loop {
        let (camera, scene) = (shared.camera.clone(), scene.clone());
        let error = match tokio::task::spawn_blocking(move || camera.photograph(&scene, since)).await.ok()? {
            Ok(photo) => return Some(photo),
            Err(error) => error,
        };
        if shared.camera.folder.is_none() || Instant::now() >= until {
            tracing::warn!(error = %report(&error), "no proof picture");
            return None;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A task that is just ending may still hold it for a moment.
async fn open_journal(shared: &Arc<Shared>, delivery: &Uid) -> Result<(Journal, Vec<Record>), Failed> {
    let mut patience = 20_u32;
    loop {
        let (shared, delivery) = (Arc::clone(shared), delivery.clone());
        let opened = tokio::task::spawn_blocking(move || shared.folder.journal(&delivery));
        match opened.await.map_err(|_| Failed::Ended)? {
            Err(journal::Error::Busy { .. }) if patience > 0 => patience -= 1,
            opened => return opened.map_err(Failed::Journal),
        }
        tokio::time::sleep(ENDING).await;
    }
}

/// From what the journal holds, or from nothing.
fn begin(
    (own, profile): (Arc<Own>, crate::job::Profile),
    delivery: Uid,
    seller: Option<Uid>,
    records: Vec<Record>,
) -> Option<Job> {
    let seed = rand::random();
    match seller {
        _ if !records.is_empty() => Job::restore(own, delivery, records, profile, seed),
        Some(seller) => Some(Job::new(own, seller, delivery, profile, seed)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seller_that_has_much_to_write_is_given_longer_but_not_for_ever() {
        assert!(patience(1) < Duration::from_secs(4), "a seller that is away costs one delivery seconds");
        assert_eq!(patience(250), Duration::from_secs(28));
        assert_eq!(patience(i64::MAX), patience(100_000));
        assert_eq!(patience(100_000), REMIND_MOST);
    }
}
