//! What somebody needs who is asked for help, in one file: objects, conditions and events of a namespace, without what is nobody's
//! business. Secrets are not read; of a log, only who said what kind of thing and when.

use std::path::PathBuf;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use waybill_crds::{Carrier, Delivery, Seller};

use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write it; waybill-report-NAMESPACE.json here unless you say so
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Where,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let mut report = Map::new();
    report.insert("madeBy".into(), json!(format!("kubectl-waybill {}", env!("CARGO_PKG_VERSION"))));
    report.insert("at".into(), json!(Timestamp::now().to_string()));
    report.insert("namespace".into(), json!(cluster.namespace));
    let version = cluster.client.apiserver_version().await;
    report.insert(
        "kubernetes".into(),
        version.map_or_else(|error| json!(error.to_string()), |info| json!(info.git_version)),
    );
    section::<Seller>(cluster, &mut report).await;
    section::<Carrier>(cluster, &mut report).await;
    section::<Delivery>(cluster, &mut report).await;
    section::<Deployment>(cluster, &mut report).await;
    section::<Pod>(cluster, &mut report).await;
    section::<Event>(cluster, &mut report).await;
    let file = args.file.clone().unwrap_or_else(|| format!("waybill-report-{}.json", cluster.namespace).into());
    let text = serde_json::to_string_pretty(&Value::Object(report)).expect("plain data is JSON") + "\n";
    std::fs::write(&file, text).map_err(|source| Error::File { verb: "write", path: file.clone(), source })?;
    print(&format!(
        "{} is written: no Secret, no signed bytes, no address. Read it before you hand it on\n",
        file.display()
    ));
    Ok(code::DONE)
}

/// Every object of one kind, or why there are none.
async fn section<K>(cluster: &Cluster, report: &mut Map<String, Value>)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Serialize,
{
    let listed = cluster.list::<K>().await.map(|found| {
        found.iter().filter_map(|one| serde_json::to_value(one).ok()).map(redacted).collect::<Vec<Value>>()
    });
    let told = listed.map_or_else(|error| json!({"notRead": error.told()}), |found| json!(found));
    report.insert(K::plural(&()).into_owned(), told);
}

/// Members that say more than is needed, or that people put anything into.
const DROPPED: [&str; 9] =
    ["managedFields", "annotations", "signed", "csr", "pem", "keyStatement", "env", "envFrom", "url"];

fn redacted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let keep = |(name, member): (String, Value)| match DROPPED.contains(&name.as_str()) {
                true => (name, json!("(left out)")),
                false => (name, redacted(member)),
            };
            Value::Object(members.into_iter().map(keep).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(redacted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_what_happened_and_leaves_out_what_people_and_keys_said() {
        let one = json!({"metadata": {"name": "upc-1", "annotations": {"note": "MARKER"}, "managedFields": ["MARKER"]},
            "spec": {"url": "https://MARKER", "transport": {"external": {"csr": "MARKER"}}},
            "status": {"keyStatement": "MARKER", "custody": [{"event": "Accepted", "signed": "MARKER"}]}});
        let text = redacted(one).to_string();
        assert!(!text.contains("MARKER") && text.contains("Accepted") && text.contains("upc-1"), "{text}");
    }
}
