//! The local node seen by its tool: addresses inside it, and faults on purpose.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// The node's tool; `make test` sets it.
pub const TOOL: &str = "WAYBILL_NODE_TOOL";

fn tool(arguments: &[&str]) -> String {
    let path = std::env::var(TOOL).unwrap_or_else(|_| panic!("{TOOL} names the node's tool; `make test` sets it"));
    let output = Command::new(path).args(arguments).output().expect("the node's tool runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the node's tool prints text").trim().to_owned()
}

/// A loopback address that reaches `host:port` inside the node.
pub fn forward(host: &str, port: u16) -> SocketAddr {
    tool(&["forward", &format!("{host}:{port}")]).parse().expect("an address")
}

/// `kill -9` of one part of the node; its supervisor starts it again.
pub fn kill(part: &str) {
    tool(&["kill", part]);
}

/// The process of one part of the node, as it is now.
pub fn pid(part: &str) -> u32 {
    let processes = tool(&["pids"]);
    let found = processes.lines().find_map(|line| line.strip_prefix(part)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or_else(|| panic!("no {part} among {processes}"))
}

/// The API server's audit log since the node was made, a JSON object a line; what was rotated away comes first.
pub fn audit_log() -> String {
    let newest = PathBuf::from(audit_path());
    let folder = newest.parent().expect("a file in a folder");
    let files = std::fs::read_dir(folder).expect("the audit log's folder is readable");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).filter(|file| *file != newest).collect();
    // Rotated files carry their time in their name.
    files.sort();
    files.push(newest);
    files.iter().map(|file| std::fs::read_to_string(file).expect("the audit log is readable")).collect()
}

/// Where the audit log is.
pub fn audit_path() -> String {
    tool(&["path", "audit"])
}
