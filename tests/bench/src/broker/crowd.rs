//! Many carriers at one broker, connected and silent.

use std::net::SocketAddr;
use std::thread;

use anyhow::Result;

use super::client::Client;
use super::pki::Authority;

/// Connections made, and pinged, at the same time.
const THREADS: usize = 4;
/// So many join between two pings of everybody, for nobody may be silent for long while the rest join.
const BATCH: usize = 1_000;

/// A carrier that joins: its uid, and whom it listens to.
pub(super) fn filter(uid: &str) -> String {
    format!("wb/+/{uid}/+/down")
}

/// The uid of the `i`th carrier, as long as a real one.
pub(super) fn uid(i: usize) -> String {
    format!("00000000-0000-4000-8000-{i:012x}")
}

/// In the order they joined; None where the connection ended.
#[derive(Default)]
pub(super) struct Crowd(Vec<Option<Client>>);

impl Crowd {
    /// Carriers 0 to `count`, each with a certificate of its own.
    pub(super) fn gather(address: SocketAddr, authority: &Authority, count: usize) -> Self {
        let mut crowd = Self::default();
        while crowd.0.len() < count {
            let batch: Vec<usize> = (crowd.0.len()..count.min(crowd.0.len() + BATCH)).collect();
            let part = batch.len().div_ceil(THREADS);
            let joined: Vec<Option<Client>> = thread::scope(|scope| {
                let parts: Vec<_> = batch
                    .chunks(part)
                    .map(|part| {
                        scope.spawn(|| part.iter().map(|i| join(address, authority, *i).ok()).collect::<Vec<_>>())
                    })
                    .collect();
                parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
            });
            crowd.0.extend(joined);
            crowd.ping();
        }
        crowd
    }

    pub(super) fn connected(&self) -> usize {
        self.0.iter().flatten().count()
    }

    pub(super) fn get(&mut self, i: usize) -> Option<&mut Client> {
        self.0.get_mut(i)?.as_mut()
    }

    /// Everybody says that it is there; whoever gets no answer is gone.
    pub(super) fn ping(&mut self) {
        let part = self.0.len().div_ceil(THREADS).max(1);
        thread::scope(|scope| {
            for part in self.0.chunks_mut(part) {
                scope.spawn(|| {
                    for place in part {
                        *place = place.take().and_then(|mut client| client.ping().is_ok().then_some(client));
                    }
                });
            }
        });
    }
}

fn join(address: SocketAddr, authority: &Authority, i: usize) -> Result<Client> {
    Client::join(address, authority.client(&uid(i))?, &filter(&uid(i)))
}
