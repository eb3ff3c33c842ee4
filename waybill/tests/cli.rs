//! The binary as a person or a kubelet meets it.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where its assumption does")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn help_names_every_program_and_version_is_said() {
    let help = output(&["--help"]);
    let text = String::from_utf8(help.stdout).unwrap();
    for program in ["operator", "seller", "carrier-api", "transport", "broker-sidecar", "crds"] {
        assert!(text.contains(program), "{text}");
        let own = output(&[program, "--help"]);
        assert!(own.status.success(), "{program}: {}", String::from_utf8_lossy(&own.stderr));
    }
    let version = String::from_utf8(output(&["--version"]).stdout).unwrap();
    assert_eq!(version.trim(), format!("waybill {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_setting_has_a_variable_and_a_help_line() {
    for program in ["operator", "seller", "carrier-api", "transport", "broker-sidecar"] {
        let help = String::from_utf8(output(&[program, "--help"]).stdout).unwrap();
        let settings = help.lines().filter(|line| line.trim_start().starts_with("--")).count();
        assert!(settings > 3, "{help}");
        assert_eq!(help.matches("[env: WAYBILL_").count(), settings, "{help}");
    }
}

#[test]
fn crds_prints_every_definition() {
    let printed = String::from_utf8(output(&["crds"]).stdout).unwrap();
    for kind in ["Delivery", "Seller", "Carrier"] {
        assert!(printed.contains(&format!("kind: {kind}\n")), "{kind}");
    }
    assert_eq!(printed.matches("kind: CustomResourceDefinition").count(), 3);
}

#[test]
fn a_wrong_call_fails_and_says_why() {
    for wrong in
        [&["tarnsport"][..], &["seller"], &["transport", "--log", "a=b=c"], &["transport", "--probe-addr", "x"]]
    {
        let output = output(wrong);
        assert!(!output.status.success(), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_program_that_cannot_start_says_so_on_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let output = transport(dir.path(), free()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(last, "failed: failed to load the TLS files: no tls.crt in the TLS material", "{text}");
}

#[test]
fn a_program_shows_what_it_waits_for_and_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    leaf(dir.path());
    let probes = free();
    let mut agent = Running(transport(dir.path(), probes).stderr(Stdio::piped()).spawn().unwrap());
    let ready = until("readiness is shown", || ask(probes, "/readyz").filter(|answer| answer.contains("no broker")));
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains(r#""broker":"no broker address""#), "{ready}");
    assert!(ask(probes, "/healthz").unwrap().starts_with("HTTP/1.1 200"));
    assert!(ask(probes, "/metrics").unwrap().contains(r#"waybill_build_info{component="transport""#));

    let log = agent.0.stderr.take().unwrap();
    let pid = agent.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = until("the process ends", || agent.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    for line in BufReader::new(log).lines() {
        let line = line.unwrap();
        assert!(line.starts_with('{') && line.ends_with('}'), "not a JSON line: {line}");
        assert!(!line.contains("PRIVATE KEY"), "{line}");
    }
}

// === helpers ===

fn output(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waybill")).args(args).env_clear().output().unwrap()
}

fn transport(dir: &Path, probes: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
    command.arg("transport").env_clear();
    command.env("WAYBILL_TLS_DIR", dir).env("WAYBILL_TRUST_DIR", dir.join("trust"));
    command.env("WAYBILL_KEYS_DIR", dir.join("keys")).env("WAYBILL_JOURNAL_DIR", dir.join("journal"));
    command.env("WAYBILL_PROBE_ADDR", probes.to_string());
    command
}

/// A port that was free a moment ago: the program binds it itself.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn leaf(dir: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    for (name, content) in [("tls.crt", &pem), ("tls.key", &key.serialize_pem()), ("ca.crt", &pem)] {
        fs::write(dir.join(name), content).unwrap();
    }
}

fn ask(addr: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Some(value) = done() {
            return value;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("never happened: {what}");
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
