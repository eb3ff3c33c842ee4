//! What a check found: a line a check, and one answer.

use serde::Serialize;

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Everything holds and leads to the root the checker brought.
    Proved,
    /// Everything holds together; whose root it leads to is for the reader to find out.
    ConsistentRootUnknown,
    /// Something does not hold.
    Broken,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Holds,
    /// Worth knowing; not a fault.
    Note,
    Fails,
}

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    Archive,
    Manifest,
    Root,
    Log,
    Photos,
    Certificates,
    Revocations,
    Page,
    /// Who signed, and with which keys.
    Signers,
    /// What the log says in the end.
    End,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub check: Check,
    pub outcome: Outcome,
    /// In plain words.
    pub text: String,
    /// The file of the bundle it is about, if one.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// Everything a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub answer: Answer,
    pub lines: Vec<Line>,
    /// How many events were verified.
    pub events: usize,
    /// SHA-256 of the bundle's bytes: its name, for whoever refers to it.
    pub bundle: String,
    /// The phase the log ends in; absent where no log could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upc: Option<String>,
}

impl Check {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Manifest => "manifest",
            Self::Root => "root",
            Self::Log => "log",
            Self::Photos => "photos",
            Self::Certificates => "certificates",
            Self::Revocations => "revocations",
            Self::Page => "page",
            Self::Signers => "signers",
            Self::End => "end",
        }
    }
}

/// The lines as they come.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    pub(crate) fn holds(&mut self, check: Check, text: impl Into<String>) {
        self.add(check, Outcome::Holds, text.into(), None);
    }

    pub(crate) fn note(&mut self, check: Check, text: impl Into<String>) {
        self.add(check, Outcome::Note, text.into(), None);
    }

    pub(crate) fn fails(&mut self, check: Check, text: impl Into<String>) {
        self.add(check, Outcome::Fails, text.into(), None);
    }

    /// The same about one file of the bundle.
    pub(crate) fn fails_at(&mut self, check: Check, place: impl Into<String>, text: impl Into<String>) {
        self.add(check, Outcome::Fails, text.into(), Some(place.into()));
    }

    pub(crate) fn note_at(&mut self, check: Check, place: impl Into<String>, text: impl Into<String>) {
        self.add(check, Outcome::Note, text.into(), Some(place.into()));
    }

    fn add(&mut self, check: Check, outcome: Outcome, text: String, place: Option<String>) {
        self.0.push(Line { check, outcome, text, place });
    }

    /// Whether nothing failed of this check.
    pub(crate) fn fine(&self, check: Check) -> bool {
        !self.0.iter().any(|line| line.check == check && line.outcome == Outcome::Fails)
    }

    pub(crate) fn all_fine(&self) -> bool {
        !self.0.iter().any(|line| line.outcome == Outcome::Fails)
    }

    pub(crate) fn into_vec(self) -> Vec<Line> {
        self.0
    }
}
