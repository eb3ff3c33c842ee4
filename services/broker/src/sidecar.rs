//! The loop: look at the inputs, write files, tell the broker, end sessions. It decides nothing; [`Held`] and
//! [`Takeovers`] do.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use waybill_chassis::probes::{Gate, Probes};
use waybill_chassis::telemetry::report;

use crate::args::BrokerArgs;
use crate::console::{Console, Error as ConsoleError};
use crate::files::{self, Changed, Folder};
use crate::held::{Findings, Held, Part};
use crate::inputs::Inputs;
use crate::metrics::BrokerMetrics;
use crate::process::{BrokerProcess, Order};
use crate::takeover::Takeovers;
use crate::trust::Trust;

/// How often the broker's process is looked at, and what could not be used or told is tried again.
const TICK: Duration = Duration::from_secs(1);

/// How often everything is judged anew though nothing changed: lists end by themselves.
const REVIEW: Duration = Duration::from_secs(15);

/// Take-overs at the same time; each is one handshake.
const AT_ONCE: usize = 16;

/// The gate of its own folder; each part has one of its own.
pub(crate) const FILES: &str = "files";

/// Everything the loop holds.
pub(crate) struct Sidecar {
    args: BrokerArgs,
    held: Held,
    folder: Folder,
    process: BrokerProcess,
    seen: BTreeSet<i32>,
    /// What the broker does not know yet.
    untold: Option<Order>,
    takeovers: Takeovers,
    running: JoinSet<(String, Result<(), ConsoleError>)>,
    console: watch::Sender<Option<Console>>,
    gates: [Gate; Part::ALL.len()],
    files_gate: Gate,
    metrics: BrokerMetrics,
    /// Since when something older than the offered is in use.
    behind: Option<Instant>,
    said: BTreeSet<String>,
    reviewed: Instant,
}

impl Sidecar {
    /// Opens the folder and takes over what an earlier run left in it.
    pub(crate) fn open(
        args: BrokerArgs,
        probes: &Probes,
        metrics: BrokerMetrics,
        console: watch::Sender<Option<Console>>,
    ) -> Result<Self, files::Error> {
        let folder = Folder::open(&args.dir)?;
        let mut held = Held::default();
        let (bundle, crl) = (folder.read("participants-ca.crt"), folder.read("crl.pem"));
        held.inherit(bundle.as_deref(), crl.as_deref(), Timestamp::now());
        Ok(Self {
            process: BrokerProcess::named(&args.process),
            args,
            held,
            folder,
            seen: BTreeSet::new(),
            untold: None,
            takeovers: Takeovers::default(),
            running: JoinSet::new(),
            console,
            gates: Part::ALL.map(|part| probes.gate(part.name())),
            files_gate: probes.gate(FILES),
            metrics,
            behind: None,
            said: BTreeSet::new(),
            reviewed: Instant::now(),
        })
    }

    /// Runs until `shutdown`. Fails only where the folder cannot be written.
    pub(crate) async fn run(
        mut self,
        mut inputs: watch::Receiver<Inputs>,
        shutdown: CancellationToken,
    ) -> Result<(), files::Error> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fed = true;
        self.look(&mut inputs).await?;
        loop {
            let due = self.next_takeover();
            let look = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                changed = inputs.changed(), if fed => {
                    fed = changed.is_ok();
                    fed
                }
                _ = tick.tick() => {
                    self.watch_process();
                    self.untold.is_some() || !self.said.is_empty() || self.reviewed.elapsed() >= REVIEW
                }
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    self.take_over();
                    false
                }
                Some(ended) = self.running.join_next() => {
                    self.taken_over(ended.ok());
                    false
                }
            };
            if look {
                self.look(&mut inputs).await?;
            }
        }
    }

    async fn look(&mut self, inputs: &mut watch::Receiver<Inputs>) -> Result<(), files::Error> {
        let snapshot = inputs.borrow_and_update().clone();
        self.reviewed = Instant::now();
        self.consider(&snapshot).await
    }

    /// When the next attempt is due, if one could start.
    fn next_takeover(&self) -> Option<Instant> {
        let possible = self.running.len() < AT_ONCE && self.console.borrow().is_some();
        self.takeovers.next_due().filter(|_| possible)
    }

    async fn consider(&mut self, inputs: &Inputs) -> Result<(), files::Error> {
        let findings = self.held.consider(inputs, Timestamp::now());
        if let Some(files) = self.held.files()
            && let Some(changed) = self.folder.put(files)?
        {
            tracing::info!(?changed, crl = self.held.trust().map(Trust::number), "files of the broker are new");
            self.untold = self.untold.max(Some(order(&changed)));
            self.console.send_replace(self.held.admin().map(|(tls, server_name)| Console {
                addr: self.args.admin,
                server_name,
                tls,
            }));
        }
        if let Some(order) = self.untold {
            self.tell_broker(order).await;
        }
        self.end_sessions(&findings);
        self.show(&findings);
        Ok(())
    }

    async fn tell_broker(&mut self, order: Order) {
        match self.process.tell(order).await {
            Ok(told) => {
                self.untold = None;
                self.metrics.reloads.inc_by(told as u64);
                tracing::info!(told, ?order, "the broker was told");
            }
            Err(error) => {
                self.metrics.reload_failures.inc();
                tracing::error!(error = %report(&error), "the broker does not know of its new files; trying again");
            }
        }
    }

    /// Only after the broker was told: a session ended earlier would come right back.
    fn end_sessions(&mut self, findings: &Findings) {
        if findings.cut.is_empty() {
            return;
        }
        let (uids, now) = (findings.cut.iter().cloned(), Instant::now());
        tracing::info!(count = findings.cut.len(), sweep = findings.sweep, "ending sessions of revoked identities");
        if findings.sweep {
            self.takeovers.sweep(uids, now);
        } else {
            self.takeovers.cut(uids, now);
        }
        self.takeovers.keep(|uid| self.held.revokes(uid));
    }

    fn take_over(&mut self) {
        let Some(console) = self.console.borrow().clone() else { return };
        for uid in self.takeovers.take_due(Instant::now(), AT_ONCE - self.running.len()) {
            let console = console.clone();
            self.running.spawn(async move {
                let result = console.take_over(&uid).await;
                (uid, result)
            });
        }
    }

    fn taken_over(&mut self, ended: Option<(String, Result<(), ConsoleError>)>) {
        match ended {
            Some((_, Ok(()))) => drop(self.metrics.takeovers.inc()),
            Some((_, Err(error))) if error.nobody_there() => {}
            Some((uid, Err(error))) => {
                self.metrics.takeover_failures.inc();
                tracing::warn!(error = %report(&error), "a revoked session may be up; trying again");
                self.takeovers.again(uid, Instant::now());
            }
            None => drop(self.metrics.takeover_failures.inc()),
        }
    }

    /// A broker that was restarted reads the files by itself; that it was is worth knowing.
    fn watch_process(&mut self) {
        let Ok(pids) = self.process.find() else { return };
        self.metrics.processes(pids.len());
        if let Some(new) = pids.iter().find(|pid| !self.seen.contains(pid)) {
            if !self.seen.is_empty() {
                self.metrics.restarts.inc();
            }
            tracing::info!(pid = new, "the broker's process is new");
        }
        if !pids.is_empty() {
            self.seen = pids;
        }
    }

    fn show(&mut self, findings: &Findings) {
        for (part, gate) in Part::ALL.into_iter().zip(&self.gates) {
            match findings.problems.get(&part) {
                None => gate.open(),
                Some(problem) if self.held.has(part) => gate.open_as(format!("last good in use: {}", problem.word())),
                Some(problem) => gate.close(problem.word()),
            }
        }
        match (self.folder.in_use(), self.untold) {
            (true, None) => self.files_gate.open(),
            (true, Some(_)) => self.files_gate.open_as("the broker could not be told"),
            (false, _) => self.files_gate.close("waiting for every part"),
        }
        let behind = Part::ALL.into_iter().any(|part| self.held.has(part) && findings.problems.contains_key(&part));
        self.behind = behind.then(|| self.behind.unwrap_or_else(Instant::now));
        self.metrics.last_good_age(self.behind.map_or(0, |since| since.elapsed().as_secs()));
        self.metrics.show(&self.held, findings);
        self.say(findings);
    }

    /// Each problem is logged once, when it appears; its end too.
    fn say(&mut self, findings: &Findings) {
        let now: BTreeSet<String> = findings.problems.values().map(|problem| report(problem).to_string()).collect();
        for problem in now.difference(&self.said) {
            tracing::warn!(problem, "what the cluster offers is not used; the last good stays");
        }
        for problem in self.said.difference(&now) {
            tracing::info!(problem, "over");
        }
        self.said = now;
    }
}

/// A reload replaces certificates, access lists, and the authorities of listeners with a revocation list; the admin
/// listener has none, and goes on with the authority it started with.
fn order(changed: &Changed) -> Order {
    if changed.contains("admin-ca.crt") { Order::Restart } else { Order::Reload }
}
