//! Calls a delivery off: the same as setting `spec.cancelled`.

use serde_json::json;
use waybill_crds::Delivery;
use waybill_protocol::fact::reason::CancelReason;

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The UPC or the name of the Delivery
    delivery: String,
    /// recipientRequest, sellerRequest, outOfStock, addressInvalid, duplicate, fraud or other: it goes into the signed log
    #[arg(long, default_value = "sellerRequest")]
    reason: CancelReason,
    #[command(flatten)]
    pub(crate) place: Where,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let delivery = cluster.delivery(&args.delivery).await?;
    let (name, phase) = (delivery.metadata.name.clone().unwrap_or_default(), delivery.phase());
    if phase.terminal() {
        return Err(Error::Missing(format!("{} is over already: {phase}", delivery.spec.upc)));
    }
    if delivery.spec.cancelled.is_some() {
        print(&format!("{} is called off already; it is {phase}\n", delivery.spec.upc));
        return Ok(code::DONE);
    }
    let word = args.reason.as_str();
    let reason = word[..1].to_ascii_lowercase() + &word[1..];
    let delivery: Delivery = cluster.change(&name, json!({"cancelled": {"reason": reason}})).await?;
    print(&format!("{} is called off; follow it: kubectl waybill track {name} -w\n", delivery.spec.upc));
    Ok(code::DONE)
}
