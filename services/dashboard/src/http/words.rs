//! What readers of changes are told. Readers are told at the same moments, so whoever sees the same and stands at the same place is told
//! the same: it is written once, and what each of a thousand holds is a reference.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use askama::Template;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::board;
use crate::feed::Feed;
use crate::feed::ring::{Change, Missed};
use crate::feed::row::{Lane, Row};
use crate::page::row::RowHtml;
use crate::select::Asked;
use crate::service::Visible;

/// More rows at once are told as the view they make.
const MOST: usize = 64;
/// Views that are kept at once; who looks at one more has it written for them alone.
const KEPT: usize = 64;

/// What one may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Sight {
    Rows(Visible),
    One { namespace: String, name: String },
    Nothing,
}

/// What one looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Outlook {
    pub(super) sight: Sight,
    pub(super) asked: Asked,
}

/// What is told of a stretch of changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) words: Bytes,
    /// The reader has to look anew: nobody knows what it missed.
    pub(super) resync: bool,
}

/// What was written for the readers of now.
#[derive(Debug, Default)]
pub(crate) struct Words(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    until: u64,
    told: HashMap<(u64, Outlook), Arc<OnceLock<Told>>>,
}

impl Words {
    /// What is told who saw everything up to `seen`, of what came until `until`.
    pub(super) fn between(&self, feed: &Feed, outlook: &Outlook, (seen, until): (u64, u64)) -> Told {
        let write = || write(feed, outlook, (seen, until));
        match self.place(outlook, (seen, until)) {
            // Written outside the lock: readers of other views do not wait.
            Some(place) => place.get_or_init(write).clone(),
            None => write(),
        }
    }

    fn place(&self, outlook: &Outlook, (seen, until): (u64, u64)) -> Option<Arc<OnceLock<Told>>> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.until != until {
            written.until = until;
            written.told.clear();
        }
        let full = written.told.len() >= KEPT;
        let key = (seen, outlook.clone());
        if full { written.told.get(&key).cloned() } else { Some(Arc::clone(written.told.entry(key).or_default())) }
    }
}

/// One word of a stream; its data is one line.
fn word(event: &str, id: &str, data: &str) -> String {
    format!("id: {id}\nevent: {event}\ndata: {data}\n\n")
}

fn write(feed: &Feed, outlook: &Outlook, (seen, until): (u64, u64)) -> Told {
    let id = feed.text(until);
    let missed = feed.between((seen, until), MOST, |change| outlook.sight.sees(change));
    if matches!(&missed, Missed::Changes(changes) if changes.is_empty()) {
        return Told::default();
    }
    let counted = match &outlook.sight {
        Sight::Rows(visible) => Some((visible, feed.counts(|namespace| visible.has(namespace)))),
        Sight::One { .. } | Sight::Nothing => None,
    };
    let mut words = match (&missed, counted) {
        (Missed::Changes(changes), _) => word("rows", &id, &rows(outlook, changes).to_string()),
        (Missed::TooMuch, Some((visible, all))) => {
            word("view", &id, &view(feed, visible, &outlook.asked, all).to_string())
        }
        (Missed::TooMuch | Missed::Unknown, _) => {
            return Told { words: word("resync", &id, "").into(), resync: true };
        }
    };
    if let Some((_, all)) = counted {
        words += &word("counts", &id, &totals(all).to_string());
    }
    Told { words: words.into(), resync: false }
}

/// What the page would show now, instead of everybody fetching it.
fn view(feed: &Feed, visible: &Visible, asked: &Asked, all: [usize; 3]) -> Value {
    let view = board::view(feed, visible, asked.clone(), all);
    json!({"html": view.render().expect("a page without I/O is always written")})
}

fn rows(outlook: &Outlook, changes: &[Arc<Change>]) -> Value {
    let (filter, lane) = (outlook.asked.filter(), outlook.asked.lane());
    let shows = |row: &&Row| lane.is_none_or(|lane| lane == row.lane) && filter(row);
    let row = |change: &Arc<Change>| {
        let row = change.row.as_deref().filter(shows);
        json!({"uid": &*change.uid, "lane": row.map(|row| row.lane.as_str()), "html": row.map(|row| html(change, row))})
    };
    changes.iter().map(row).collect()
}

/// Written once for everybody.
fn html<'c>(change: &'c Change, row: &Row) -> &'c str {
    change.html.get_or_init(|| {
        let row = RowHtml { row, now: Timestamp::now() };
        row.render().expect("a page without I/O is always written").into()
    })
}

fn totals(counts: [usize; 3]) -> Value {
    let mut totals = json!({"all": counts.iter().sum::<usize>()});
    for lane in Lane::ALL {
        totals[lane.as_str()] = counts[lane.index()].into();
    }
    totals
}

impl Sight {
    fn sees(&self, change: &Change) -> bool {
        match self {
            Self::Rows(visible) => visible.has(&change.namespace),
            Self::One { namespace, name } => {
                change.row.as_ref().is_some_and(|row| *row.namespace == **namespace && *row.name == **name)
            }
            Self::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::feed;

    fn outlook(sight: Sight, q: &str) -> Outlook {
        Outlook { sight, asked: Asked { q: q.into(), ..Asked::default() } }
    }

    fn all() -> Sight {
        Sight::Rows(Visible::All)
    }

    #[test]
    fn whoever_sees_the_same_and_stands_at_the_same_place_is_told_the_same_bytes() {
        let (feed, words) = (feed(&["UPC_1", "UPC_2"]), Words::default());
        let told = |outlook: &Outlook, seen| words.between(&feed, outlook, (seen, 2)).words;
        let (one, other) = (told(&outlook(all(), ""), 0), told(&outlook(all(), ""), 0));
        assert_eq!(one.as_ptr(), other.as_ptr(), "written once");
        assert!(one.starts_with(b"id: ") && one.ends_with(b"\n\n"));
        let later = String::from_utf8(told(&outlook(all(), ""), 1).to_vec()).unwrap();
        assert!(later.contains("UPC_2") && !later.contains("UPC_1"), "{later}");
        let filtered = String::from_utf8(told(&outlook(all(), "upc_1"), 0).to_vec()).unwrap();
        assert!(filtered.contains("upc-1") && !filtered.contains("upc-2"), "{filtered}");
        assert!(told(&outlook(all(), ""), 2).is_empty() && told(&outlook(Sight::Nothing, ""), 0).is_empty());
        let elsewhere = Sight::Rows(Visible::Some(["other".into()].into()));
        assert!(told(&outlook(elsewhere, ""), 0).is_empty());
    }

    #[test]
    fn what_others_do_is_never_too_much_for_who_does_not_see_it() {
        let upcs: Vec<String> = (0..=MOST).map(|number| format!("UPC_{number}")).collect();
        let feed = feed(&upcs.iter().map(String::as_str).collect::<Vec<_>>());
        let told = |sight| Words::default().between(&feed, &outlook(sight, ""), (0, feed.last()));
        let crowded = told(all());
        let (words, resync) = (String::from_utf8_lossy(&crowded.words), crowded.resync);
        assert!(words.contains("event: view\n") && words.contains("event: counts\n") && !resync, "{words}");
        assert!(words.contains("Show all 65") && words.lines().all(|line| line.is_empty() || line.contains(": ")));
        let one = Sight::One { namespace: "shop".into(), name: "upc-3".into() };
        let one = told(one);
        assert!(!one.resync && String::from_utf8_lossy(&one.words).contains("UPC_3"));
        assert!(told(Sight::Nothing).words.is_empty());
    }

    #[test]
    fn who_names_a_place_nobody_knows_looks_anew() {
        let feed = feed(&["UPC_1"]);
        let told = Words::default().between(&feed, &outlook(all(), ""), (u64::MAX, 1));
        assert!(told.resync && told.words.ends_with(b"event: resync\ndata: \n\n"));
    }

    #[test]
    fn more_views_than_are_kept_are_written_all_the_same() {
        let (feed, words) = (feed(&["UPC_1"]), Words::default());
        for number in 0..KEPT * 2 {
            let asked = Asked { sort: number.to_string(), ..Asked::default() };
            assert!(!words.between(&feed, &Outlook { sight: all(), asked }, (0, 1)).words.is_empty());
        }
        assert_eq!(words.0.lock().unwrap().told.len(), KEPT);
    }
}
