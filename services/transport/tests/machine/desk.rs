//! The machine at a desk: its journal on a real disk, everything else answered at once by the test. It can be killed at
//! any write and brought back from what the disk holds.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waybill_crds::carrier::CarrierKind;
use waybill_crds::delivery::LocationSharing;
use waybill_protocol::{Bytes, Hash, LabelCode, LabelSecret, UnixMillis};
use waybill_transport::job::{
    Answer, Arrival, Ask, Effect, Errand, Input, Job, LogRead, Own, Photo, PostAnswer, Profile, Refused, Tap, Time,
    Told, UploadAnswer, View,
};
use waybill_transport::journal::{Folder, Journal};

use crate::kit::shop::{Appended, Shop, Wishes};
use crate::kit::world::{LABEL_KEY, World, uid};

pub(crate) const NOW: UnixMillis = UnixMillis::from_secs(1_800_000_000);

type Codes = dyn Fn(&Errand) -> Vec<String>;

/// How the world treats the agent.
pub(crate) struct Fate {
    pub(crate) arrival: fn(&Errand) -> Arrival,
    /// What a camera reads off the label.
    pub(crate) codes: Box<Codes>,
    pub(crate) camera_works: bool,
    /// Whether the Carrier API has forgotten the delivery once a picture was taken.
    pub(crate) forgotten_at_the_door: bool,
}

impl Fate {
    pub(crate) fn kind() -> Self {
        Self {
            arrival: |_| Arrival::AsPlanned,
            codes: Box::new(|_| vec![label()]),
            camera_works: true,
            forgotten_at_the_door: false,
        }
    }
}

pub(crate) fn label() -> String {
    label_of(crate::kit::world::DELIVERY)
}

pub(crate) fn label_of(delivery: &str) -> String {
    let delivery = uid(delivery);
    LabelCode { secret: LabelSecret::new(&LABEL_KEY, &delivery), delivery }.to_string()
}

/// Where to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// The write is not begun.
    Before,
    /// Half of it is on the disk.
    Torn,
    /// It is on the disk, and nothing after it happened.
    After,
}

pub(crate) struct Desk {
    pub(crate) job: Option<Job>,
    journal: Option<Journal>,
    folder: Option<Folder>,
    dir: PathBuf,
    pub(crate) own: Arc<Own>,
    pub(crate) profile: Profile,
    pub(crate) shop: Shop,
    pub(crate) fate: Fate,
    /// Every frame that went up.
    pub(crate) up: Vec<Vec<u8>>,
    /// Which write of all kills it, and how.
    pub(crate) kill: Option<(usize, Kill)>,
    pub(crate) writes: usize,
    pub(crate) drops: Vec<&'static str>,
    pub(crate) stored: Vec<Vec<u8>>,
    pub(crate) posts: usize,
    /// Posts with events of other contents than the log holds by their numbers.
    pub(crate) conflicts: usize,
    pub(crate) forgotten: bool,
    /// Whether somebody taps: then nothing happens by itself.
    pub(crate) by_hand: bool,
    /// Whether the label is read off the picture the seller sent.
    pub(crate) looks: bool,
    /// Whether uploads are never answered.
    pub(crate) stuck: bool,
    pub(crate) location: LocationSharing,
    pub(crate) answers: Vec<Answer>,
    pub(crate) recalled: usize,
    /// The device's own clock.
    pub(crate) device: UnixMillis,
    lives: u8,
}

struct Killed;

pub(crate) fn own(world: &World) -> Arc<Own> {
    let carrier = &world.carrier;
    Arc::new(Own {
        signer: carrier.signer.clone(),
        former: Vec::new(),
        agreement: vec![carrier.agreement.clone()],
        trust: world.ca.trust(),
    })
}

impl Desk {
    pub(crate) fn new(world: &World, dir: &Path, wishes: Wishes) -> Self {
        let camera = wishes.photo || wishes.scan;
        Self {
            job: None,
            journal: None,
            folder: None,
            dir: dir.to_owned(),
            own: own(world),
            profile: Profile { kind: CarrierKind::Truck, camera, alone: true },
            shop: Shop::new(world, crate::kit::world::DELIVERY, wishes),
            fate: Fate::kind(),
            up: Vec::new(),
            kill: None,
            writes: 0,
            drops: Vec::new(),
            stored: Vec::new(),
            posts: 0,
            conflicts: 0,
            forgotten: false,
            by_hand: false,
            looks: false,
            stuck: false,
            location: LocationSharing::None,
            answers: Vec::new(),
            recalled: 0,
            device: NOW,
            lives: 0,
        }
    }

    /// Somebody at the device asks.
    pub(crate) fn asks(&mut self, ask: Ask) -> Answer {
        self.answers.clear();
        self.take(Input::Asked(ask));
        self.answers.pop().expect("every question is answered")
    }

    pub(crate) fn taps(&mut self, tap: Tap) -> Result<View, Refused> {
        self.asks(Ask::Tap(tap)).map(|told| match told {
            Told::View(view) => *view,
            Told::Courier(_) => panic!("a tap is answered by a view"),
        })
    }

    pub(crate) fn view(&mut self) -> View {
        let Ok(Told::View(view)) = self.asks(Ask::Show) else { panic!("always shown") };
        *view
    }

    /// Until nothing changes any more.
    pub(crate) fn run(&mut self) {
        let mut before = (usize::MAX, 0);
        while before != (self.shop.custody.len(), self.writes) {
            before = (self.shop.custody.len(), self.writes);
            self.round();
        }
    }

    pub(crate) fn round(&mut self) {
        for frame in self.shop.due() {
            self.hears(frame);
        }
    }

    /// The process begins.
    pub(crate) fn wakes(&mut self) {
        self.take(Input::Started);
    }

    pub(crate) fn hears(&mut self, frame: Vec<u8>) {
        self.take(Input::Heard(frame));
    }

    /// The agent comes online: the Carrier API lists the delivery.
    pub(crate) fn comes_online(&mut self) {
        let listed = Input::Listed {
            upc: self.shop.wishes.upc.clone(),
            expected: self.shop.expected(),
            location: self.location,
        };
        self.take(listed);
    }

    pub(crate) fn take(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            if self.job.is_none() {
                inputs.extend(self.revive());
            }
            let time = self.time();
            let job = self.job.as_mut().unwrap();
            let effects = job.on(input, time);
            for effect in effects {
                match self.effect(effect) {
                    Ok(next) => inputs.extend(next),
                    Err(Killed) => {
                        self.die();
                        inputs.clear();
                        break;
                    }
                }
            }
        }
    }

    fn time(&self) -> Time {
        Time { device: self.device, trusted: NOW }
    }

    pub(crate) fn die(&mut self) {
        (self.job, self.journal, self.folder) = (None, None, None);
    }

    /// Everything on the disk is gone too.
    pub(crate) fn loses_its_journal(&mut self) {
        self.die();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }

    fn revive(&mut self) -> Option<Input> {
        self.lives += 1;
        let folder = Folder::open(&self.dir).unwrap();
        let delivery = self.shop.delivery();
        let (journal, records) = folder.journal(&delivery).unwrap();
        let (own, profile, seed) = (self.own.clone(), self.profile, [self.lives; 32]);
        let restored = Job::restore(own.clone(), delivery.clone(), records, profile, seed);
        let known = restored.is_some();
        let seller = self.shop.own.uid().clone();
        let mut job = restored.unwrap_or_else(|| Job::new(own, seller, delivery, profile, seed));
        if journal.is_cut() {
            job.doubt();
        }
        self.job = Some(job);
        (self.journal, self.folder) = (Some(journal), Some(folder));
        known.then_some(Input::Started)
    }

    fn effect(&mut self, effect: Effect) -> Result<Option<Input>, Killed> {
        Ok(match effect {
            Effect::Keep(records) => {
                self.write(|journal| journal.append(&records).unwrap())?;
                None
            }
            Effect::Rewrite(records) => {
                self.write(|journal| journal.rewrite(&records).unwrap())?;
                None
            }
            Effect::Say(frame) => {
                self.shop.hear(&frame);
                self.up.push(frame);
                None
            }
            Effect::Post { .. } | Effect::ReadLog { .. } if self.forgotten => Some(Input::Gone),
            Effect::Upload(_) if self.forgotten || self.stuck => None,
            Effect::Post { events, .. } => Some(Input::Posted(self.post(&events))),
            Effect::ReadLog { .. } => Some(Input::LogRead(self.log_read())),
            Effect::Remind => None,
            Effect::Travel(_) if self.by_hand => None,
            Effect::Travel(errand) => Some(Input::Arrived(errand, (self.fate.arrival)(&errand))),
            Effect::Scan(errand, label) if self.looks => {
                let codes = label.and_then(|label| waybill_transport::camera::codes(&label.bytes.0).ok());
                Some(Input::Scanned(errand, codes.unwrap_or_default()))
            }
            Effect::Scan(errand, _) => Some(Input::Scanned(errand, (self.fate.codes)(&errand))),
            Effect::Photograph(errand) => {
                self.forgotten = self.fate.forgotten_at_the_door;
                let media = waybill_protocol::fact::reason::Media::Jpeg;
                let photo = Photo { media, bytes: b"a picture".to_vec() };
                Some(Input::Photographed(errand, self.fate.camera_works.then_some(photo)))
            }
            Effect::Upload(photo) => {
                let hash = Hash::of(&photo.bytes);
                self.stored.push(photo.bytes);
                Some(Input::Uploaded(UploadAnswer::Stored(hash)))
            }
            Effect::Answer(answer) => {
                self.answers.push(answer);
                None
            }
            Effect::Recall => {
                self.recalled += 1;
                None
            }
            Effect::Drop(dropped) => {
                self.drops.push(dropped.word());
                None
            }
        })
    }

    fn write(&mut self, write: impl FnOnce(&mut Journal)) -> Result<(), Killed> {
        self.writes += 1;
        let journal = self.journal.as_mut().unwrap();
        match self.kill.filter(|(at, _)| *at == self.writes).map(|(_, how)| how) {
            Some(Kill::Before) => Err(Killed),
            Some(Kill::After) => {
                write(journal);
                Err(Killed)
            }
            Some(Kill::Torn) => {
                let path = self.dir.join(format!("{}.journal", self.shop.delivery()));
                let before = std::fs::read(&path).unwrap();
                write(journal);
                let after = std::fs::read(&path).unwrap();
                // A rewrite is whole or not there: torn, it is the old file.
                let torn = match after.strip_prefix(before.as_slice()) {
                    Some(added) => [before.as_slice(), &added[..added.len() / 2]].concat(),
                    None => before,
                };
                std::fs::write(&path, torn).unwrap();
                Err(Killed)
            }
            None => {
                write(journal);
                Ok(())
            }
        }
    }

    fn post(&mut self, events: &[Bytes]) -> PostAnswer {
        self.posts += 1;
        assert!(events.len() <= 8);
        let events: Vec<Vec<u8>> = events.iter().map(|bytes| bytes.0.clone()).collect();
        match self.shop.append(&events) {
            Appended::New | Appended::Known => PostAnswer::Taken,
            Appended::Gap => {
                self.conflicts += 1;
                PostAnswer::Gap
            }
        }
    }

    pub(crate) fn log_read(&self) -> LogRead {
        let statement = self.shop.own.signer.statement_bytes().0.clone();
        LogRead { custody: self.shop.custody.clone(), seller_statement: Some(statement), location: self.location }
    }

    /// Everything the disk holds.
    pub(crate) fn disk(&self) -> Vec<u8> {
        let files = std::fs::read_dir(&self.dir).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}
