//! A job from its journal.

use std::sync::Arc;

use waybill_protocol::{Author, Uid};

use super::{Job, Own, Photo, Profile};
use crate::journal::Record;

impl Job {
    /// The job as its journal left it; `None` if the journal does not say whose parcel it is.
    pub fn restore(
        own: Arc<Own>,
        delivery: Uid,
        records: Vec<Record>,
        profile: Profile,
        seed: [u8; 32],
    ) -> Option<Self> {
        let seller = records.iter().find_map(|record| match record {
            Record::Seller { seller } => Some(seller.clone()),
            _ => None,
        })?;
        let mut job = Self::new(own, seller, delivery, profile, seed);
        job.out.clear();
        let mut whole = true;
        for record in records {
            whole &= job.take_back(record);
        }
        // What was signed here stands here: nothing leaves before that.
        job.standing.sure = whole && job.log.expected(Author::Transport, job.uid()).0 > 0;
        job.post.resume(job.log.expected(Author::Transport, job.uid()).0);
        Some(job)
    }

    /// Something that once stood in the journal is missing: the log is read before anything is signed.
    pub fn doubt(&mut self) {
        self.standing.sure = false;
        self.standing.doubted = true;
    }

    /// False for an event that has no place in the log any more.
    fn take_back(&mut self, record: Record) -> bool {
        match record {
            Record::Seller { .. } => {}
            Record::Upc { upc } => self.upc = Some(upc),
            Record::Statement { bytes } => {
                // It was verified before it was kept; its dates are of that day.
                if let Ok(statement) = self.own.trust.recorded_statement(&bytes.0) {
                    self.seller = Some((statement, bytes));
                }
            }
            Record::Event { bytes } => {
                self.standing.closed = false;
                return self.push_known(&bytes.0);
            }
            Record::Key { key } => self.held.key = Some(key),
            Record::Part { released, part } => self.held.parts.push((released, part)),
            Record::Label { picture } => self.held.label = Some(picture),
            Record::Photo { media, bytes } => self.held.photo = Some(Photo { media, bytes: bytes.0 }),
            Record::PhotoStored => self.held.photo = None,
            Record::Closed => self.standing.closed = true,
            Record::Forgotten => self.standing.forgotten = true,
        }
        true
    }
}
