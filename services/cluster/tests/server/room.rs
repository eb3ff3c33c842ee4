//! A namespace in which our definitions are served, with a Delivery and the two who sign in it.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::{Role as RbacRole, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use waybill_cluster::custody;
use waybill_crds::Delivery;
use waybill_e2e::{Namespace, eventually, in_namespace, objects};
use waybill_protocol::{
    AgreementSecret, Commitments, Fact, Hash, Log, Mac, Role, SignedEvent, Stage, Terms, Trust, UnixMillis, Upc,
    fact::reason::DeliveredTo, version,
};

use crate::domain::{Ca, Somebody};

pub(crate) const SOON: Duration = Duration::from_secs(60);
pub(crate) const WHO: &str = "wb-seller";

pub(crate) struct Room {
    pub(crate) namespace: Namespace,
    pub(crate) trust: Trust,
    pub(crate) seller: Somebody,
    pub(crate) carrier: Somebody,
    /// Deliveries as the account of Seller `acme` sees them.
    pub(crate) api: Api<Delivery>,
}

pub(crate) async fn in_room<F, Fut>(test: &str, story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    in_namespace(test, &[], async |namespace| {
        define(&namespace).await;
        let account = namespace.cluster.as_account(&namespace.name, "wb-seller-acme");
        let api = Api::namespaced(account, &namespace.name);
        let ca = Ca::new();
        let somebody = |role, name, uid| ca.somebody(role, &namespace.name, name, uid);
        let seller = somebody(Role::Seller, "acme", "5e11e500-0000-4000-8000-000000000001");
        let carrier = somebody(Role::Carrier, "truck", "ca001e00-0000-4000-8000-000000000002");
        story(Room { trust: ca.trust(), seller, carrier, api, namespace }).await;
    })
    .await;
}

async fn define(namespace: &Namespace) {
    let api: Api<CustomResourceDefinition> = Api::all(namespace.client.clone());
    for kind in waybill_crds::all() {
        let params = PatchParams::apply("waybill-test").force();
        api.patch(&kind.name_any(), &params, &Patch::Apply(&kind)).await.unwrap();
        let established = kube::runtime::wait::conditions::is_crd_established();
        kube::runtime::wait::await_condition(api.clone(), &kind.name_any(), established).await.unwrap();
    }
    let role = json!({"metadata": {"name": "seller"}, "rules": [
        {"apiGroups": [waybill_crds::GROUP], "resources": ["deliveries"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [waybill_crds::GROUP], "resources": ["deliveries/status"], "verbs": ["patch"]},
    ]});
    let binding = json!({"metadata": {"name": "seller"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "seller"},
        "subjects": [{"kind": "ServiceAccount", "name": "wb-seller-acme", "namespace": namespace.name}]});
    let params = PostParams::default();
    namespace.api::<RbacRole>().create(&params, &serde_json::from_value(role).unwrap()).await.unwrap();
    namespace.api::<RoleBinding>().create(&params, &serde_json::from_value(binding).unwrap()).await.unwrap();
}

impl Room {
    /// A Delivery no operator looks at.
    pub(crate) async fn delivery(&self, name: &str) -> Delivery {
        let mut body = objects::delivery(name, "acme", "truck");
        body["metadata"]["annotations"] = json!({waybill_crds::annotation::PAUSED: "true"});
        // Right after the definition is established, a server may still not know it.
        eventually("a Delivery", SOON, || objects::apply::<Delivery>(&self.namespace, &body)).await;
        eventually("its account may read it", SOON, || self.api.get(name)).await
    }

    pub(crate) fn read(&self, delivery: &Delivery) -> Log {
        custody::read(delivery, self.seller.signer.uid(), &self.trust).unwrap()
    }

    /// Signs these facts one after the other, each after the ones before it.
    pub(crate) fn sign(&self, log: &Log, facts: &[(Who, Fact)]) -> Vec<SignedEvent> {
        let mut log = log.clone();
        let sign = |(who, fact): &(Who, Fact)| {
            let signer = match who {
                Who::Seller => &self.seller.signer,
                Who::Carrier => &self.carrier.signer,
            };
            let event = log.sign(signer, fact.clone(), now()).unwrap();
            assert!(log.push(event.bytes()).counts());
            event
        };
        facts.iter().map(sign).collect()
    }

    /// Everything of a plain delivery, in the writes of the design.
    pub(crate) fn plain(&self) -> Vec<Vec<(Who, Fact)>> {
        use Who::{Carrier, Seller};
        let key = AgreementSecret::from_bytes([7; 32]).public();
        let accepted = Fact::Accepted { attempt_key: key, nonce: Mac([1; 32]), protocol: version::CURRENT };
        let released = |stage, gate| (Seller, Fact::Released { stage, gate });
        let posted = |stage| (Carrier, Fact::Posted { stage, commitment: commitments().of(stage) });
        let gate = Some(waybill_protocol::Gate::NotAsked);
        vec![
            vec![(Carrier, accepted), (Seller, Fact::HandedOver { terms: self.terms() })],
            vec![(Carrier, Fact::PickedUp), released(Stage::Country, None)],
            vec![posted(Stage::Country)],
            vec![released(Stage::PostalCode, None)],
            vec![posted(Stage::PostalCode)],
            vec![released(Stage::Door, gate)],
            vec![(Carrier, Fact::Delivered { to: DeliveredTo::Recipient, note: None })],
        ]
    }

    fn terms(&self) -> Terms {
        Terms {
            upc: Upc::new("one").unwrap(),
            carrier: self.carrier.signer.uid().clone(),
            max_attempts: 3,
            photo: false,
            scan: false,
            window: None,
            commitments: commitments(),
            receipt: None,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Who {
    Seller,
    Carrier,
}

fn commitments() -> Commitments {
    Commitments { country: Hash::of(b"1"), postal_code: Hash::of(b"2"), door: Hash::of(b"3") }
}

pub(crate) fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since.as_millis()).unwrap())
}
