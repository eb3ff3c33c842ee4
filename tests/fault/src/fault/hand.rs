//! Breaking things and mending them again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};
use waybill_e2e::node;

use super::{Between, Fault, Node, Part};
use crate::world::World;
use crate::world::process::Process;

/// Longer than a Lease lasts.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(18);
/// Entries of a log that are killed for, and how long one is waited for.
const STEPS: usize = 16;
const STEP: Duration = Duration::from_secs(30);
const EACH: [Part; 4] = [Part::Broker, Part::Sellers, Part::CarrierApi, Part::Agents];
/// Space of a volume that will be full.
const SMALL: &str = "size=8m";

/// Small volumes where one is to be full; unmounted with the value.
pub(crate) struct Volume(PathBuf);

impl Volume {
    fn mount(path: &Path) -> Self {
        run("mount", &["-t", "tmpfs", "-o", SMALL, "tmpfs", path.to_str().unwrap()]);
        Self(path.to_owned())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.0.to_str().unwrap()]);
    }
}

/// What has to be there before anything starts.
pub(crate) fn prepare(fault: Fault, world: &World) -> Vec<Volume> {
    match fault {
        Fault::PhotosFull { .. } => vec![Volume::mount(&world.at("api/photos"))],
        Fault::JournalsFull { .. } => {
            world.agents.iter().map(|agent| Volume::mount(&agent.home.join("journal"))).collect()
        }
        _ => Vec::new(),
    }
}

/// Breaks it, waits, mends it. `focus` is the delivery whose log says when, where that matters.
pub(crate) async fn inject(fault: Fault, world: &mut World, focus: &str) {
    match fault {
        Fault::None => {}
        Fault::Killed { part, away, times } => {
            for _ in 0..times {
                kill(part, world);
                sleep(away).await;
                start(part, world);
                // It gets some way before it is killed again.
                sleep(if times > 1 { away } else { Duration::ZERO }).await;
            }
        }
        Fault::KilledAtEachStep { part } => {
            for entries in 1..=STEPS {
                // Where it never grows so long, there is nothing more to kill for.
                if timeout(STEP, world.following.clone().until_long(focus, entries)).await.is_err() {
                    return;
                }
                kill(part, world);
                start(part, world);
            }
        }
        Fault::Frozen { part, away } => frozen(part, away, world).await,
        Fault::Cut { between, away, percent } => {
            let _wall = Wall::raise(between, percent, world);
            sleep(away).await;
        }
        Fault::BrokerWiped { away } => {
            world.broker.kill();
            std::fs::remove_dir_all(world.at("broker/run")).unwrap();
            sleep(away).await;
            std::fs::create_dir_all(world.at("broker/run")).unwrap();
            world.write_identities().await;
            world.broker.start();
        }
        Fault::LeafsRotated { broker_restarts } => {
            world.write_identities().await;
            reload(broker_restarts, world);
        }
        Fault::AuthorityRotated { broker_restarts } => {
            world.rotate_authority().await;
            reload(broker_restarts, world);
        }
        Fault::KeysRotated { agents_restart } => {
            world.rotate_keys().await;
            if agents_restart {
                kill(Part::Agents, world);
                start(Part::Agents, world);
            }
        }
        Fault::JournalLost { away } => {
            kill(Part::Agents, world);
            for agent in &world.agents {
                empty(&agent.home.join("journal"));
            }
            sleep(away).await;
            start(Part::Agents, world);
        }
        Fault::TwoHolders => frozen(Part::Seller, LONGER_THAN_A_LEASE, world).await,
        Fault::NodeKilled { part } => node::kill(name(part)),
        Fault::NodeFrozen { part, away } => node_frozen(part, away).await,
        Fault::PhotosFull { away } => full(&[world.at("api/photos")], away).await,
        Fault::JournalsFull { away, agents_killed } => {
            let journals: Vec<PathBuf> = world.agents.iter().map(|agent| agent.home.join("journal")).collect();
            if agents_killed {
                tokio::join!(full(&journals, away), async {
                    sleep(away / 3).await;
                    kill(Part::Agents, world);
                    start(Part::Agents, world);
                });
            } else {
                full(&journals, away).await;
            }
            // An agent that cannot write may end; whoever runs it starts it again.
            start(Part::Agents, world);
        }
    }
}

/// New files are read at the broker's signal; live sessions stay, so restarting it is what shows new leafs.
fn reload(restarts: bool, world: &mut World) {
    if restarts {
        kill(Part::Broker, world);
        start(Part::Broker, world);
    } else {
        kill_process(world.broker.pid(), Signal::HUP).unwrap();
    }
}

fn kill(part: Part, world: &mut World) {
    match part {
        Part::Broker => world.broker.kill(),
        Part::Seller => world.sellers[0].kill(),
        Part::Sellers => world.sellers.iter_mut().for_each(Process::kill),
        Part::CarrierApi => world.carrier_api.kill(),
        Part::Agents => world.agents.iter_mut().for_each(|agent| agent.process.kill()),
        Part::All => EACH.into_iter().for_each(|part| kill(part, world)),
    }
}

fn start(part: Part, world: &mut World) {
    match part {
        Part::Broker => world.broker.start(),
        Part::Seller => world.sellers[0].start(),
        Part::Sellers => world.sellers.iter_mut().for_each(Process::start),
        Part::CarrierApi => world.carrier_api.start(),
        Part::Agents => world.agents.iter_mut().for_each(|agent| agent.process.start()),
        Part::All => EACH.into_iter().for_each(|part| start(part, world)),
    }
}

async fn frozen(part: Part, away: Duration, world: &World) {
    signal(part, Signal::STOP, world);
    sleep(away).await;
    signal(part, Signal::CONT, world);
}

fn signal(part: Part, what: Signal, world: &World) {
    let processes: Vec<_> = match part {
        Part::Broker => vec![],
        Part::Seller => vec![&world.sellers[0]],
        Part::Sellers => world.sellers.iter().collect(),
        Part::CarrierApi => vec![&world.carrier_api],
        Part::Agents => world.agents.iter().map(|agent| &agent.process).collect(),
        Part::All => {
            let agents = world.agents.iter().map(|agent| &agent.process);
            world.sellers.iter().chain([&world.carrier_api]).chain(agents).collect()
        }
    };
    processes.into_iter().for_each(|process| process.signal(what));
    if matches!(part, Part::Broker | Part::All) {
        kill_process(world.broker.pid(), what).unwrap();
    }
}

/// Rules of the machine's own network by which packets vanish; gone with the value.
struct Wall(String);

impl Wall {
    fn raise(between: Between, percent: u32, world: &World) -> Self {
        let ports = &world.broker.ports;
        let (sellers, carriers, api) = (ports.sellers.port(), ports.carriers.port(), world.carrier_api_at.port());
        let cut: Vec<u16> = match between {
            Between::SellersAndBroker => vec![sellers],
            Between::AgentsAndBroker => vec![carriers],
            Between::AgentsAndCarrierApi => vec![api],
            Between::AgentsAndAll => vec![carriers, api],
            Between::Everybody => vec![sellers, carriers, api],
        };
        let name = format!("waybill-fault-{:08x}", rand::random::<u32>());
        let some = if percent < 100 { format!("numgen random mod 100 < {percent} ") } else { String::new() };
        let (ip, ports) = (world.ip, cut.iter().map(u16::to_string).collect::<Vec<_>>().join(", "));
        // Where packets arrive: whoever sends believes that they left.
        let rules = format!(
            "table ip {name} {{ chain input {{ type filter hook input priority 0; \
             ip daddr {ip} tcp dport {{ {ports} }} {some}drop; ip saddr {ip} tcp sport {{ {ports} }} {some}drop; }}; }}"
        );
        run("nft", &[&rules]);
        Self(name)
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        run("nft", &["delete", "table", "ip", &self.0]);
    }
}

fn empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }
}

/// Not one byte more goes in.
async fn full(folders: &[PathBuf], away: Duration) {
    for folder in folders {
        let filler = folder.join(".filler");
        // It ends by itself when there is no room; that is the point.
        let mut file = std::fs::File::create(&filler).unwrap();
        let block = [0_u8; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
    sleep(away).await;
    folders.iter().for_each(|folder| std::fs::remove_file(folder.join(".filler")).unwrap());
}

const fn name(part: Node) -> &'static str {
    match part {
        Node::ApiServer => "kube-apiserver",
        Node::Etcd => "etcd",
    }
}

async fn node_frozen(part: Node, away: Duration) {
    let pid = node::pid(name(part));
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    sleep(away).await;
    // Where the node's own watchdog was faster, there is a new one.
    let _ = kill_process(pid, Signal::CONT);
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
