//! A real mosquitto on the loopback, with client certificates; killed with the value.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const BINARY: &str = "/usr/sbin/mosquitto";

pub(crate) struct Broker {
    pub(crate) addr: SocketAddr,
    config: PathBuf,
    child: Option<Child>,
}

impl Broker {
    /// `tls`: a folder with tls.crt, tls.key and ca.crt.
    pub(crate) fn start(dir: &Path, tls: &Path) -> Self {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let file = |name: &str| tls.join(name).display().to_string();
        let text = format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true\nallow_anonymous false\npersistence false\nlog_dest none\n",
            addr.port(),
            file("ca.crt"),
            file("tls.crt"),
            file("tls.key"),
        );
        let config = dir.join("mosquitto.conf");
        std::fs::write(&config, text).unwrap();
        let mut broker = Self { addr, config, child: None };
        broker.restart();
        broker
    }

    pub(crate) fn restart(&mut self) {
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
