//! Who has which certificate, and until when.

use k8s_openapi::jiff::Timestamp;
use waybill_crds::{Carrier, CertificateStatus, Seller};

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::{Table, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Where,
}

pub(crate) async fn run(cluster: &Cluster) -> Result<u8, Error> {
    let mut table = Table::new(&["KIND", "NAME", "STATE", "ENDS IN", "RENEWED IN", "SERIAL"]);
    for seller in cluster.list::<Seller>().await? {
        let state = if seller.spec.suspended { "suspended" } else { "in force" };
        let certificate = seller.status.and_then(|status| status.certificate);
        table.row(row("Seller", seller.metadata.name, state, certificate.as_ref()));
    }
    for carrier in cluster.list::<Carrier>().await? {
        let state = match (carrier.spec.revoked, carrier.spec.suspended) {
            (true, _) => "revoked",
            (_, true) => "suspended",
            _ => "in force",
        };
        let certificate = carrier.status.and_then(|status| status.certificate);
        table.row(row("Carrier", carrier.metadata.name, state, certificate.as_ref()));
    }
    print(&table.text());
    Ok(code::DONE)
}

fn row(kind: &str, name: Option<String>, state: &str, certificate: Option<&CertificateStatus>) -> [String; 6] {
    let left = |until: Timestamp| {
        let seconds = until.as_second() - Timestamp::now().as_second();
        if seconds < 0 { "over".into() } else { format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60) }
    };
    let (ends, renewed, serial) = match certificate {
        None => ("none yet".into(), String::new(), String::new()),
        Some(one) => (left(one.not_after.0), left(one.renew_at.0), one.serial.clone()),
    };
    [kind.into(), name.unwrap_or_default(), state.into(), ends, renewed, serial]
}
