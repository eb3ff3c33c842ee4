//! `GET /`: the rows somebody may see, in lanes.

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;
use waybill_chassis::problem::{Checked, Problem};

use super::access::{Viewer, away};
use crate::feed::Feed;
use crate::feed::row::Lane;
use crate::page::{self, BoardPage, Chrome, LaneView, Link, View};
use crate::select::Asked;
use crate::service::{Service, Visible};

/// Rows of a lane among others, and alone.
const SOME: usize = 20;
const MANY: usize = 100;

pub(super) async fn page(
    State(service): State<Service>,
    Viewer(viewer): Viewer,
    headers: HeaderMap,
    Checked(Query(asked)): Checked<Query<Asked>>,
) -> Result<Response, Problem> {
    let asked = asked.tidy();
    let visible = service.visible(&viewer.user).await.map_err(|error| away(&error))?;
    // Taken before the rows: what changes meanwhile is told twice rather than not at all.
    let position = service.feed.position();
    let all = service.feed.counts(|namespace| visible.has(namespace));
    let mut namespaces = service.feed.namespaces();
    namespaces.retain(|name| visible.has(name));
    let page = BoardPage {
        chrome: Chrome { title: "Board".into(), user: Some(viewer.name().to_owned()), script: Some("board.js") },
        links: links(&asked, all),
        namespaces,
        events: events(&asked, &position),
        blind: visible.is_empty().then(|| viewer.name().to_owned()),
        view: view(&service.feed, &visible, asked, all),
    };
    Ok(page::html(&headers, &page))
}

/// The rows of this view as they are now, of `all` that are visible.
pub(super) fn view(feed: &Feed, visible: &Visible, asked: Asked, all: [usize; 3]) -> View {
    View { now: Timestamp::now(), lanes: lanes(feed, visible, &asked), bare: all == [0; 3], asked }
}

fn lanes(feed: &Feed, visible: &Visible, asked: &Asked) -> Vec<LaneView> {
    let filter = asked.filter();
    let rows = feed.select(|row| visible.has(&row.namespace) && filter(row));
    let wanted = |lane: Lane| asked.lane().is_none_or(|only| only == lane);
    let (alone, most) = if asked.lane().is_some() { (true, MANY) } else { (false, SOME) };
    let lanes = Lane::ALL.into_iter().filter(|lane| wanted(*lane));
    let view = |lane: Lane| {
        let of_lane = rows.iter().filter(|row| row.lane == lane).cloned().collect();
        LaneView::of(lane, asked.page(of_lane, most), asked, alone)
    };
    lanes.map(view).collect()
}

fn links(asked: &Asked, counts: [usize; 3]) -> Vec<Link> {
    let all = Link {
        name: "All",
        key: "all",
        href: format!("/{}", asked.query(None, "")),
        count: counts.iter().sum(),
        here: asked.lane().is_none(),
    };
    let lane = |lane: Lane| Link {
        name: lane.title(),
        key: lane.as_str(),
        href: format!("/{}", asked.query(Some(lane), "")),
        count: counts[lane.index()],
        here: asked.lane() == Some(lane),
    };
    std::iter::once(all).chain(Lane::ALL.into_iter().map(lane)).collect()
}

fn events(asked: &Asked, position: &str) -> String {
    let query = asked.query(asked.lane(), "");
    let join = if query.is_empty() { '?' } else { '&' };
    format!("/events{query}{join}since={position}")
}
