//! A machine that is not in the cluster and reaches two doors of it: a network of its own, a cable to this one, and two
//! names in its hosts file. Root makes it; it is gone with the value.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::cluster::REQUIRED;

/// Where `ip netns exec` takes a network's own hosts file from.
const HOSTS: &str = "/etc/netns";

pub struct Elsewhere {
    name: String,
    here: Ipv4Addr,
    hosts: Vec<String>,
    doors: JoinSet<()>,
}

impl Elsewhere {
    /// `None` after a printed line where this user may not make networks.
    pub fn new(test: &str) -> Option<Self> {
        let number: u16 = rand::random();
        let [high, low] = number.to_be_bytes();
        let (here, there) = (Ipv4Addr::new(10, 200 + high % 50, low, 1), Ipv4Addr::new(10, 200 + high % 50, low, 2));
        let (name, cable) = (format!("wb-{number:04x}"), format!("wbv{number:04x}"));
        if let Err(why) = ip(&["netns", "add", &name]) {
            assert!(std::env::var(REQUIRED).is_err(), "{REQUIRED} is set, but no network can be made: {why}");
            eprintln!("SKIPPED {test}: needs root to make a network of its own: {why}");
            return None;
        }
        let made = Self { name: name.clone(), here, hosts: Vec::new(), doors: JoinSet::new() };
        for line in [
            format!("link add {cable} type veth peer name out netns {name}"),
            format!("address add {here}/30 dev {cable}"),
            format!("link set {cable} up"),
            format!("-n {name} address add {there}/30 dev out"),
            format!("-n {name} link set out up"),
            format!("-n {name} link set lo up"),
        ] {
            ip(&line.split(' ').collect::<Vec<_>>()).unwrap_or_else(|why| panic!("ip {line}: {why}"));
        }
        Some(made)
    }

    /// A door to `to`, known there as `host`; answers with its port.
    pub async fn door(&mut self, host: &str, to: SocketAddr) -> u16 {
        let listener = TcpListener::bind((self.here, 0)).await.expect("a listener at the cable's end");
        let port = listener.local_addr().expect("an address").port();
        self.doors.spawn(async move {
            let mut through = JoinSet::new();
            while let Ok((mut outside, _)) = listener.accept().await {
                through.spawn(async move {
                    if let Ok(mut inside) = TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                    }
                });
            }
        });
        self.hosts.push(format!("{} {host}\n", self.here));
        std::fs::create_dir_all(self.folder()).expect("a folder for the hosts file");
        std::fs::write(self.folder().join("hosts"), self.hosts.concat()).expect("a hosts file");
        port
    }

    /// A program there, with nothing in its environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null());
        command
    }

    /// Whether anything answers there at this address.
    pub fn reaches(&self, address: &str) -> bool {
        let (host, port) = address.rsplit_once(':').expect("host:port");
        let line = format!("exec 3<>/dev/tcp/{host}/{port}");
        let mut bash = self.command(Path::new("/bin/bash"));
        bash.args(["-c", &line]).stderr(Stdio::null()).status().expect("bash runs").success()
    }

    fn folder(&self) -> PathBuf {
        Path::new(HOSTS).join(&self.name)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // The cable goes with one of its ends.
        let _ = ip(&["netns", "delete", &self.name]);
        let _ = std::fs::remove_dir_all(self.folder());
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let ended = Command::new("ip").args(arguments).output().map_err(|why| why.to_string())?;
    if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned()) }
}
