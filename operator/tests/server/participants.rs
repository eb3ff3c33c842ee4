//! What Sellers and Carriers get, that it is mended, and that nothing of it stays.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace as KubeNamespace, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::eventually;

use crate::stage::{SOON, on_stage};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_breaks_of_a_sellers_workload_is_mended_and_then_left_alone() {
    on_stage("mended", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        let (roles, deployments) = (stage.namespace.api::<Role>(), stage.namespace.api::<Deployment>());
        roles.delete("wb-seller-acme", &DeleteParams::default()).await.expect("deleted");
        let scale = json!({"spec": {"replicas": 7}});
        deployments.patch("wb-seller-acme", &PatchParams::default(), &Patch::Merge(scale)).await.expect("edited");
        let (role, deployment) = eventually("both are as they were", SOON, || async {
            let role = roles.get("wb-seller-acme").await.map_err(|why| why.to_string())?;
            let deployment = deployments.get("wb-seller-acme").await.map_err(|why| why.to_string())?;
            let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            if replicas == Some(1) { Ok((role, deployment)) } else { Err(format!("{replicas:?} replicas")) }
        })
        .await;
        stage.becomes::<Seller>("acme", "Ready", "True").await;
        operator.stop().await;

        // A new leader finds nothing to mend: not one write.
        let operator = stage.operator();
        operator.settled(0.0).await;
        eventually("it has looked at the Seller", SOON, || async {
            let seen = operator.metric("waybill_reconciles_total", r#"controller="seller""#).await;
            if seen >= 1.0 { Ok(()) } else { Err("not yet") }
        })
        .await;
        operator.stop().await;
        let role_now = roles.get("wb-seller-acme").await.expect("there");
        assert_eq!(role_now.resource_version(), role.resource_version());
        let now = deployments.get("wb-seller-acme").await.expect("there");
        assert_eq!(now.metadata.generation, deployment.metadata.generation);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sellers_account_reads_its_own_orders_and_nobody_elses() {
    on_stage("rights", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        for name in ["orders-acme", "orders-other"] {
            let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
            stage.apply::<Secret>(&body).await;
        }
        let client = stage.namespace.cluster.as_account(&stage.namespace.name, "wb-seller-acme");
        let secrets: Api<Secret> = Api::namespaced(client, &stage.namespace.name);
        let by_name = |name: &str| ListParams::default().fields(&format!("metadata.name={name}"));
        let own = secrets.list(&by_name("orders-acme")).await.expect("its own orders");
        assert_eq!(own.items.len(), 1);
        for foreign in ["orders-other", "wb-seller-acme-keys"] {
            let refused = secrets.list(&by_name(foreign)).await.expect_err("not its own");
            assert!(matches!(refused, kube::Error::Api(status) if status.is_forbidden()), "{foreign}");
        }
        assert!(secrets.list(&ListParams::default()).await.is_err(), "no list of all Secrets");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_carrier_api_comes_with_the_first_carrier_and_goes_with_the_last() {
    on_stage("carrier-api", &[], |stage| async move {
        let operator = stage.operator();
        stage.external_carrier("truck").await;
        stage.external_carrier("van").await;
        stage.becomes::<Carrier>("truck", "Ready", "True").await;
        stage.becomes::<Carrier>("van", "Ready", "True").await;
        let service = stage.namespace.api::<Service>().get("waybill-carrier-api").await.expect("a Service");
        assert_eq!(service.spec.and_then(|spec| spec.ports).map(|ports| ports[0].port), Some(5001));
        let carriers = stage.namespace.api::<Carrier>();
        carriers.delete("truck", &DeleteParams::default()).await.expect("deleted");
        eventually("the one that is left owns it", SOON, || async {
            let account =
                stage.namespace.api::<ServiceAccount>().get("waybill-carrier-api").await.map_err(|e| e.to_string())?;
            let owners: Vec<_> = account.owner_references().iter().map(|owner| owner.name.clone()).collect();
            if owners == ["van"] { Ok(()) } else { Err(format!("{owners:?}")) }
        })
        .await;
        carriers.delete("van", &DeleteParams::default()).await.expect("deleted");
        stage.gone::<Deployment>("waybill-carrier-api").await;
        stage.gone::<Service>("waybill-carrier-api").await;
        stage.gone::<Secret>("waybill-carrier-api-keys").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_operator_gone_first_the_rest_still_goes_with_its_owners() {
    on_stage("operator-first", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        let managed = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": "van"},
                             "spec": {"kind": "truck", "transport": {"managed": {}}}});
        stage.apply::<Carrier>(&managed).await;
        stage.becomes::<Carrier>("van", "Ready", "True").await;
        // The Carrier API's Secrets hang on it too, once the cache has shown them.
        eventually("the Secrets have an owner", SOON, || async {
            let secrets = stage.namespace.api::<Secret>();
            for name in ["waybill-carrier-api-keys", "waybill-carrier-api-tls"] {
                let secret = secrets.get(name).await.map_err(|why| why.to_string())?;
                if secret.owner_references().is_empty() {
                    return Err(format!("{name} is nobody's"));
                }
            }
            Ok(())
        })
        .await;
        operator.stop().await;
        stage.namespace.api::<Seller>().delete("acme", &DeleteParams::default()).await.expect("deleted");
        for carrier in ["truck", "van"] {
            stage.namespace.api::<Carrier>().delete(carrier, &DeleteParams::default()).await.expect("deleted");
        }
        for name in ["wb-seller-acme", "wb-transport-van", "waybill-carrier-api"] {
            stage.gone::<Deployment>(name).await;
        }
        for name in ["wb-seller-acme-tls", "wb-carrier-van-keys", "waybill-carrier-api-keys", "waybill-carrier-api-tls"]
        {
            stage.gone::<Secret>(name).await;
        }
        stage.gone::<k8s_openapi::api::coordination::v1::Lease>("wb-seller-acme").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_managed_carrier_has_no_pod_and_a_revoked_one_no_deployment() {
    on_stage("asleep", &[], |stage| async move {
        let operator = stage.operator();
        let body = |spec| json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": "van"}, "spec": spec});
        stage.apply::<Carrier>(&body(json!({"kind": "truck"}))).await;
        stage.becomes::<Carrier>("van", "Ready", "True").await;
        stage.apply::<Carrier>(&body(json!({"kind": "truck", "suspended": true}))).await;
        stage.says::<Carrier>("van", "Ready", "Suspended").await;
        let deployment = stage.namespace.api::<Deployment>().get("wb-transport-van").await.expect("there");
        assert_eq!(deployment.spec.and_then(|spec| spec.replicas), Some(0));
        stage.apply::<Carrier>(&body(json!({"kind": "truck", "revoked": true}))).await;
        let revoked: Carrier = stage.says("van", "Ready", "Revoked").await;
        assert!(revoked.status.expect("a status").certificate.is_none());
        stage.gone::<Deployment>("wb-transport-van").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_carrier_is_on_the_list_of_the_revoked() {
    on_stage("deleted", &[], |stage| async move {
        let operator = stage.operator();
        let carrier = stage.external_carrier("truck").await.uid().expect("a uid");
        stage.becomes::<Carrier>("truck", "Ready", "True").await;
        stage.namespace.api::<Carrier>().delete("truck", &DeleteParams::default()).await.expect("deleted");
        let lists: Api<k8s_openapi::api::core::v1::ConfigMap> =
            Api::namespaced(stage.namespace.client.clone(), &stage.home);
        eventually("its uid is listed", SOON, || async {
            let list = lists.get("waybill-crl").await.map_err(|why| why.to_string())?;
            let listed = list.data.iter().flatten().any(|(_, text)| text.contains(&carrier));
            if listed { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_full_of_everything_goes_at_once_with_or_without_an_operator() {
    for with_operator in [true, false] {
        on_stage("namespace-goes", &[("waybill.dev/auto-create", "enabled")], |stage| async move {
            let operator = stage.operator();
            stage.ends("acme", "truck").await;
            stage.delivery("one", "acme", "truck").await;
            stage.delivery("two", "other", "van").await;
            stage.becomes::<Delivery>("one", "Ready", "True").await;
            stage.becomes::<Delivery>("two", "Ready", "True").await;
            let operator = if with_operator {
                Some(operator)
            } else {
                operator.stop().await;
                None
            };
            let namespaces: Api<KubeNamespace> = Api::all(stage.namespace.client.clone());
            let name = stage.namespace.name.clone();
            namespaces.delete(&name, &DeleteParams::default()).await.expect("deleted");
            eventually("the namespace is gone", SOON, || async {
                match namespaces.get_opt(&name).await.map_err(|why| why.to_string())? {
                    None => Ok(()),
                    Some(left) => Err(format!("{:?}", left.status.and_then(|status| status.conditions))),
                }
            })
            .await;
            if let Some(operator) = operator {
                operator.stop().await;
            }
        })
        .await;
    }
}
