//! The loss table: what a broker does to acknowledged and unacknowledged publishes, run against the bare MQTT client as
//! its own examples use it, and against the link with an owner that sends until answered. The client's losses are
//! printed; the link's must be 0. Run with `--nocapture` to read the table.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Broker, MqttOptions, PublishOptions, TlsConfiguration, Transport};

use crate::fake::{Conn, FakeBroker, Sent};
use crate::owner::{DOWN, UP, answer, run, settings};

const MESSAGES: u32 = 20;

/// How long late acknowledgements are held back.
const HELD: Duration = Duration::from_millis(300);

/// What goes wrong. Each fault hits the first connection; the second behaves but for what the name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The broker forgets the session with everything unacknowledged in it.
    LostSession,
    /// It keeps the session, and acknowledges late on the second connection.
    LateAcks,
    /// It keeps the session, and acknowledges in reverse order.
    ReversedAcks,
    /// It never acknowledges the first message, all others, then forgets the session: packet ids collide.
    Collision,
    /// It accepts, then neither reads nor closes.
    HalfOpen,
    /// It acknowledges everything and delivers nothing: what full queues and dead receivers look like.
    AckedAndDropped,
    /// It sends a packet over the limit and drops what came in.
    Oversized,
}

const FAULTS: [Fault; 7] = [
    Fault::LostSession,
    Fault::LateAcks,
    Fault::ReversedAcks,
    Fault::Collision,
    Fault::HalfOpen,
    Fault::AckedAndDropped,
    Fault::Oversized,
];

/// What the receiver behind the broker got.
type Seen = Arc<Mutex<BTreeSet<u32>>>;

async fn broker(fault: Fault, seen: Seen) -> FakeBroker {
    FakeBroker::start(move |number, conn| {
        let seen = Arc::clone(&seen);
        async move { if number == 0 { fail(fault, conn).await } else { recover(fault, conn, &seen).await } }
    })
    .await
}

/// The first connection: reads more messages than the bare client's window, keeps none.
async fn fail(fault: Fault, mut conn: Conn) -> Option<()> {
    conn.accept(false).await?;
    let (mut read, mut first) = (0, None);
    let enough = if matches!(fault, Fault::Collision | Fault::AckedAndDropped) { 15 } else { 10 };
    while read < enough {
        match conn.read().await? {
            Sent::Subscribe { id, filters } => conn.suback(id, filters, 1).await?,
            Sent::Ping => conn.pong().await?,
            Sent::Publish { .. } if fault == Fault::HalfOpen => return conn.go_silent().await,
            Sent::Publish { .. } if fault == Fault::Oversized => {
                conn.publish(DOWN, &vec![0; 100_000]).await?;
                return conn.go_silent().await;
            }
            Sent::Publish { id, .. } => {
                read += 1;
                let first = *first.get_or_insert(id);
                if fault == Fault::AckedAndDropped || (fault == Fault::Collision && id != first) {
                    conn.ack(id).await?;
                }
            }
            _ => {}
        }
    }
    None
}

/// The second connection and all after it.
async fn recover(fault: Fault, mut conn: Conn, seen: &Seen) -> Option<()> {
    let kept = matches!(fault, Fault::LateAcks | Fault::ReversedAcks);
    conn.accept(kept).await?;
    let mut held = Vec::new();
    loop {
        let Ok(sent) = tokio::time::timeout(HELD, conn.read()).await else {
            if fault == Fault::ReversedAcks {
                held.reverse();
            }
            for id in held.drain(..) {
                conn.ack(id).await?;
            }
            continue;
        };
        match sent? {
            Sent::Publish { id, payload, .. } => {
                seen.lock().unwrap().insert(u32::from_be_bytes(payload[..4].try_into().unwrap()));
                if kept {
                    held.push(id)
                } else {
                    conn.ack(id).await?
                }
                conn.publish(DOWN, &payload).await?;
            }
            sent => answer(&mut conn, sent).await?,
        }
    }
}

/// The client as its examples have it: publish, poll, and poll again after an error.
async fn raw(fault: Fault) -> String {
    let seen = Seen::default();
    let broker = broker(fault, Arc::clone(&seen)).await;
    let mut options = MqttOptions::new("carrier", Broker::tcp("127.0.0.1", broker.addr.port()));
    let tls = TlsConfiguration::Rustls(Arc::clone(&broker.tls));
    options.set_transport(Transport::tls_with_config(tls)).set_clean_session(false).set_keep_alive(1).set_inflight(10);
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    let mut taken = 0;
    let publish = async {
        for id in 0..MESSAGES {
            client.publish(UP, id.to_be_bytes().to_vec(), PublishOptions::at_least_once()).await.unwrap();
            taken += 1;
        }
        std::future::pending::<()>().await;
    };
    let poll = async {
        while seen.lock().unwrap().len() < MESSAGES as usize {
            let _ = events.poll().await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(6), async {
        tokio::select! { () = publish => {} () = poll => {} }
    })
    .await;
    let lost = MESSAGES as usize - seen.lock().unwrap().len();
    format!("{lost} of {MESSAGES} never arrived ({taken} taken, {} connections)", broker.connections())
}

/// The link, with an owner that sends until answered: returns how many never were.
async fn ours(fault: Fault) -> usize {
    let broker = broker(fault, Seen::default()).await;
    run(settings(&broker), &broker).send_until_answered(MESSAGES).await
}

#[tokio::test]
async fn the_link_loses_nothing_where_the_bare_client_does() {
    let rows: Vec<_> =
        FAULTS.into_iter().map(|fault| (fault, tokio::spawn(raw(fault)), tokio::spawn(ours(fault)))).collect();
    let mut left = Vec::new();
    for (fault, raw, ours) in rows {
        let (raw, lost) = (raw.await.unwrap(), ours.await.unwrap());
        println!("{:<16} bare client: {raw:<60} link: {lost} of {MESSAGES} lost", format!("{fault:?}"));
        left.push((fault, lost));
    }
    assert_eq!(left, FAULTS.map(|fault| (fault, 0)));
}
