//! What a process on this machine uses, read from /proc: the node and the broker run here.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// A process by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(pub(crate) u32);

/// Memory now and at its peak, and processor time so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    pub(crate) rss_kib: f64,
    pub(crate) peak_kib: f64,
    pub(crate) cpu_seconds: f64,
}

impl Process {
    pub(crate) fn usage(self) -> Result<Usage> {
        let gone = || format!("process {} went away", self.0);
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).with_context(gone)?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).with_context(gone)?;
        usage(&status, &stat).with_context(|| format!("failed to read what process {} uses", self.0))
    }

    /// Processor time to the nanosecond; exact while no thread ends.
    pub(crate) fn on_cpu(self) -> Result<Duration> {
        let folder = format!("/proc/{}/task", self.0);
        let tasks = fs::read_dir(&folder).with_context(|| format!("process {} went away", self.0))?;
        let mut sum = Duration::ZERO;
        for task in tasks {
            let task = task?.path();
            match fs::read_to_string(task.join("schedstat")) {
                Ok(text) => sum += scheduled(&text).context("failed to read schedstat")?,
                // It ended since the folder was read.
                Err(_) if !task.exists() => {}
                Err(error) => return Err(error).context("this kernel keeps no schedstat"),
            }
        }
        Ok(sum)
    }
}

/// The load of the last minute: whether others were at work on this machine.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn usage(status: &str, stat: &str) -> Option<Usage> {
    let kib = |field: &str| -> Option<f64> {
        let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
        rest.trim().trim_end_matches(" kB").parse().ok()
    };
    // Fields after the closing bracket of the command's name; utime and stime are the 12th and 13th, in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<f64>().ok();
    Some(Usage { rss_kib: kib("VmRSS:")?, peak_kib: kib("VmHWM:")?, cpu_seconds: (ticks(11)? + ticks(12)?) / 100.0 })
}

fn scheduled(text: &str) -> Option<Duration> {
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_in_the_name_of_a_command_moves_no_field() {
        let stat = "42 (a) b)) S 1 42 42 0 -1 4194560 500 0 0 0 150 50 0 0 20 0 4 0 100 0 0";
        let status = "Name:\ta\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(usage(status, stat), Some(Usage { rss_kib: 1024.0, peak_kib: 2048.0, cpu_seconds: 2.0 }));
    }

    #[test]
    fn a_zombie_without_memory_is_no_usage() {
        assert_eq!(usage("Name:\ta\n", "42 (a) Z 1"), None);
    }

    #[test]
    fn this_process_spends_processor_time() {
        let here = Process(std::process::id());
        let before = here.on_cpu().unwrap();
        let mut sum = 0_u64;
        while here.on_cpu().unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(here.usage().unwrap().rss_kib > 0.0);
    }
}
