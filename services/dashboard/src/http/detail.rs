//! `GET /d/{namespace}/{name}`: one delivery with everything that was signed about it, verified here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use kube::Api;
use waybill_chassis::problem::{Checked, Problem};
use waybill_cluster::custody;
use waybill_crds::Delivery;
use waybill_protocol::{Log, Trust, Uid};

use super::access::{Viewer, away, row, unknown};
use crate::feed::row::Row;
use crate::page::{self, Chrome, DetailPage, shown, summary};
use crate::service::{Service, Shared};

/// How long one waits for what a namespace trusts, when it is asked the first time.
const FIRST: Duration = Duration::from_secs(5);

pub(super) async fn page(
    State(service): State<Service>,
    Viewer(viewer): Viewer,
    headers: HeaderMap,
    Checked(Path((namespace, name))): Checked<Path<(String, String)>>,
) -> Result<Response, Problem> {
    let row = row(&service, &viewer, (&namespace, &name)).await?;
    let position = service.feed.position();
    let api: Api<Delivery> = Api::namespaced(service.client.clone(), &namespace);
    let delivery = api.get_opt(&name).await.map_err(|error| away(&error))?.ok_or_else(unknown)?;
    let (log, unread) = match read(&service, &namespace, &delivery).await {
        Ok(log) => (Some(log), None),
        Err(why) => (None, Some(why)),
    };
    let log = log.as_ref();
    let (qr_text, qr) = code(&service, &row);
    let page = DetailPage {
        chrome: Chrome { title: row.upc.to_string(), user: Some(viewer.name().to_owned()), script: Some("detail.js") },
        events: format!("/events?only={namespace}/{name}&since={position}"),
        entries: log.map(shown::entries).unwrap_or_default(),
        photos: log.map(|log| shown::photos(log, &row.href())).unwrap_or_default(),
        summary: log.map(summary).unwrap_or_default(),
        unread,
        qr_text,
        qr,
        row,
    };
    Ok(page::html(&headers, &page))
}

/// The log under what the namespace trusts, or why it cannot be checked.
async fn read(service: &Shared, namespace: &str, delivery: &Delivery) -> Result<Log, &'static str> {
    let by_name = || Uid::new(service.feed.seller(namespace, &delivery.spec.seller)?).ok();
    let seller = custody::seller_of_topics(delivery).or_else(by_name);
    let seller = seller.ok_or("Its Seller does not exist, so nobody can say whose signatures count.")?;
    let mut authorities = service.trusts.of(namespace).authorities;
    let known = tokio::time::timeout(FIRST, authorities.wait_for(|trust: &Trust| !trust.cas().is_empty())).await;
    let trust = match known {
        Ok(Ok(trust)) => trust.clone(),
        _ => return Err("The namespace publishes no authorities (ConfigMap waybill-trust)."),
    };
    custody::read(delivery, &seller, &trust).map_err(|_| "Its names cannot be read.")
}

/// What is drawn as a code: the way back to this page, or the parcel's own code where the board has no address.
fn code(service: &Shared, row: &Arc<Row>) -> (String, String) {
    let text = match &service.external_url {
        Some(url) => format!("{url}{}", row.href()),
        None => row.upc.to_string(),
    };
    let drawn = page::qr(&text, &format!("QR code: {text}"));
    (text, drawn)
}
