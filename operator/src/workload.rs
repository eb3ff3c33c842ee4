//! What every workload of the operator looks like: names, labels and the objects around a pod, written once so that no kind
//! forgets one of them. Pure: settings and a description in, objects out.

mod network;
mod pod;
mod rights;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use waybill_crds::{FIELD_MANAGER, annotation, label};

use crate::participant::Known;

pub(crate) use network::{Peer, policy};
pub(crate) use pod::{Mount, Program};
pub(crate) use rights::{binding, every, named, role};

/// Whose objects these are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    pub namespace: String,
    /// Name of every object of the workload.
    pub name: String,
    /// `seller`, `carrier-api` or `transport`.
    pub component: &'static str,
    /// The Seller or Carrier it was made for, under which label; none where it belongs to the whole namespace.
    pub belongs: Option<(&'static str, String)>,
    pub owners: Vec<OwnerReference>,
}

impl Made {
    /// What is made for one participant: named `wb-<component>-<its name>`, and gone with it.
    pub(crate) fn of(known: &Known, component: &'static str, label: &'static str) -> Self {
        Self {
            namespace: known.namespace.clone(),
            name: format!("wb-{component}-{}", known.name),
            component,
            belongs: Some((label, known.name.clone())),
            owners: vec![known.owner.clone()],
        }
    }

    /// What tells its pods from all others; never changes, because a Deployment's selector cannot.
    pub(crate) fn selector(&self) -> BTreeMap<String, String> {
        let instance = self.belongs.as_ref().map_or(&self.namespace, |(_, name)| name);
        [(label::NAME, label::APP_NAME), (label::COMPONENT, self.component), (label::INSTANCE, instance)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        labels.insert(label::MANAGED_BY.into(), FIELD_MANAGER.into());
        labels.extend(self.belongs.clone().map(|(key, name)| (key.to_owned(), name)));
        labels
    }

    pub(crate) fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels()),
            owner_references: (!self.owners.is_empty()).then(|| self.owners.clone()),
            ..ObjectMeta::default()
        }
    }
}

/// How pods replace each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rollout {
    /// The new one is ready before the old one goes.
    Overlapping,
    /// Never two at once: one identity is one session.
    OneAtATime,
}

/// The Deployment of a program. `content` changes when what the pods read only at their start has changed, and only then.
pub(crate) fn deployment(
    made: &Made,
    program: &Program<'_>,
    replicas: i32,
    rollout: Rollout,
    content: &str,
) -> Deployment {
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(made.labels()),
            annotations: Some([(annotation::CONTENT_HASH.to_owned(), content.to_owned())].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(program.pod(made)),
    };
    let spec = DeploymentSpec {
        replicas: Some(replicas),
        revision_history_limit: Some(2),
        selector: selected(made),
        strategy: Some(strategy(rollout)),
        template,
        ..DeploymentSpec::default()
    };
    Deployment { metadata: made.metadata(), spec: Some(spec), ..Deployment::default() }
}

fn strategy(rollout: Rollout) -> DeploymentStrategy {
    match rollout {
        Rollout::OneAtATime => DeploymentStrategy { type_: Some("Recreate".into()), rolling_update: None },
        Rollout::Overlapping => DeploymentStrategy {
            type_: Some("RollingUpdate".into()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(1)),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        },
    }
}

fn selected(made: &Made) -> LabelSelector {
    LabelSelector { match_labels: Some(made.selector()), ..LabelSelector::default() }
}

/// The Service in front of one port.
pub(crate) fn service(made: &Made, port: i32) -> Service {
    let spec = ServiceSpec {
        selector: Some(made.selector()),
        ports: Some(vec![ServicePort {
            name: Some("https".into()),
            port,
            target_port: Some(IntOrString::String("https".into())),
            protocol: Some("TCP".into()),
            ..ServicePort::default()
        }]),
        ..ServiceSpec::default()
    };
    Service { metadata: made.metadata(), spec: Some(spec), ..Service::default() }
}

/// The account; its token is projected where it is used, never mounted by default.
pub(crate) fn account(made: &Made) -> ServiceAccount {
    ServiceAccount {
        metadata: made.metadata(),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// A drained node takes one pod at a time; a single replica must not block the drain.
pub(crate) fn budget(made: &Made) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(selected(made)),
        ..PodDisruptionBudgetSpec::default()
    };
    PodDisruptionBudget { metadata: made.metadata(), spec: Some(spec), status: None }
}

/// How far a Deployment is, as its status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// As many pods as wanted are available; an overlapping update keeps it so.
    Available,
    Starting,
    /// Its own controller has given up waiting.
    Failing,
}

pub(crate) fn progress(deployment: &Deployment) -> Progress {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return Progress::Starting };
    let seen = status.observed_generation >= deployment.metadata.generation;
    let failing = status.conditions.iter().flatten().any(|c| c.type_ == "Progressing" && c.status == "False");
    if seen && status.available_replicas.unwrap_or(0) >= wanted {
        Progress::Available
    } else if failing {
        Progress::Failing
    } else {
        Progress::Starting
    }
}

#[cfg(test)]
mod tests;
