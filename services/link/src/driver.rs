//! Keeps a session up: connect, watch it, wait, connect again. When the certificate or the trust changes it moves to a new
//! connection at a moment of its own, the old one working until then.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::AsyncClient;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::handle::Link;
use crate::inbox::{Delivery, Inbox, inbox};
use crate::metrics::LinkMetrics;
use crate::session::{self, LEAVE, Lost, Parts};
use crate::settings::{Settings, SettingsError};

/// When a whole fleet's trust bundle changes, its sessions move to the new one within this time, not in one instant.
const RENEWAL_SPREAD: Duration = Duration::from_secs(2);
/// A session that moves by itself is not missed for so long.
const GRACE: Duration = Duration::from_secs(3);

/// A link's three ends: to publish, to receive, and to run. The TLS configuration is the caller's, with its own client
/// certificate and roots; each new value in `tls` moves the link to a new connection in good order.
pub fn link(
    settings: Settings,
    tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    metrics: LinkMetrics,
) -> Result<(Link, Inbox, Driver), SettingsError> {
    settings.check()?;
    let (up, session) = watch::channel(None);
    let ((connected, seen), (ready, shown)) = (watch::channel(false), watch::channel(false));
    let (delivery, inbox) = inbox(settings.inbox, metrics.clone());
    let link = Link { session, connected: seen, ready: shown, metrics: metrics.clone() };
    let settings = Arc::new(settings);
    Ok((link, inbox, Driver { settings, tls, delivery, up, connected, ready, moved: None, metrics }))
}

/// The part that must be run. Dropping it ends the session.
#[derive(Debug)]
pub struct Driver {
    settings: Arc<Settings>,
    tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    delivery: Delivery,
    up: watch::Sender<Option<AsyncClient>>,
    connected: watch::Sender<bool>,
    ready: watch::Sender<bool>,
    /// Since when the session is away because it moves.
    moved: Option<Instant>,
    metrics: LinkMetrics,
}

enum End {
    Shutdown,
    Renewed,
    Lost(Lost),
}

impl Driver {
    /// Keeps the link up until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let pause = match self.session(&shutdown).await {
                End::Shutdown => return,
                End::Renewed => {
                    self.moved = Some(Instant::now());
                    continue;
                }
                End::Lost(lost) => {
                    self.missed();
                    let pause = backoff.next(began.elapsed(), rand::random());
                    self.metrics.lost.inc();
                    let cause = std::error::Error::source(&lost).map(ToString::to_string);
                    tracing::warn!(error = %lost, cause, ?pause, broker = %self.settings.host, "link is down");
                    pause
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(pause) => {}
                // Perhaps the reason why the last one failed: no point in waiting longer.
                () = renewed(&mut self.tls) => {}
            }
        }
    }

    /// One session, in a task of its own: whatever a hostile broker makes the client do, the service lives on.
    async fn session(&mut self, shutdown: &CancellationToken) -> End {
        let leave = CancellationToken::new();
        let (up, mut came_up) = oneshot::channel();
        let tls = self.tls.borrow_and_update().clone();
        let parts = Parts { tls, delivery: self.delivery.clone(), up, leave: leave.clone() };
        let run = session::run(Arc::clone(&self.settings), parts);
        let mut session = AbortOnDropHandle::new(tokio::spawn(run));
        // The old session works on until it is this one's turn to move.
        let mut moves: Option<Instant> = None;
        let end = loop {
            let missed = self.moved.map(|moved| moved + GRACE);
            tokio::select! {
                ended = &mut session => break lost(ended),
                Ok(client) = &mut came_up, if !*self.connected.borrow() => self.up(client),
                () = shutdown.cancelled() => break End::Shutdown,
                () = renewed(&mut self.tls), if moves.is_none() => {
                    let spread = if *self.connected.borrow() { RENEWAL_SPREAD } else { Duration::ZERO };
                    moves = Some(Instant::now() + spread.mul_f64(rand::random()));
                }
                () = until(moves), if moves.is_some() => break End::Renewed,
                () = until(missed), if missed.is_some() => self.missed(),
            }
        };
        self.down();
        if !matches!(end, End::Renewed) {
            self.missed();
        }
        if !session.is_finished() {
            leave.cancel();
            let _ = timeout(LEAVE, session).await;
        }
        end
    }

    fn up(&mut self, client: AsyncClient) {
        self.moved = None;
        self.up.send_replace(Some(client));
        self.metrics.sessions.inc();
        self.metrics.connected.set(1);
        tracing::info!(broker = %self.settings.host, "link is up");
        self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        self.connected.send_replace(true);
    }

    /// The session is away, and not only for the moment it takes to move.
    fn missed(&mut self) {
        self.moved = None;
        self.ready.send_if_modified(|ready| std::mem::replace(ready, false));
    }

    fn down(&self) {
        self.up.send_replace(None);
        self.metrics.connected.set(0);
        self.connected.send_if_modified(|connected| std::mem::replace(connected, false));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.down();
        self.missed();
    }
}

fn lost(ended: Result<Result<(), Lost>, JoinError>) -> End {
    match ended {
        Ok(Err(lost)) => End::Lost(lost),
        Ok(Ok(())) => End::Lost(Lost::Closed),
        Err(_) => End::Lost(Lost::Failed),
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => future::pending().await,
    }
}

/// A caller that dropped its end of the configuration means: this one for good.
async fn renewed(tls: &mut watch::Receiver<Arc<rustls::ClientConfig>>) {
    if tls.changed().await.is_err() {
        future::pending::<()>().await;
    }
}
