//! Where parcels are: a table of all, or one with its way, once or as it changes.

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use waybill_crds::{Delivery, Phase, condition};

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::{self, Form, Table, age, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The UPC or the name of the Delivery; all of the namespace unless you say so
    delivery: Option<String>,
    /// Go on showing, until it is over
    #[arg(short, long)]
    watch: bool,
    /// A document instead of a table
    #[arg(short, long)]
    output: Option<Form>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// The way of a parcel that meets nothing.
const WAY: [Phase; 6] =
    [Phase::Pending, Phase::Accepted, Phase::PickedUp, Phase::InTransit, Phase::OutForDelivery, Phase::Delivered];

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let Some(name) = &args.delivery else { return all(cluster, args).await };
    let delivery = cluster.delivery(name).await?;
    if !args.watch {
        let object = delivery.metadata.name.as_deref().unwrap_or_default();
        print(&match args.output {
            Some(form) => show::document(&delivery, form, &format!("delivery.waybill.dev/{object}"))?,
            None => one(&delivery),
        });
        return Ok(code::DONE);
    }
    follow(cluster, delivery, args.output).await
}

async fn all(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    if args.watch {
        return Err(Error::Missing("say which delivery to follow; `kubectl get deliveries -w` follows all".into()));
    }
    let mut found = cluster.list::<Delivery>().await?;
    found.sort_by_key(|one| one.metadata.creation_timestamp.clone());
    if let Some(form) = args.output {
        for one in &found {
            let name = format!("delivery.waybill.dev/{}", one.metadata.name.as_deref().unwrap_or_default());
            print(&show::document(one, form, &name)?);
        }
        return Ok(code::DONE);
    }
    if found.is_empty() {
        print(&format!("There are no Deliveries in namespace {}.\n", cluster.namespace));
        return Ok(code::DONE);
    }
    let mut table = Table::new(&["UPC", "WAY", "PHASE", "CARRIER", "ATTEMPT", "LAST EVENT", "AGO"]);
    for one in &found {
        let last = one.status.as_ref().and_then(|status| status.custody.last());
        table.row([
            one.spec.upc.clone(),
            way(one.phase()),
            one.phase().to_string(),
            one.spec.carrier.clone().unwrap_or_else(|| "-".into()),
            one.status.as_ref().map_or(0, |status| status.attempt).to_string(),
            last.map_or_else(|| "-".into(), |entry| entry.event.clone()),
            last.map_or_else(String::new, |entry| age(entry.at.0)),
        ]);
    }
    print(&table.text());
    Ok(code::DONE)
}

/// A delivery as it changes: drawn again in place on a screen, a line a change elsewhere.
async fn follow(cluster: &Cluster, first: Delivery, form: Option<Form>) -> Result<u8, Error> {
    let name = first.metadata.name.clone().unwrap_or_default();
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut changes = watcher(cluster.api::<Delivery>(), config).default_backoff().applied_objects().boxed();
    let (mut height, mut shown) = (0, String::new());
    while let Some(change) = changes.next().await {
        let delivery = match change {
            Ok(delivery) => delivery,
            // The watch goes on by itself; a refusal it cannot mend is told.
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error))
                if refused(&error) =>
            {
                return Err(cluster.failed("watch", "deliveries", error));
            }
            Err(_) => continue,
        };
        let text = match form {
            Some(form) => show::document(&delivery, form, &format!("delivery.waybill.dev/{name}"))?,
            None if show::is_screen() => one(&delivery),
            None => line(&delivery),
        };
        if text != shown {
            let up = if show::is_screen() && form.is_none() && height > 0 {
                format!("\x1b[{height}A\x1b[J")
            } else {
                String::new()
            };
            print(&format!("{up}{text}"));
            height = text.lines().count();
            shown = text;
        }
        if delivery.phase().terminal() {
            return Ok(code::DONE);
        }
    }
    Ok(code::DONE)
}

fn refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_forbidden())
}

fn line(delivery: &Delivery) -> String {
    let last = delivery.status.as_ref().and_then(|status| status.custody.last());
    format!("{} {} {}\n", way(delivery.phase()), delivery.phase(), last.map_or("", |entry| entry.event.as_str()))
}

fn one(delivery: &Delivery) -> String {
    let status = delivery.status.clone().unwrap_or_default();
    let phase = delivery.phase();
    let mut text = format!("{}  {}\n", delivery.spec.upc, delivery.metadata.name.as_deref().unwrap_or_default());
    text += &format!("{}  {phase}\n", way(phase));
    text += &format!(
        "carrier {}, attempt {}, address open: {}\n",
        delivery.spec.carrier.as_deref().unwrap_or("none yet"),
        status.attempt,
        status.stage
    );
    if let Some(last) = status.custody.last() {
        text += &format!("last: {} by {:?}, {} ago\n", last.event, last.author, age(last.at.0));
    }
    let trouble = status.conditions.iter().filter(|one| is_trouble(one));
    text += &trouble.map(|one| format!("{}: {}\n", one.reason, one.message)).collect::<String>();
    if let Some(hash) = status.proof.and_then(|proof| proof.photo_hash) {
        text += &format!("picture: {hash}\n");
    }
    text
}

/// What a user should look at.
pub(crate) fn is_trouble(one: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> bool {
    let named = |type_: condition::ConditionType| one.type_ == type_.as_str();
    let bad = [condition::ConditionType::Stalled, condition::ConditionType::Hindered];
    let good = [condition::ConditionType::Admitted, condition::ConditionType::Ready];
    (one.status == "True" && bad.into_iter().any(named)) || (one.status == "False" && good.into_iter().any(named))
}

/// The way behind and before a parcel; an exclamation mark where it left the way.
fn way(phase: Phase) -> String {
    let on_it = WAY.iter().position(|step| *step == phase);
    let behind = match phase {
        Phase::AvailableForPickup | Phase::AttemptFailed | Phase::Rescheduled | Phase::Refused => 4,
        Phase::OnHold | Phase::Damaged | Phase::ReturnToSender => 3,
        _ => on_it.unwrap_or(WAY.len() - 1),
    };
    let mark = if on_it.is_none() { "!" } else { " " };
    format!("[{}{}]{mark}", "=".repeat(behind), "-".repeat(WAY.len() - 1 - behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_fills_and_says_where_a_parcel_left_it() {
        assert_eq!(way(Phase::Pending), "[-----] ");
        assert_eq!(way(Phase::InTransit), "[===--] ");
        assert_eq!(way(Phase::Delivered), "[=====] ");
        assert_eq!(way(Phase::AttemptFailed), "[====-]!");
        assert_eq!(way(Phase::Lost), "[=====]!");
    }
}
