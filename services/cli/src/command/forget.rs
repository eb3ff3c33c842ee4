//! Forgets an order: the wish on its Delivery, the order itself where the user may, and then a look into every store, to say what is gone.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use waybill_crds::{Delivery, Seller};
use waybill_proof::report::Answer;
use waybill_proof::{Contents, check};
use waybill_protocol::Kind;

use crate::carrier_api::{CarrierApi, Road};
use crate::cluster::{Cluster, FIELD_MANAGER, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The UPC or the name of the Delivery; it has to be over
    delivery: String,
    /// How long to wait for the Seller to sign that the order is forgotten, in seconds
    #[arg(long, default_value = "120", value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    road: Road,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Where `kubectl apply` keeps what it applied: of a Secret, its content.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What was found in a store.
enum Found {
    Gone(String),
    Left(String),
    /// Nobody could look.
    Unseen(String),
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let delivery = cluster.delivery(&args.delivery).await?;
    let (name, upc) = (delivery.metadata.name.clone().unwrap_or_default(), delivery.spec.upc.clone());
    if !delivery.phase().terminal() {
        let words = format!(
            "{upc} is {}: an order is forgotten once its delivery is over; `kubectl waybill cancel {upc}`",
            delivery.phase()
        );
        return Err(Error::Missing(words));
    }
    // The wish first: the Seller vouches for more where it saw the order's salt before it went.
    if delivery.spec.forgotten != Some(true) {
        cluster.change::<Delivery>(&name, json!({"forgotten": true})).await?;
    }
    let mut found = orders(cluster, &delivery).await?;
    print(&format!("{upc} is to be forgotten; waiting for its Seller to sign that it is\n"));
    found.push(signed(cluster, &name, args.timeout).await);
    found.extend(kept(cluster, args, &delivery).await);
    let mut left = false;
    for one in found {
        let (mark, words) = match one {
            Found::Gone(words) => ("gone  ", words),
            Found::Left(words) => ("LEFT  ", words),
            Found::Unseen(words) => ("UNSEEN", words),
        };
        left |= mark != "gone  ";
        print(&format!("{mark}  {words}\n"));
    }
    print(
        "What copies of the cluster still hold (etcd's history, backups) ends by their own terms: docs/operations.md\n",
    );
    Ok(if left { code::FAILED } else { code::DONE })
}

/// The order in each Secret its Seller reads, removed where the user may.
async fn orders(cluster: &Cluster, delivery: &Delivery) -> Result<Vec<Found>, Error> {
    let (seller, upc) = (&delivery.spec.seller, &delivery.spec.upc);
    let spec = cluster.find::<Seller>(seller).await?.map(|seller| seller.spec).unwrap_or_default();
    if let Some(url) = spec.url {
        return Ok(vec![Found::Unseen(format!("the order in the Seller's own system: delete it there ({url})"))]);
    }
    let names = spec.orders.unwrap_or_else(|| vec![format!("orders-{seller}")]);
    let mut found = Vec::new();
    for name in names {
        found.push(match remove(cluster, &name, upc).await {
            Ok(()) => Found::Gone(format!("the order, from Secret {name}")),
            Err(error) => Found::Left(format!("the order in Secret {name}: {}", error.told())),
        });
    }
    Ok(found)
}

/// The order, and the copy of it that `kubectl apply` keeps beside it.
async fn remove(cluster: &Cluster, name: &str, upc: &str) -> Result<(), Error> {
    let Some(secret) = cluster.find::<Secret>(name).await? else { return Ok(()) };
    let here = secret.data.is_some_and(|data| data.contains_key(upc));
    let copied =
        secret.metadata.annotations.is_some_and(|all| all.get(LAST_APPLIED).is_some_and(|text| text.contains(upc)));
    if !here && !copied {
        return Ok(());
    }
    let mut patch = json!({});
    if here {
        patch["data"] = json!({ upc: Value::Null });
    }
    if copied {
        patch["metadata"] = json!({"annotations": {LAST_APPLIED: Value::Null}});
    }
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let patched = cluster.api::<Secret>().patch(name, &params, &Patch::Merge(patch)).await;
    patched.map(drop).map_err(|error| cluster.failed("patch", &format!("secrets {name}"), error))
}

fn says(delivery: &Delivery, kind: Kind) -> bool {
    delivery.status.iter().flat_map(|status| &status.custody).any(|entry| entry.event == kind.as_str())
}

async fn signed(cluster: &Cluster, name: &str, seconds: u64) -> Found {
    let forgotten = |delivery: Option<&Delivery>| delivery.is_none_or(|delivery| says(delivery, Kind::Forgotten));
    let waited = await_condition(cluster.api::<Delivery>(), name, forgotten);
    match tokio::time::timeout(Duration::from_secs(seconds), waited).await {
        Ok(Ok(Some(delivery))) if says(&delivery, Kind::Erased) => {
            Found::Gone("what the Seller and the carrier's agent held: both signed it".into())
        }
        Ok(Ok(Some(_))) => {
            Found::Gone("what the Seller held: it signed that; of the carrier's agent there is no word".into())
        }
        Ok(Ok(None)) => Found::Gone("the Delivery itself".into()),
        Ok(Err(_)) | Err(_) => Found::Left(format!(
            "the Seller has not signed it yet: kubectl describe delivery {name} says what is in the way"
        )),
    }
}

/// What the Carrier API keeps: grants, pictures, and the archived bundle, which has to verify without them.
async fn kept(cluster: &Cluster, args: &Args, delivery: &Delivery) -> Vec<Found> {
    let api = match CarrierApi::of(cluster, &args.road).await {
        Ok(api) => api,
        Err(error) => return vec![Found::Unseen(format!("what the Carrier API keeps: {}", error.told()))],
    };
    let keeps =
        cluster.find::<Seller>(&delivery.spec.seller).await.ok().flatten().and_then(|seller| seller.spec.retention);
    let keeps = keeps.is_some_and(|retention| retention.on_forget.photos == waybill_crds::seller::OnForget::Keep);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    // It follows the log a moment later.
    loop {
        let (grants, bundle) = (grants(&api, delivery).await, bundle(&api, delivery, keeps).await);
        let gone = matches!((&grants, &bundle), (Found::Gone(_), Found::Gone(_)));
        if gone || tokio::time::Instant::now() > deadline {
            return vec![grants, bundle];
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn grants(api: &CarrierApi, delivery: &Delivery) -> Found {
    let path = format!("/api/shipment/{}/grants", delivery.spec.upc);
    match api.ask(Method::GET, &path, None).await.and_then(|answer| answer.json()) {
        Ok(answer) if answer["grants"].as_array().is_some_and(Vec::is_empty) => Found::Gone("tracking grants".into()),
        Ok(answer) => Found::Left(format!("{} tracking grants", answer["grants"].as_array().map_or(0, Vec::len))),
        Err(error) => Found::Unseen(format!("tracking grants: {}", error.told())),
    }
}

async fn bundle(api: &CarrierApi, delivery: &Delivery, keeps: bool) -> Found {
    let path = format!("/api/archive/{}/bundle", delivery.metadata.uid.as_deref().unwrap_or_default());
    let bytes = match api.ask(Method::GET, &path, None).await {
        Ok(answer) => answer.body,
        Err(error) => return Found::Unseen(format!("the archived proof: {}", error.told())),
    };
    let report = check(&bytes, None);
    let pictures = Contents::read(&bytes).map_or(0, |contents| contents.photos.len());
    match (report.answer, pictures) {
        (Answer::Broken, _) => Found::Left("the archived proof does not verify".into()),
        (_, 0) => Found::Gone("pictures and notes; the archived proof verifies without them".into()),
        (_, count) if keeps => {
            Found::Gone(format!("notes; {count} pictures stay, as the Seller's retention.onForget says"))
        }
        (_, count) => Found::Left(format!("{count} pictures in the archived proof")),
    }
}
