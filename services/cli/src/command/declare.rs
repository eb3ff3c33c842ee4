//! What a person says that no device reported. It counts once the Seller countersigns it.

use std::io::Read as _;
use std::path::PathBuf;

use http::Method;
use serde_json::json;
use waybill_protocol::fact::reason::DeclaredFact;

use crate::carrier_api::{CarrierApi, Road};
use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The UPC or the name of the Delivery
    delivery: String,
    /// Delivered, AttemptFailed, Refused, Damaged, Lost, Found, GivenBack or Incident
    fact: DeclaredFact,
    /// A file with a note, `-` for the standard input: at most 2 KiB, kept beside the log and erased with the order
    #[arg(long, value_name = "FILE")]
    note: Option<PathBuf>,
    #[command(flatten)]
    road: Road,
    #[command(flatten)]
    pub(crate) place: Where,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let delivery = cluster.delivery(&args.delivery).await?;
    let name = delivery.metadata.name.clone().unwrap_or_default();
    let api = CarrierApi::of(cluster, &args.road).await?;
    let mut body = json!({"fact": args.fact.as_str()});
    if let Some(path) = &args.note {
        body["note"] = json!(note(path)?);
    }
    let path = format!("/api/shipment/{}/declarations", delivery.spec.upc);
    let answer = api.ask(Method::POST, &path, Some(&body)).await?.json()?;
    let id = answer["id"].as_str().unwrap_or_default();
    let word = if answer["new"] == true { "is in the log" } else { "was in the log already" };
    let mut ids = delivery.spec.countersigned.clone();
    ids.push(id.to_owned());
    print(&format!(
        "{} {word}, as said by {}: {id}\nit counts once the Seller countersigns it:\n  kubectl patch delivery {name} -n {} --type merge -p '{}'\n",
        args.fact,
        answer["by"].as_str().unwrap_or_default(),
        cluster.namespace,
        json!({"spec": {"countersigned": ids}})
    ));
    Ok(code::DONE)
}

fn note(path: &PathBuf) -> Result<String, Error> {
    let failed = |source| Error::File { verb: "read", path: path.clone(), source };
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(4096).read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text)),
    };
    read.map_err(failed)?;
    Ok(text.trim_end().to_owned())
}
