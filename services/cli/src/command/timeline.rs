//! Everything that was signed about a delivery, with what this program makes of each signature.

use serde::Serialize;
use waybill_proof::words;
use waybill_protocol::{Entry, Log, Verdict};

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::log::{self, Published};
use crate::show::{self, Form, Table, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The UPC or the name of the Delivery
    delivery: String,
    /// A document instead of a table
    #[arg(short, long)]
    output: Option<Form>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// One entry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    number: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    author: &'static str,
    event: &'static str,
    said: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let delivery = cluster.delivery(&args.delivery).await?;
    let log = log::read(cluster, &delivery, &Published::of(cluster).await?).await?;
    let shown: Vec<Shown> = log.entries().iter().enumerate().map(|(at, entry)| shown(at + 1, entry)).collect();
    let name = delivery.metadata.name.as_deref().unwrap_or_default();
    match args.output {
        Some(form) => print(&show::document(&shown, form, &format!("delivery.waybill.dev/{name}"))?),
        None => print(&table(&shown, &log)),
    }
    Ok(code::DONE)
}

fn shown(number: usize, entry: &Entry) -> Shown {
    let event = entry.event().map(|signed| signed.event());
    let (verdict, reason) = match entry.verdict() {
        Verdict::Counts(_) => ("counts", None),
        Verdict::Refused(refusal) => ("refused", Some(refusal.to_string())),
        Verdict::Invalid(invalid) => ("invalid", Some(invalid.to_string())),
    };
    Shown {
        number,
        at: event.map(|event| words::time(event.at)),
        author: event.map_or("", |event| event.author.as_str()),
        event: event.map_or("Unreadable", |event| event.kind().as_str()),
        said: event.map_or_else(|| "This entry cannot be read".into(), words::event),
        verdict,
        reason,
        id: entry.event().map(|signed| signed.id().to_string()),
    }
}

fn table(shown: &[Shown], log: &Log) -> String {
    if shown.is_empty() {
        return "Nothing was signed yet.\n".into();
    }
    let mut table = Table::new(&["#", "WHEN", "SIGNED BY", "WHAT", "VERIFIED"]);
    for one in shown {
        let verified = match (one.verdict, &one.reason) {
            ("counts", _) => "yes".into(),
            ("refused", Some(reason)) => format!("yes, changes nothing: {reason}"),
            (_, reason) => format!("NO: {}", reason.as_deref().unwrap_or_default()),
        };
        let at = one.at.clone().unwrap_or_default();
        table.row([one.number.to_string(), at, one.author.into(), one.said.clone(), verified]);
    }
    format!("{}\nThe parcel is {}.\n", table.text(), words::phase(log.phase()))
}
