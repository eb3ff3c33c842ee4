//! What somebody asked to see: filter, order, one page of it. Pure.
//!
//! A page ends in a cursor, the order's key of its last row: rows that come and go meanwhile shift nothing.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use waybill_crds::Phase;

use crate::feed::row::{Lane, Row};

/// The query of the board, as a browser sends it: an empty field asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Asked {
    /// Part of a UPC, a name, a carrier or a seller
    pub(crate) q: String,
    /// `attention`, `moving` or `done`; all of them otherwise
    pub(crate) lane: String,
    /// A phase, such as `OutForDelivery`
    pub(crate) phase: String,
    pub(crate) namespace: String,
    /// `quiet` or `upc`; what changed last otherwise
    pub(crate) sort: String,
    /// The cursor a page ends in
    pub(crate) after: String,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// What changed last.
    Recent,
    /// What has not changed for the longest.
    Quiet,
    Upc,
}

/// Some rows of a lane.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Arc<Row>>,
    /// How many there are in all.
    pub(crate) total: usize,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
}

/// The most letters looked for.
const MAX_SEARCH: usize = 100;

impl Asked {
    /// The same, as it was meant: no blanks at the ends, letters in lower case, nothing endless.
    pub(crate) fn tidy(mut self) -> Self {
        self.q = self.q.trim().chars().take(MAX_SEARCH).collect();
        self
    }

    pub(crate) fn lane(&self) -> Option<Lane> {
        Lane::parse(&self.lane)
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.as_str() == self.phase)
    }

    pub(crate) fn sort(&self) -> Sort {
        match self.sort.as_str() {
            "quiet" => Sort::Quiet,
            "upc" => Sort::Upc,
            _ => Sort::Recent,
        }
    }

    /// Whether anything is filtered at all; a lane is no filter.
    pub(crate) fn is_filtered(&self) -> bool {
        !self.q.is_empty() || self.phase().is_some() || !self.namespace.is_empty()
    }

    /// The test of one row, made once for all of them.
    pub(crate) fn filter(&self) -> impl Fn(&Row) -> bool + Send + Sync + use<> {
        let (text, phase, namespace) = (self.q.to_lowercase(), self.phase(), self.namespace.clone());
        move |row| {
            (text.is_empty() || row.says(&text))
                && phase.is_none_or(|phase| row.phase == phase)
                && (namespace.is_empty() || *row.namespace == *namespace)
        }
    }

    /// One page of `rows`.
    pub(crate) fn page(&self, mut rows: Vec<Arc<Row>>, most: usize) -> Page {
        let (sort, total) = (self.sort(), rows.len());
        if let Some(after) = Cursor::parse(&self.after) {
            rows.retain(|row| sort.compare(&Cursor::of(row), &after) == Ordering::Greater);
        }
        let order = |one: &Arc<Row>, other: &Arc<Row>| sort.compare(&Cursor::of(one), &Cursor::of(other));
        let more = rows.len() > most;
        if more {
            rows.select_nth_unstable_by(most, order);
            rows.truncate(most);
        }
        rows.sort_unstable_by(order);
        let next = rows.last().filter(|_| more).map(|row| Cursor::of(row).text());
        Page { rows, total, next }
    }

    /// The query string of this view with another lane and cursor; empty parts are left out.
    pub(crate) fn query(&self, lane: Option<Lane>, after: &str) -> String {
        let lane = lane.map_or("", Lane::as_str);
        let parts = [
            ("lane", lane),
            ("q", &self.q),
            ("phase", &self.phase),
            ("namespace", &self.namespace),
            ("sort", &self.sort),
            ("after", after),
        ];
        let mut text = String::new();
        for (name, value) in parts.iter().filter(|(_, value)| !value.is_empty()) {
            text.push(if text.is_empty() { '?' } else { '&' });
            text += name;
            text.push('=');
            encode(&mut text, value);
        }
        text
    }
}

/// The place of a row in every order.
struct Cursor<'r> {
    changed: i64,
    upc: &'r str,
    uid: &'r str,
}

impl<'r> Cursor<'r> {
    fn of(row: &'r Row) -> Self {
        Self { changed: row.changed.as_millisecond(), upc: &row.upc, uid: &row.uid }
    }

    fn text(&self) -> String {
        format!("{}~{}~{}", self.changed, self.upc, self.uid)
    }

    fn parse(text: &'r str) -> Option<Self> {
        let mut parts = text.splitn(3, '~');
        Some(Self { changed: parts.next()?.parse().ok()?, upc: parts.next()?, uid: parts.next()? })
    }
}

impl Sort {
    fn compare(self, one: &Cursor<'_>, other: &Cursor<'_>) -> Ordering {
        let first = match self {
            Self::Recent => other.changed.cmp(&one.changed),
            Self::Quiet => one.changed.cmp(&other.changed),
            Self::Upc => one.upc.cmp(other.upc),
        };
        first.then_with(|| one.uid.cmp(other.uid))
    }
}

/// Percent-encoding of a query's value.
fn encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => write!(text, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::row;

    fn upcs(page: &Page) -> Vec<&str> {
        page.rows.iter().map(|row| &*row.upc).collect()
    }

    #[test]
    fn pages_hold_every_row_once_in_every_order_whatever_comes_and_goes() {
        let rows: Vec<_> = (0..25).map(|number| Arc::new(row(&format!("UPC_{number:02}"), number % 7))).collect();
        for sort in ["", "quiet", "upc"] {
            let mut asked = Asked { sort: sort.into(), ..Asked::default() };
            let mut seen = Vec::new();
            loop {
                let page = asked.page(rows.clone(), 10);
                seen.extend(page.rows.iter().map(|row| row.upc.to_string()));
                let Some(next) = page.next else { break };
                asked.after = next;
            }
            let mut sorted = seen.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!((seen.len(), sorted.len()), (25, 25), "{sort:?}");
        }
    }

    #[test]
    fn what_changed_last_comes_first_unless_asked_otherwise() {
        let rows = || [("b", 1), ("a", 3), ("c", 2)].map(|(upc, at)| Arc::new(row(upc, at))).to_vec();
        let by = |sort: &str| Asked { sort: sort.into(), ..Asked::default() }.page(rows(), 9);
        assert_eq!(upcs(&by("")), ["a", "c", "b"]);
        assert_eq!(upcs(&by("quiet")), ["b", "c", "a"]);
        assert_eq!(upcs(&by("upc")), ["a", "b", "c"]);
    }

    #[test]
    fn a_search_looks_at_upc_name_carrier_and_seller_in_any_case() {
        let asked = |q: &str| Asked { q: q.into(), ..Asked::default() }.tidy();
        let found = |q: &str| asked(q).filter()(&row("UPC_7", 0));
        assert!(found("upc_7") && found(" UPC ") && found("VAN") && found("books"));
        assert!(!found("upc_8"));
        assert!(Asked { phase: "Pending".into(), ..Asked::default() }.filter()(&row("x", 0)));
        assert!(!Asked { phase: "Lost".into(), ..Asked::default() }.filter()(&row("x", 0)));
        assert!(!Asked { namespace: "other".into(), ..Asked::default() }.filter()(&row("x", 0)));
    }

    #[test]
    fn a_link_says_the_view_again_and_nothing_it_does_not_ask() {
        let asked = Asked { q: "a b&c".into(), sort: "upc".into(), ..Asked::default() };
        assert_eq!(asked.query(Some(Lane::Done), "1~x~y"), "?lane=done&q=a%20b%26c&sort=upc&after=1~x~y");
        assert_eq!(Asked::default().query(None, ""), "");
    }
}
