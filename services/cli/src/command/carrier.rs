//! What concerns carriers.

use clap::Subcommand;
use serde_json::json;
use waybill_crds::{Carrier, Delivery};

use super::enroll;
use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

/// What can be done with a carrier.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a carrier with keys of its own, and the one file its agent runs with; no private key enters the cluster
    Enroll(enroll::Args),
    /// Ends a carrier's identity for good: it is cut off at the broker and at the APIs within seconds
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The Carrier
    name: String,
    #[command(flatten)]
    pub(crate) place: Where,
}

pub(crate) async fn revoke(cluster: &Cluster, args: &Revoke) -> Result<u8, Error> {
    let carrier: Carrier = cluster.get(&args.name).await?;
    if !carrier.spec.revoked {
        cluster.change::<Carrier>(&args.name, json!({"revoked": true})).await?;
    }
    print(&format!("{} is revoked for good\n", args.name));
    let held: Vec<Delivery> = cluster.list::<Delivery>().await?;
    let held = held.iter().filter(|one| one.spec.carrier.as_deref() == Some(&args.name) && !one.phase().terminal());
    for one in held {
        let name = one.metadata.name.as_deref().unwrap_or_default();
        print(&format!(
            "  {} waits for another carrier: kubectl patch delivery {name} --type merge -p '{{\"spec\":{{\"carrier\":\"…\"}}}}'\n",
            one.spec.upc
        ));
    }
    Ok(code::DONE)
}
