//! The board's own page: filter, lanes, and what to say where there is nothing.

use std::sync::Arc;

use askama::Template;
use jiff::Timestamp;
use waybill_crds::Phase;

use super::{Chrome, words};
use crate::feed::row::{Lane, Row};
use crate::select::{Asked, Page};

/// A lane as it is shown.
pub(crate) struct LaneView {
    pub(crate) lane: Lane,
    pub(crate) rows: Vec<Arc<Row>>,
    /// How many match, shown or not.
    pub(crate) total: usize,
    /// Where the rest is.
    pub(crate) more: Option<String>,
}

impl LaneView {
    pub(crate) fn of(lane: Lane, page: Page, asked: &Asked, alone: bool) -> Self {
        let next = page.next.map(|after| match alone {
            true => asked.query(Some(lane), &after),
            // From an overview one goes to the lane, from its beginning.
            false => asked.query(Some(lane), ""),
        });
        Self { lane, rows: page.rows, total: page.total, more: next.map(|query| format!("/{query}")) }
    }

    pub(crate) fn empty(&self) -> &'static str {
        match self.lane {
            Lane::Attention => "Nothing needs you.",
            Lane::Moving => "Nothing is on its way.",
            Lane::Done => "Nothing has arrived yet.",
        }
    }
}

/// A way to another view, with its number.
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) key: &'static str,
    pub(crate) href: String,
    pub(crate) count: usize,
    pub(crate) here: bool,
}

/// The rows in their lanes, or what to say where there are none: what changes of the page.
#[derive(Template)]
#[template(path = "lanes.html")]
pub(crate) struct View {
    pub(crate) asked: Asked,
    pub(crate) now: Timestamp,
    pub(crate) lanes: Vec<LaneView>,
    /// There are no Deliveries at all.
    pub(crate) bare: bool,
}

impl View {
    /// One lane fills the page.
    pub(crate) fn alone(&self) -> bool {
        self.lanes.len() == 1
    }

    /// Filtered until nothing was left.
    pub(crate) fn nothing(&self) -> bool {
        self.asked.is_filtered() && self.lanes.iter().all(|lane| lane.total == 0)
    }
}

#[derive(Template)]
#[template(path = "board.html")]
pub(crate) struct BoardPage {
    pub(crate) chrome: Chrome,
    pub(crate) view: View,
    pub(crate) links: Vec<Link>,
    pub(crate) namespaces: Vec<Arc<str>>,
    /// Where live changes come from, and from which one on.
    pub(crate) events: String,
    /// Somebody who may see nothing: as whom the cluster knows them.
    pub(crate) blind: Option<String>,
}

impl BoardPage {
    pub(crate) fn phases(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> + use<> {
        let asked = self.view.asked.phase();
        Phase::ALL.into_iter().map(move |phase| (phase.as_str(), words::phase(phase), asked == Some(phase)))
    }

    pub(crate) fn sorts(&self) -> [(&'static str, &'static str, bool); 3] {
        let is = |name: &str| self.view.asked.sort == name;
        [
            ("", "Last change first", !is("quiet") && !is("upc")),
            ("quiet", "Longest without change", is("quiet")),
            ("upc", "UPC", is("upc")),
        ]
    }

    pub(crate) fn is_asked(&self, namespace: &str) -> bool {
        self.view.asked.namespace == namespace
    }

    /// The same lane without a filter.
    pub(crate) fn unfiltered(&self) -> String {
        format!("/{}", Asked::default().query(self.view.asked.lane(), ""))
    }
}
