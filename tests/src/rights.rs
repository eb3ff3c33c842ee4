//! What each account of Waybill's may do, and what the API server's audit log says it did.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;

use crate::node;

/// One verb on one kind of object, or on one object of it, for one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// `namespace:name`.
    pub account: String,
    pub verb: String,
    /// As `kubectl` writes it: `deliveries.waybill.dev/status`.
    pub resource: String,
    /// Of one object, where the rule names any.
    pub name: Option<String>,
    /// `None`: in every namespace.
    pub namespace: Option<String>,
}

/// One request, as far as rights go.
#[derive(Clone, Debug)]
pub struct Request {
    pub account: String,
    pub verb: String,
    pub resource: String,
    pub name: String,
    pub namespace: String,
    /// It made an object that was not there.
    pub created: bool,
    /// The account had no right to it.
    pub forbidden: bool,
    /// When it was answered (RFC 3339, UTC).
    pub at: String,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        let place = self.namespace.as_deref().unwrap_or("all namespaces");
        write!(f, "{} may {} {}{name} in {place}", self.account, self.verb, self.resource)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, verb, resource, name, namespace, at, .. } = self;
        write!(f, "{at} {account}: {verb} {resource} {namespace}/{name}")
    }
}

impl Grant {
    /// The right without whose it is: `patch deliveries.waybill.dev/status upc-1`.
    pub fn right(&self) -> String {
        let name = self.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
        format!("{} {}{name}", self.verb, self.resource)
    }

    fn allows(&self, verb: &str, request: &Request) -> bool {
        self.account == request.account
            && self.verb == verb
            && self.resource == request.resource
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == request.namespace)
            && self.name.as_ref().is_none_or(|name| *name == request.name)
    }
}

/// Everything bound to the ServiceAccounts of these namespaces.
pub async fn granted(client: &Client, namespaces: &[&str]) -> BTreeSet<Grant> {
    let mut grants = BTreeSet::new();
    let all = ListParams::default();
    let wide: Api<ClusterRoleBinding> = Api::all(client.clone());
    for binding in wide.list(&all).await.expect("ClusterRoleBindings") {
        for account in accounts(binding.subjects.as_deref(), namespaces) {
            expand(&mut grants, &account, None, &rules(client, &binding.role_ref, None).await);
        }
    }
    let narrow: Api<RoleBinding> = Api::all(client.clone());
    for binding in narrow.list(&all).await.expect("RoleBindings") {
        let place = binding.metadata.namespace.clone();
        for account in accounts(binding.subjects.as_deref(), namespaces) {
            let rules = rules(client, &binding.role_ref, place.as_deref()).await;
            expand(&mut grants, &account, place.as_deref(), &rules);
        }
    }
    grants
}

/// What these accounts asked for since the node was made.
pub fn requests(namespaces: &[&str]) -> Vec<Request> {
    let prefixes: Vec<_> = namespaces.iter().map(|name| format!("system:serviceaccount:{name}:")).collect();
    let log = node::audit_log();
    let ours = log.lines().filter(|line| prefixes.iter().any(|prefix| line.contains(prefix)));
    // The last line may be half written.
    let entries = ours.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let requests = entries.filter_map(|entry| request(&entry));
    requests.filter(|request| namespaces.iter().any(|n| request.account.split(':').next() == Some(n))).collect()
}

/// The grants that no request needed. A request counts for the narrowest grant that allows it: a right in one namespace is
/// no reason to have it in all.
pub fn unused(grants: &BTreeSet<Grant>, requests: &[Request]) -> BTreeSet<Grant> {
    let mut used = BTreeSet::new();
    for request in requests.iter().filter(|request| !request.forbidden) {
        // Server-side apply of what is not there asks for both.
        let creates = request.created.then_some("create");
        for verb in [request.verb.as_str()].into_iter().chain(creates) {
            let fits = grants.iter().filter(|grant| grant.allows(verb, request));
            used.extend(fits.max_by_key(|grant| (grant.namespace.is_some(), grant.name.is_some())).cloned());
        }
    }
    // Nobody asks for `bind` itself: the API server looks for it where a binding is made.
    let binds = |account: &str| {
        let bound = |request: &Request| {
            !request.forbidden && request.account == account && request.resource.contains("rolebindings")
        };
        requests.iter().any(|request| bound(request) && ["create", "patch"].contains(&&request.verb[..]))
    };
    used.extend(grants.iter().filter(|grant| grant.verb == "bind" && binds(&grant.account)).cloned());
    grants - &used
}

/// Accounts of these namespaces among the subjects of a binding.
fn accounts(subjects: Option<&[Subject]>, namespaces: &[&str]) -> Vec<String> {
    let ours = |subject: &&Subject| {
        let place = subject.namespace.as_deref();
        subject.kind == "ServiceAccount" && place.is_some_and(|place| namespaces.contains(&place))
    };
    let name = |subject: &Subject| format!("{}:{}", subject.namespace.as_deref().unwrap_or_default(), subject.name);
    subjects.into_iter().flatten().filter(ours).map(name).collect()
}

async fn rules(client: &Client, role: &RoleRef, namespace: Option<&str>) -> Vec<PolicyRule> {
    // Gone since its binding was listed: nothing is granted.
    let found = match (role.kind.as_str(), namespace) {
        ("Role", Some(place)) => {
            let api: Api<Role> = Api::namespaced(client.clone(), place);
            api.get_opt(&role.name).await.expect("a Role").and_then(|role| role.rules)
        }
        _ => {
            let api: Api<ClusterRole> = Api::all(client.clone());
            api.get_opt(&role.name).await.expect("a ClusterRole").and_then(|role| role.rules)
        }
    };
    found.unwrap_or_default()
}

fn expand(grants: &mut BTreeSet<Grant>, account: &str, namespace: Option<&str>, rules: &[PolicyRule]) {
    for rule in rules {
        let names = match rule.resource_names.as_deref() {
            None | Some([]) => vec![None],
            Some(names) => names.iter().cloned().map(Some).collect(),
        };
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                let (kind, part) = resource.split_once('/').unwrap_or((resource, ""));
                for verb in &rule.verbs {
                    grants.extend(names.iter().map(|name| Grant {
                        account: account.to_owned(),
                        verb: verb.clone(),
                        resource: spelled(kind, group, part),
                        name: name.clone(),
                        namespace: namespace.map(str::to_owned),
                    }));
                }
            }
        }
    }
}

fn spelled(kind: &str, group: &str, part: &str) -> String {
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let part = if part.is_empty() { String::new() } else { format!("/{part}") };
    format!("{kind}{group}{part}")
}

/// `None` for what is not about an object: discovery, versions.
fn request(entry: &Value) -> Option<Request> {
    // A test in somebody's name is not that somebody.
    if !entry["impersonatedUser"].is_null() {
        return None;
    }
    let (object, text) = (&entry["objectRef"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
    let kind = object["resource"].as_str()?;
    let account = entry["user"]["username"].as_str()?.strip_prefix("system:serviceaccount:")?;
    let verb = text(&entry["verb"]);
    let created = verb == "patch" && entry["responseStatus"]["code"] == 201;
    Some(Request {
        account: account.to_owned(),
        resource: spelled(kind, &text(&object["apiGroup"]), &text(&object["subresource"])),
        name: text(&object["name"]),
        namespace: text(&object["namespace"]),
        created,
        forbidden: entry["annotations"]["authorization.k8s.io/decision"] == "forbid",
        at: text(&entry["requestReceivedTimestamp"]),
        verb,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(verb: &str, namespace: Option<&str>, name: Option<&str>) -> Grant {
        Grant {
            account: "home:operator".into(),
            verb: verb.into(),
            resource: "secrets".into(),
            name: name.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
        }
    }

    fn asked(verb: &str, namespace: &str, name: &str) -> Request {
        let entry = serde_json::json!({
            "verb": verb, "user": {"username": "system:serviceaccount:home:operator"},
            "objectRef": {"resource": "secrets", "namespace": namespace, "name": name},
            "responseStatus": {"code": 201}, "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z",
            "annotations": {"authorization.k8s.io/decision": "allow"}
        });
        request(&entry).expect("a request")
    }

    #[test]
    fn a_request_counts_for_the_narrowest_right_alone() {
        let wide = grant("patch", None, None);
        let grants = BTreeSet::from([wide.clone(), grant("patch", Some("home"), Some("ca"))]);
        assert_eq!(unused(&grants, &[asked("patch", "home", "ca")]), BTreeSet::from([wide]));
        assert_eq!(unused(&grants, &[asked("patch", "shop", "tls"), asked("patch", "home", "ca")]), BTreeSet::new());
    }

    #[test]
    fn an_apply_that_makes_an_object_needs_the_right_to_create_too() {
        let grants = BTreeSet::from([grant("patch", None, None), grant("create", None, None)]);
        assert_eq!(unused(&grants, &[asked("patch", "shop", "tls")]), BTreeSet::new());
        assert_eq!(unused(&grants, &[asked("create", "shop", "tls")]), BTreeSet::from([grant("patch", None, None)]));
    }

    #[test]
    fn what_was_forbidden_uses_no_right() {
        let grants = BTreeSet::from([grant("get", None, None)]);
        let mut refused = asked("get", "shop", "tls");
        refused.forbidden = true;
        assert_eq!(unused(&grants, &[refused]), grants);
    }
}
