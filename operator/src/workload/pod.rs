//! The pod: one container of the one image, under restricted Pod Security, with its root read-only and a token only where it is
//! used.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapProjection, ConfigMapVolumeSource, Container, ContainerPort, DownwardAPIProjection,
    DownwardAPIVolumeFile, EmptyDirVolumeSource, EnvFromSource, EnvVar, EnvVarSource, HTTPGetAction, KeyToPath,
    LocalObjectReference, ObjectFieldSelector, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, Probe,
    ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecretEnvSource, SecretVolumeSource, SecurityContext,
    ServiceAccountTokenProjection, TopologySpreadConstraint, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Made;
use crate::args::{self, Args};

/// The user every image of ours runs as.
const USER: i64 = 65532;
/// Group-readable, because the pod's user is not root.
const SECRET_MODE: i32 = 0o440;
/// The kubelet renews the token well before this.
const TOKEN_SECONDS: i64 = 3600;
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Something the program finds as a folder; the variable, if any, names the folder to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mount {
    Secret {
        variable: &'static str,
        name: String,
    },
    ConfigMap {
        variable: &'static str,
        name: String,
    },
    /// A token of the pod's own account that is good at one service of ours, and nowhere else.
    Token {
        variable: &'static str,
        audience: &'static str,
    },
    /// Kept over restarts of the container, gone with the pod.
    Scratch {
        variable: &'static str,
    },
    /// Kept over everything, at a fixed place.
    Claim {
        path: &'static str,
        name: String,
    },
}

/// What runs in the pod.
#[derive(Clone, Debug)]
pub(crate) struct Program<'a> {
    pub settings: &'a Args,
    /// The subcommand of the one binary.
    pub command: &'static str,
    /// The TLS port it serves, if any.
    pub port: Option<i32>,
    pub env: Vec<(&'static str, String)>,
    /// A Secret whose keys are more variables. It is the user's to make; without it they are unset.
    pub env_from: Option<String>,
    pub mounts: Vec<Mount>,
    /// Whether it speaks to the API server, under the account named as the workload.
    pub token: bool,
}

impl Mount {
    fn parts(&self) -> (Option<&'static str>, String, Volume) {
        let volume = |name: &str| Volume { name: name.to_owned(), ..Volume::default() };
        match self {
            Self::Secret { variable, name } => {
                let source = SecretVolumeSource {
                    secret_name: Some(name.clone()),
                    default_mode: Some(SECRET_MODE),
                    ..SecretVolumeSource::default()
                };
                let short = folder(variable);
                (Some(variable), path(&short), Volume { secret: Some(source), ..volume(&short) })
            }
            Self::ConfigMap { variable, name } => {
                let source = ConfigMapVolumeSource { name: name.clone(), ..ConfigMapVolumeSource::default() };
                let short = folder(variable);
                (Some(variable), path(&short), Volume { config_map: Some(source), ..volume(&short) })
            }
            Self::Token { variable, audience } => {
                let token = ServiceAccountTokenProjection {
                    audience: Some((*audience).to_owned()),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    path: "token".into(),
                };
                let source = ProjectedVolumeSource {
                    default_mode: Some(SECRET_MODE),
                    sources: Some(vec![VolumeProjection {
                        service_account_token: Some(token),
                        ..VolumeProjection::default()
                    }]),
                };
                let short = folder(variable);
                (Some(variable), path(&short), Volume { projected: Some(source), ..volume(&short) })
            }
            Self::Scratch { variable } => {
                let short = folder(variable);
                let source = EmptyDirVolumeSource::default();
                (Some(variable), path(&short), Volume { empty_dir: Some(source), ..volume(&short) })
            }
            Self::Claim { path, name } => {
                let source = PersistentVolumeClaimVolumeSource { claim_name: name.clone(), ..Default::default() };
                let short = path.trim_start_matches('/');
                (None, (*path).to_owned(), Volume { persistent_volume_claim: Some(source), ..volume(short) })
            }
        }
    }
}

/// `WAYBILL_TLS_DIR` becomes `tls`.
fn folder(variable: &str) -> String {
    variable.trim_start_matches("WAYBILL_").trim_end_matches("_DIR").to_ascii_lowercase()
}

fn path(folder: &str) -> String {
    format!("/var/lib/waybill/{folder}")
}

impl Program<'_> {
    pub(super) fn pod(&self, made: &Made) -> PodSpec {
        let mut volumes: Vec<Volume> = self.mounts.iter().map(|mount| mount.parts().2).collect();
        if self.token {
            volumes.push(token());
        }
        PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: self.pull_secrets(),
            service_account_name: self.token.then(|| made.name.clone()),
            containers: vec![self.container()],
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                // A volume with a year of photos is not walked through at each start.
                fs_group_change_policy: Some("OnRootMismatch".into()),
                seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }),
                ..PodSecurityContext::default()
            }),
            topology_spread_constraints: Some(vec![TopologySpreadConstraint {
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".into(),
                when_unsatisfiable: "ScheduleAnyway".into(),
                label_selector: Some(super::selected(made)),
                ..TopologySpreadConstraint::default()
            }]),
            volumes: Some(volumes),
            ..PodSpec::default()
        }
    }

    /// None rather than an empty list: the API server drops that, and what is dropped would look like a difference.
    fn pull_secrets(&self) -> Option<Vec<LocalObjectReference>> {
        let names = args::named(&self.settings.image_pull_secrets);
        (!names.is_empty()).then(|| names.into_iter().map(|name| LocalObjectReference { name }).collect())
    }

    fn container(&self) -> Container {
        let mut ports = vec![port("http", 8080)];
        ports.extend(self.port.map(|number| port("https", number)));
        Container {
            name: self.command.to_owned(),
            image: Some(self.settings.image.clone()),
            image_pull_policy: Some(self.settings.image_pull_policy.clone()),
            args: Some(vec![self.command.to_owned()]),
            env: Some(self.environment()),
            env_from: self.env_from.as_ref().map(|name| vec![secret_variables(name)]),
            ports: Some(ports),
            volume_mounts: Some(self.volume_mounts()),
            resources: Some(self.resources()),
            startup_probe: Some(probe("/healthz", 1, 60)),
            liveness_probe: Some(probe("/healthz", 10, 3)),
            readiness_probe: Some(probe("/readyz", 2, 3)),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), add: None }),
                ..SecurityContext::default()
            }),
            ..Container::default()
        }
    }

    fn environment(&self) -> Vec<EnvVar> {
        let log = &self.settings.log;
        let format = format!("{:?}", log.format).to_ascii_lowercase();
        // The API server drops an empty value, and what is dropped would look like a difference for ever.
        let said = self.env.iter().filter(|(_, value)| !value.is_empty());
        let mut env: Vec<EnvVar> = said.map(|(name, value)| plain(name, value)).collect();
        env.extend(self.mounts.iter().filter_map(|mount| {
            let (variable, path, _) = mount.parts();
            Some(plain(variable?, &path))
        }));
        env.push(of_pod("WAYBILL_POD", "metadata.name"));
        // What serves may be asked for by its like.
        env.extend(self.port.map(|_| of_pod("WAYBILL_POD_IP", "status.podIP")));
        env.extend([plain("WAYBILL_LOG", &log.filter), plain("WAYBILL_LOG_FORMAT", &format)]);
        env
    }

    fn volume_mounts(&self) -> Vec<VolumeMount> {
        let mount = |name: &str, path: String, read_only: bool| VolumeMount {
            name: name.to_owned(),
            mount_path: path,
            // Said or left out: the API server drops a plain `false`, and what is dropped would look like a difference for ever.
            read_only: read_only.then_some(true),
            ..VolumeMount::default()
        };
        let mut mounts: Vec<VolumeMount> = self
            .mounts
            .iter()
            .map(|part| {
                let (_, path, volume) = part.parts();
                mount(&volume.name, path, !matches!(part, Mount::Scratch { .. } | Mount::Claim { .. }))
            })
            .collect();
        if self.token {
            mounts.push(mount("token", TOKEN_DIR.into(), true));
        }
        mounts
    }

    fn resources(&self) -> ResourceRequirements {
        let settings = self.settings;
        let amounts = |pairs: &[(&str, &String)]| -> BTreeMap<String, Quantity> {
            pairs.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).clone()))).collect()
        };
        ResourceRequirements {
            requests: Some(amounts(&[("cpu", &settings.pod_cpu_request), ("memory", &settings.pod_memory_request)])),
            // No CPU limit: throttling a service only delays a parcel.
            limits: Some(amounts(&[("memory", &settings.pod_memory_limit)])),
            claims: None,
        }
    }
}

fn of_pod(name: &str, field: &str) -> EnvVar {
    let field_ref = ObjectFieldSelector { api_version: Some("v1".into()), field_path: field.into() };
    let source = EnvVarSource { field_ref: Some(field_ref), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
}

fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() }
}

fn secret_variables(name: &str) -> EnvFromSource {
    let secret = SecretEnvSource { name: name.to_owned(), optional: Some(true) };
    EnvFromSource { secret_ref: Some(secret), ..EnvFromSource::default() }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// What a client in a cluster looks for, in the place it looks: a short-lived token, the API server's CA, the namespace.
fn token() -> Volume {
    let token =
        ServiceAccountTokenProjection { expiration_seconds: Some(TOKEN_SECONDS), path: "token".into(), audience: None };
    let ca = ConfigMapProjection {
        name: "kube-root-ca.crt".into(),
        items: Some(vec![KeyToPath { key: "ca.crt".into(), path: "ca.crt".into(), mode: None }]),
        optional: None,
    };
    let namespace = DownwardAPIProjection {
        items: Some(vec![DownwardAPIVolumeFile {
            path: "namespace".into(),
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".into()),
                field_path: "metadata.namespace".into(),
            }),
            ..DownwardAPIVolumeFile::default()
        }]),
    };
    let sources = vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(ca), ..VolumeProjection::default() },
        VolumeProjection { downward_api: Some(namespace), ..VolumeProjection::default() },
    ];
    Volume {
        name: "token".into(),
        projected: Some(ProjectedVolumeSource { sources: Some(sources), default_mode: Some(SECRET_MODE) }),
        ..Volume::default()
    }
}
