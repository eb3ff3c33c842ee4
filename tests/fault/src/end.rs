//! What a log came to, and whether it may: read by the protocol's own rules, whatever any service says.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waybill_crds::Delivery;
use waybill_protocol::{Author, Fact, Gate, Kind, Log, Phase, ScanOutcome, Stage};

/// In every order of these tests, and nowhere else.
pub(crate) const MARKER: &str = "MARKER-";

/// What two logs must have in common to have come to the same end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) phase: String,
    attempts: u32,
    /// What each side said, in its own order. Between the two there is none beyond what is checked by [`wrongs`].
    seller: Vec<String>,
    carrier: Vec<String>,
}

impl End {
    pub(crate) fn of(log: &Log) -> Self {
        let said = |author: Author| {
            let counted = log.entries().iter().filter(|entry| entry.verdict().is_genuine());
            let events = counted.filter_map(|entry| entry.event()).map(|event| event.event());
            let mut words: Vec<_> =
                events.filter(|event| event.author == author).filter_map(|event| word(&event.fact)).collect();
            // Who is killed over a label that is not his looks again: how often is no matter of the end.
            words.dedup_by(|one, other| one == other && one.starts_with("Scanned"));
            words
        };
        let (seller, carrier) = (said(Author::Seller), said(Author::Transport));
        Self { phase: log.phase().to_string(), attempts: log.state().attempt(), seller, carrier }
    }

    /// The end of a Delivery that its sender called off at some moment, where left alone it comes to `undisturbed`. A carrier
    /// that had not heard of it did what it did: that stands (and [`wrongs`] holds it against one that had).
    pub(crate) fn may_follow_cancellation(&self, undisturbed: &Self) -> bool {
        let called_off = self.seller.iter().any(|word| word == "Cancelled");
        let too_late = (&self.phase, &self.carrier) == (&undisturbed.phase, &undisturbed.carrier);
        let came_to = ["Cancelled", "Returned", "Lost"].contains(&self.phase.as_str());
        if called_off { came_to || too_late } else { self == undisturbed }
    }
}

/// What was said, without what differs from run to run. `None`: said only because something was disturbed.
fn word(fact: &Fact) -> Option<String> {
    let kind = fact.kind().to_string();
    match fact {
        Fact::Rekeyed { .. } | Fact::KeyRotated => None,
        Fact::Released { stage, .. } | Fact::Posted { stage, .. } => Some(format!("{kind} {stage}")),
        Fact::Scanned { outcome, .. } => Some(match outcome {
            ScanOutcome::Read { .. } => format!("{kind} Read"),
            other => format!("{kind} {other:?}"),
        }),
        Fact::AttemptFailed { reason }
        | Fact::Refused { reason }
        | Fact::Damaged { reason }
        | Fact::Lost { reason } => Some(format!("{kind} {:?} {:?}", reason.cause, reason.what)),
        _ => Some(kind),
    }
}

/// Whether nothing more is to be expected: over, and proved where it was handed over at the door.
pub(crate) fn is_over(log: &Log) -> bool {
    let fetched = log
        .entries()
        .iter()
        .filter_map(|entry| entry.event())
        .any(|event| event.event().kind() == Kind::AvailableForPickup);
    let wants_photo =
        log.phase() == Phase::Delivered && !fetched && log.state().terms().is_some_and(|terms| terms.photo);
    log.phase().is_terminal() && (!wants_photo || !log.state().proofs().is_empty())
}

/// Everything that must never be in a log, in words.
pub(crate) fn wrongs(delivery: &Delivery, log: &Log) -> Vec<String> {
    let mut wrongs: Vec<String> = Vec::new();
    let status = delivery.status.clone().unwrap_or_default();
    let mut ids = BTreeSet::new();
    for (position, entry) in log.entries().iter().enumerate() {
        if !entry.verdict().is_genuine() {
            wrongs.push(format!("entry {position} does not count: {:?} {:?}", entry.verdict(), entry.event()));
        }
        if entry.event().is_some_and(|event| !ids.insert(event.id())) {
            wrongs.push(format!("entry {position} is there twice: {:?}", entry.event()));
        }
    }
    wrongs.extend(released_early(log));
    wrongs.extend(delivered_against_better_knowledge(log));
    for author in [Author::Seller, Author::Transport] {
        wrongs.extend(gaps(log, author));
    }
    let said = (delivery.phase().to_string(), status.attempt, status.custody.len());
    let true_ones = (log.phase().to_string(), i32::try_from(log.state().attempt()).unwrap(), log.entries().len());
    if said != true_ones {
        wrongs.push(format!("the status says {said:?}, the log {true_ones:?}"));
    }
    if holds_marker(delivery) {
        wrongs.push("personal data is in the resource or in its log".into());
    }
    wrongs
}

/// Numbers an author left out.
fn gaps(log: &Log, author: Author) -> Vec<String> {
    let events = log.entries().iter().filter_map(|entry| entry.event()).map(|event| event.event());
    let numbers: Vec<u32> = events.filter(|event| event.author == author).map(|event| event.seq).collect();
    let first = numbers.first().copied().unwrap_or(0);
    let expected: Vec<u32> = (first..).take(numbers.len()).collect();
    if first <= 1 && numbers == expected { Vec::new() } else { vec![format!("{author} numbered {numbers:?}")] }
}

/// The promise, told in its own few words: in one attempt, country, postal code, door, each after the one before was posted,
/// the door after a good scan where one is asked for, nothing twice.
fn released_early(log: &Log) -> Vec<String> {
    const WAY: [Stage; 3] = [Stage::Country, Stage::PostalCode, Stage::Door];
    let mut wrongs = Vec::new();
    let (mut released, mut posted, mut scanned, mut asks_scan, mut away, mut tried, mut incident) =
        (0, 0, false, false, false, 0, false);
    for entry in log.entries().iter().filter(|entry| entry.verdict().is_genuine()) {
        let Some(event) = entry.event() else { continue };
        match &event.event().fact {
            Fact::Accepted { .. } => (released, posted, scanned, tried, incident) = (0, 0, false, 0, false),
            Fact::HandedOver { terms } => asks_scan = terms.scan,
            Fact::PickedUp => away = true,
            Fact::Scanned { outcome, tries } => {
                scanned = matches!(outcome, ScanOutcome::Read { .. });
                if *tries <= tried {
                    wrongs.push(format!("scan {tries} of an attempt that had {tried}"));
                }
                tried = *tries;
            }
            Fact::IncidentReported { .. } => incident = true,
            Fact::ScanRefused { .. } => scanned = false,
            Fact::Posted { stage, .. } if WAY.get(posted) == Some(stage) && posted < released => posted += 1,
            Fact::Posted { stage, .. } => wrongs.push(format!("posted {stage} out of turn")),
            Fact::Released { stage, gate } => {
                let in_turn = WAY.get(released) == Some(stage) && posted == released && away;
                let excused = incident && matches!(gate, Some(Gate::Incident { .. }));
                let looked = *stage != Stage::Door || !asks_scan || scanned || excused;
                if !in_turn || !looked {
                    wrongs.push(format!(
                        "released {stage} early: {released} released, {posted} posted, scanned {scanned}"
                    ));
                }
                released += 1;
            }
            _ => {}
        }
    }
    wrongs
}

/// A carrier that has seen the parcel called off brings it back.
fn delivered_against_better_knowledge(log: &Log) -> Option<String> {
    let events = || log.entries().iter().filter_map(|entry| entry.event());
    let called_off = events().find(|event| event.event().kind() == Kind::Cancelled)?.id();
    let knew = |event: &&waybill_protocol::SignedEvent| event.event().seen == Some(called_off);
    let knowing = events().filter(knew).find(|event| event.event().kind() == Kind::Delivered)?;
    Some(format!("delivered although it knew: {knowing:?}"))
}

fn holds_marker(delivery: &Delivery) -> bool {
    let found = |bytes: &[u8]| bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
    let signed = delivery.status.iter().flat_map(|status| &status.custody);
    found(serde_json::to_string(delivery).unwrap().as_bytes())
        || signed.filter_map(|entry| STANDARD.decode(&entry.signed).ok()).any(|bytes| found(&bytes))
}

/// Photos that the log names and the folder has not.
pub(crate) fn missing_photos(log: &Log, folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    collect(folder, &mut names);
    let proofs = log.entries().iter().filter_map(|entry| match &entry.event()?.event().fact {
        Fact::ProofAttached { sha256, .. } => Some(sha256.to_string()),
        _ => None,
    });
    proofs.filter(|hash| !names.iter().any(|name| name.contains(hash))).map(|hash| format!("no photo {hash}")).collect()
}

fn collect(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        names.push(entry.path().display().to_string());
        collect(&entry.path(), names);
    }
}

/// The log in words, a line an entry.
pub(crate) fn tell(log: &Log) -> String {
    let line = |entry: &waybill_protocol::Entry| match entry.event() {
        Some(event) => {
            let event = event.event();
            let word = word(&event.fact).unwrap_or_else(|| event.kind().to_string());
            let verdict = if entry.verdict().is_genuine() { String::new() } else { format!(" {:?}", entry.verdict()) };
            format!("    {} {:>2} {word}{verdict}\n", event.author, event.seq)
        }
        None => format!("    unreadable {:?}\n", entry.verdict()),
    };
    format!(
        "  {} in attempt {}\n{}",
        log.phase(),
        log.state().attempt(),
        log.entries().iter().map(line).collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(phase: &str, seller: &[&str], carrier: &[&str]) -> End {
        let words = |said: &[&str]| said.iter().map(|word| (*word).to_owned()).collect();
        End { phase: phase.into(), attempts: 1, seller: words(seller), carrier: words(carrier) }
    }

    #[test]
    fn who_was_called_off_ends_so_or_as_undisturbed_and_not_halfway() {
        let undisturbed = end("Delivered", &["HandedOver"], &["Accepted", "PickedUp", "Delivered"]);
        let called_off = ["HandedOver", "Cancelled"];
        let fits = |end: End| end.may_follow_cancellation(&undisturbed);
        assert!(fits(undisturbed.clone()), "nobody had time to call it off");
        assert!(fits(end("Returned", &called_off, &["Accepted", "PickedUp", "GivenBack"])));
        assert!(fits(end("Delivered", &called_off, &["Accepted", "PickedUp", "Delivered"])), "too late");
        assert!(!fits(end("Delivered", &called_off, &["Accepted", "Delivered"])), "never picked up");
        assert!(!fits(end("PickedUp", &called_off, &["Accepted", "PickedUp"])));
        assert!(!fits(end("Returned", &["HandedOver"], &["Accepted", "PickedUp"])), "nobody called it off");
    }
}
