//! Who wrote what, from the API server's audit log: every request, refused ones and those that change nothing too.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use waybill_e2e::node;

/// One request that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) at: Timestamp,
    pub(crate) user: String,
    pub(crate) verb: String,
    /// With its subresource: `deliveries/status`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    /// The status it was refused with.
    pub(crate) refused: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    object_ref: Option<Object>,
    response_status: Option<Answer>,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: Option<String>,
    namespace: String,
}

#[derive(Deserialize)]
struct Answer {
    code: Option<u16>,
}

impl Write {
    /// Made by an account of Waybill's: not by Kubernetes, nor by the bench.
    pub(crate) fn is_waybills(&self) -> bool {
        self.account().is_some_and(|account| !account.starts_with("kube-system:"))
    }

    fn account(&self) -> Option<&str> {
        self.user.strip_prefix("system:serviceaccount:")
    }

    fn read(line: &str) -> Option<Self> {
        // The last line may be half written.
        let line: Line = serde_json::from_str(line).ok()?;
        let writes = ["create", "update", "patch", "delete", "deletecollection"].contains(&line.verb.as_str());
        let object = line.object_ref.filter(|_| writes)?;
        let subresource = object.subresource.map(|name| format!("/{name}")).unwrap_or_default();
        Some(Self {
            at: line.request_received_timestamp,
            user: line.user.username,
            verb: line.verb,
            resource: object.resource + &subresource,
            namespace: object.namespace,
            refused: line.response_status.and_then(|answer| answer.code).filter(|code| *code >= 400),
        })
    }
}

/// Every write since `from`.
pub(crate) fn since(from: Timestamp) -> Vec<Write> {
    written(&node::audit_log(), from)
}

fn written(log: &str, from: Timestamp) -> Vec<Write> {
    log.lines().filter_map(Write::read).filter(|write| write.at >= from).collect()
}

/// How often who did what, most first: `waybill-operator patch deliveries/status 10000`.
pub(crate) fn tally<'a>(writes: impl IntoIterator<Item = &'a Write>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for write in writes {
        let who = write.user.rsplit(':').next().unwrap_or_default();
        let refused = write.refused.map(|code| format!(", refused {code}")).unwrap_or_default();
        *counts.entry(format!("{who} {} {}{refused}", write.verb, write.resource)).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let shown: Vec<String> = counts.into_iter().map(|(what, times)| format!("{what} {times}")).collect();
    if shown.is_empty() { "none".into() } else { shown.join(" · ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = r#"{"verb":"patch","user":{"username":"system:serviceaccount:waybill-system:waybill-operator"},"objectRef":{"resource":"deliveries","namespace":"bench","name":"d-1","subresource":"status"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-21T15:00:00.000001Z"}"#;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_write_carries_its_subresource_and_whose_it_is() {
        let write = Write::read(PATCH).unwrap();
        assert_eq!((write.resource.as_str(), write.refused), ("deliveries/status", None));
        assert!(write.is_waybills());
        let theirs = Write { user: "system:serviceaccount:kube-system:replicaset-controller".into(), ..write.clone() };
        assert!(!theirs.is_waybills());
        assert!(!Write { user: "kubernetes-admin".into(), ..write }.is_waybills());
    }

    #[test]
    fn reads_half_lines_and_what_was_before_are_left_out() {
        let read = PATCH.replace(r#""patch""#, r#""get""#);
        let log = format!("{read}\n{PATCH}\n{}", &PATCH[..60]);
        assert_eq!(written(&log, at("2026-11-21T14:59:59Z")).len(), 1);
        assert_eq!(written(&log, at("2026-11-21T15:00:01Z")).len(), 0);
    }

    #[test]
    fn a_refused_write_is_told_apart() {
        let refused = Write::read(&PATCH.replace("200", "409")).unwrap();
        let fine = Write::read(PATCH).unwrap();
        let told = tally([&fine, &refused, &fine]);
        assert_eq!(
            told,
            "waybill-operator patch deliveries/status 2 · waybill-operator patch deliveries/status, refused 409 1"
        );
        assert_eq!(tally([]), "none");
    }
}
