//! The proof of a delivery as a file: of one that is in the cluster as it is now, of one that is gone from the archive.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use waybill_chassis::etag::{Tag, tagged};
use waybill_chassis::jwt::bearer;
use waybill_chassis::problem::{Checked, Problem};
use waybill_cluster::permission::LIST;

use super::access::{Viewer, Which};
use super::page::Page;
use super::problems::{BUNDLE_UNKNOWN, BUSY, NOTHING_POSTED, later, of_cluster, of_store};
use super::said::{Archive, Archived};
use super::user::{allowed, denied, first_readable, user};
use crate::archive::{self, Line};
use crate::bundle::{self, make};
use crate::service::{Service, Shared};

/// How much of a bundle is handed over at once.
const PIECE: usize = 64 << 10;

/// For whoever may look at the delivery. One that is gone is found by its UPC, for those with a Kubernetes token.
pub(super) async fn get(
    State(service): State<Service>,
    Checked(Path(upc)): Checked<Path<String>>,
    parts: Parts,
) -> Result<Response, Problem> {
    let token = bearer(&parts.headers)?;
    let which = Which::of(&parts)?;
    let Some(viewer) = Viewer::find(&service, token, &upc, which.uid.as_deref()).await? else {
        let mut gone = archive::of_upc(&service.store, &upc).await.map_err(|error| of_store(&error))?;
        gone.retain(|line| which.uid.as_ref().is_none_or(|uid| line.uid == *uid));
        return archived(&service, token, gone, &parts.headers).await;
    };
    if viewer.log.entries().is_empty() {
        return Err(Problem::new(NOTHING_POSTED, "nothing was reported about this delivery yet"));
    }
    let bytes = make(&service, &viewer.delivery, &viewer.log).await.map_err(|error| of_bundle(&error))?;
    send(&service, &parts.headers, &upc, bytes)
}

/// One that is archived, for whoever may `get` a Delivery of its name.
pub(super) async fn get_archived(
    State(service): State<Service>,
    Checked(Path(uid)): Checked<Path<String>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = bearer(&headers)?;
    let found = match waybill_protocol::Uid::new(&uid) {
        Ok(uid) => archive::line(&service.store, uid.as_str()).await.map_err(|error| of_store(&error))?,
        Err(_) => None,
    };
    archived(&service, token, found.into_iter().collect(), &headers).await
}

async fn archived(service: &Shared, token: &str, lines: Vec<Line>, headers: &HeaderMap) -> Result<Response, Problem> {
    let unknown = || Problem::new(BUNDLE_UNKNOWN, "there is no bundle of such a delivery here");
    let line = first_readable(service, token, lines, |line| line.name.clone()).await?.ok_or_else(unknown)?;
    let bytes = archive::read(&service.store, &line.uid).await.map_err(|error| of_store(&error))?;
    send(service, headers, &line.upc, bytes.ok_or_else(unknown)?)
}

/// A line for each archived bundle of the namespace, by uid, for who may list Deliveries.
pub(super) async fn list(
    State(service): State<Service>,
    Checked(Query(page)): Checked<Query<Page>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = user(&service, &headers).await?;
    if !allowed(&service, &user, LIST, "").await? {
        return Err(denied(LIST));
    }
    let found = archive::page(&service.store, &page.after, page.limit()).await;
    let (lines, more) = found.map_err(|error| of_store(&error))?;
    let next = lines.last().filter(|_| more).map(|line| line.uid.clone());
    tagged(&headers, &Archive { bundles: lines.into_iter().map(Archived::from).collect(), next })
}

/// In pieces, so that its room is free again once the last of them is on its way.
fn send(service: &Shared, headers: &HeaderMap, upc: &str, bytes: Vec<u8>) -> Result<Response, Problem> {
    let busy = || later(BUSY, "too many bundles are on their way; try again later");
    let room = service.bundles.room(bytes.len()).ok_or_else(busy)?;
    let (tag, size) = (Tag::of(&bytes), bytes.len());
    let pieces = futures::stream::unfold((Bytes::from(bytes), room), async |(mut rest, room)| {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then(|| (Ok::<_, Infallible>(piece), (rest, room)))
    });
    // A UPC has no character that would mean something here.
    let name = format!("attachment; filename=\"{upc}.waybill.zip\"");
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    Ok(tag.answer(headers, || {
        let about = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
            (header::CONTENT_DISPOSITION, name),
            (header::CONTENT_LENGTH, HeaderValue::from(size)),
        ];
        (about, Body::from_stream(pieces)).into_response()
    }))
}

fn of_bundle(error: &bundle::Error) -> Problem {
    match error {
        bundle::Error::Cluster(error) => of_cluster(error),
        bundle::Error::Store(error) => of_store(error),
        other => Problem::internal(other),
    }
}
