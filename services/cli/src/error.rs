//! What went wrong, and what to do about it, in that order.

use std::io;
use std::path::PathBuf;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to find a cluster")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("failed to {verb} {what} in namespace {namespace:?}")]
    Cluster {
        verb: &'static str,
        what: String,
        namespace: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("there is no Delivery with the name or UPC {name:?} in namespace {namespace:?}")]
    NoDelivery { name: String, namespace: String },
    #[error("{count} Deliveries have the UPC {upc:?}: {names}")]
    Ambiguous { upc: String, count: usize, names: String },
    #[error("{0}")]
    Missing(String),
    #[error("failed to {verb} {path:?}")]
    File {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to {verb} the Carrier API of namespace {namespace:?}")]
    Reach {
        verb: &'static str,
        namespace: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the Carrier API refused: {detail} ({slug})")]
    Refused { slug: String, detail: String, namespace: String },
    #[error("failed to make the bundle")]
    Bundle(#[source] waybill_proof::WriteError),
}

impl Error {
    /// The error, its causes, and the next step.
    pub(crate) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text += &format!(": {}", said(error));
            cause = if of_cluster(error).is_some() { None } else { error.source() };
        }
        match self.next_step() {
            Some(step) => format!("{text}\n  {step}"),
            None => text,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Config(_) => {
                Some("set KUBECONFIG or pass --kubeconfig; `make -s kubeconfig` prints the one of `make up`".into())
            }
            Self::NoDelivery { .. } => {
                Some("`kubectl waybill track` lists them; another namespace goes after -n".into())
            }
            Self::Ambiguous { .. } => Some("say which one by its name".into()),
            Self::Reach { .. } => Some(
                "its address for --server is in ConfigMap waybill-trust; without --server the way leads through the cluster's API server"
                    .into(),
            ),
            Self::Refused { slug, namespace, .. } => refusal_step(slug, namespace),
            Self::Cluster { verb, what, namespace, source } => cluster_step(verb, what, namespace, source),
            _ => None,
        }
    }
}

/// As it stands in our own errors too: in a box.
fn of_cluster<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a kube::Error> {
    error.downcast_ref::<kube::Error>().or_else(|| error.downcast_ref::<Box<kube::Error>>().map(|boxed| &**boxed))
}

/// kube's own text is the whole answer of the server; its message is what a person needs.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    match of_cluster(error) {
        Some(kube::Error::Api(status)) => status.message.clone(),
        _ => error.to_string(),
    }
}

fn cluster_step(verb: &str, what: &str, namespace: &str, source: &kube::Error) -> Option<String> {
    let kube::Error::Api(status) = source else {
        return Some("does the cluster run, and does this kubeconfig lead to it? `kubectl version` tells".into());
    };
    let resource = what.split_whitespace().next().unwrap_or(what);
    if status.is_forbidden() {
        let right = format!("you lack the right to {verb} {resource} there; whoever runs the cluster can give it:");
        let role = format!(
            "kubectl create role waybill-{} -n {namespace} --verb={} --resource={}",
            resource.replace('/', "-"),
            // A port-forward over WebSocket begins with a GET; newer API servers ask for `create` too.
            if resource == "pods/portforward" { "get,create" } else { verb },
            full(resource)
        );
        return Some(format!("{right}\n  {role}"));
    }
    if status.is_not_found() && resource == "serviceaccounts/token" {
        let name = what.split_whitespace().nth(1).unwrap_or("waybill-viewer");
        return Some(format!(
            "ask as another with --account, or make it:\n  kubectl create serviceaccount {name} -n {namespace}\n  \
             kubectl create role {name} -n {namespace} --verb=get,list,watch --resource=deliveries.{}\n  \
             kubectl create rolebinding {name} -n {namespace} --role={name} --serviceaccount={namespace}:{name}",
            waybill_crds::GROUP
        ));
    }
    let unknown = status.is_not_found() && matches!(resource, "deliveries" | "sellers" | "carriers");
    unknown.then(|| "is Waybill installed? `kubectl waybill doctor` tells".into())
}

fn refusal_step(slug: &str, namespace: &str) -> Option<String> {
    match slug {
        "not-permitted" => Some(format!(
            "who asks lacks it; whoever runs the cluster can give it:\n  kubectl create role waybill-read -n {namespace} --verb=get,list --resource=deliveries.{}",
            waybill_crds::GROUP
        )),
        "token-invalid" => {
            Some("the kubeconfig's token is not one of this cluster's any more; --account asks for a fresh one".into())
        }
        _ => None,
    }
}

fn full(resource: &str) -> String {
    match resource {
        "deliveries" | "sellers" | "carriers" => format!("{resource}.{}", waybill_crds::GROUP),
        _ => resource.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_is_not_there_is_told_with_the_lines_that_make_it() {
        let status =
            kube::core::Status::failure("serviceaccounts \"waybill-viewer\" not found", "NotFound").with_code(404);
        let error = Error::Cluster {
            verb: "create",
            what: "serviceaccounts/token waybill-viewer".into(),
            namespace: "demo".into(),
            source: Box::new(kube::Error::Api(status.boxed())),
        };
        let told = error.told();
        assert!(told.contains("kubectl create serviceaccount waybill-viewer -n demo"), "{told}");
        assert!(!told.contains("Status {"), "the server's message, not kube's whole answer: {told}");
    }
}
