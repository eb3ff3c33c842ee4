//! A log as its page shows it: what was said, by whom, and whether that is so.

use jiff::Timestamp;
use waybill_proof::words;
use waybill_protocol::fact::reason::EvidenceKind;
use waybill_protocol::{Author, Custody, Entry, Log, UnixMillis, Verdict};

use super::row::icon;
use super::words as ours;

/// One entry.
pub(crate) struct Shown {
    pub(crate) number: usize,
    pub(crate) class: &'static str,
    pub(crate) icon: String,
    pub(crate) said: String,
    pub(crate) by: String,
    /// For programs and for people.
    pub(crate) at: Option<(String, String)>,
    pub(crate) verdict: String,
    pub(crate) id: Option<String>,
}

/// One picture.
pub(crate) struct Photo {
    pub(crate) url: String,
    pub(crate) hash: String,
    pub(crate) said: &'static str,
}

/// The newest first.
pub(crate) fn entries(log: &Log) -> Vec<Shown> {
    let all = log.entries().iter().enumerate().rev();
    all.map(|(at, entry)| one(log, at + 1, entry)).collect()
}

fn one(log: &Log, number: usize, entry: &Entry) -> Shown {
    let event = entry.event().map(|signed| signed.event());
    let (class, sign, verdict) = match entry.verdict() {
        Verdict::Counts(_) => ("good", "shield", "Signature verified".to_owned()),
        Verdict::Refused(refusal) => ("idle", "shield", format!("Signature verified; changes nothing: {refusal}")),
        Verdict::Invalid(invalid) => ("void", "alert", format!("Not verified: {invalid}")),
    };
    Shown {
        number,
        class,
        icon: icon(sign),
        said: event.map_or_else(|| "This entry cannot be read".into(), words::event),
        by: event.map_or_else(String::new, |event| by(log, entry, event.author, &event.uid)),
        at: event.map(|event| time(event.at)),
        verdict,
        id: entry.event().map(|signed| signed.id().to_string()),
    }
}

/// Who signed; of an entry that is not genuine only whom it names.
fn by(log: &Log, entry: &Entry, author: Author, uid: &waybill_protocol::Uid) -> String {
    let role = match author {
        Author::Seller => "Seller",
        Author::Transport => "Carrier",
        Author::Person => "Carrier API, for a person",
    };
    if !entry.verdict().is_genuine() {
        return format!("Claims to be of: {role}");
    }
    match log.statement_of(author, uid) {
        Some(statement) => {
            let key = match statement.custody {
                Custody::External => "its own key",
                Custody::Managed => "key kept in the cluster",
            };
            format!("{role} {}, {key}", statement.name)
        }
        None => role.into(),
    }
}

fn time(at: UnixMillis) -> (String, String) {
    let iso = words::time(at);
    let exact = iso.parse::<Timestamp>().map_or_else(|_| iso.clone(), ours::exactly);
    (iso, exact)
}

/// In one sentence.
pub(crate) fn summary(log: &Log) -> String {
    let (all, bad) = (log.entries().len(), log.entries().iter().filter(|entry| !entry.verdict().is_genuine()).count());
    match (all, bad) {
        (1, 0) => "One event, its signature verified by this board.".into(),
        (all, 0) => format!("{all} events, every signature verified by this board."),
        (all, bad) => format!("{all} events; {bad} of them not verified: nothing builds on those."),
    }
}

pub(crate) fn photos(log: &Log, place: &str) -> Vec<Photo> {
    let proofs = log.state().proofs().iter().filter(|proof| proof.kind == EvidenceKind::Photo);
    let photo = |hash: String| Photo {
        url: format!("{place}/photos/{hash}"),
        hash,
        said: "The carrier signed this picture's hash:",
    };
    proofs.map(|proof| photo(proof.sha256.to_string())).collect()
}
