//! Who writes, and who only watches.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use waybill_crds::Delivery;
use waybill_e2e::eventually;

use crate::stage::{Operator, SOON, Stage, on_stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_ready_does_nothing_and_takes_over_when_the_leader_leaves() {
    on_stage("standby", &[], |stage| async move {
        let first = stage.replica("operator-a");
        leads(&first).await;
        let second = stage.replica("operator-b");
        second.ready().await;
        stage.ends("acme", "truck").await;
        assert_eq!(second.metric("waybill_reconciles_total", "").await, 0.0, "a standby does not reconcile");
        assert_eq!(second.metric("waybill_queue_depth", "").await, 0.0, "nor keep a queue");
        assert_eq!(second.metric("waybill_leader", "").await, 0.0);
        first.stop().await;
        leads(&second).await;
        assert_eq!(holder(&stage).await.as_deref(), Some("operator-b"));
        stage.delivery("one", "acme", "truck").await;
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        second.stop().await;
        assert_eq!(holder(&stage).await, None, "the Lease was given back");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_say_what_is_awaited_and_metrics_what_there_is() {
    on_stage("probes", &[], |stage| async move {
        let operator = stage.operator();
        operator.ready().await;
        stage.ends("acme", "truck").await;
        let (status, text) = operator.probe("/readyz").await.expect("an answer");
        assert_eq!(status, 200);
        assert!(text.contains("cache") && text.contains("crds"), "{text}");
        let ready = r#"waybill_conditions{kind="Seller",type="Ready",status="True"}"#;
        eventually("the Seller is counted as ready", SOON, || async {
            let (_, text) = operator.probe("/metrics").await?;
            let line = text.lines().find(|line| line.starts_with(ready)).map(ToOwned::to_owned);
            if line.as_deref().is_some_and(|line| line.ends_with(" 1")) { Ok(()) } else { Err(format!("{line:?}")) }
        })
        .await;
        operator.stop().await;
    })
    .await;
}

// === helpers ===

async fn leads(operator: &Operator) {
    eventually("it leads", SOON, || async {
        if operator.metric("waybill_leader", "").await == 1.0 { Ok(()) } else { Err("not yet") }
    })
    .await;
}

async fn holder(stage: &Stage) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(stage.namespace.client.clone(), &stage.home);
    let lease = leases.get("waybill-operator").await.expect("the Lease");
    lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty())
}
