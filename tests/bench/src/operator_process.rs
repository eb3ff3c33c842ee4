//! What the operator's process uses, read from /proc: the node runs on this machine.

use std::fs;

use anyhow::{Context, Result};

/// The operator's process on this machine.
pub(crate) struct Process {
    pid: u32,
}

/// Memory now and at its peak, and processor time so far.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) rss_kib: f64,
    pub(crate) peak_kib: f64,
    pub(crate) cpu_seconds: f64,
}

impl Process {
    /// The youngest `waybill operator` whose control group belongs to `cluster` (any, where that is empty).
    pub(crate) fn find(cluster: &str) -> Result<Self> {
        let mut found: Vec<u32> = fs::read_dir("/proc")
            .context("failed to list processes")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| is_operator(*pid, cluster))
            .collect();
        found.sort_unstable();
        Ok(Self { pid: found.pop().context("no operator process on this machine; is the cluster a local node?")? })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).context("the operator went away")?;
        let kib = |field: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN)
        };
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).context("the operator went away")?;
        // Fields after the closing bracket of the command's name; utime and stime are the 12th and 13th, in ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(f64::NAN);
        Ok(Usage { rss_kib: kib("VmRSS:"), peak_kib: kib("VmHWM:"), cpu_seconds: (ticks(11) + ticks(12)) / 100.0 })
    }
}

fn is_operator(pid: u32, cluster: &str) -> bool {
    let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let mut words = command.split(|b| *b == 0);
    let binary = words.next().unwrap_or_default().ends_with(b"waybill");
    let operator = words.next() == Some(b"operator");
    binary && operator && fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|group| group.contains(cluster))
}
