//! The pod of a managed Carrier's agent, or what is to be cleared away where there is none. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::reflector::ObjectRef;
use waybill_crds::carrier::Managed;
use waybill_crds::label;

use super::validate::{Agent, Valid};
use crate::args::Args;
use crate::broker;
use crate::carrier_api;
use crate::workload::{self, Made, Mount, Peer, Program, Rollout};

/// Made, but not sent.
pub(crate) enum Prepared {
    Pod(Box<Transport>),
    /// What a former agent's pod left.
    Nothing {
        deployment: ObjectRef<Deployment>,
        policy: ObjectRef<NetworkPolicy>,
    },
    /// No certificate yet: whatever is there stays as it is.
    Wait {
        deployment: ObjectRef<Deployment>,
    },
}

pub(crate) struct Transport {
    pub policy: NetworkPolicy,
    pub deployment: Deployment,
}

pub(super) fn build(carrier: &Valid, issued: bool, settings: &Args) -> Prepared {
    let made = Made::of(&carrier.known, "transport", label::CARRIER);
    let Agent::Pod { managed, awake } = &carrier.agent else {
        return Prepared::Nothing {
            deployment: ObjectRef::new(&made.name).within(&made.namespace),
            policy: ObjectRef::new(&made.name).within(&made.namespace),
        };
    };
    if !issued {
        return Prepared::Wait { deployment: ObjectRef::new(&made.name).within(&made.namespace) };
    }
    let program = program(carrier, managed, settings);
    let content = crate::apply::hash(&carrier.known.uid.clone().into());
    let peers = [Peer::Broker(broker::carriers_port(settings)), Peer::CarrierApi];
    Prepared::Pod(Box::new(Transport {
        policy: workload::policy(&made, None, &peers),
        deployment: workload::deployment(&made, &program, i32::from(*awake), Rollout::OneAtATime, &content),
    }))
}

fn program<'a>(carrier: &Valid, managed: &Managed, settings: &'a Args) -> Program<'a> {
    let known = &carrier.known;
    let script = serde_json::to_string(&managed.script).expect("a list of enums is JSON");
    Program {
        settings,
        command: "transport",
        port: None,
        env: vec![
            ("WAYBILL_NAMESPACE", known.namespace.clone()),
            ("WAYBILL_NAME", known.name.clone()),
            ("WAYBILL_UID", known.uid.clone()),
            ("WAYBILL_MANAGED", "true".to_owned()),
            ("WAYBILL_KIND", carrier.kind.as_str().to_owned()),
            ("WAYBILL_CAMERA", carrier.camera.to_string()),
            ("WAYBILL_PACE", managed.pace.to_string()),
            ("WAYBILL_SCRIPT", script),
            ("WAYBILL_BROKER", broker::for_carriers(settings)),
            ("WAYBILL_CARRIER_API", carrier_api::url(&known.namespace)),
        ],
        env_from: None,
        mounts: vec![
            Mount::Secret { variable: "WAYBILL_TLS_DIR", name: format!("wb-carrier-{}-tls", known.name) },
            Mount::Secret { variable: "WAYBILL_KEYS_DIR", name: format!("wb-carrier-{}-keys", known.name) },
            Mount::ConfigMap { variable: "WAYBILL_TRUST_DIR", name: "waybill-trust".into() },
            Mount::Scratch { variable: "WAYBILL_JOURNAL_DIR" },
        ],
        token: false,
    }
}
