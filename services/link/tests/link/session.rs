//! What a session promises: granted subscriptions, order, back-pressure, limits, a good end, and a life after any broker.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Broker, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use waybill_link::{MAX_PAYLOAD, PublishError};

use crate::fake::{Conn, FakeBroker, Sent};
use crate::owner::{DOWN, UP, answer, run, serve, settings, soon, until};

/// Accepts, grants every subscription asked for before the first other packet, and returns that packet.
async fn come_up(conn: &mut Conn) -> Option<()> {
    conn.accept(false).await?;
    match conn.read().await? {
        Sent::Subscribe { id, filters } => conn.suback(id, filters, 1).await,
        other => panic!("expected SUBSCRIBE, got {other:?}"),
    }
}

#[tokio::test]
async fn a_refused_subscription_is_no_connection_and_is_asked_for_again() {
    let broker = FakeBroker::start(async |number, mut conn: Conn| {
        conn.accept(false).await?;
        loop {
            match conn.read().await? {
                Sent::Subscribe { id, filters } if number == 0 => conn.suback(id, filters, 0x80).await?,
                sent => answer(&mut conn, sent).await?,
            }
        }
    })
    .await;
    let running = run(settings(&broker), &broker);
    running.connected(true).await;
    assert_eq!((broker.connections(), running.metrics.lost(), running.metrics.sessions()), (2, 1, 1));
}

#[tokio::test]
async fn every_connection_subscribes_anew_whatever_the_broker_says_it_kept() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let broker = FakeBroker::start(move |number, mut conn: Conn| {
        let seen = Arc::clone(&seen);
        async move {
            conn.accept(false).await?;
            while let Some(sent) = conn.read().await {
                if let Sent::Subscribe { filters, .. } = sent {
                    seen.lock().unwrap().push((number, filters));
                }
                answer(&mut conn, sent).await?;
                if number < 2 {
                    return None;
                }
            }
            None
        }
    })
    .await;
    let filters = ["wb/+/c/+/down".to_owned(), "wb/other".to_owned()];
    let _running = run(settings(&broker).subscribe(filters), &broker);
    until("third SUBSCRIBE", || asked.lock().unwrap().len() >= 3).await;
    assert_eq!(*asked.lock().unwrap(), [(0, 2), (1, 2), (2, 2)]);
}

#[tokio::test]
async fn a_slow_owner_slows_the_broker_down_and_loses_nothing() {
    const WINDOW: u16 = 8;
    let broker = FakeBroker::start(async |_, mut conn: Conn| {
        come_up(&mut conn).await?;
        let mut acked = 0;
        for number in 0..500_u16 {
            conn.publish(DOWN, &number.to_be_bytes()).await?;
            while number + 1 - acked >= WINDOW {
                match conn.read().await? {
                    Sent::PubAck(_) => acked += 1,
                    Sent::Ping => conn.pong().await?,
                    other => panic!("unexpected {other:?}"),
                }
            }
        }
        conn.go_silent().await
    })
    .await;
    let mut settings = settings(&broker);
    settings.inbox = usize::from(WINDOW);
    settings.keep_alive = Duration::from_secs(30);
    let mut running = run(settings, &broker);
    for number in 0..500_u16 {
        let message = soon("message", running.inbox.recv()).await.unwrap();
        assert_eq!((message.topic.as_str(), &message.payload[..]), (DOWN, &number.to_be_bytes()[..]));
        tokio::task::yield_now().await;
    }
    assert_eq!(running.metrics.dropped(), 0);
}

#[tokio::test]
async fn a_broker_without_a_window_costs_counted_drops_and_not_the_connection() {
    const FLOOD: u64 = 1000;
    let broker = FakeBroker::start(async |_, mut conn: Conn| {
        come_up(&mut conn).await?;
        for _ in 0..FLOOD {
            conn.publish(DOWN, b"flood").await?;
        }
        loop {
            let sent = conn.read().await?;
            answer(&mut conn, sent).await?;
        }
    })
    .await;
    let mut settings = settings(&broker);
    settings.inbox = 16;
    let mut running = run(settings, &broker);
    running.connected(true).await;
    until("the flood dropped", || running.metrics.dropped() >= FLOOD - 16).await;
    for _ in 0..16 {
        soon("what fitted", running.inbox.recv()).await.unwrap();
    }
    // Still the same connection, still moving in both directions.
    running.link.try_publish(UP, "hello").unwrap();
    assert_eq!(&soon("answer", running.inbox.recv()).await.unwrap().payload[..], b"hello");
    assert_eq!((broker.connections(), running.metrics.lost()), (1, 0));
}

#[tokio::test]
async fn an_oversized_message_is_refused_and_the_next_one_passes() {
    let broker = FakeBroker::start(async |_, conn| serve(conn, false).await).await;
    let mut running = run(settings(&broker), &broker);
    running.connected(true).await;
    let refused = running.link.publish(UP, vec![0; MAX_PAYLOAD + 1]).await.unwrap_err();
    assert_eq!(refused, PublishError::TooLarge { size: MAX_PAYLOAD + 1, limit: MAX_PAYLOAD });
    running.link.publish(UP, vec![7; MAX_PAYLOAD]).await.unwrap();
    assert_eq!(soon("largest message", running.inbox.recv()).await.unwrap().payload.len(), MAX_PAYLOAD);
    assert_eq!((broker.connections(), running.metrics.lost()), (1, 0));
}

#[tokio::test]
async fn an_oversized_packet_from_the_broker_does_not_make_the_link_spin() {
    let broker = FakeBroker::start(async |_, mut conn: Conn| {
        come_up(&mut conn).await?;
        conn.publish(DOWN, b"before").await?;
        conn.publish(DOWN, &vec![0; 100_000]).await?;
        conn.go_silent().await
    })
    .await;
    let started = Instant::now();
    let mut running = run(settings(&broker), &broker);
    soon("four losses", async {
        while running.metrics.lost() < 4 {
            assert_eq!(&running.inbox.recv().await.unwrap().payload[..], b"before", "what came before it is good");
        }
    })
    .await;
    // Three pauses of at least a third of 0.5, 1 and 2 s lie between four losses; the bare client has none.
    assert!(started.elapsed() > Duration::from_millis(1150), "{:?}", started.elapsed());
    let ours = broker.connections();
    assert!(ours <= 5, "{ours}");
    let spun = tokio::time::timeout(started.elapsed(), bare_client(&broker)).await;
    assert!(spun.is_err());
    println!(
        "oversized, for {:.1?}: link {ours} connections, bare client {}",
        started.elapsed() / 2,
        broker.connections() - ours
    );
}

/// The client as its examples have it: poll, and poll again after an error.
async fn bare_client(broker: &FakeBroker) {
    let mut options = MqttOptions::new("carrier", Broker::tcp("127.0.0.1", broker.addr.port()));
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(&broker.tls))));
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    loop {
        if let Ok(Event::Incoming(Packet::ConnAck(_))) = events.poll().await {
            client.try_subscribe(DOWN, QoS::AtLeastOnce).unwrap();
        }
    }
}

#[tokio::test]
async fn garbage_in_any_place_costs_a_connection_and_never_the_link() {
    let garbage: [&[u8]; 5] = [
        &[0xff; 64],                           // no packet at all
        &[0x20, 2, 0, 0x7f],                   // CONNACK with a code nobody knows
        &[0x20, 2, 1, 0],                      // a kept session nobody asked for
        &[0x90, 3, 0, 9, 1],                   // SUBACK for nothing
        &[0x32, 7, 0, 2, 0xc3, 0x28, 0, 1, 0], // PUBLISH whose topic is no text
    ];
    let count = garbage.len();
    let broker = FakeBroker::start(move |number, mut conn: Conn| async move {
        if number >= count {
            return serve(conn, false).await;
        }
        if number < 3 {
            conn.read().await?;
        } else {
            come_up(&mut conn).await?;
        }
        conn.write(garbage[number]).await?;
        conn.go_silent().await
    })
    .await;
    let mut running = run(settings(&broker), &broker);
    assert_eq!(running.send_until_answered(3).await, 0);
    assert_eq!(running.metrics.lost(), 5);
}

#[tokio::test]
async fn a_new_certificate_moves_the_link_to_a_new_connection_after_a_goodbye() {
    let goodbyes = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&goodbyes);
    let broker = FakeBroker::start(move |_, mut conn: Conn| {
        let seen = Arc::clone(&seen);
        async move {
            conn.accept(false).await?;
            loop {
                match conn.read().await? {
                    Sent::Disconnect => *seen.lock().unwrap() += 1,
                    sent => answer(&mut conn, sent).await?,
                }
            }
        }
    })
    .await;
    let mut running = run(settings(&broker), &broker);
    running.connected(true).await;
    let mut ready = running.link.ready();
    assert!(*ready.borrow_and_update());
    running.tls.send_replace(Arc::clone(&broker.tls));
    until("second session", || running.metrics.sessions() >= 2).await;
    assert!(!ready.has_changed().unwrap(), "nobody who asks whether it is ready sees it move");
    assert_eq!((*goodbyes.lock().unwrap(), broker.connections(), running.metrics.lost()), (1, 2, 0));
    assert_eq!(running.send_until_answered(3).await, 0);
    running.shutdown.cancel();
    soon("the driver's end", &mut running.driver).await.unwrap();
    until("second goodbye", || *goodbyes.lock().unwrap() >= 2).await;
    assert!(!*running.link.connected().borrow());
    assert_eq!(running.link.try_publish(UP, "x").unwrap_err(), PublishError::NotConnected);
}

#[tokio::test]
async fn a_broker_that_never_answers_connect_is_given_up() {
    let broker = FakeBroker::start(async |number, conn: Conn| match number {
        0 => conn.go_silent().await,
        _ => serve(conn, false).await,
    })
    .await;
    let mut settings = settings(&broker);
    settings.connect_timeout = Duration::from_secs(1);
    let running = run(settings, &broker);
    running.connected(true).await;
    assert_eq!(running.metrics.lost(), 1);
}

#[tokio::test]
async fn a_session_that_moves_is_missed_when_it_does_not_come_back_soon() {
    let broker = FakeBroker::start(async |number, conn: Conn| match number {
        1 => conn.go_silent().await,
        _ => serve(conn, false).await,
    })
    .await;
    let running = run(settings(&broker), &broker);
    running.connected(true).await;
    let mut ready = running.link.ready();
    running.tls.send_replace(Arc::clone(&broker.tls));
    soon("it is missed", ready.wait_for(|ready| !ready)).await.unwrap();
    soon("it is back", ready.wait_for(|ready| *ready)).await.unwrap();
    assert!(running.metrics.sessions() >= 2);
}
