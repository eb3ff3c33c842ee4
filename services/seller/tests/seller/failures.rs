//! What goes wrong for a parcel, and for a seller.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use waybill_crds::{Carrier, Phase};
use waybill_protocol::fact::reason::HoldReason;
use waybill_protocol::{Fact, Stage};

use crate::agent::{Agent, Ending, Manners};
use crate::stage::{Running, Stage as Scene, on_stage, on_stage_with};

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_recipient_means_another_attempt_and_after_the_last_one_the_way_back() {
    on_stage("fails-absent", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({"maxAttempts": 2})).await;
        let seller = stage.start("seller-0");
        let endings = [Ending::Absent, Ending::Absent].into();
        let agent = stage.agent(&truck, &name, Manners { endings, ..Manners::default() }).await;
        let delivery = stage.becomes(&name, Phase::ReturnToSender).await;
        assert_eq!(delivery.status.unwrap().attempt, 2);
        assert_eq!(agent.was_told().len(), 6, "every attempt opens the parts anew");
        agent.state(Fact::GivenBack);
        stage.becomes(&name, Phase::Returned).await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_parcel_goes_back() {
    on_stage("fails-refused", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let endings = [Ending::Refused].into();
        let agent = stage.agent(&truck, &name, Manners { endings, ..Manners::default() }).await;
        stage.becomes(&name, Phase::ReturnToSender).await;
        agent.state(Fact::GivenBack);
        stage.becomes(&name, Phase::Returned).await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_called_off_after_the_pick_up_opens_nothing_more_and_comes_back() {
    on_stage("fails-cancelled", |stage| async move {
        let Begun { seller, name, agent } = Begun::halting_at(&stage, Stage::PostalCode).await;
        stage.change(&name, json!({"cancelled": {"reason": "recipientRequest"}})).await;
        stage.becomes(&name, Phase::ReturnToSender).await;
        agent.state(Fact::GivenBack);
        stage.becomes(&name, Phase::Returned).await;
        assert_eq!(agent.was_told().len(), 2);
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_carrier_is_cut_off_and_another_one_brings_the_parcel() {
    on_stage("fails-revoked", |stage| async move {
        let (truck, drone) = (stage.carrier("truck", false).await, stage.carrier("drone", false).await);
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let halts = Manners { halts_at: Some(Stage::Country), ..Manners::default() };
        let first = stage.agent(&truck, &name, halts).await;
        waits_for(&first, &[Stage::Country]).await;
        stage.publish_trust(2, &[first.uid.as_str()]).await;
        stage.becomes(&name, Phase::OnHold).await;
        let hold = stage.log(&name).await.state().hold().unwrap();
        assert_eq!(hold.reason, HoldReason::CarrierRevoked);

        stage.change(&name, json!({"carrier": "drone"})).await;
        let second = stage.agent(&drone, &name, Manners::default()).await;
        let delivery = stage.becomes(&name, Phase::Delivered).await;
        assert_eq!(delivery.status.unwrap().carrier_uid.as_deref(), Some(second.uid.as_str()));
        assert_eq!((first.was_told().len(), second.was_told().len()), (1, 3));
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_made_anew_under_the_same_name_gets_nothing() {
    on_stage("fails-replaced", |stage| async move {
        let Begun { seller, name, agent: _first } = Begun::halting_at(&stage, Stage::Country).await;
        stage.namespace.api::<Carrier>().delete("truck", &DeleteParams::default()).await.unwrap();
        let impostor = stage.carrier("truck", false).await;
        let second = stage.agent(&impostor, &name, Manners::default()).await;
        stage.becomes(&name, Phase::OnHold).await;
        let reason = stage.log(&name).await.state().hold().unwrap().reason;
        // In between there was nobody of that name.
        assert!(matches!(reason, HoldReason::CarrierReplaced | HoldReason::CarrierRevoked), "{reason}");
        assert!(second.was_told().is_empty());
        seller.stop().await;
    })
    .await;
}

/// D-65, D-66: the answer must be one to our own greeting, whatever a Carrier API lets into the log.
#[tokio::test(flavor = "multi_thread")]
async fn who_accepts_without_our_hello_is_held_and_told_nothing() {
    on_stage("fails-stranger", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let agent = stage.agent(&truck, &name, Manners { invents_nonce: true, ..Manners::default() }).await;
        stage.becomes(&name, Phase::OnHold).await;
        assert_eq!(stage.log(&name).await.state().hold().unwrap().reason, HoldReason::Investigation);
        assert_eq!(stage.words(&name).await, ["Accepted", "OnHold"]);
        assert!(agent.was_told().is_empty());
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_hand_over_waits_for_the_users_word() {
    on_stage_with("fails-manual", json!({"handOver": "manual"}), |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let agent = stage.agent(&truck, &name, Manners::default()).await;
        stage.becomes(&name, Phase::Accepted).await;
        assert!(agent.was_told().is_empty());
        stage.change(&name, json!({"handedOver": true})).await;
        stage.becomes(&name, Phase::Delivered).await;
        seller.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_that_vanished_is_followed_by_another_that_goes_on_from_the_log() {
    on_stage("fails-over", |stage| async move {
        let Begun { seller: first, name, agent } = Begun::halting_at(&stage, Stage::Country).await;
        first.kill().await;
        // Under the same name: the container of a pod that started again.
        let second = stage.start("seller-0");
        posts_country(&stage, &name, &agent).await;
        stage.becomes(&name, Phase::Delivered).await;
        let released = stage.words(&name).await.iter().filter(|word| *word == "Released").count();
        assert_eq!(released, 3, "nothing is released twice");
        second.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_when_the_holder_leaves_in_good_order() {
    on_stage("fails-standby", |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let first = stage.start("seller-0");
        first.ready().await;
        let halts = Manners { halts_at: Some(Stage::Country), ..Manners::default() };
        let agent = stage.agent(&truck, &name, halts).await;
        waits_for(&agent, &[Stage::Country]).await;
        let second = stage.replica("seller-1");
        second.ready().await;
        first.stop().await;
        posts_country(&stage, &name, &agent).await;
        stage.becomes(&name, Phase::Delivered).await;
        second.stop().await;
    })
    .await;
}

/// A Lease is no fence: whoever loses it learns that at its next look.
#[tokio::test(flavor = "multi_thread")]
async fn two_holders_for_a_moment_release_nothing_twice() {
    on_stage("fails-two", |stage| async move {
        let Begun { seller: first, name, agent } = Begun::halting_at(&stage, Stage::Country).await;
        let leases: kube::Api<Lease> = stage.namespace.api();
        let stolen = json!({"spec": {"holderIdentity": "seller-1"}});
        leases.patch("wb-seller-acme", &PatchParams::default(), &Patch::Merge(stolen)).await.unwrap();
        let second = stage.replica("seller-1");
        posts_country(&stage, &name, &agent).await;
        stage.becomes(&name, Phase::Delivered).await;
        let released = stage.words(&name).await.iter().filter(|word| *word == "Released").count();
        assert_eq!(released, 3);
        first.stop().await;
        second.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_loses_nothing() {
    on_stage("fails-broker", |mut stage| async move {
        let Begun { seller, name, agent } = Begun::halting_at(&stage, Stage::Country).await;
        stage.broker.kill();
        posts_country(&stage, &name, &agent).await;
        // The broker is away while the next part is released.
        let released = async || stage.words(&name).await.iter().filter(|word| *word == "Released").count();
        waybill_e2e::eventually("the next part is released", crate::stage::SOON, || async {
            let count = released().await;
            if count == 2 { Ok(()) } else { Err(count.to_string()) }
        })
        .await;
        stage.broker.start();
        stage.becomes(&name, Phase::Delivered).await;
        assert_eq!(agent.was_told().len(), 3);
        seller.stop().await;
    })
    .await;
}

// === helpers ===

/// A parcel on its way whose agent halts.
struct Begun {
    seller: Running,
    name: String,
    agent: Agent,
}

impl Begun {
    async fn halting_at(stage: &Scene, part: Stage) -> Self {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let agent = stage.agent(&truck, &name, Manners { halts_at: Some(part), ..Manners::default() }).await;
        let told: Vec<Stage> = Stage::ALL.into_iter().filter(|told| *told <= part).collect();
        waits_for(&agent, &told).await;
        Self { seller, name, agent }
    }
}

async fn posts_country(stage: &Scene, name: &str, agent: &Agent) {
    let commitment = stage.log(name).await.state().commitments().unwrap().country;
    agent.state(Fact::Posted { stage: Stage::Country, commitment });
}

async fn waits_for(agent: &Agent, told: &[Stage]) {
    waybill_e2e::eventually("the agent was told", crate::stage::SOON, || async {
        let now = agent.was_told();
        if now == told { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}
