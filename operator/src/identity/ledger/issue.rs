//! The one task that writes the ledger: gathers requests for a moment, writes them as one batch, then answers them all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use tokio_util::sync::CancellationToken;
use waybill_crds::FIELD_MANAGER;

use super::batch::{self, Batch, Entry};
use super::index::Index;
use super::{Error, Ledger, Request, Waiting};
use crate::identity::SKEW;
use crate::identity::serial::Serial;

/// How long the first request of a batch waits for company.
const LINGER: Duration = Duration::from_millis(20);
pub(crate) const MOST: usize = 200;

impl Ledger {
    /// Serves until `shutdown`; what waits then is told so. One server at a time.
    pub(crate) async fn serve(&self, shutdown: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        while let Some(Some(first)) = shutdown.run_until_cancelled(waiting.recv()).await {
            let mut gathered = vec![first];
            let full = async {
                while gathered.len() < MOST {
                    match waiting.recv().await {
                        Some(next) => gathered.push(next),
                        None => break,
                    }
                }
            };
            // Running out of time is how most batches close.
            let _ = tokio::time::timeout(LINGER, full).await;
            self.answer(gathered).await;
        }
    }

    async fn answer(&self, gathered: Vec<Waiting>) {
        let (requests, answers): (Vec<Request>, Vec<_>) = gathered.into_iter().unzip();
        let issued = requests.iter().map(|request| request.now).max().unwrap_or(Timestamp::UNIX_EPOCH);
        let entries = assemble(requests, &self.index(), &mut rand::random);
        let live: Vec<Entry> = entries.iter().filter_map(|entry| entry.as_ref().ok().cloned()).collect();
        let written = if live.is_empty() { Ok(()) } else { self.write(issued, live).await };
        for (entry, answer) in entries.into_iter().zip(answers) {
            let result = entry.and_then(|entry| written.clone().map(|()| entry.serial));
            // Whoever asked may have gone; the number then stays unused.
            let _ = answer.send(result);
        }
    }

    async fn write(&self, issued: Timestamp, entries: Vec<Entry>) -> Result<(), Error> {
        let batch = Batch { name: batch::name(issued, rand::random()), issued, entries };
        let map = batch::encode(&batch, &self.namespace)?;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match api.create(&params, &map).await {
            Ok(_) => {}
            // The client retries what it got no answer to: its own batch, already there, is success.
            Err(kube::Error::Api(status)) if status.is_already_exists() => self.confirm(&api, &batch).await?,
            Err(error) => return Err(Error::Write { name: batch.name, source: Arc::new(error) }),
        }
        self.index().add(&batch);
        Ok(())
    }

    async fn confirm(&self, api: &Api<ConfigMap>, batch: &Batch) -> Result<(), Error> {
        let name = batch.name.clone();
        let found =
            api.get(&name).await.map_err(|error| Error::Read { name: name.clone(), source: Arc::new(error) })?;
        if batch::decode(&found)? == *batch {
            Ok(())
        } else {
            Err(Error::Parse { name, reason: "another batch has this name".into() })
        }
    }
}

/// Gives each request a number nobody has, or refuses it: numbers given by a clock that went back would break the order of things.
fn assemble(
    requests: Vec<Request>,
    index: &Index,
    entropy: &mut impl FnMut() -> [u8; 16],
) -> Vec<Result<Entry, Error>> {
    let mut taken = HashSet::new();
    let mut fresh = || loop {
        let serial = Serial::from_entropy(entropy());
        if !index.knows(&serial) && taken.insert(serial) {
            return serial;
        }
    };
    let last = index.last_issued();
    let entry = |request: Request| match last {
        Some(last) if request.now + SKEW < last => Err(Error::ClockWentBack { now: request.now, last }),
        _ => Ok(Entry::new(fresh(), request)),
    };
    requests.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ledger::{Kind, Owner};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn request(now: Timestamp) -> Request {
        let owner = Owner { kind: Kind::Carrier, namespace: "n".into(), name: "c".into(), uid: "u".into() };
        Request { owner, ca: "a".into(), now, not_after: now + SKEW }
    }

    #[test]
    fn numbers_repeat_neither_within_a_batch_nor_against_the_ledger() {
        let mut dice = [[1; 16], [1; 16], [2; 16], [1; 16], [3; 16]].into_iter();
        let mut index = Index::default();
        let known = Entry::new(Serial::from_entropy([2; 16]), request(at(0)));
        index.add(&Batch { name: "b".into(), issued: at(0), entries: vec![known] });
        let entries = assemble(vec![request(at(0)); 2], &index, &mut || dice.next().unwrap());
        let serials: Vec<_> = entries.into_iter().map(|entry| entry.unwrap().serial).collect();
        assert_eq!(serials, [Serial::from_entropy([1; 16]), Serial::from_entropy([3; 16])]);
    }

    #[test]
    fn a_clock_an_hour_back_still_issues_and_a_worse_one_does_not() {
        let mut index = Index::default();
        index.add(&Batch { name: "b".into(), issued: at(0), entries: Vec::new() });
        let issue = |now| assemble(vec![request(now)], &index, &mut rand::random).remove(0);
        assert!(issue(at(-3600)).is_ok());
        assert!(matches!(issue(at(-3601)), Err(Error::ClockWentBack { .. })));
    }
}
