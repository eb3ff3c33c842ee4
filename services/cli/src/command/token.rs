//! Tracking links: made, listed and taken back by whoever may `get` the Delivery. A link is shown once; what is kept of it opens nothing.

use clap::Subcommand;
use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use waybill_crds::duration::Duration;

use crate::carrier_api::{CarrierApi, Road};
use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::{Form, Table, document, print};

/// What can be done with links.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a link that opens one delivery, to look at, until it ends or is revoked
    Issue(Issue),
    /// Takes a link back: its page closes within two minutes
    Revoke(Revoke),
    /// Lists what links there are, without what would open anything
    List(List),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Issue {
    /// The UPC or the name of the Delivery
    delivery: String,
    /// How long it works, at most 2160h; a week unless you say so
    #[arg(long)]
    ttl: Option<Duration>,
    /// For the recipient, and nobody else: its page also shows the code that proves receipt
    #[arg(long)]
    recipient: bool,
    /// Address of the board, where the chart does not say it
    #[arg(long, value_name = "HTTPS-URL")]
    board: Option<String>,
    /// Print a document instead of the link
    #[arg(short, long)]
    output: Option<Form>,
    #[command(flatten)]
    road: Road,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The UPC or the name of the Delivery
    delivery: String,
    /// The link's id, as `token list` shows it; its beginning will do
    id: String,
    #[command(flatten)]
    road: Road,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// The UPC or the name of the Delivery
    delivery: String,
    /// Print a document instead of a table
    #[arg(short, long)]
    output: Option<Form>,
    #[command(flatten)]
    road: Road,
    #[command(flatten)]
    place: Where,
}

impl Command {
    pub(crate) fn place(&self) -> &Where {
        match self {
            Self::Issue(args) => &args.place,
            Self::Revoke(args) => &args.place,
            Self::List(args) => &args.place,
        }
    }
}

pub(crate) async fn run(cluster: &Cluster, command: &Command) -> Result<u8, Error> {
    match command {
        Command::Issue(args) => issue(cluster, args).await,
        Command::Revoke(args) => revoke(cluster, args).await,
        Command::List(args) => list(cluster, args).await,
    }
}

async fn issue(cluster: &Cluster, args: &Issue) -> Result<u8, Error> {
    let upc = cluster.delivery(&args.delivery).await?.spec.upc;
    let board = board(cluster, args.board.as_deref()).await?;
    let api = CarrierApi::of(cluster, &args.road).await?;
    let mut wish = json!({});
    if let Some(ttl) = args.ttl {
        wish["ttl"] = json!(ttl);
    }
    if args.recipient {
        wish["role"] = json!("recipient");
    }
    let path = format!("/api/shipment/{upc}/grants");
    let mut made = api.ask(Method::POST, &path, Some(&wish)).await?.json()?;
    let grant = made["grant"].as_str().unwrap_or_default().to_owned();
    let link = board.map(|board| format!("{}/track#{}.{grant}", board.trim_end_matches('/'), cluster.namespace));
    let (id, expires) = (text(&made, "id"), text(&made, "expires"));
    if let Some(form) = args.output {
        made["link"] = json!(link);
        print(&document(&made, form, &id)?);
        return Ok(code::DONE);
    }
    // The link alone on the standard output: it is what is copied or piped.
    match link {
        Some(link) => print(&format!("{link}\n")),
        None => print(&format!("{grant}\n")),
    }
    eprintln!(
        "opens {upc} until {expires}, to whoever has it; to take it back: kubectl waybill token revoke {upc} {}",
        short(&id)
    );
    Ok(code::DONE)
}

/// The address links begin with: said here, or by the chart.
async fn board(cluster: &Cluster, said: Option<&str>) -> Result<Option<String>, Error> {
    if let Some(url) = said {
        return Ok(Some(url.to_owned()));
    }
    let trust: ConfigMap = cluster.get(waybill_cluster::trust::NAME).await?;
    let board = trust.data.unwrap_or_default().remove("board").filter(|url| !url.is_empty());
    if board.is_none() {
        eprintln!(
            "no address of the board is known (board.externalUrl in the chart, or --board): this is the grant alone"
        );
    }
    Ok(board)
}

async fn revoke(cluster: &Cluster, args: &Revoke) -> Result<u8, Error> {
    let upc = cluster.delivery(&args.delivery).await?.spec.upc;
    let api = CarrierApi::of(cluster, &args.road).await?;
    let there = granted(&api, &upc).await?;
    let ids: Vec<String> = there.iter().map(|one| text(one, "id")).filter(|id| id.starts_with(&args.id)).collect();
    match ids.as_slice() {
        [] => Err(Error::Missing(format!(
            "{upc} has no link whose id begins with {:?}: kubectl waybill token list {upc}",
            args.id
        ))),
        [id] => {
            api.ask(Method::DELETE, &format!("/api/shipment/{upc}/grants/{id}"), None).await?;
            print(&format!("{} is taken back; a page that is open closes within two minutes\n", short(id)));
            Ok(code::DONE)
        }
        several => Err(Error::Missing(format!(
            "{} links have ids that begin with {:?}: say more of it",
            several.len(),
            args.id
        ))),
    }
}

async fn list(cluster: &Cluster, args: &List) -> Result<u8, Error> {
    let upc = cluster.delivery(&args.delivery).await?.spec.upc;
    let api = CarrierApi::of(cluster, &args.road).await?;
    let there = granted(&api, &upc).await?;
    if let Some(form) = args.output {
        let names: Vec<String> = there.iter().map(|one| text(one, "id")).collect();
        print(&document(&there, form, &names.join("\n"))?);
        return Ok(code::DONE);
    }
    if there.is_empty() {
        print(&format!("no links to {upc}: kubectl waybill token issue {upc}\n"));
        return Ok(code::DONE);
    }
    let mut table = Table::new(&["ID", "FOR", "UNTIL"]);
    for one in &there {
        let role = one["role"].as_str().unwrap_or("viewer").to_owned();
        table.row([short(&text(one, "id")).to_owned(), role, text(one, "expires")]);
    }
    print(&table.text());
    Ok(code::DONE)
}

async fn granted(api: &CarrierApi, upc: &str) -> Result<Vec<Value>, Error> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/shipment/{upc}/grants?after={after}");
        let answer = api.ask(Method::GET, &path, None).await?.json()?;
        all.extend(answer["grants"].as_array().cloned().unwrap_or_default());
        match answer["next"].as_str() {
            // Ids only go up: no answer keeps one asking for ever.
            Some(next) if next > after.as_str() => after = next.to_owned(),
            _ => return Ok(all),
        }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// Enough of an id to tell it from 31 others.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
