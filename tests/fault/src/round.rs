//! One round played: a world, its deliveries, the fault, and what came of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use waybill_crds::Delivery;
use waybill_e2e::{Namespace, eventually, in_namespace};
use waybill_protocol::{Trust, Uid};

use crate::domain::Somebody;
use crate::end::{self, End, MARKER};
use crate::fault::{self, Fault};
use crate::parcel::Parcel;
use crate::plan::Round;
use crate::world::follow::Following;
use crate::world::{Setting, World, cluster};

/// Everything ends by itself within this long after the fault was mended, however busy the machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// A fault strikes after this long even where the moment drawn for it does not come.
const LATEST: Duration = Duration::from_secs(20);
/// An undisturbed log that has not grown for so long has ended.
const STILL: Duration = Duration::from_millis(1_500);
/// Files of a round that failed.
const KEPT: &str = "WAYBILL_FAULT_KEEP";

/// The ends of undisturbed deliveries.
pub(crate) type Undisturbed = BTreeMap<Parcel, End>;

/// What came of one plan.
pub(crate) struct Outcome {
    /// From the moment everything was mended; zero where it had ended before. `None`: it never did.
    pub(crate) recovered: Option<Duration>,
    pub(crate) wrongs: Vec<String>,
}

/// What came of a round: of each of its deliveries, and of what the processes said.
pub(crate) struct Played {
    pub(crate) outcomes: Vec<Outcome>,
    /// Errors that services logged, with how often.
    pub(crate) errors: BTreeMap<String, usize>,
}

/// Somebody who plays it; a panic is an outcome too.
pub(crate) async fn play(round: Round, undisturbed: Arc<Undisturbed>) -> Played {
    let plans = round.parcels.len();
    let playing = tokio::spawn(async move { run(&round, &undisturbed).await });
    playing.await.unwrap_or_else(|why| {
        let said = |at: usize| if at == 0 { format!("the round ended: {why}") } else { "as the first".into() };
        let outcomes = (0..plans).map(|at| Outcome { recovered: None, wrongs: vec![said(at)] });
        Played { outcomes: outcomes.collect(), errors: BTreeMap::new() }
    })
}

/// What these deliveries come to when nobody disturbs them.
pub(crate) async fn undisturbed(parcels: BTreeSet<Parcel>) -> Undisturbed {
    let parcels: Vec<Parcel> = parcels.into_iter().collect();
    let round = &Round::undisturbed(parcels.clone());
    let mut ends = Undisturbed::new();
    let into = &mut ends;
    in_namespace("fault-undisturbed", &[], async move |namespace| {
        let (scene, _world) = Scene::set(namespace, round).await;
        scene.create(round).await;
        let names: Vec<String> = (0..parcels.len()).map(name).collect();
        let ended = join_all(names.iter().map(|name| scene.stands_still(name))).await;
        for (parcel, delivery) in parcels.into_iter().zip(ended) {
            let log = scene.read(&delivery);
            assert_eq!(end::wrongs(&delivery, &log), Vec::<String>::new(), "{parcel:?}\n{}", end::tell(&log));
            assert_eq!(delivery.phase(), parcel.destiny(), "{parcel:?}\n{}", end::tell(&log));
            into.insert(parcel, End::of(&log));
        }
    })
    .await;
    ends
}

async fn run(round: &Round, undisturbed: &Undisturbed) -> Played {
    let mut played = None;
    let into = &mut played;
    in_namespace(&format!("fault-{}", round.number), &[], async move |namespace| {
        let (mut scene, mut world) = Scene::set(namespace, round).await;
        let volumes: Vec<_> = round.faults().flat_map(|fault| fault::prepare(fault, &world)).collect();
        world.start().await;
        let (mended, ()) = tokio::join!(scene.disturb(round, &mut world), scene.create(round));
        scene.trust = world.trust();
        let ends = (0..round.parcels.len()).map(|at| scene.ends(at, round, undisturbed, mended));
        let mut outcomes = join_all(ends).await;
        for (at, outcome) in outcomes.iter_mut().enumerate() {
            outcome.wrongs.extend(scene.check(at, &world).await);
        }
        let about_all = about_everything(round, &scene, &mut world);
        outcomes[0].wrongs.extend(about_all);
        if outcomes.iter().any(|outcome| !outcome.wrongs.is_empty()) {
            keep(round, &world);
        }
        *into = Some(Played { outcomes, errors: errors(&world) });
        world.stop();
        drop(volumes);
    })
    .await;
    played.expect("the cluster is there: the reference was run in it")
}

pub(crate) fn name(at: usize) -> String {
    format!("parcel-{at}")
}

/// Those who watch and create; the hand that breaks has the world.
struct Scene {
    namespace: Namespace,
    following: Following,
    seller: Somebody,
    carriers: BTreeMap<String, Somebody>,
    trust: Trust,
}

impl Scene {
    /// A world with the carriers of a round and its orders. It runs only where nothing will break.
    async fn set(namespace: Namespace, round: &Round) -> (Self, World) {
        let mut carriers = BTreeMap::new();
        for (parcel, _) in &round.parcels {
            carriers.entry(parcel.carrier()).or_insert_with(|| parcel.character(round.pace));
        }
        let setting = Setting { sellers: round.sellers, carriers: carriers.into_values().collect() };
        let mut world = World::prepare(namespace.clone(), &setting).await;
        let names: Vec<String> = (0..round.parcels.len()).map(name).collect();
        world.orders(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        if round.fault == Fault::None {
            world.start().await;
        }
        let keys = world.agents.iter().map(|agent| (agent.character.name.clone(), agent.keys.clone()));
        let scene = Self {
            following: world.following.clone(),
            seller: world.seller.clone(),
            carriers: keys.collect(),
            trust: world.trust(),
            namespace,
        };
        (scene, world)
    }

    /// Every Delivery at its time; called off where that was drawn.
    async fn create(&self, round: &Round) {
        join_all(round.parcels.iter().enumerate().map(async |(at, (parcel, late))| {
            sleep(*late).await;
            let (name, carrier) = (name(at), parcel.carrier());
            let mut spec = parcel.spec();
            spec["upc"] = json!(name);
            spec["seller"] = json!("acme");
            spec["carrier"] = json!(carrier);
            cluster::deliver(&self.namespace, &spec, [&self.seller, &self.carriers[&carrier]]).await;
            if let Some(entries) = parcel.cancelled_after {
                // Where its log never grows so long, it is never called off.
                if timeout(LATEST, self.following.until_long(&name, entries)).await.is_ok() {
                    self.call_off(&name).await;
                }
            }
        }))
        .await;
    }

    async fn call_off(&self, name: &str) {
        let patch = Patch::Merge(json!({"spec": {"cancelled": {"reason": "recipientRequest"}}}));
        let (api, params) = (self.namespace.api::<Delivery>(), PatchParams::default());
        eventually("called off", DEADLINE, || api.patch(name, &params, &patch)).await;
    }

    /// Breaks and mends; answers with when that was done.
    async fn disturb(&self, round: &Round, world: &mut World) -> Instant {
        let focus = name(round.moment.parcel);
        let _ = timeout(LATEST, self.following.until_long(&focus, round.moment.entries)).await;
        sleep(round.moment.later).await;
        for fault in round.faults() {
            fault::inject(fault, world, &focus).await;
        }
        Instant::now()
    }

    /// Waits until one has come to the end it has undisturbed, or for too long.
    async fn ends(&self, at: usize, round: &Round, undisturbed: &Undisturbed, mended: Instant) -> Outcome {
        let parcel = &round.parcels[at].0;
        let (name, expected) = (name(at), &undisturbed[&parcel.kept()]);
        let fits = |end: &End| match parcel.cancelled_after {
            Some(_) => end.may_follow_cancellation(expected),
            None => end == expected,
        };
        let holds = |delivery: &Delivery| {
            let log = self.read(delivery);
            end::is_over(&log) && fits(&End::of(&log))
        };
        if timeout_at(mended + DEADLINE, self.following.until(&name, holds)).await.is_ok() {
            return Outcome { recovered: Some(mended.elapsed()), wrongs: Vec::new() };
        }
        let found = self.following.get(&name).map(|delivery| self.read(&delivery));
        let told = found.map_or_else(|| "  nothing\n".to_owned(), |log| end::tell(&log));
        let wrong = format!("{DEADLINE:?} later not at its end {expected:?}; its log:\n{told}");
        Outcome { recovered: None, wrongs: vec![wrong] }
    }

    /// What must never be, in a Delivery as the API server has it now.
    async fn check(&self, at: usize, world: &World) -> Vec<String> {
        let (api, name) = (self.namespace.api::<Delivery>(), name(at));
        let delivery = eventually("the API server answers", DEADLINE, || api.get(&name)).await;
        let log = self.read(&delivery);
        let mut wrongs = end::wrongs(&delivery, &log);
        wrongs.extend(end::missing_photos(&log, &world.at("api/photos")));
        if !wrongs.is_empty() {
            wrongs.push(format!("its log:\n{}", end::tell(&log)));
        }
        wrongs
    }

    async fn stands_still(&self, name: &str) -> Arc<Delivery> {
        let still = async {
            let mut length = 1;
            loop {
                let delivery = self.following.until(name, |delivery| end::is_over(&self.read(delivery))).await;
                length = length.max(crate::world::follow::length(&delivery));
                match timeout(STILL, self.following.until_long(name, length + 1)).await {
                    Ok(()) => length += 1,
                    Err(_) => return delivery,
                }
            }
        };
        let found = timeout(DEADLINE, still).await;
        found.unwrap_or_else(|_| {
            let found = self.following.get(name).map(|delivery| end::tell(&self.read(&delivery)));
            panic!("undisturbed, {name} did not end: {}", found.unwrap_or_default())
        })
    }

    fn read(&self, delivery: &Delivery) -> waybill_protocol::Log {
        let seller: &Uid = self.seller.signer.uid();
        waybill_cluster::custody::read(delivery, seller, &self.trust).unwrap()
    }
}

/// What is wrong with the world as a whole.
fn about_everything(round: &Round, scene: &Scene, world: &mut World) -> Vec<String> {
    let mut wrongs = scene.following.wrongs();
    for (who, said) in world.said() {
        if said.contains(MARKER) {
            wrongs.push(format!("{who} logged personal data"));
        }
        wrongs.extend(said.lines().filter(|line| line.contains("panicked")).map(|line| format!("{who}: {line}")));
    }
    if !round.faults().any(Fault::may_end_processes) {
        wrongs.extend(world.ended().into_iter().map(|who| format!("{who} ended by itself")));
    }
    wrongs
}

/// Lines at level error, without what differs from one to the next.
fn errors(world: &World) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (_, said) in world.said() {
        for line in said.lines().filter(|line| line.contains(r#""level":"ERROR""#)) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let (target, message) = (text(&line["target"]), text(&line["message"]));
            *found.entry(format!("{target}: {message} ({})", text(&line["error"]))).or_insert(0) += 1;
        }
    }
    found
}

/// Leaves what the processes said where somebody can read it.
fn keep(round: &Round, world: &World) {
    let folder = std::env::var(KEPT).map_or_else(|_| std::env::temp_dir().join("waybill-fault"), PathBuf::from);
    let folder = folder.join(format!("{}-{}", std::process::id(), round.number));
    std::fs::create_dir_all(&folder).unwrap();
    for (who, said) in world.said() {
        std::fs::write(folder.join(who), said).unwrap();
    }
    println!("  what the processes of round {} said is in {}", round.number, folder.display());
}
