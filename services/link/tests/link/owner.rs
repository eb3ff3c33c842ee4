//! A link with an owner as the services have it: messages stay out until their answer is here.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use waybill_link::resend::{Policy, Schedule};
use waybill_link::{Inbox, Link, LinkMetrics, Settings, link};

use crate::fake::{Conn, FakeBroker, Sent};

pub(crate) const UP: &str = "wb/s/c/d/up";
pub(crate) const DOWN: &str = "wb/s/c/d/down";

/// A running link; ends with the value.
pub(crate) struct Running {
    pub(crate) link: Link,
    pub(crate) inbox: Inbox,
    pub(crate) metrics: LinkMetrics,
    pub(crate) tls: watch::Sender<Arc<rustls::ClientConfig>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) driver: tokio::task::JoinHandle<()>,
    _stop: DropGuard,
}

pub(crate) fn settings(broker: &FakeBroker) -> Settings {
    let mut settings =
        Settings::new(&broker.addr.to_string(), "carrier").unwrap().subscribe(["wb/+/c/+/down".to_owned()]);
    settings.keep_alive = Duration::from_secs(1);
    settings
}

pub(crate) fn run(settings: Settings, broker: &FakeBroker) -> Running {
    let (tls, config) = watch::channel(Arc::clone(&broker.tls));
    let metrics = LinkMetrics::default();
    let (link, inbox, driver) = link(settings, config, metrics.clone()).unwrap();
    let shutdown = CancellationToken::new();
    let driver = tokio::spawn(driver.run(shutdown.clone()));
    Running { link, inbox, metrics, tls, driver, _stop: shutdown.clone().drop_guard(), shutdown }
}

/// Fails the test when `work` takes longer than any machine needs.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap_or_else(|_| panic!("never came: {what}"))
}

/// Waits until `condition` holds: for states nobody announces.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

impl Running {
    pub(crate) async fn connected(&self, wanted: bool) {
        let mut connected = self.link.connected();
        soon("connection state", connected.wait_for(|is| *is == wanted)).await.unwrap();
    }

    /// Keeps messages `0..count` out until each is answered; returns how many never were.
    pub(crate) async fn send_until_answered(&mut self, count: u32) -> usize {
        let policy =
            Policy { first: Duration::from_millis(200), cap: Duration::from_secs(2), gap: Duration::from_millis(20) };
        let mut schedule = Schedule::new(policy, 1);
        for id in 0..count {
            schedule.expect(id, Instant::now());
        }
        let _ = tokio::time::timeout(Duration::from_secs(60), self.drain(&mut schedule)).await;
        schedule.len()
    }

    async fn drain(&mut self, schedule: &mut Schedule<u32>) {
        let mut connected = self.link.connected();
        while let Some(due) = schedule.next_due() {
            tokio::select! {
                message = self.inbox.recv() => {
                    let payload = message.unwrap().payload;
                    schedule.answered(&u32::from_be_bytes(payload[..4].try_into().unwrap()));
                }
                changed = connected.changed() => {
                    changed.unwrap();
                    if *connected.borrow_and_update() {
                        schedule.reconnected(Instant::now());
                    }
                }
                () = tokio::time::sleep_until(due.into()) => {
                    let now = Instant::now();
                    for id in schedule.take_due(now, 16) {
                        if self.link.try_publish(UP, id.to_be_bytes().to_vec()).is_err() {
                            schedule.unsent(&id, now);
                        }
                    }
                }
            }
        }
    }
}

/// A broker and the peer behind it doing all they should: grants, acknowledges, pongs, and answers each message.
pub(crate) async fn serve(mut conn: Conn, session_present: bool) -> Option<()> {
    conn.accept(session_present).await?;
    loop {
        let sent = conn.read().await?;
        answer(&mut conn, sent).await?;
    }
}

pub(crate) async fn answer(conn: &mut Conn, sent: Sent) -> Option<()> {
    match sent {
        Sent::Subscribe { id, filters } => conn.suback(id, filters, 1).await,
        Sent::Ping => conn.pong().await,
        Sent::Publish { id, payload, .. } => {
            if id != 0 {
                conn.ack(id).await?;
            }
            conn.publish(DOWN, &payload).await.map(drop)
        }
        _ => Some(()),
    }
}
