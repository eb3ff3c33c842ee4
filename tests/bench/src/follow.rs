//! A watch of the bench's own that counts objects as they come to the state that is waited for.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How far things are, from a watch that ends with it.
pub(crate) struct Follower {
    done: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Returns once the first list is there: from then on nothing is missed.
    pub(crate) async fn start<K>(api: Api<K>, is_done: fn(&K) -> bool) -> Result<Self>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let (send, done) = watch::channel(0);
        let (listed, first_list) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let (mut listed, mut names) = (Some(listed), HashSet::new());
            let mut events = Box::pin(watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) if is_done(&object) => {
                        names.insert(object.name_any());
                    }
                    // Nobody waits any more where the receiver is gone.
                    Ok(Event::InitDone) => drop(listed.take().map(|listed| listed.send(()))),
                    _ => {}
                }
                send.send_replace(names.len());
            }
        });
        let follower = Self { done, task };
        tokio::time::timeout(Duration::from_secs(60), first_list)
            .await
            .context("no list of what is to be followed")??;
        Ok(follower)
    }

    pub(crate) fn count(&self) -> usize {
        *self.done.borrow()
    }

    /// Waits until that many are done, and answers how many are not by the deadline.
    pub(crate) async fn wait(&self, count: usize, deadline: Duration) -> usize {
        let mut done = self.done.clone();
        let _ = tokio::time::timeout(deadline, done.wait_for(|have| *have >= count)).await;
        count.saturating_sub(self.count())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}
