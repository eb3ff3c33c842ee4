//! Seeing that nothing is written: a watch on every object of a namespace, and the audit log for writes that change nothing.

use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use futures::stream::{SelectAll, StreamExt};
use kube::Api;
use kube::api::{DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::Value;

use crate::{Namespace, node, snapshot};

/// Whose requests count; kubelets and controllers of Kubernetes write of their own.
const OPERATOR: &str = "system:serviceaccount:waybill-system:waybill-operator";

/// Waits for `span` without a write; starts again after each, and fails at `deadline`. Answers how often it started again.
///
/// Leases are renewed for ever, and the trust ConfigMap follows what is revoked in other namespaces: both are left out.
pub async fn settles(namespace: &Namespace, span: Duration, deadline: Duration) -> Vec<String> {
    let (begun, mut seen) = (Instant::now(), Vec::new());
    loop {
        match first_write(namespace, span).await {
            None => return seen,
            Some(write) => seen.push(write),
        }
        assert!(begun.elapsed() < deadline, "still written after {deadline:?}: {seen:#?}");
    }
}

/// The first write within `span`, if there is one.
pub async fn first_write(namespace: &Namespace, span: Duration) -> Option<String> {
    let mut log = AuditLog::from_now();
    let mut watches = SelectAll::new();
    for kind in snapshot::kinds().into_iter().filter(|kind| kind.kind != "Lease") {
        let api: Api<DynamicObject> = Api::namespaced_with(namespace.client.clone(), &namespace.name, &kind);
        let listed = api.list(&ListParams::default()).await.expect("a list");
        let version = listed.metadata.resource_version.unwrap_or_default();
        let events = api.watch(&WatchParams::default(), &version).await.expect("a watch");
        watches.push(events.filter_map(move |event| std::future::ready(told(&kind.kind, event))).boxed());
    }
    let seen = tokio::time::timeout(span, watches.next()).await;
    match seen {
        Ok(write) => Some(write.expect("a watch outlives the look")),
        Err(_) => log.writes(&namespace.name).into_iter().next(),
    }
}

fn told(kind: &str, event: kube::Result<WatchEvent<DynamicObject>>) -> Option<String> {
    let (what, object) = match event.expect("a watch goes on") {
        WatchEvent::Added(object) => ("added", object),
        WatchEvent::Modified(object) => ("modified", object),
        WatchEvent::Deleted(object) => ("deleted", object),
        WatchEvent::Bookmark(_) => return None,
        WatchEvent::Error(why) => panic!("a watch of {kind} ended: {why:?}"),
    };
    let name = object.metadata.name.unwrap_or_default();
    if (kind, name.as_str()) == ("ConfigMap", "waybill-trust") {
        return None;
    }
    let who = object.metadata.managed_fields.into_iter().flatten().max_by_key(|f| f.time.clone());
    Some(format!("{kind}/{name} {what} by {:?}", who.and_then(|f| f.manager)))
}

/// The API server's audit log from a moment on.
struct AuditLog(std::fs::File);

impl AuditLog {
    fn from_now() -> Self {
        let mut file = std::fs::File::open(node::audit_path()).expect("the audit log is readable");
        file.seek(SeekFrom::End(0)).expect("a plain file");
        Self(file)
    }

    /// The operator's writes in a namespace since then, those that changed nothing or were refused too.
    fn writes(&mut self, namespace: &str) -> Vec<String> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("the audit log is text");
        text.lines().filter_map(|line| write(line, namespace)).collect()
    }
}

fn write(line: &str, namespace: &str) -> Option<String> {
    // The last line may be half written.
    let entry: Value = serde_json::from_str(line).ok()?;
    let (verb, object) = (entry["verb"].as_str()?, &entry["objectRef"]);
    let writes = ["create", "update", "patch", "delete"].contains(&verb);
    let ours = entry["user"]["username"] == OPERATOR && object["namespace"] == namespace;
    let refused = entry["responseStatus"]["code"].as_u64().is_some_and(|code| code >= 400);
    let counts = object["name"] != "waybill-trust" || refused;
    (writes && ours && counts).then(|| format!("operator: {verb} {}/{}", object["resource"], object["name"]))
}
