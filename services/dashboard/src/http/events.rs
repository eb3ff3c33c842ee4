//! `GET /events`: what changes, as it changes, to whoever looks (server-sent events).
//!
//! A reader holds a number, not a queue. After a break it names the last one it has (`Last-Event-ID`) and reads on; who missed more
//! than is kept, or than is worth telling row by row, is told `resync` and fetches the page. Rights are looked at again while one reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use waybill_chassis::problem::{Checked, Problem};
use waybill_cluster::permission::READ;

use super::access::{Viewer, away};
use crate::feed::ring::{Change, Missed};
use crate::feed::row::{Lane, Row};
use crate::page::row::RowHtml;
use crate::select::Asked;
use crate::service::{Service, Visible};
use crate::session::Session;

/// Between two words to one viewer: well within the second a change may take to be seen.
const PACE: Duration = Duration::from_millis(250);
/// More rows at once are a new page.
const MOST: usize = 64;
/// How often it is looked whether one may still see what one sees.
const LOOK: Duration = Duration::from_secs(15);

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct From {
    /// Where the page stands that listens.
    since: String,
    /// `namespace/name`: this one alone.
    only: String,
}

pub(super) async fn stream(
    State(service): State<Service>,
    Viewer(viewer): Viewer,
    headers: HeaderMap,
    Checked(Query(from)): Checked<Query<From>>,
    Checked(Query(asked)): Checked<Query<Asked>>,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&from.since);
    let seen = service.feed.number(last);
    let only = from.only.split_once('/').map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
    let sight = Sight::of(&service, &viewer, only.clone()).await.map_err(|error| away(&error))?;
    service.metrics.viewers.inc();
    let reader = Reader {
        told: service.feed.told(),
        seen: seen.unwrap_or(u64::MAX),
        sight,
        viewer,
        asked: asked.tidy(),
        only,
        next_look: Instant::now() + LOOK,
        first: true,
        service,
    };
    let events = Sse::new(events(reader)).keep_alive(KeepAlive::new().interval(LOOK));
    let mut response = events.into_response();
    // Proxies that collect answers would hold every change back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// What one may see.
enum Sight {
    Rows(Visible),
    One(bool),
}

impl Sight {
    async fn of(service: &Service, viewer: &Session, only: Option<(String, String)>) -> kube::Result<Self> {
        Ok(match only {
            Some((namespace, name)) => Self::One(service.reviews.may(&viewer.user, READ, (&namespace, &name)).await?),
            None => Self::Rows(service.visible(&viewer.user).await?),
        })
    }
}

struct Reader {
    service: Service,
    told: watch::Receiver<u64>,
    /// The last change that was told.
    seen: u64,
    sight: Sight,
    viewer: Session,
    asked: Asked,
    only: Option<(String, String)>,
    next_look: Instant,
    first: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.service.metrics.viewers.dec();
    }
}

fn events(reader: Reader) -> impl Stream<Item = Result<Event, Infallible>> {
    let words = stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        let stop = reader.service.stop.clone();
        // A board that ends says nothing: the browser finds the next one by itself.
        match stop.run_until_cancelled(reader.next()).await? {
            Some(words) => Some((words, Some(reader))),
            None => Some((vec![Event::default().event("bye").data("")], None)),
        }
    });
    futures::StreamExt::flat_map(words, |words| stream::iter(words.into_iter().map(Ok)))
}

impl Reader {
    /// The next words; `None` when this viewer is to see nothing more.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            if self.next_look <= Instant::now() && !self.look().await {
                return None;
            }
            if std::mem::take(&mut self.first) {
                // Says at once that the line stands, and how long to wait before trying again.
                let words = self.missed();
                return Some([Event::default().retry(PACE * 8).comment("here")].into_iter().chain(words).collect());
            }
            match timeout_at(self.next_look, self.told.changed()).await {
                Err(_) => continue,
                Ok(Err(_)) => return None,
                Ok(Ok(())) => {}
            }
            // Whatever comes in the meantime is told together.
            sleep_until(Instant::now() + PACE).await;
            self.told.mark_unchanged();
            let words = self.missed();
            if !words.is_empty() {
                return Some(words);
            }
        }
    }

    /// Still logged in, and still with the same sight? Who sees more or less than before looks anew.
    async fn look(&mut self) -> bool {
        self.next_look = Instant::now() + LOOK;
        if self.service.sessions.find(&self.viewer.id).is_none() {
            return false;
        }
        match Sight::of(&self.service, &self.viewer, self.only.clone()).await {
            Ok(Sight::One(now)) => now,
            Ok(Sight::Rows(now)) => matches!(&self.sight, Sight::Rows(before) if *before == now),
            // Nothing can be asked now; what was allowed a moment ago still is.
            Err(_) => true,
        }
    }

    fn missed(&mut self) -> Vec<Event> {
        self.told.mark_unchanged();
        let last = self.service.feed.last();
        let missed = self.service.feed.after(self.seen, MOST);
        let nothing_new = self.seen == last;
        self.seen = last;
        let id = self.service.feed.text(last);
        match missed {
            Missed::TooMuch => {
                self.service.metrics.resyncs.inc();
                vec![Event::default().event("resync").id(id).data("")]
            }
            Missed::Changes(_) if nothing_new => Vec::new(),
            Missed::Changes(changes) => self.words(&changes, &id),
        }
    }

    fn words(&self, changes: &[Arc<Change>], id: &str) -> Vec<Event> {
        let filter = self.asked.filter();
        let rows: Vec<Value> = changes
            .iter()
            .filter(|change| self.sees(change))
            .map(|change| {
                let row = change.row.as_deref().filter(|row| self.shows(row) && filter(row));
                json!({"uid": &*change.uid, "lane": row.map(|row| row.lane.as_str()), "html": row.map(|row| html(change, row))})
            })
            .collect();
        let mut words = Vec::new();
        if !rows.is_empty() {
            words.push(Event::default().event("rows").id(id).data(Value::from(rows).to_string()));
        }
        if let (false, Sight::Rows(visible)) = (words.is_empty(), &self.sight) {
            let counts = self.service.feed.counts(|namespace| visible.has(namespace));
            words.push(Event::default().event("counts").id(id).data(totals(counts).to_string()));
        }
        words
    }

    fn sees(&self, change: &Change) -> bool {
        match (&self.sight, &self.only) {
            (Sight::Rows(visible), _) => visible.has(&change.namespace),
            (Sight::One(true), Some((namespace, name))) => {
                change.row.as_ref().is_some_and(|row| *row.namespace == **namespace && *row.name == **name)
            }
            _ => false,
        }
    }

    fn shows(&self, row: &Row) -> bool {
        self.asked.lane().is_none_or(|lane| lane == row.lane)
    }
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
