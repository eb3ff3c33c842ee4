//! One program of the house as a process of its own: started, killed, frozen, and read.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use waybill_e2e::eventually;

/// The one binary; `scripts/fault` sets it. Without it: the one beside the build of this crate.
const BINARY: &str = "WAYBILL_BINARY";
const READY: Duration = Duration::from_secs(60);

/// A program with its settings. Killed with the value.
pub(crate) struct Process {
    pub(crate) name: String,
    /// Its command line; changes count from the next start.
    pub(crate) words: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    probes: SocketAddr,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Not started yet. `words` begin with the program of the binary.
    pub(crate) fn new(name: &str, words: Vec<String>, probes: SocketAddr, log: PathBuf) -> Self {
        let mut words = words;
        words.extend(["--probe-addr".to_owned(), probes.to_string()]);
        Self { name: name.into(), words, environment: Vec::new(), probes, log, child: None }
    }

    /// Another setting.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts it unless it runs.
    pub(crate) fn start(&mut self) {
        if self.is_running() {
            return;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let errors = log.try_clone().unwrap();
        // Nothing of whoever tests goes over but where programs are found.
        let mut command = Command::new(binary());
        command
            .env_clear()
            .envs(std::env::var("PATH").map(|path| ("PATH", path)))
            .envs(self.environment.iter().cloned());
        command.args(&self.words).stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(command.spawn().unwrap());
    }

    /// As a power cut ends it; nothing is left to be told.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            child.wait().unwrap();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// It stands still, with all its connections open.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            kill_process(Pid::from_child(child), signal).unwrap();
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// It was started, not killed, and is not there.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some())
    }

    /// Waits until it says that it is well.
    pub(crate) async fn ready(&self) {
        eventually(&format!("{} is ready", self.name), READY, || async {
            let answer = reqwest::get(self.page("/readyz")).await.map_err(|why| why.to_string())?;
            if answer.status().is_success() { Ok(()) } else { Err(answer.text().await.unwrap_or_default()) }
        })
        .await;
    }

    /// Where it shows its metrics and probes.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.probes)
    }

    /// Everything it said in all its lives.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            eprintln!("{} said last:\n{}", self.name, last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

fn binary() -> PathBuf {
    std::env::var(BINARY).map_or_else(|_| beside(), PathBuf::from)
}

/// `target/debug/waybill`, seen from `target/debug/waybill-fault` or a test in `target/debug/deps`.
fn beside() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().skip(1).map(|folder| folder.join("waybill")).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{BINARY} names the waybill binary; `cargo build --package waybill` makes it"))
}
