//! What goes to the Carrier API: own events in their order, from the first it is not known to have, one post at a time
//! until it answers. What the seller writes itself (`Accepted`, `PickedUp`) is posted only when it does not turn up.

use waybill_protocol::{Fact, Kind};

use super::{Dropped, Effect, Job, Photo, PostAnswer, Time, UploadAnswer};
use crate::journal::Record;

/// As many events as one post may hold.
const BATCH: usize = 8;

/// How far the log is known to hold this agent's events.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    acknowledged: u32,
    /// The post under way: from this number, to before that one.
    in_flight: Option<(u32, u32)>,
    /// Something waits that only the Carrier API is told.
    urgent: bool,
    /// Somebody will look whether what was only said arrived.
    reminding: bool,
    reminder_due: bool,
    uploading: bool,
    /// What was refused; not tried again until more is known.
    refused: Option<(u32, u32)>,
}

impl Outbox {
    pub(super) const fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// The log is known to hold everything before this number.
    pub(super) fn acknowledge(&mut self, before: u32) {
        self.acknowledged = self.acknowledged.max(before);
    }

    /// The log holds this much, whatever was believed before.
    pub(super) fn restart(&mut self, stored: u32) {
        *self = Self { acknowledged: stored, uploading: self.uploading, ..Self::default() };
    }

    /// After a restart: whatever the log is not known to hold is posted.
    pub(super) fn resume(&mut self, next: u32) {
        self.urgent = self.acknowledged < next;
    }

    pub(super) fn is_news(&mut self, kind: Kind) {
        match kind {
            Kind::Accepted | Kind::PickedUp => self.reminder_due = true,
            _ => self.urgent = true,
        }
    }

    pub(super) fn overdue(&mut self) {
        self.reminding = false;
        self.urgent = true;
    }

    /// What the next post brings: from this number, so many.
    fn next(&mut self, next: u32) -> Option<u32> {
        let from = self.acknowledged;
        if from >= next {
            self.urgent = false;
            return None;
        }
        let stuck = self.refused == Some((from, next));
        (self.urgent && self.in_flight.is_none() && !stuck).then_some(from)
    }
}

impl Job {
    pub(super) fn send_posts(&mut self) {
        let next = self.log.expected(waybill_protocol::Author::Transport, self.uid()).0;
        if std::mem::take(&mut self.post.reminder_due) && !self.post.reminding {
            self.post.reminding = true;
            self.out.push(Effect::Remind);
        }
        let upc = self.upc.clone().or_else(|| self.log.state().terms().map(|terms| terms.upc.clone()));
        let Some(upc) = upc else { return };
        let Some(from) = self.post.next(next) else { return };
        let mut events = self.own_events(from);
        events.truncate(BATCH);
        let count = u32::try_from(events.len()).expect("a post has few events");
        self.post.in_flight = Some((from, from + count));
        self.out.push(Effect::Post { upc, events });
    }

    pub(super) fn posted(&mut self, answer: PostAnswer, _now: Time) {
        let Some((from, to)) = self.post.in_flight.take() else { return };
        match answer {
            PostAnswer::Taken => {
                self.post.acknowledge(to);
                // Only a nudge: the seller finds the same in the log.
                let mut events = self.own_events(from);
                events.truncate(usize::try_from(to - from).unwrap_or(BATCH));
                self.say_news(events);
            }
            PostAnswer::Gap => self.standing.sure = false,
            PostAnswer::Refused => {
                let next = self.log.expected(waybill_protocol::Author::Transport, self.uid()).0;
                tracing::error!(delivery = %self.delivery(), from, to, "the Carrier API refuses signed events");
                self.post.refused = Some((from, next));
                self.standing.sure = false;
            }
        }
    }

    pub(super) fn upload_photo(&mut self) {
        if let Some(photo) = self.held.photo.as_ref().filter(|_| !self.post.uploading) {
            let photo = photo.clone();
            self.post.uploading = true;
            self.out.push(Effect::Upload(photo));
        }
    }

    /// What is being sent is not to arrive any more.
    pub(super) fn recall(&mut self) {
        if std::mem::take(&mut self.post.uploading) {
            self.out.push(Effect::Recall);
        }
    }

    /// The hash goes into the log when the picture is where everybody can fetch it.
    pub(super) fn uploaded(&mut self, answer: UploadAnswer, now: Time) {
        let (UploadAnswer::Stored(sha256), Some(photo)) = (answer, self.held.photo.as_ref()) else {
            // It stays in the journal: a person can still save it.
            tracing::error!(delivery = %self.delivery(), "the Carrier API refuses a proof picture");
            return;
        };
        self.post.uploading = false;
        let media = photo.media;
        self.held.photo = None;
        self.keep(Record::PhotoStored);
        self.state(Fact::ProofAttached { kind: Photo::KIND, media, sha256 }, now);
    }

    /// Nothing left to do, to send or to hide: the job can be put away.
    pub(super) fn close(&mut self) {
        let (state, next) = (self.log.state(), self.log.expected(waybill_protocol::Author::Transport, self.uid()).0);
        let elsewhere = state.carrier().is_some_and(|carrier| carrier != self.uid());
        let over = state.phase().is_terminal() || elsewhere;
        let sent = self.post.acknowledged >= next && self.post.in_flight.is_none();
        if over && sent && !self.holds_secrets() && self.held.photo.is_none() && !self.standing.closed {
            self.standing.closed = true;
            self.keep(Record::Closed);
        }
    }

    /// There is no such delivery any more, as far as the Carrier API knows: no secret of it is kept. What was not told yet
    /// (own events, the picture) is evidence and stays, for the day on which somebody speaks of the delivery again.
    pub(super) fn gone(&mut self) {
        let next = self.log.expected(waybill_protocol::Author::Transport, self.uid()).0;
        self.held.wipe();
        self.post.restart(self.post.acknowledged);
        self.standing.gone = true;
        self.standing.reading = false;
        self.standing.closed = self.post.acknowledged >= next && self.held.photo.is_none();
        self.keep_all();
        self.out.push(Effect::Drop(Dropped::Gone));
    }

    /// Somebody speaks of it: the log is read, and what was not told is told.
    pub(super) fn spoken_of(&mut self) {
        if std::mem::take(&mut self.standing.gone) {
            self.standing.sure = false;
            self.post.uploading = false;
            self.post.resume(self.log.expected(waybill_protocol::Author::Transport, self.uid()).0);
        }
    }
}
