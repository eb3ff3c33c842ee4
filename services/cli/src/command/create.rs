//! An order and its Delivery. The address comes from questions on the screen, a file or the standard input, and goes into the Seller's
//! Secret of orders and nowhere else.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use rand::random;
use serde_json::json;
use waybill_crds::delivery::ProofSpec;
use waybill_crds::duration::Duration;
use waybill_crds::{Delivery, DeliverySpec, Seller};
use zeroize::Zeroize as _;

use crate::cluster::{Cluster, FIELD_MANAGER, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The parcel's code: what its label says and its order is found by
    upc: String,
    /// The Seller that releases the address
    #[arg(long)]
    seller: String,
    /// The Carrier; without one the Delivery waits
    #[arg(long)]
    carrier: Option<String>,
    /// The name of the Delivery; the UPC in small letters unless you say so
    #[arg(long)]
    name: Option<String>,
    /// A file with the order, `-` for the standard input: country, province, city, postalCode, door, clientname, clientphone, as JSON
    /// or YAML. Asked for on the screen unless you say so
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
    /// The order is where the Seller finds it already
    #[arg(long, conflicts_with = "order")]
    no_order: bool,
    /// A photo at the door
    #[arg(long)]
    photo: bool,
    /// The label is scanned before the door is told
    #[arg(long)]
    scan: bool,
    /// How long the Delivery is kept after it finished, such as 720h
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Duration>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// What an order has, as it is asked for.
const FIELDS: [(&str, &str); 7] = [
    ("country", "Country"),
    ("province", "Province or state"),
    ("city", "City"),
    ("postalCode", "Postal code"),
    ("door", "Street and door"),
    ("clientname", "Name"),
    ("clientphone", "Telephone"),
];
/// Fields that may stand in a file besides.
const MORE: [&str; 2] = ["salt", "email"];
/// The longest file.
const MAX_ORDER: u64 = 64 << 10;

type Order = BTreeMap<String, String>;

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let name = args.name.clone().unwrap_or_else(|| args.upc.to_ascii_lowercase().replace('_', "-"));
    if cluster.find::<Delivery>(&name).await?.is_some() {
        return Err(Error::Missing(format!("there is a Delivery {name:?} already; another name goes after --name")));
    }
    if !args.no_order {
        let place = secret(cluster, &args.seller).await?;
        let mut order = order(args)?;
        let kept = keep(cluster, &place, &args.upc, &order).await;
        order.values_mut().for_each(|text| text.zeroize());
        kept?;
        print(&format!("order {} is in Secret {place}\n", args.upc));
    }
    let mut delivery = Delivery::new(&name, spec(args));
    delivery.metadata.namespace = Some(cluster.namespace.clone());
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let made = cluster.api::<Delivery>().create(&params, &delivery).await;
    made.map_err(|error| cluster.failed("create", &format!("deliveries {name}"), error))?;
    print(&format!("delivery {name} is created; follow it: kubectl waybill track {name} -w\n"));
    Ok(code::DONE)
}

fn spec(args: &Args) -> DeliverySpec {
    let proof = ProofSpec { photo: args.photo.then_some(true), scan: args.scan.then_some(true) };
    DeliverySpec {
        upc: args.upc.clone(),
        seller: args.seller.clone(),
        carrier: args.carrier.clone(),
        proof: (args.photo || args.scan).then_some(proof),
        ttl_after_finished: args.ttl,
        ..DeliverySpec::default()
    }
}

/// The Secret this Seller reads its orders from.
pub(crate) async fn secret(cluster: &Cluster, seller: &str) -> Result<String, Error> {
    let Some(found) = cluster.find::<Seller>(seller).await? else { return Ok(format!("orders-{seller}")) };
    if let Some(url) = found.spec.url {
        let words =
            format!("the orders of {seller} are in its own order system ({url}); put it there, then --no-order");
        return Err(Error::Missing(words));
    }
    Ok(found.spec.orders.and_then(|names| names.into_iter().next()).unwrap_or_else(|| format!("orders-{seller}")))
}

fn order(args: &Args) -> Result<Order, Error> {
    let mut order = match &args.order {
        Some(path) => read(path)?,
        None if std::io::stdin().is_terminal() => ask()?,
        None => {
            let words = "the order is asked for on a screen, and this is none; give it to the standard input with --order -, or \
                         say --no-order";
            return Err(Error::Missing(words.into()));
        }
    };
    check(&order)?;
    // With a salt of its own an erased order leaves nothing to guess at.
    order.entry("salt".into()).or_insert_with(|| random::<[u8; 16]>().map(|byte| format!("{byte:02x}")).concat());
    Ok(order)
}

fn read(path: &Path) -> Result<Order, Error> {
    let failed = |source| Error::File { verb: "read", path: path.to_owned(), source };
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(MAX_ORDER).read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|file| file.take(MAX_ORDER).read_to_string(&mut text)),
    };
    read.map_err(failed)?;
    // The words of a parser would quote the address.
    let order = serde_saphyr::from_str(&text);
    text.zeroize();
    order.map_err(|_| Error::Missing("the order is not a JSON or YAML map from fields to text".into()))
}

fn ask() -> Result<Order, Error> {
    let failed = |source| Error::File { verb: "read", path: "the standard input".into(), source };
    let mut order = Order::new();
    for (field, words) in FIELDS {
        eprint!("{words}: ");
        std::io::stderr().flush().map_err(failed)?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(failed)?;
        order.insert(field.into(), line.trim().to_owned());
    }
    Ok(order)
}

/// Names fields, never what is in them.
fn check(order: &Order) -> Result<(), Error> {
    let known = |field: &str| FIELDS.iter().any(|(name, _)| *name == field) || MORE.contains(&field);
    if let Some(field) = order.keys().find(|field| !known(field)) {
        return Err(Error::Missing(format!("{field:?} is no field of an order")));
    }
    let missing: Vec<&str> =
        FIELDS.iter().map(|(field, _)| *field).filter(|field| order.get(*field).is_none_or(String::is_empty)).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Missing(format!("the order has no {}", missing.join(", ")))) }
}

async fn keep(cluster: &Cluster, name: &str, upc: &str, order: &Order) -> Result<(), Error> {
    let failed = |verb, error| cluster.failed(verb, &format!("secrets {name}"), error);
    let text = serde_json::to_string(order).expect("texts are JSON");
    let data = BTreeMap::from([(upc.to_owned(), text)]);
    match cluster.find::<Secret>(name).await? {
        Some(there) if there.data.as_ref().is_some_and(|data| data.contains_key(upc)) => {
            Err(Error::Missing(format!("Secret {name} has an order {upc} already; take it with --no-order")))
        }
        Some(_) => {
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            let patch = Patch::Merge(json!({ "stringData": data }));
            cluster.api::<Secret>().patch(name, &params, &patch).await.map(drop).map_err(|error| failed("patch", error))
        }
        None => {
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            let secret = Secret { metadata, string_data: Some(data), ..Secret::default() };
            let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
            cluster.api::<Secret>().create(&params, &secret).await.map(drop).map_err(|error| failed("create", error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_refused_by_the_names_of_its_fields_and_not_by_what_is_in_them() {
        let whole: Order = FIELDS.iter().map(|(field, _)| ((*field).to_owned(), "MARKER".to_owned())).collect();
        assert!(check(&whole).is_ok());
        let mut less = whole.clone();
        less.remove("door");
        less.insert("city".into(), String::new());
        let told = check(&less).unwrap_err().to_string();
        assert!(told.contains("city, door") && !told.contains("MARKER"), "{told}");
        let more: Order = whole.into_iter().chain([("street".to_owned(), "MARKER".to_owned())]).collect();
        let told = check(&more).unwrap_err().to_string();
        assert!(told.contains("street") && !told.contains("MARKER"), "{told}");
    }
}
