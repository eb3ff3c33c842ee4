//! What sealing, signing and answering cost: messages through the services' own link and a real mosquitto, beside plain ones
//! through the same and beside what the cryptography alone would allow, all in one run.
//!
//! A message is what a part of an address is: sealed to the attempt's key, signed, answered by `Received`, which is signed and
//! sealed, too. It counts when its answer was opened.

mod ends;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use waybill_link::{Inbox, Link, LinkMetrics, Settings};

use crate::broker::{Authority, Mosquitto};
use crate::report::Report;
use crate::sample::Samples;
use ends::Pair;

/// As much as an address weighs.
const PAYLOAD: usize = 1024;
/// Under way at once: what a broker lets a receiver have unacknowledged, five times over.
const WINDOW: usize = 100;
const MESSAGES: usize = 4_000;
const ROUNDS: usize = 5;
/// Messages a second, and for how long, where the time of each counts.
const STEADY: usize = 1_000;
const SECONDS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    println!("sealed, signed and answered messages …");
    let authority = Authority::new("participants")?;
    let broker = Mosquitto::start(&authority)?;
    let pair = Arc::new(Pair::new());
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let mut seller = end(&authority, (broker.sellers, pair.seller_uid(), pair.to_seller()), &stop).await?;
    let carrier = end(&authority, (broker.carriers, pair.carrier_uid(), pair.to_carrier()), &stop).await?;
    let mut carrier = Some(carrier);
    let (mut plain, mut ceiling, mut sealed, mut lost) =
        (Samples::default(), Samples::default(), Samples::default(), 0);
    // In turn: others may be at work on this machine.
    for _ in 0..ROUNDS {
        plain.push(plainly(&pair, &seller.0, &mut carrier.as_mut().context("the carrier is gone")?.1).await?);
        let alone = Arc::clone(&pair);
        ceiling.push(tokio::task::spawn_blocking(move || cryptography(&alone)).await?);
        let (rate, missing) = sealed_and_answered(&pair, &mut seller, &mut carrier).await?;
        sealed.push(rate);
        lost += missing;
    }
    report.line("plain messages of 1 KiB, QoS 1, the same link and mosquitto", plain.show("/s"));
    report.line("what the cryptography of both ends allows on two cores", ceiling.show("/s"));
    report.line("sealed, signed and answered messages of 1 KiB", sealed.show("/s"));
    let bar = plain.median().min(ceiling.median());
    report.at_least("… of the lower of both", sealed.median() / bar, 0.60, "×");
    let (times, late) = steadily(&pair, &mut seller, &mut carrier).await?;
    report.line(
        &format!("at {STEADY} messages a second: until the answer is opened, p50"),
        format!("{:.2} ms", times.quantile(0.50)),
    );
    report.at_most("… p99", times.quantile(0.99), 3.0, "ms");
    report.lost("sealed messages without an answer", lost + late, ROUNDS * MESSAGES + STEADY * SECONDS);
    Ok(())
}

type End = (Link, Inbox);

/// A session at the broker, as a service has it.
async fn end(
    authority: &Authority,
    (broker, uid, filter): (std::net::SocketAddr, &str, String),
    stop: &CancellationToken,
) -> Result<End> {
    let settings = Settings::new(&broker.to_string(), uid)?.subscribe([filter]);
    let (tls, following) = watch::channel(authority.client(uid)?);
    let (link, inbox, driver) = waybill_link::link(settings, following, LinkMetrics::default())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        driver.run(stop).await;
        drop(tls);
    });
    let mut connected = link.connected();
    tokio::time::timeout(PATIENCE, connected.wait_for(|up| *up)).await.context("no session")??;
    Ok((link, inbox))
}

/// One way, and the broker's acknowledgement: what MQTT alone does.
async fn plainly(pair: &Pair, seller: &Link, carrier: &mut Inbox) -> Result<f64> {
    let (topic, payload) = (pair.down(0), vec![0x5a_u8; PAYLOAD]);
    let start = Instant::now();
    let sending = async {
        for _ in 0..MESSAGES {
            seller.publish(&topic, payload.clone()).await?;
        }
        anyhow::Ok(())
    };
    let receiving = async {
        for _ in 0..MESSAGES {
            carrier.recv().await.context("the session ended")?;
        }
        anyhow::Ok(())
    };
    let both = async { tokio::try_join!(sending, receiving) };
    tokio::time::timeout(PATIENCE, both).await.context("plain messages were lost")??;
    Ok(MESSAGES as f64 / start.elapsed().as_secs_f64())
}

/// Both ends' work on as many messages, without a network: one end a thread, each busy with its own half.
fn cryptography(pair: &Pair) -> f64 {
    const EACH: usize = 2_000;
    let (mut seller, mut carrier) = (pair.seller(1), pair.carrier(2));
    let downs: Vec<_> = (0..EACH).map(|number| seller.says(number)).collect();
    let ups: Vec<_> = downs.iter().enumerate().map(|(number, down)| carrier.answers(number, down)).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (number, up) in ups.iter().enumerate() {
                std::hint::black_box(seller.says(number));
                std::hint::black_box(seller.hears(number, up));
            }
        });
        scope.spawn(|| {
            for (number, down) in downs.iter().enumerate() {
                std::hint::black_box(carrier.answers(number, down));
            }
        });
    });
    EACH as f64 / start.elapsed().as_secs_f64()
}

/// Messages a second, and how many were not answered.
async fn sealed_and_answered(pair: &Arc<Pair>, seller: &mut End, carrier: &mut Option<End>) -> Result<(f64, usize)> {
    let start = Instant::now();
    let (answered, took) = talk(pair, seller, carrier, MESSAGES, move |_| start).await?;
    Ok((MESSAGES as f64 / took.as_secs_f64(), MESSAGES - answered.len()))
}

/// Milliseconds from when each message was due until its answer was opened, however late it left.
async fn steadily(pair: &Arc<Pair>, seller: &mut End, carrier: &mut Option<End>) -> Result<(Samples, usize)> {
    let (count, start) = (STEADY * SECONDS, Instant::now() + Duration::from_millis(10));
    let due = move |number: usize| start + Duration::from_secs_f64(number as f64 / STEADY as f64);
    let (answered, _) = talk(pair, seller, carrier, count, due).await?;
    let late = count - answered.len();
    Ok((answered.into_iter().map(|(number, at)| (at - due(number)).as_secs_f64() * 1000.0).collect(), late))
}

/// Sends `count` messages, each when it is due and there is room, until all are answered or patience ends. The carrier is a task of its
/// own, as it is a process of its own.
async fn talk(
    pair: &Arc<Pair>,
    seller: &mut End,
    carrier: &mut Option<End>,
    count: usize,
    due: impl Fn(usize) -> Instant + Send + 'static,
) -> Result<(Vec<(usize, Instant)>, Duration)> {
    let (enough, over) = oneshot::channel();
    let mut ticks = metronome(count, due);
    let answering = tokio::spawn(answer(Arc::clone(pair), carrier.take().context("the carrier is gone")?, over));
    let mut sayer = pair.seller(3);
    let (down, ups) = seller;
    let (begun, mut sent, mut answered) = (Instant::now(), 0, Vec::with_capacity(count));
    let asking = async {
        while answered.len() < count {
            let room = sent - answered.len() < WINDOW;
            tokio::select! {
                biased;
                message = ups.recv() => {
                    let message = message.context("the session ended")?;
                    let number = pair.number(&message.topic, &message.payload)?;
                    ensure!(sayer.hears(number, &message.payload), "an answer to {number} does not open");
                    answered.push((number, Instant::now()));
                }
                Some(number) = ticks.recv(), if room => {
                    let frame = sayer.says(number);
                    down.publish(&pair.down(number), frame).await?;
                    sent += 1;
                }
            }
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(PATIENCE + Duration::from_secs(SECONDS as u64), asking).await {
        Ok(ended) => ended?,
        Err(_) => println!("  {} of {count} answered", answered.len()),
    }
    let took = begun.elapsed();
    drop(enough);
    *carrier = Some(answering.await??);
    Ok((answered, took))
}

/// Says each number when it is due. The runtime's own timers tick once a millisecond, which is as long as what is measured.
fn metronome(count: usize, due: impl Fn(usize) -> Instant + Send + 'static) -> mpsc::UnboundedReceiver<usize> {
    let (tick, ticks) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for number in 0..count {
            std::thread::sleep(due(number).saturating_duration_since(Instant::now()));
            if tick.send(number).is_err() {
                return;
            }
        }
    });
    ticks
}

/// Answers whatever comes until it is over.
async fn answer(pair: Arc<Pair>, (up, mut downs): End, mut over: oneshot::Receiver<()>) -> Result<End> {
    let mut answerer = pair.carrier(4);
    loop {
        tokio::select! {
            _ = &mut over => break,
            message = downs.recv() => {
                let message = message.context("the session ended")?;
                let number = pair.number(&message.topic, &message.payload)?;
                up.publish(&pair.up(number), answerer.answers(number, &message.payload)).await?;
            }
        }
    }
    Ok((up, downs))
}
