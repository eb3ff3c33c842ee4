//! A mosquitto of the bench's own: the chart's files, with its folder and its ports; loopback only.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::pki::Authority;
use crate::process::{Process, Usage};

const BINARY: &str = "/usr/sbin/mosquitto";
const START: Duration = Duration::from_secs(30);
const CONFIG: &str = include_str!("../../../../charts/waybill/files/broker/mosquitto.conf");
const ACCESS: [(&str, &str); 3] = [
    ("acl-carriers", include_str!("../../../../charts/waybill/files/broker/acl-carriers")),
    ("acl-sellers", include_str!("../../../../charts/waybill/files/broker/acl-sellers")),
    ("acl-admin", include_str!("../../../../charts/waybill/files/broker/acl-admin")),
];
/// The chart's listeners: carriers, sellers, the sidecar.
const LISTENERS: [&str; 3] = ["listener 8883\n", "listener 8884\n", "listener 8885 127.0.0.1\n"];

/// A running broker; killed with the value.
pub(crate) struct Mosquitto {
    pub(crate) carriers: SocketAddr,
    pub(crate) sellers: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Mosquitto {
    /// Returns once it answers.
    pub(crate) fn start(authority: &Authority) -> Result<Self> {
        let folder = TempDir::new().context("failed to make a folder")?;
        let ports = free_ports()?;
        fill(folder.path(), authority)?;
        fs::write(folder.path().join("mosquitto.conf"), configuration(folder.path(), ports)?)?;
        let log = fs::File::create(folder.path().join("log"))?;
        let child = Command::new(BINARY)
            .arg("-c")
            .arg(folder.path().join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("failed to start mosquitto; on Debian: apt-get install mosquitto")?;
        let mut broker = Self { carriers: ports[0], sellers: ports[1], child, folder };
        broker.answers()?;
        Ok(broker)
    }

    fn answers(&mut self) -> Result<()> {
        let end = Instant::now() + START;
        while TcpStream::connect(self.sellers).is_err() {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if let Some(status) = self.child.try_wait()? {
                bail!("mosquitto ended, {status}: {}", log());
            }
            ensure!(Instant::now() < end, "mosquitto does not answer after {START:?}: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its processor time so far. It has one thread.
    pub(super) fn on_cpu(&self) -> Result<Duration> {
        Process(self.child.id()).on_cpu()
    }

    pub(super) fn usage(&self) -> Result<Usage> {
        Process(self.child.id()).usage()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `mosquitto version 2.0.11` without its first two words.
pub(super) fn version() -> Result<String> {
    let output = Command::new(BINARY).arg("-h").output().context("failed to run mosquitto")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().trim_start_matches("mosquitto version ").to_owned())
}

/// The files the sidecar writes in the broker's pod.
fn fill(folder: &Path, authority: &Authority) -> Result<()> {
    let server = authority.server()?;
    let made = [
        ("server.crt", server.chain),
        ("server.key", server.key),
        ("participants-ca.crt", authority.pem()),
        ("admin-ca.crt", Authority::new("admin")?.pem()),
        ("crl.pem", authority.revocations()?),
    ];
    let from_chart = ACCESS.map(|(name, text)| (name, text.to_owned()));
    for (name, text) in made.into_iter().chain(from_chart) {
        fs::write(folder.join(name), text).with_context(|| format!("failed to write {name}"))?;
    }
    Ok(())
}

/// Held open together while they are chosen, so that they differ.
fn free_ports() -> Result<[SocketAddr; 3]> {
    let bound = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0"));
    let [a, b, c] = bound.map(|listener| listener.and_then(|listener| listener.local_addr()));
    Ok([a?, b?, c?])
}

/// The chart's settings, but for the folder, the ports, and the user where that is root: in a pod nobody is.
fn configuration(folder: &Path, ports: [SocketAddr; 3]) -> Result<String> {
    let folder = folder.to_str().context("a temporary folder has a plain name")?;
    let mut text = CONFIG.replace("/run/waybill-broker", folder);
    for (line, port) in LISTENERS.iter().zip(ports) {
        ensure!(text.matches(line).count() == 1, "the chart's settings have no {line:?}");
        text = text.replace(line, &format!("listener {} 127.0.0.1\n", port.port()));
    }
    let user = if rustix::process::getuid().is_root() { "user root\n" } else { "" };
    Ok(format!("{user}{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_addresses_and_the_folder_is_the_charts() {
        let ports = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = configuration(Path::new("/somewhere"), ports).unwrap();
        let changed: Vec<&str> = text.lines().filter(|line| !CONFIG.lines().any(|theirs| theirs == *line)).collect();
        let allowed =
            |line: &&&str| line.contains("/somewhere") || line.starts_with("listener ") || **line == "user root";
        assert_eq!(changed.iter().filter(|line| !allowed(line)).count(), 0, "{changed:?}");
        assert!(!text.contains("8883"), "no listener on the chart's own ports");
    }
}
