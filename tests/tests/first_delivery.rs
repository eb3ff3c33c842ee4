//! The first delivery, from `kubectl apply` to a log that a stranger can check: once as the example has it, once with a camera.

use std::path::Path;
use std::time::Duration;

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::Value;
use waybill_crds::delivery::Author;
use waybill_crds::{Delivery, Phase};
use waybill_e2e::objects::{apply, config, delivery};
use waybill_e2e::{Namespace, eventually, in_namespace, verifier};

/// From apply to the end, with everybody's pods started first, on a busy machine.
const DELIVERED: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_delivered_and_a_stranger_can_check_every_step() {
    in_namespace("first-delivery", &[], |namespace| async move {
        apply_example(&namespace).await;
        delivered(&namespace, "upc-1").await;
        let delivered = logged(&namespace, "upc-1", "Erased").await;
        let happened = [
            (Author::Transport, "Accepted"),
            (Author::Seller, "HandedOver"),
            (Author::Transport, "PickedUp"),
            (Author::Seller, "Released"),
            (Author::Transport, "Posted"),
            (Author::Seller, "Released"),
            (Author::Transport, "Posted"),
            (Author::Seller, "Released"),
            (Author::Transport, "Delivered"),
            (Author::Transport, "Erased"),
        ];
        assert_eq!(log(&delivered), happened);
        checked(&namespace, &delivered).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_with_a_camera_scans_the_label_before_the_door_and_proves_the_end_by_a_photo() {
    in_namespace("camera", &[], |namespace| async move {
        apply_example(&namespace).await;
        apply::<Delivery>(&namespace, &delivery("upc-2", "bookshop", "drone-1")).await.expect("a Delivery");
        delivered(&namespace, "upc-2").await;
        let delivered = logged(&namespace, "upc-2", "ProofAttached").await;
        let at = |what: &str| happened(&delivered, what).unwrap_or_else(|| panic!("{what}: {:?}", log(&delivered)));
        let door = log(&delivered).iter().rposition(|(_, event)| *event == "Released").expect("the door was released");
        assert!(at("Scanned") < door, "first the label, then the door: {:?}", log(&delivered));
        assert!(at("Delivered") < at("ProofAttached"));
        checked(&namespace, &delivered).await;
    })
    .await;
}

/// The file that the README tells a newcomer to apply.
async fn apply_example(namespace: &Namespace) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/first-delivery.yaml");
    let text = std::fs::read_to_string(path).expect("the example is in the checkout");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("the example is YAML");
    for document in documents {
        let said = |key: &str| document[key].as_str().expect("text").to_owned();
        let (group, version) = match said("apiVersion").split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), said("apiVersion")),
        };
        let kind = ApiResource::from_gvk(&GroupVersionKind { group, version, kind: said("kind") });
        let api: Api<DynamicObject> = Api::namespaced_with(namespace.client.clone(), &namespace.name, &kind);
        let name = document["metadata"]["name"].as_str().expect("a name");
        let params = PatchParams::apply("user").force();
        api.patch(name, &params, &Patch::Apply(&document)).await.unwrap_or_else(|why| panic!("{name}: {why}"));
    }
}

async fn delivered(namespace: &Namespace, name: &str) -> Delivery {
    eventually(&format!("{name} is delivered"), DELIVERED, || async {
        let delivery = namespace.api::<Delivery>().get(name).await.map_err(|why| why.to_string())?;
        let phase = delivery.status.as_ref().map(|status| status.phase).unwrap_or_default();
        if phase == Phase::Delivered { Ok(delivery) } else { Err(format!("{phase}: {:?}", log(&delivery))) }
    })
    .await
}

fn log(delivery: &Delivery) -> Vec<(Author, &str)> {
    let custody = delivery.status.iter().flat_map(|status| &status.custody);
    custody.map(|entry| (entry.author, entry.event.as_str())).collect()
}

/// The Delivery once this is in its log.
async fn logged(namespace: &Namespace, name: &str, event: &str) -> Delivery {
    eventually(&format!("{event} is in the log of {name}"), DELIVERED, || async {
        let delivery = namespace.api::<Delivery>().get(name).await.map_err(|why| why.to_string())?;
        if happened(&delivery, event).is_some() { Ok(delivery) } else { Err(format!("{:?}", log(&delivery))) }
    })
    .await
}

/// Where in the log this first happened.
fn happened(delivery: &Delivery, event: &str) -> Option<usize> {
    log(delivery).iter().position(|(_, found)| *found == event)
}

async fn checked(namespace: &Namespace, delivery: &Delivery) {
    let authorities = config(namespace, "waybill-trust", "ca.crt").await;
    let said = verifier::verify(delivery, &authorities).unwrap_or_else(|complaint| panic!("{complaint}"));
    println!("{said}");
    let mut bent = delivery.clone();
    let custody = &mut bent.status.as_mut().expect("a status").custody;
    custody.swap(0, 1);
    verifier::verify(&bent, &authorities).expect_err("what was swapped does not verify");
}
