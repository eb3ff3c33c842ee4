//! One delivery as one line of the board. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use waybill_crds::carrier::CarrierKind;
use waybill_crds::condition::{self, ConditionType as Type};
use waybill_crds::delivery::Author;
use waybill_crds::{Phase, Stage};

use super::parcel::{Parcel, ParcelStatus};
use super::standing::Standing;

/// Which of the three heaps it lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Attention,
    Moving,
    Done,
}

/// Why somebody should look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) title: &'static str,
    pub(crate) text: Box<str>,
}

/// The last entry of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) event: Box<str>,
    pub(crate) author: Author,
    pub(crate) at: Timestamp,
}

/// What is shown where the picture goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Picture {
    /// None was asked for, or the parcel is not delivered yet.
    None,
    /// Delivered, asked for, and not here yet.
    Awaited,
    /// Its SHA-256.
    Here(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) uid: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Box<str>,
    pub(crate) upc: Box<str>,
    pub(crate) seller: Box<str>,
    pub(crate) carrier: Option<Box<str>>,
    pub(crate) kind: Option<CarrierKind>,
    pub(crate) phase: Phase,
    pub(crate) stage: Stage,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) last: Option<Last>,
    /// When it changed last, as far as it says: by the clock of whoever signed, never later than when it was seen.
    pub(crate) changed: Timestamp,
    pub(crate) picture: Picture,
    /// By its own status; that of those who carry it comes on top.
    own: Option<Trouble>,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) lane: Lane,
    /// What a search looks through, in lower case.
    search: Box<str>,
}

impl Row {
    /// `None` for what has no identity.
    pub(crate) fn of(parcel: Parcel, standing: &Standing, now: Timestamp) -> Option<Self> {
        let Parcel { metadata, spec, status } = parcel;
        let created = metadata.creation_timestamp.map_or(now, |time| time.0);
        let last = status.custody.last().map(|head| Last {
            event: head.event.as_str().into(),
            author: head.author,
            at: head.at.0,
        });
        let picture = picture(&status);
        let own = own_trouble(&status);
        let changed = last.as_ref().map_or(created, |last| last.at.max(created)).min(now.max(created));
        let name = metadata.name?;
        let carrier = spec.carrier.as_deref().unwrap_or_default();
        let search = format!("{}\n{name}\n{}\n{carrier}", spec.upc, spec.seller).to_lowercase();
        let row = Self {
            uid: metadata.uid?.into(),
            namespace: metadata.namespace?.into(),
            name: name.into(),
            upc: spec.upc.into(),
            seller: spec.seller.into(),
            carrier: spec.carrier.map(Into::into),
            kind: None,
            phase: status.phase,
            stage: status.stage,
            attempt: status.attempt,
            max_attempts: spec.max_attempts,
            last,
            changed,
            picture,
            own,
            trouble: None,
            lane: Lane::Moving,
            search: search.into(),
        };
        Some(row.dressed(standing, now))
    }

    /// With what follows from those who carry it, as they are now.
    pub(crate) fn dressed(mut self, standing: &Standing, now: Timestamp) -> Self {
        self.kind = self.carrier.as_deref().and_then(|name| standing.kind(&self.namespace, name));
        let lapse = || {
            let carrier =
                self.carrier.as_deref().and_then(|name| standing.lapse("Carrier", &self.namespace, name, now));
            carrier.or_else(|| standing.lapse("Seller", &self.namespace, &self.seller, now))
        };
        self.trouble = match self.phase.terminal() {
            true => self.own.clone(),
            false => self.own.clone().or_else(lapse),
        };
        self.lane = match (&self.trouble, self.phase.terminal()) {
            (Some(_), _) => Lane::Attention,
            (None, true) => Lane::Done,
            (None, false) => Lane::Moving,
        };
        self
    }

    /// Whether `text`, in lower case, is somewhere in what people call it.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.search.contains(text)
    }
}

fn picture(status: &ParcelStatus) -> Picture {
    let here = status.proof.as_ref().and_then(|proof| proof.photo_hash.as_deref());
    let proven = condition::find(&status.conditions, Type::Proven);
    match here {
        Some(hash) => Picture::Here(hash.into()),
        None if status.phase == Phase::Delivered && proven.is_some_and(|c| c.status == "False") => Picture::Awaited,
        None => Picture::None,
    }
}

fn own_trouble(status: &ParcelStatus) -> Option<Trouble> {
    let find = |type_| condition::find(&status.conditions, type_);
    let said = |type_, wanted: &str| find(type_).filter(|c| c.status == wanted).map(|c| c.message.as_str());
    let (title, text) = match status.phase {
        Phase::AttemptFailed => ("Attempt failed", said(Type::Delivered, "Unknown")),
        Phase::Refused => ("Refused", said(Type::Delivered, "Unknown")),
        Phase::Damaged => ("Damaged", said(Type::Delivered, "Unknown")),
        Phase::Lost => ("Lost", said(Type::Delivered, "False")),
        Phase::OnHold => ("On hold", said(Type::Hindered, "True").or_else(|| said(Type::Delivered, "Unknown"))),
        phase if phase.terminal() => return None,
        _ => {
            let stands = [("Stalled", Type::Stalled, "True"), ("Hindered", Type::Hindered, "True")];
            let refused = ("Not admitted", Type::Admitted, "False");
            let mut all = stands.into_iter().chain([refused]);
            return all.find_map(|(title, type_, wanted)| {
                said(type_, wanted).map(|text| Trouble { title, text: text.into() })
            });
        }
    };
    Some(Trouble { title, text: text.unwrap_or_default().into() })
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Attention, Self::Moving, Self::Done];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Moving => "moving",
            Self::Done => "done",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Attention => "Needs attention",
            Self::Moving => "Moving",
            Self::Done => "Done",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == text)
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Attention => 0,
            Self::Moving => 1,
            Self::Done => 2,
        }
    }
}
