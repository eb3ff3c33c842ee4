//! Connections that should go on: a carrier's session that comes back by itself, and the sessions of Waybill's own pods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use rumqttc::{Event, Packet};
use tokio::task::JoinSet;

use crate::agent::Agent;
use crate::{Namespace, objects};

/// Between looks at a pod.
const LOOK: Duration = Duration::from_millis(250);

/// When each one was seen without its session, break by break.
#[derive(Default)]
struct Breaks(Mutex<BTreeMap<String, Vec<Break>>>);

/// Since when, and for how long; the last one may not have ended.
type Break = (Instant, Option<Duration>);

impl Breaks {
    /// Told again and again how it is.
    fn saw(&self, who: &str, connected: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let breaks = all.entry(who.to_owned()).or_default();
        match (connected, breaks.last_mut()) {
            (true, Some((since, length @ None))) => *length = Some(since.elapsed()),
            (false, None | Some((_, Some(_)))) => breaks.push((Instant::now(), None)),
            _ => {}
        }
    }
}

/// Watches until it is dropped.
pub struct Watchman {
    breaks: Arc<Breaks>,
    _tasks: JoinSet<()>,
}

impl Watchman {
    /// `agent` is connected; `pods` have a session each.
    pub fn start(namespace: &Namespace, agent: Agent, pods: &[String]) -> Self {
        let breaks = Arc::new(Breaks::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(agent, breaks.clone()));
        for pod in pods {
            tasks.spawn(look(namespace.clone(), pod.clone(), breaks.clone()));
        }
        Self { breaks, _tasks: tasks }
    }

    /// No break was longer than a reconnect takes; answers with all of them.
    pub fn none_longer_than(&self, longest: Duration) -> BTreeMap<String, Vec<Duration>> {
        let all = self.breaks.0.lock().unwrap_or_else(PoisonError::into_inner);
        let length = |(since, length): &Break| length.unwrap_or_else(|| since.elapsed());
        let breaks = all.iter().map(|(who, breaks)| (who.clone(), breaks.iter().map(length).collect())).collect();
        let long = |breaks: &BTreeMap<String, Vec<Duration>>| breaks.values().flatten().any(|gap| *gap > longest);
        assert!(!long(&breaks), "sessions were away for longer than {longest:?}: {breaks:#?}");
        breaks
    }
}

/// The client connects again at once.
async fn keep(mut agent: Agent, breaks: Arc<Breaks>) {
    loop {
        match agent.events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => breaks.saw("the agent outside", true),
            Ok(_) => {}
            Err(_) => {
                breaks.saw("the agent outside", false);
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

async fn look(namespace: Namespace, pod: String, breaks: Arc<Breaks>) {
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        // A look that failed says nothing about the session.
        if let Ok(metrics) = objects::probe(&namespace, &pod, "/metrics").await {
            breaks.saw(&pod, metrics.lines().any(|line| line == "waybill_link_connected 1"));
        }
    }
}

/// Each pod of these namespaces by its uid, with how often its containers were started again.
pub async fn pods(client: &kube::Client, namespaces: &[&str]) -> BTreeMap<String, (Option<String>, i32)> {
    let mut found = BTreeMap::new();
    for namespace in namespaces {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        for pod in api.list(&ListParams::default()).await.expect("pods") {
            let status = pod.status.iter();
            let containers =
                status.flat_map(|s| s.container_statuses.iter().chain(&s.init_container_statuses).flatten());
            let restarts = containers.map(|container| container.restart_count).sum();
            found.insert(pod.name_any(), (pod.uid(), restarts));
        }
    }
    found
}
