//! What is wrong in a namespace, and the next step for each: from the conditions everybody writes, read under the user's rights.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use waybill_crds::{Carrier, Delivery, Seller};

use super::track::is_trouble;
use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Something that is wrong.
struct Finding {
    about: String,
    what: String,
    next: String,
}

pub(crate) async fn run(cluster: &Cluster) -> Result<u8, Error> {
    let mut findings = Vec::new();
    if !installed(cluster).await? {
        print(
            "FAIL  Waybill's resources are not defined in this cluster\n      helm install waybill charts/waybill -n waybill-system --create-namespace\n",
        );
        return Ok(code::FAILED);
    }
    let (sellers, carriers) = (cluster.list::<Seller>().await?, cluster.list::<Carrier>().await?);
    let deliveries = cluster.list::<Delivery>().await?;
    if cluster.find::<ConfigMap>(waybill_cluster::trust::NAME).await?.is_none() && !sellers.is_empty() {
        findings.push(Finding {
            about: format!("namespace {}", cluster.namespace),
            what: "the operator has published no trust here: it does not run, or does not work in this namespace".into(),
            next: "kubectl get pods -A -l app.kubernetes.io/name=waybill; the chart's value `namespaces` lists where it works".into(),
        });
    }
    for one in &sellers {
        let conditions = one.status.as_ref().map(|status| status.conditions.as_slice());
        told(&mut findings, "seller", one.metadata.name.as_deref(), conditions);
    }
    for one in &carriers {
        let conditions = one.status.as_ref().map(|status| status.conditions.as_slice());
        told(&mut findings, "carrier", one.metadata.name.as_deref(), conditions);
    }
    for one in deliveries.iter().filter(|one| !one.phase().terminal()) {
        let conditions = one.status.as_ref().map(|status| status.conditions.as_slice());
        told(&mut findings, "delivery", one.metadata.name.as_deref(), conditions);
    }
    for finding in &findings {
        print(&format!("FAIL  {}: {}\n      {}\n", finding.about, finding.what, finding.next));
    }
    let looked = format!("{} Sellers, {} Carriers, {} Deliveries", sellers.len(), carriers.len(), deliveries.len());
    if findings.is_empty() {
        print(&format!("ok    {looked} in namespace {}: nothing is wrong\n", cluster.namespace));
        return Ok(code::DONE);
    }
    print(&format!("{} of {looked} need somebody\n", findings.len()));
    Ok(code::FAILED)
}

async fn installed(cluster: &Cluster) -> Result<bool, Error> {
    let groups = cluster.client.list_api_groups().await.map_err(|error| cluster.failed("list", "API groups", error))?;
    Ok(groups.groups.iter().any(|group| group.name == waybill_crds::GROUP))
}

fn told(findings: &mut Vec<Finding>, kind: &str, name: Option<&str>, conditions: Option<&[Condition]>) {
    let name = name.unwrap_or_default();
    let Some(conditions) = conditions else {
        findings.push(Finding {
            about: format!("{kind} {name}"),
            what: "the operator has not looked at it".into(),
            next: "kubectl get pods -A -l app.kubernetes.io/component=operator".into(),
        });
        return;
    };
    let wrong = |one: &&Condition| {
        is_trouble(one) || (kind == "seller" && one.type_ == "OrdersAvailable" && one.status == "False")
    };
    for one in conditions.iter().filter(wrong) {
        findings.push(Finding {
            about: format!("{kind} {name}"),
            what: format!("{} ({})", one.message, one.reason),
            next: format!("kubectl describe {kind} {name}"),
        });
    }
}
