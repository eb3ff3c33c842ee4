//! A mosquitto of the test's own: the chart's configuration, with its folder, its ports and its own process name.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CONFIG: &str = include_str!("../../../../charts/waybill/files/broker/mosquitto.conf");
const BINARY: &str = "/usr/sbin/mosquitto";

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) carriers: SocketAddr,
    pub(crate) sellers: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A running broker; killed with the value.
pub(crate) struct Mosquitto {
    pub(crate) ports: Ports,
    pub(crate) name: String,
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Mosquitto {
    /// Writes a configuration for `run`, the folder the sidecar fills. Not started yet.
    pub(crate) fn prepare(run: &Path, own: &Path) -> Self {
        Self::prepare_at(Ipv4Addr::LOCALHOST, run, own)
    }

    /// The same at another address of the loopback network.
    pub(crate) fn prepare_at(ip: Ipv4Addr, run: &Path, own: &Path) -> Self {
        let ports = free_ports(ip);
        let name = format!("wb-mq-{:08x}", rand::random::<u32>());
        let binary = own.join(&name);
        symlink(BINARY, &binary).unwrap();
        let config = own.join("mosquitto.conf");
        fs::write(&config, configuration(run, ports)).unwrap();
        Self { ports, name, binary, config, log: own.join("log"), child: None }
    }

    /// Starts it, or starts it again.
    pub(crate) fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let errors = log.try_clone().unwrap();
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(&self.config).stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(command.spawn().unwrap());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until it ended by itself.
    pub(crate) async fn ended(&mut self) {
        while self.child.as_mut().unwrap().try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.child = None;
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().unwrap())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("mosquitto said:\n{}", self.log());
        }
    }
}

/// A port below those that the system gives to whoever asks for any: what is free stays so until it is taken.
pub(crate) fn free_port(ip: Ipv4Addr) -> TcpListener {
    loop {
        let port = rand::random_range(15_000..32_000);
        if let Ok(bound) = TcpListener::bind((ip, port)) {
            break bound;
        }
    }
}

/// Held open together while they are chosen, so that they differ.
fn free_ports(ip: Ipv4Addr) -> Ports {
    let bound = [(); 3].map(|()| free_port(ip));
    let [carriers, sellers, admin] = [0, 1, 2].map(|at: usize| bound[at].local_addr().unwrap());
    Ports { carriers, sellers, admin }
}

fn configuration(run: &Path, ports: Ports) -> String {
    let mut text = CONFIG.replace("/run/waybill-broker", run.to_str().unwrap());
    let listeners = [
        ("listener 8883\n", ports.carriers),
        ("listener 8884\n", ports.sellers),
        ("listener 8885 127.0.0.1\n", ports.admin),
    ];
    for (line, addr) in listeners {
        assert_eq!(text.matches(line).count(), 1, "{line}");
        text = text.replace(line, &format!("listener {} {}\n", addr.port(), addr.ip()));
    }
    // In a pod nobody is root; where a test is, mosquitto would change to another user and lose sight of the files.
    let user = if rustix::process::getuid().is_root() { "user root\n" } else { "" };
    format!("{user}{text}")
}
