//! `revoked.json`: whose certificates the revocation list names, which the list itself cannot say. Pure.
//!
//! Trust: it stands beside the signed list in one object and is only read together with one that was verified. It
//! decides whose live sessions are ended, never who may connect.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use waybill_chassis::peer::canonical_serial;

/// Why the list could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to find revoked.json")]
    Missing,
    #[error("failed to parse revoked.json")]
    Parse(#[source] serde_json::Error),
}

/// The uids in a list with their certificates' serials. A list too long for its object names uids only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revoked {
    serials: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Wire {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    serial: Option<String>,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    not_after: Option<Timestamp>,
}

impl Revoked {
    /// The entries whose certificates could still be shown at `now`.
    pub(crate) fn parse(json: Option<&[u8]>, now: Timestamp) -> Result<Self, Error> {
        let wire: Wire = serde_json::from_slice(json.ok_or(Error::Missing)?).map_err(Error::Parse)?;
        let mut revoked = Self::default();
        for entry in wire.entries {
            let Some(uid) = entry.uid.filter(|uid| !uid.is_empty()) else { continue };
            if entry.not_after.is_none_or(|end| end > now) {
                let serials = revoked.serials.entry(uid).or_default();
                serials.extend(entry.serial.map(|serial| canonical_serial(&serial)));
            }
        }
        Ok(revoked)
    }

    pub(crate) fn names(&self, uid: &str) -> bool {
        self.serials.contains_key(uid)
    }

    /// Who is revoked here and was not before: another uid, or another certificate of a known one. A list that merely
    /// changed between its long and its short form says nothing new.
    pub(crate) fn since<'a>(&'a self, before: &Self) -> impl Iterator<Item = &'a str> {
        let new = move |(uid, serials): &(&String, &BTreeSet<String>)| match before.serials.get(*uid) {
            None => true,
            Some(known) => !known.is_empty() && !serials.is_subset(known),
        };
        let news: Vec<&str> = self.serials.iter().filter(new).map(|(uid, _)| uid.as_str()).collect();
        news.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn revoked(json: &str) -> Revoked {
        Revoked::parse(Some(json.as_bytes()), now()).unwrap()
    }

    fn news(before: &str, after: &str) -> Vec<String> {
        revoked(after).since(&revoked(before)).map(str::to_owned).collect()
    }

    const ONE: &str = r#"{"number":1,"entries":[{"serial":"0A:01","uid":"a","notAfter":"2026-01-02T00:00:00Z"}]}"#;

    #[test]
    fn a_revoked_uid_is_news_once() {
        assert_eq!(news(r#"{"number":0,"entries":[]}"#, ONE), ["a"]);
        assert!(news(ONE, ONE).is_empty());
        assert!(news(ONE, r#"{"number":2,"entries":[]}"#).is_empty());
    }

    #[test]
    fn another_certificate_of_a_known_uid_is_news() {
        let both = r#"{"number":2,"entries":[{"serial":"a01","uid":"a"},{"serial":"b","uid":"a"}]}"#;
        assert_eq!(news(ONE, both), ["a"]);
        assert!(news(both, ONE).is_empty());
    }

    #[test]
    fn a_list_that_was_cut_short_or_grew_long_again_is_no_news() {
        let short = r#"{"number":2,"entries":[{"uid":"a"}]}"#;
        assert!(news(ONE, short).is_empty());
        assert!(news(short, ONE).is_empty());
    }

    #[test]
    fn entries_whose_certificate_has_ended_or_that_name_nobody_are_nobodys() {
        let old =
            r#"{"number":1,"entries":[{"serial":"1","uid":"a","notAfter":"2025-12-31T00:00:00Z"},{"serial":"2"}]}"#;
        assert_eq!(revoked(old), Revoked::default());
    }

    #[test]
    fn a_damaged_list_is_an_error() {
        for json in ["", "{}", r#"{"entries":1}"#, r#"{"number":1,"entries":[{"notAfter":"never"}]}"#] {
            assert!(matches!(Revoked::parse(Some(json.as_bytes()), now()), Err(Error::Parse(_))), "{json}");
        }
        assert!(matches!(Revoked::parse(None, now()), Err(Error::Missing)));
    }
}
