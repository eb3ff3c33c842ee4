//! The broker's process, seen through a shared process namespace: found by name and user, told what to do by a signal.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// How long a starting broker may take to be ready for signals.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why the broker was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to look for the broker's process")]
    Look(#[source] io::Error),
    #[error("failed to signal the broker's process {pid}")]
    Signal {
        pid: i32,
        #[source]
        source: io::Error,
    },
    #[error("the broker's process {pid} does not handle SIGHUP")]
    Deaf { pid: i32 },
}

/// What the broker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Read the files again; connections stay.
    Reload,
    /// End, and be started again by the kubelet: for what a reload does not reach.
    Restart,
}

/// Processes of this name that run as this user.
#[derive(Debug, Clone)]
pub(crate) struct BrokerProcess {
    name: String,
}

impl BrokerProcess {
    /// The kernel keeps fifteen bytes of a name.
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.chars().take(15).collect() }
    }

    /// The pids there are now: one, or none while the container starts.
    pub(crate) fn find(&self) -> Result<BTreeSet<i32>, Error> {
        let own = fs::metadata("/proc/self").map_err(Error::Look)?.uid();
        let entries = fs::read_dir("/proc").map_err(Error::Look)?;
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(pids.filter(|pid| self.is(*pid, own)).collect())
    }

    // A process that ends while it is looked at is not there.
    fn is(&self, pid: i32, own: u32) -> bool {
        let same_user = fs::metadata(format!("/proc/{pid}")).is_ok_and(|metadata| metadata.uid() == own);
        same_user && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == self.name)
    }

    /// Tells every one; returns how many were told. None is no error: whoever starts later reads the files.
    pub(crate) async fn tell(&self, order: Order) -> Result<usize, Error> {
        let signal = match order {
            Order::Reload => Signal::HUP,
            Order::Restart => Signal::TERM,
        };
        let mut told = 0;
        for pid in self.find()? {
            if !self.ready_for_signals(pid).await? {
                continue;
            }
            let process = Pid::from_raw(pid).ok_or(Error::Deaf { pid })?;
            match kill_process(process, signal) {
                Ok(()) => told += 1,
                Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(Error::Signal { pid, source: error.into() }),
            }
        }
        Ok(told)
    }

    /// A process that has read its files and does not handle the signal yet would die of it: wait until it does. False
    /// when it ended meanwhile.
    async fn ready_for_signals(&self, pid: i32) -> Result<bool, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return Ok(false) };
            if handles_hangup(&status) {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Err(Error::Deaf { pid });
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// `SigCgt` is a mask of handled signals; SIGHUP is number 1, its lowest bit.
fn handles_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_once_it_handles_the_signal() {
        assert!(handles_hangup("Name:\tmosquitto\nSigCgt:\t0000000000005a01\n"));
        assert!(!handles_hangup("SigCgt:\t0000000000005a02\n"));
        assert!(!handles_hangup("SigIgn:\t0000000000000001\n"));
    }

    #[tokio::test]
    async fn nobody_of_that_name_is_nobody_to_tell() {
        let nobody = BrokerProcess::named("no-such-broker-anywhere");
        assert_eq!(nobody.name.len(), 15);
        assert_eq!(nobody.tell(Order::Reload).await.unwrap(), 0);
    }
}
