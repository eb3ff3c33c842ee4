//! `GET /events`: what changes, as it changes, to whoever looks (server-sent events).
//!
//! A reader holds a number, not a queue. After a break it names the last one it has (`Last-Event-ID`) and reads on; who missed more
//! than is worth telling row by row is told the view, and who missed more than is kept is told `resync` and fetches the page. Rights
//! are looked at again while one reads.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use waybill_chassis::problem::{Checked, Problem};
use waybill_cluster::permission::READ;

use super::access::{Viewer, away};
use super::words::{Outlook, Sight};
use crate::feed::PACE;
use crate::select::Asked;
use crate::service::Service;
use crate::session::Session;

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
    let seen = service.feed.number(last).unwrap_or(u64::MAX);
    let only = from.only.split_once('/').map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
    let sight = sight(&service, &viewer, only.as_ref()).await.map_err(|error| away(&error))?;
    service.metrics.viewers.inc();
    let reader = Reader {
        ticks: service.feed.ticks(),
        seen,
        outlook: Outlook { sight, asked: asked.tidy() },
        viewer,
        only,
        next_look: Instant::now() + LOOK,
        first: true,
        service,
    };
    let about = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // Proxies that collect answers would hold every change back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((about, Body::from_stream(events(reader))).into_response())
}

async fn sight(service: &Service, viewer: &Session, only: Option<&(String, String)>) -> kube::Result<Sight> {
    let Some((namespace, name)) = only else { return service.visible(&viewer.user).await.map(Sight::Rows) };
    let may = service.reviews.may(&viewer.user, READ, (namespace, name)).await?;
    Ok(if may { Sight::One { namespace: namespace.clone(), name: name.clone() } } else { Sight::Nothing })
}

struct Reader {
    service: Service,
    ticks: watch::Receiver<u64>,
    /// The last change that was told.
    seen: u64,
    outlook: Outlook,
    viewer: Session,
    only: Option<(String, String)>,
    next_look: Instant,
    first: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.service.metrics.viewers.dec();
    }
}

fn events(reader: Reader) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        let stop = reader.service.stop.clone();
        // A board that ends says nothing: the browser finds the next one by itself.
        match stop.run_until_cancelled(reader.next()).await? {
            Some(words) => Some((Ok(words), Some(reader))),
            None => Some((Ok(Bytes::from_static(b"event: bye\ndata: \n\n")), None)),
        }
    })
}

impl Reader {
    /// The next words; `None` when this viewer is to see nothing more.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.first) {
            // Says at once that the line stands, and how long to wait before trying again.
            let wait = (PACE * 8).as_millis();
            return Some([format!("retry: {wait}\n: here\n\n").as_bytes(), &self.missed()].concat().into());
        }
        loop {
            if let Ok(Err(_)) = timeout_at(self.next_look, self.ticks.changed()).await {
                return None;
            }
            let looks = self.next_look <= Instant::now();
            if looks && !self.look().await {
                return None;
            }
            let words = self.missed();
            if !words.is_empty() {
                return Some(words);
            }
            if looks {
                // A line on which nothing is said is taken for a dead one.
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }

    /// Still logged in, and still with the same sight? Who sees more or less than before looks anew.
    async fn look(&mut self) -> bool {
        self.next_look = Instant::now() + LOOK;
        if self.outlook.sight == Sight::Nothing || self.service.sessions.find(&self.viewer.id).is_none() {
            return false;
        }
        let now = sight(&self.service, &self.viewer, self.only.as_ref()).await;
        // Where nothing can be asked now, what was allowed a moment ago still is.
        now.map_or(true, |now| now == self.outlook.sight)
    }

    fn missed(&mut self) -> Bytes {
        let until = *self.ticks.borrow_and_update();
        let told = self.service.words.between(&self.service.feed, &self.outlook, (self.seen, until));
        // A page may know more than was told until now.
        self.seen = if told.resync { until } else { self.seen.max(until) };
        if told.resync {
            self.service.metrics.resyncs.inc();
        }
        told.words
    }
}
