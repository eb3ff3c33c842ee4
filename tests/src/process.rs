//! Processes in the node's containers, found and killed from the machine: a crash as it is, announced to nobody.

use std::process::Command;

/// Pids in this cluster whose command line begins so; the program's path does not count.
pub fn find(begins: &[&str]) -> Vec<u32> {
    let cluster = std::env::var("WAYBILL_CLUSTER").unwrap_or_else(|_| "waybill".into());
    let entries = std::fs::read_dir("/proc").expect("processes are listed");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| begins_so(*pid, begins) && is_in(*pid, &cluster)).collect()
}

/// `kill -9`; false if it was gone already.
pub fn kill(pid: u32) -> bool {
    Command::new("kill").args(["-9", &pid.to_string()]).output().expect("kill runs").status.success()
}

fn begins_so(pid: u32, words: &[&str]) -> bool {
    // Gone since it was listed, or a zombie: no command line.
    let Ok(line) = std::fs::read_to_string(format!("/proc/{pid}/cmdline")) else { return false };
    let mut said = line.split('\0');
    let program = said.next().and_then(|path| path.rsplit('/').next());
    program.into_iter().chain(said).take(words.len()).eq(words.iter().copied())
}

fn is_in(pid: u32, cluster: &str) -> bool {
    let Ok(groups) = std::fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
    groups.contains(&format!("/waybill-{cluster}/"))
}
