//! What goes into a job and what comes out of it.

use std::fmt;

use waybill_crds::carrier::CarrierKind;
use waybill_crds::delivery::LocationSharing;
use waybill_protocol::fact::reason::{DeliveredTo, EvidenceKind, HoldReason, Incident, Media};
use waybill_protocol::seller_to_carrier::Picture;
use waybill_protocol::{
    AgreementSecret, Bytes, EventId, Hash, OpenError, Part, PartError, Phase, Reason, Refusal, Signer, Stage, Trust,
    Uid, UnixMillis, Upc, WireError,
};

use crate::journal::Record;

/// Who the agent is: its keys as they are now, those it had before, and whom it trusts.
#[derive(Debug)]
pub struct Own {
    pub signer: Signer,
    /// Signers with earlier keys, the latest first: a rotation is signed by the old key.
    pub former: Vec<Signer>,
    /// Messages may be sealed to any of these; the current one first.
    pub agreement: Vec<AgreementSecret>,
    pub trust: Trust,
}

/// What kind of agent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    pub kind: CarrierKind,
    pub camera: bool,
    /// Whether nobody is there to look at a label that can't be read: it then fails the attempt by itself.
    pub alone: bool,
}

/// The two times an agent has.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// What the device's clock says: it goes into events, as the agent's own word.
    pub device: UnixMillis,
    /// The same, put right by the Carrier API's clock: what tokens and statements are checked with.
    pub trusted: UnixMillis,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The process began, with what the journal held.
    Started,
    /// A frame came on `down`.
    Heard(Vec<u8>),
    /// The Carrier API lists this delivery as open, and expects this number next.
    Listed {
        upc: Upc,
        expected: u32,
        location: LocationSharing,
    },
    LogRead(LogRead),
    Posted(PostAnswer),
    /// Something that was said to the seller has not turned up in its log.
    Overdue,
    Arrived(Errand, Arrival),
    /// The texts of all codes the camera read.
    Scanned(Errand, Vec<String>),
    /// The proof picture, if one could be taken.
    Photographed(Errand, Option<Photo>),
    Uploaded(UploadAnswer),
    /// Somebody at the device wants to know or to say something; answered by one [`Effect::Answer`].
    Asked(Ask),
    /// Where the parcel is now.
    Moved(Fix),
    Keys(std::sync::Arc<Own>),
    /// The Carrier API knows no such delivery of this carrier, again and again.
    Gone,
}

/// The custody log as the Carrier API tells it.
#[derive(Debug)]
pub struct LogRead {
    pub custody: Vec<Vec<u8>>,
    pub seller_statement: Option<Vec<u8>>,
    /// How exactly anybody may see where the parcel is.
    pub location: LocationSharing,
}

/// What the Carrier API said to a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostAnswer {
    /// All of it stands in the log.
    Taken,
    /// The log expects another number: it has to be read.
    Gap,
    /// It will not be written.
    Refused,
}

/// What became of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadAnswer {
    /// Stored, and this is the hash of what is stored.
    Stored(Hash),
    /// It will not be stored.
    Refused,
}

/// What a person at the device asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// How the delivery stands and what can be tapped.
    Show,
    Tap(Tap),
    /// A proof picture, ready to be sent.
    Photo(Photo),
    /// That this is the courier, under the challenge a recipient shows or reads out.
    Courier(Vec<u8>),
}

/// The answer; whatever follows from it is on the disk by then.
pub type Answer = Result<Told, Refused>;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    View(Box<View>),
    Courier(Proof),
}

/// What shows a recipient that this is the courier; either will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// To be read out.
    pub digits: String,
    /// To be scanned: the agent's signature.
    pub signature: Vec<u8>,
}

/// One delivery as the person who carries it sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct View {
    pub delivery: Uid,
    pub upc: Option<Upc>,
    pub phase: Phase,
    pub attempt: u32,
    pub stage: Option<Stage>,
    pub hold: Option<HoldReason>,
    /// What can be tapped now, by name.
    pub taps: Vec<&'static str>,
    /// The parts of the address that are open, the last known of each.
    pub parts: Vec<Part>,
    /// Whether the label still has to be read, and how often that was tried in this attempt.
    pub scan_due: bool,
    pub scan_tries: u32,
    /// Whether a picture is asked for and none is here yet.
    pub photo_due: bool,
    pub location: LocationSharing,
}

// Parts of an address stand in it.
impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} {})", self.delivery, self.phase)
    }
}

/// Why a tap changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the log is being read; try again in a moment")]
    NotReady,
    #[error("{0}")]
    Machine(Refusal),
    #[error("there is nothing to arrive with: the part of the address for this leg is not here")]
    NotUnderWay,
    #[error("the label has to be read first")]
    ScanFirst,
    #[error("no label has to be read now")]
    NoScanDue,
    #[error("the seller is still checking the label that was read: an incident counts after its answer")]
    ScanUnanswered,
    #[error("a picture is asked for: take it first, or report a broken camera")]
    PhotoFirst,
    #[error("a picture is on its way already")]
    PhotoWaiting,
    #[error("there is no step that could be taken back")]
    NothingToCorrect,
    #[error("no attempt of this agent runs")]
    NoAttempt,
}

impl Refused {
    /// One stable word.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotReady => "NotReady",
            Self::Machine(refusal) => refusal.code(),
            Self::NotUnderWay => "NotUnderWay",
            Self::ScanFirst => "ScanFirst",
            Self::NoScanDue => "NoScanDue",
            Self::ScanUnanswered => "ScanUnanswered",
            Self::PhotoFirst => "PhotoFirst",
            Self::PhotoWaiting => "PhotoWaiting",
            Self::NothingToCorrect => "NothingToCorrect",
            Self::NoAttempt => "NoAttempt",
        }
    }
}

/// Somewhere on earth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fix {
    /// Degrees times ten million.
    pub latitude_e7: i32,
    pub longitude_e7: i32,
    pub accuracy_m: Option<u32>,
}

/// What a person at the device says happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tap {
    PickedUp,
    /// Where the open part of the address leads: country or postal code.
    Arrived,
    /// The texts of all codes on the label.
    Scan(Vec<String>),
    Delivered(DeliveredTo),
    AvailableForPickup,
    /// The seller has the parcel again.
    HandedBack,
    Incident(Incident),
    Failed(Reason),
    Refused(Reason),
    Damaged(Reason),
    Lost(Reason),
    Found,
    Hold(HoldReason),
    Resume,
    /// The last step was a wrong tap.
    Correct,
}

/// A leg of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    PickUp,
    To(Stage),
    /// To the label once more.
    Rescan,
    /// The recipient fetches it.
    Collect,
    /// Back to the seller.
    Return,
}

/// One leg of one attempt. `about` tells two of the same apart: an address may change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errand {
    pub leg: Leg,
    pub attempt: u32,
    pub about: EventId,
    /// Whether this attempt met its scripted fate already.
    pub again: bool,
    /// Tries at the label so far.
    pub tries: u32,
}

/// How a leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    AsPlanned,
    Failed(Reason),
    Refused(Reason),
    Damaged(Reason),
    Lost(Reason),
    Held(HoldReason),
    LeftForPickup,
}

/// A proof picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    pub media: Media,
    pub bytes: Vec<u8>,
}

impl Photo {
    pub const KIND: EvidenceKind = EvidenceKind::Photo;

    pub(super) fn record(&self) -> Record {
        Record::Photo { media: self.media, bytes: Bytes(self.bytes.clone()) }
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({} bytes)", self.bytes.len())
    }
}

/// What must happen, in the order in which it is asked for.
#[derive(Debug)]
pub enum Effect {
    /// To be on disk before any later effect is begun. If that fails, none of them is.
    Keep(Vec<Record>),
    /// The same, in the place of everything the journal held.
    Rewrite(Vec<Record>),
    /// A frame for `up`; nobody waits for it.
    Say(Vec<u8>),
    /// Events for the Carrier API, until it answers.
    Post {
        upc: Upc,
        events: Vec<Bytes>,
    },
    /// Ask the Carrier API for the log, until it answers.
    ReadLog {
        upc: Upc,
    },
    /// Look again in a while whether the seller has written what it was told.
    Remind,
    Travel(Errand),
    /// Read the codes of this label, or of whatever is before the camera.
    Scan(Errand, Option<Picture>),
    Photograph(Errand),
    Upload(Photo),
    /// The picture under way is not to be sent any more.
    Recall,
    /// To whoever asked, once everything before it is done.
    Answer(Answer),
    /// Something that came was not believed.
    Drop(Dropped),
}

/// Why something that came was dropped. Counted, never answered.
#[derive(Debug, thiserror::Error)]
pub enum Dropped {
    #[error("failed to read frame")]
    Frame(#[source] WireError),
    #[error("no key to open it with")]
    NoKey,
    #[error("failed to open frame")]
    Open(#[source] OpenError),
    #[error("the part is not the one that was released")]
    Part(#[source] PartError),
    #[error("the token is not the seller's for this part")]
    Token,
    #[error("the seller's statement is not believed")]
    Statement,
    #[error("the terms are not what was offered")]
    Terms,
    #[error("an own event stands in the log that was never signed here")]
    Fork,
    #[error("nothing in the log that the Carrier API tells is genuine")]
    Unbelieved,
    #[error("the Carrier API knows no such delivery of this carrier any more")]
    Gone,
}

impl Dropped {
    /// One word, for a metric.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Frame(WireError::FromTheFuture { .. }) => "future",
            Self::Open(OpenError::Wire(WireError::FromTheFuture { .. })) => "future",
            Self::Frame(_) => "frame",
            Self::NoKey => "key",
            Self::Open(_) => "open",
            Self::Part(_) => "part",
            Self::Token => "token",
            Self::Statement => "statement",
            Self::Terms => "terms",
            Self::Fork => "fork",
            Self::Unbelieved => "log",
            Self::Gone => "gone",
        }
    }
}
