//! Whatever a broker does, nobody believes a word that was not said; every refusal is counted; and what was said arrives.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use waybill_crds::{Delivery, Phase};
use waybill_e2e::{Namespace, eventually, in_namespace};
use waybill_protocol::{Direction, Role, Topic};

use super::broker::{HostileBroker, Mood, Passing};
use super::forge::{Forger, WAYS};
use super::tally::Tally;
use crate::domain::Ca;
use crate::world::files::Authorities;
use crate::world::{Character, Setting, World, cluster};

/// More than any machine needs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Frames that nobody may believe, in the test that counts them one by one.
const TAMPERED: u64 = 100_000;
const ROUNDS: usize = 8;
/// The last carrier works with the broker.
const CARRIERS: [&str; 3] = ["truck-7", "drone-1", "truck-8"];
/// UPC and carrier.
const DELIVERIES: [(&str, usize); 6] =
    [("upc-1", 0), ("upc-2", 1), ("upc-3", 0), ("upc-4", 1), ("upc-5", 0), ("upc-6", 2)];

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_thousand_tampered_frames_none_is_believed_and_every_one_is_counted() {
    in_namespace("hostile-count", &[], async |namespace| {
        let mut scene = Scene::set(namespace, "count").await;
        let gate = scene.gate();
        scene.begin().await;
        scene.thief_is_done().await;
        let (mut sent, mut reasons) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
        let started = Instant::now();
        for round in 0..ROUNDS {
            // A few words get through, so that every stage of a delivery is attacked.
            gate.release(&scene.broker, 14);
            scene.quiet().await;
            for way in WAYS {
                let batch = TAMPERED.div_ceil(u64::try_from(WAYS.len() * ROUNDS).unwrap()) + 40;
                for (reason, count) in scene.refused(way, batch, &mut sent).await {
                    *reasons.entry(reason).or_default() += count;
                }
            }
            let phases = DELIVERIES.map(|(upc, _)| scene.world.following.get(upc).map(|d| d.phase().to_string()));
            let phases = phases.map(Option::unwrap_or_default).join(" ");
            println!("round {round}: {} tampered frames after {:?}: {phases}", sum(&sent), started.elapsed());
        }
        println!("tampered {}, believed 0; by way {sent:?}; dropped by reason {reasons:?}", sum(&sent));
        assert!(sum(&sent) >= TAMPERED, "{}", sum(&sent));
        assert_eq!(sum(&reasons), sum(&sent));
        assert!(sent.values().all(|count| *count > 500), "every way was tried: {sent:?}");
        // The control: a frame that nobody touched, put before its receiver by the same hand, is believed.
        assert_eq!(gate.release_one_counted(&mut scene).await, 1, "one honest frame more, one believed more");
        gate.open(&scene.broker);
        scene.all_arrive().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_tampered_frames_the_honest_ones_get_through_and_every_delivery_ends() {
    in_namespace("hostile-between", &[], async |namespace| {
        let mut scene = Scene::set(namespace, "between").await;
        let (sent, honest) = (Counter::default(), Counter::default());
        scene.broker.set(scene.surrounding(60, &sent, &honest));
        scene.begin().await;
        scene.all_arrive().await;
        let (tampered, said, believed, refused) = eventually("every frame is counted once", PATIENCE, async || {
            // Agents still say something now and then.
            let (tampered, said) = (sent.take(), honest.take());
            let tallies = scene.tallies().await;
            let believed: u64 = tallies.values().map(|tally| tally.believed).sum();
            let refused: u64 = tallies.values().map(Tally::refused).sum();
            let told = format!("{tampered} tampered and {said} honest; {believed} believed and {refused} refused");
            if believed + refused == tampered + said { Ok((tampered, said, believed, refused)) } else { Err(told) }
        })
        .await;
        println!("{tampered} tampered and {said} honest frames; {believed} believed, {refused} refused");
        // A frame of a delivery that is over is refused, too: never more are believed than were honest.
        assert!(believed <= said && refused >= tampered && tampered > 3000);
    })
    .await;
}

/// D-46: at least once, in any order, is enough; twice does nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_repeated_delayed_and_overtaken_frames_change_nothing_of_how_it_ends() {
    in_namespace("hostile-order", &[], async |namespace| {
        let mut scene = Scene::set(namespace, "order").await;
        scene.broker.set(disorder(scene.seed));
        scene.begin().await;
        scene.all_arrive().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_without_regard_for_anybodys_window_is_counted_to_the_last_frame_and_stops_nobody() {
    in_namespace("hostile-flood", &[], async |namespace| {
        let mut scene = Scene::set(namespace, "flood").await;
        let gate = scene.gate();
        scene.begin().await;
        scene.thief_is_done().await;
        gate.release(&scene.broker, 6);
        scene.quiet().await;
        let before = scene.tallies().await;
        let captured = scene.broker.captured();
        let mut thrown = BTreeMap::<String, u64>::new();
        for number in 0..30_000 {
            let direction = if number % 2 == 0 { Direction::Down } else { Direction::Up };
            let Some(frame) = scene.forger.tamper("junk", &captured, direction) else { continue };
            assert!(scene.broker.throw(&frame));
            *thrown.entry(frame.to).or_default() += 1;
        }
        let dropped = scene.decided("junk", &before, &thrown).await;
        for (uid, count) in &thrown {
            assert_eq!((dropped[uid].believed, dropped[uid].refused()), (0, *count), "{:?}", dropped[uid]);
        }
        println!("thrown {thrown:?}: {dropped:?}");
        gate.open(&scene.broker);
        scene.all_arrive().await;
    })
    .await;
}

// === helpers ===

/// A world whose broker is hostile, and a forger at work in it.
struct Scene {
    world: World,
    broker: HostileBroker,
    forger: Forger,
    seed: u64,
}

impl Scene {
    async fn set(namespace: Namespace, test: &str) -> Self {
        let seed = seed();
        println!("{test}: WAYBILL_FAULT_SEED={seed}");
        cluster::define(&namespace.client).await;
        let character = |name: &str| Character { camera: name.starts_with("drone"), ..Character::plain(name) };
        let setting = Setting { sellers: 1, carriers: CARRIERS.map(character).to_vec() };
        let mut world = World::prepare(namespace, &setting).await;
        world.orders(&DELIVERIES.map(|(upc, _)| upc)).await;
        let authorities =
            Authorities { issuer: world.authorities.last().unwrap(), all: world.authorities.iter().collect() };
        let (certificate, key) = authorities.leaf("broker", world.ip);
        let broker = HostileBroker::start(world.ip, (&certificate, &key), &world.bundle()).await;
        (world.routes.sellers, world.routes.carriers) = (broker.addr, broker.addr);
        // Whoever has an authority of its own can state anything, to nobody's belief.
        let seller = world.seller.signer.statement();
        let impostor = Ca::new().somebody(Role::Seller, &seller.namespace.to_string(), "acme", seller.uid.as_str());
        let parties: Vec<_> = world.agents.iter().map(|agent| &agent.keys).chain([&world.seller]).collect();
        let thief = world.agents.last().unwrap().keys.clone();
        let forger = Forger::new(seed, thief, impostor.signer, &parties);
        Self { world, broker, forger, seed }
    }

    /// Everything runs, and everything is ordered.
    async fn begin(&mut self) {
        self.world.start().await;
        for (upc, carrier) in DELIVERIES {
            self.world.deliver(upc, carrier, json!({})).await;
        }
    }

    /// Holds back what the honest say until it is told otherwise.
    fn gate(&self) -> Gate {
        let gate = Gate::default();
        let (held, thief) = (Arc::clone(&gate.0), self.thief());
        self.broker.set(Box::new(move |frame| {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let ours = frame.topic.contains(&format!("/{thief}/"));
            match held.as_mut().filter(|_| !ours) {
                Some(held) => {
                    held.push_back(frame);
                    Vec::new()
                }
                None => vec![frame],
            }
        }));
        gate
    }

    fn thief(&self) -> String {
        self.world.agents.last().unwrap().keys.signer.uid().to_string()
    }

    /// Each honest frame goes its way between tampered ones.
    fn surrounding(&self, each: usize, sent: &Counter, honest: &Counter) -> Mood {
        let (mut forger, mut captured) = (self.forger.twin(self.seed), Vec::new());
        let (sent, honest, mut rng) = (sent.clone(), honest.clone(), StdRng::seed_from_u64(self.seed));
        Box::new(move |frame| {
            captured.push(frame.clone());
            let mut outcome = vec![frame];
            honest.add(1);
            for _ in 0..each {
                let way = WAYS[rng.random_range(0..WAYS.len())];
                let direction = if rng.random() { Direction::Down } else { Direction::Up };
                let Some(tampered) = forger.tamper(way, &captured, direction) else { continue };
                let place = rng.random_range(0..=outcome.len());
                outcome.insert(place, tampered);
                sent.add(1);
            }
            outcome
        })
    }

    /// Where each participant shows what it counted, by its uid.
    fn pages(&self) -> BTreeMap<String, String> {
        let agents = self.world.agents.iter();
        let agents = agents.map(|agent| (agent.keys.signer.uid().to_string(), agent.process.page("/metrics")));
        let seller = (self.world.seller.signer.uid().to_string(), self.world.sellers[0].page("/metrics"));
        agents.chain([seller]).collect()
    }

    async fn tallies(&self) -> BTreeMap<String, Tally> {
        let mut tallies = BTreeMap::new();
        for (uid, page) in self.pages() {
            tallies.insert(uid, Tally::of(&page).await);
        }
        tallies
    }

    /// Waits until nothing is on its way and nothing is being decided about.
    async fn quiet(&self) {
        let before = RefCell::new(BTreeMap::new());
        eventually("everybody has taken everything", PATIENCE, async || {
            let now = self.tallies().await;
            let taken = now.keys().all(|uid| self.broker.has_taken_all(uid));
            let still = before.replace(now.clone()) == now;
            if taken && still { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }

    /// What each has decided since, once that is as much as was sent.
    async fn decided(
        &self,
        what: &str,
        before: &BTreeMap<String, Tally>,
        sent: &BTreeMap<String, u64>,
    ) -> BTreeMap<String, Tally> {
        eventually("every frame is decided about", PATIENCE, async || {
            let now = self.tallies().await;
            let since: BTreeMap<_, _> =
                now.iter().map(|(uid, tally)| (uid.clone(), tally.since(&before[uid]))).collect();
            // An agent first counts that a frame came, then that it was not believed.
            let done = sent.iter().all(|(uid, count)| since[uid].refused() >= *count);
            if done { Ok(since) } else { Err(format!("{what}: sent {sent:?}, counted {since:?}")) }
        })
        .await
    }

    /// Puts a batch of frames tampered with in one way before everybody; answers with the reasons they were dropped for.
    async fn refused(
        &mut self,
        way: &'static str,
        batch: u64,
        total: &mut BTreeMap<&'static str, u64>,
    ) -> BTreeMap<String, u64> {
        let (captured, before) = (self.broker.captured(), self.tallies().await);
        let mut sent = BTreeMap::<String, u64>::new();
        for number in 0..batch {
            let direction = if number % 2 == 0 { Direction::Down } else { Direction::Up };
            let Some(frame) = self.forger.tamper(way, &captured, direction) else { continue };
            assert!(self.broker.inject(&frame), "{} is connected", frame.to);
            *sent.entry(frame.to).or_default() += 1;
        }
        *total.entry(way).or_default() += sent.values().sum::<u64>();
        let mut reasons = BTreeMap::new();
        for (uid, tally) in
            self.decided(way, &before, &sent).await.into_iter().filter(|(uid, _)| sent.contains_key(uid))
        {
            assert_eq!((tally.believed, tally.refused()), (0, sent[&uid]), "{way}: {tally:?} (seed {})", self.seed);
            for (reason, count) in tally.dropped {
                *reasons.entry(reason).or_default() += count;
            }
        }
        reasons
    }

    /// Waits until a delivery is over, and what was secret of it erased.
    async fn arrives(&self, upc: &str) -> Arc<Delivery> {
        let arrived = self.world.following.until(upc, |delivery| {
            let mut custody = delivery.status.iter().flat_map(|status| &status.custody);
            delivery.phase() == Phase::Delivered && custody.any(|entry| entry.event == "Erased")
        });
        let Ok(delivery) = tokio::time::timeout(PATIENCE, arrived).await else {
            let seen = self.world.following.get(upc).map(|delivery| delivery.status.clone());
            panic!("{upc} never arrived (seed {}): {seen:?}", self.seed);
        };
        delivery
    }

    /// Nobody holds back what the thief says and hears: it has to be over before anything is counted.
    async fn thief_is_done(&self) {
        let (upc, _) = DELIVERIES.into_iter().find(|(_, carrier)| *carrier + 1 == CARRIERS.len()).unwrap();
        self.arrives(upc).await;
        self.quiet().await;
    }

    /// Every delivery ends as it does when nobody disturbs it, with a log that is genuine throughout.
    async fn all_arrive(&self) {
        for (upc, carrier) in DELIVERIES {
            let delivery = self.arrives(upc).await;
            let log = self.world.read(&delivery);
            let words = log.entries().iter().map(|entry| {
                assert!(entry.verdict().counts(), "{upc}: {:?}", entry.verdict());
                entry.event().unwrap().event().kind().to_string()
            });
            let mut words: Vec<_> = words.filter(|word| word != "ProofAttached").collect();
            words.dedup_by(|later, earlier| later == "Erased" && earlier == "Erased");
            assert_eq!(words, undisturbed(CARRIERS[carrier].starts_with("drone")), "{upc}");
        }
        assert_eq!(self.world.following.wrongs(), Vec::<String>::new());
    }
}

/// The log of a delivery, but for the photo, which comes when it comes.
fn undisturbed(camera: bool) -> Vec<&'static str> {
    let mut words = vec!["Accepted", "HandedOver", "PickedUp", "Released", "Posted", "Released"];
    words.extend(camera.then_some("Scanned"));
    words.extend(["Posted", "Released", "Delivered", "Erased"]);
    words
}

/// What is held back; nothing once it is open.
#[derive(Clone)]
struct Gate(Arc<Mutex<Option<VecDeque<Passing>>>>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(VecDeque::new()))))
    }
}

impl Gate {
    /// The oldest go their way now.
    fn release(&self, broker: &HostileBroker, count: usize) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_mut().unwrap();
        let going: Vec<_> = held.drain(..count.min(held.len())).collect();
        for frame in &going {
            broker.inject(frame);
        }
    }

    /// Lets one frame go and says how many more are believed for it.
    async fn release_one_counted(&self, scene: &mut Scene) -> u64 {
        scene.quiet().await;
        let frame = eventually("something is held back", PATIENCE, async || {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Of what went down, for an agent answers to that: whatever is said is said again until it is answered.
            let held = held.as_mut().unwrap();
            let is_down = |frame: &Passing| frame.topic.parse::<Topic>().is_ok_and(|t| t.direction == Direction::Down);
            held.iter().rposition(is_down).and_then(|at| held.remove(at)).ok_or("nothing")
        })
        .await;
        let before = scene.tallies().await;
        assert!(scene.broker.inject(&frame));
        scene.quiet().await;
        scene.tallies().await[&frame.to].since(&before[&frame.to]).believed
    }

    /// Everything goes its way from now on.
    fn open(&self, broker: &HostileBroker) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        for frame in held.into_iter().flatten() {
            broker.inject(&frame);
        }
    }
}

/// Some frames are lost, some come twice, some much later, some before those they followed.
fn disorder(seed: u64) -> Mood {
    let (mut rng, mut late) = (StdRng::seed_from_u64(seed), Vec::new());
    Box::new(move |frame| {
        let mut outcome = Vec::new();
        match rng.random_range(0..10) {
            0..3 => {}
            3..5 => late.push(frame),
            5..7 => outcome.extend([frame.clone(), frame.clone(), frame.clone()]),
            _ => outcome.push(frame.clone()),
        }
        // What was late comes in no order, and sometimes again.
        while !late.is_empty() && rng.random_range(0..3) > 0 {
            let at = rng.random_range(0..late.len());
            let again = rng.random_range(0..4) == 0;
            outcome.push(if again { late[at].clone() } else { late.swap_remove(at) });
        }
        outcome
    })
}

#[derive(Clone, Default)]
struct Counter(Arc<std::sync::atomic::AtomicU64>);

impl Counter {
    fn add(&self, count: u64) {
        self.0.fetch_add(count, std::sync::atomic::Ordering::SeqCst);
    }

    fn take(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// The one that is set, to do it again; or a new one.
fn seed() -> u64 {
    std::env::var("WAYBILL_FAULT_SEED").ok().map_or_else(rand::random, |text| text.parse().unwrap())
}

fn sum<K>(counts: &BTreeMap<K, u64>) -> u64 {
    counts.values().sum()
}
