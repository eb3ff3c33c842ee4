//! One who looks: a stream of changes, and a page whenever the stream says that too much was missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Response};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The way in, and the cookie that opens it.
pub(super) struct Door {
    client: Client,
    url: String,
    cookie: String,
}

impl Door {
    pub(super) async fn enter(client: Client, url: String, code: &str) -> Result<Self> {
        let login = client.post(format!("{url}/login")).header("origin", &url);
        let form = login.header("content-type", "application/x-www-form-urlencoded").body(format!("code={code}"));
        let answer = form.send().await?;
        let cookie = answer.headers().get("set-cookie").context("the code opens nothing")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { client, url, cookie })
    }

    async fn get(&self, path: &str, accept: &str) -> Result<Response> {
        let asked = self.client.get(format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let answer = asked.header("accept", accept).header("accept-encoding", "gzip, br").send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        Ok(answer)
    }

    pub(super) async fn page(&self) -> Result<String> {
        Ok(self.get("/", "text/html").await?.text().await?)
    }

    /// Bytes of the page and of all it names, as they cross the network.
    pub(super) async fn weigh(&self) -> Result<usize> {
        let page = self.page().await?;
        let mut bytes = page.len();
        let mut assets: Vec<&str> = page.split('"').filter(|part| part.starts_with("/assets/")).collect();
        // Of an icon in a file of many, the file.
        assets.iter_mut().for_each(|path| *path = path.split('#').next().unwrap_or(path));
        assets.sort_unstable();
        assets.dedup();
        for path in assets {
            bytes += self.get(path, "*/*").await?.bytes().await?.len();
        }
        Ok(bytes)
    }
}

/// What is known of one viewer; it leaves when this is dropped.
pub(super) struct Viewer {
    /// Tells of whatever is heard; when the last change was, once it was.
    heard: watch::Receiver<Option<Instant>>,
    resyncs: Arc<AtomicUsize>,
    views: Arc<AtomicUsize>,
    reading: Option<JoinHandle<()>>,
    /// Of one who never reads: open, and full.
    _deaf: Option<Response>,
}

/// Nothing was said for so long: all is told.
const REST: Duration = Duration::from_secs(3);

impl Viewer {
    /// Opens a stream; a deaf one never reads it. The `last` change is known by its text.
    pub(super) async fn open(door: Arc<Door>, deaf: bool, last: &'static str) -> Result<Self> {
        let mut stream = door.get("/events", "text/event-stream").await?;
        let (resyncs, views) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (tell, heard) = watch::channel(None);
        if deaf {
            return Ok(Self { heard, resyncs, views, reading: None, _deaf: Some(stream) });
        }
        let (counted, whole_views) = (Arc::clone(&resyncs), Arc::clone(&views));
        let reading = tokio::spawn(async move {
            // A text may come in two pieces.
            let mut tail = Vec::new();
            while let Ok(Some(piece)) = stream.chunk().await {
                tail.extend_from_slice(&piece);
                let text = String::from_utf8_lossy(&tail);
                let (seen, behind) = (text.contains(last), text.contains("event: resync"));
                let whole = text.ends_with("\n\n");
                let now = Instant::now();
                tell.send_modify(|heard| *heard = heard.or_else(|| seen.then_some(now)));
                if behind {
                    counted.fetch_add(1, Ordering::Relaxed);
                    // What the page's script waits, so that not everybody asks at once.
                    tokio::time::sleep(Duration::from_millis(rand::random_range(300..2000))).await;
                    if door.page().await.is_err() {
                        return;
                    }
                }
                if whole || behind {
                    whole_views.fetch_add(text.matches("event: view").count(), Ordering::Relaxed);
                    tail.clear();
                }
            }
        });
        Ok(Self { heard, resyncs, views, reading: Some(reading), _deaf: None })
    }

    pub(super) fn reads(&self) -> bool {
        self.reading.is_some()
    }

    pub(super) fn resyncs(&self) -> usize {
        self.resyncs.load(Ordering::Relaxed)
    }

    pub(super) fn views(&self) -> usize {
        self.views.load(Ordering::Relaxed)
    }

    /// Returns when it has heard nothing for a while.
    pub(super) async fn at_rest(&self, patience: Duration) -> Result<()> {
        let (mut heard, begun) = (self.heard.clone(), Instant::now());
        while tokio::time::timeout(REST, heard.changed()).await.is_ok_and(|changed| changed.is_ok()) {
            ensure!(begun.elapsed() < patience, "a viewer is told changes that are long over");
        }
        Ok(())
    }

    /// When it had the last change.
    pub(super) async fn saw_last(&self, patience: Duration) -> Option<Instant> {
        let mut heard = self.heard.clone();
        let seen = heard.wait_for(Option::is_some);
        *tokio::time::timeout(patience, seen).await.ok()?.ok()?
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}
