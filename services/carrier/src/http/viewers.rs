//! How somebody outside the cluster comes to see a delivery: a grant by someone who may read it, exchanged for short view
//! tokens as often as needed, until it ends or is revoked (D-78).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authentication::v1::UserInfo;
use schemars::JsonSchema;
use serde::Deserialize;
use waybill_chassis::idempotency;
use waybill_chassis::problem::{Checked, Problem};
use waybill_crds::Delivery;
use waybill_crds::duration::Duration;
use waybill_protocol::Uid;

use super::page::{Page, cut};
use super::problems::{
    GRANT_INVALID, GRANT_REVOKED, GRANT_UNKNOWN, MALFORMED, SIGNING_AWAY, TOO_MANY_GRANTS, later, of_store,
};
use super::said::{Granted, Grants, ViewToken};
use super::user::{permitted, user};
use crate::grants::{self, Audience, DEFAULT_LIFE, Grant, Kept, LONGEST_LIFE};
use crate::service::{Service, Shared, now};
use crate::view::time_of;
use waybill_cluster::permission::READ;

/// What may be asked of a new grant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GrantWish")]
pub(super) struct Wish {
    /// How long it is to work, `168h` by default, at most `2160h`.
    ttl: Option<Duration>,
    /// Whom it is for.
    #[serde(default)]
    role: Audience,
}

/// A new grant, shown once; under a key, the same one again.
pub(super) async fn grant(
    State(service): State<Service>,
    Checked(Path(upc)): Checked<Path<String>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let user = user(&service, &headers).await?;
    let uid = readable(&service, &user, &upc, 1).await?.swap_remove(0);
    let grant = match idempotency::key(&headers)? {
        Some(key) => {
            let away = || later(SIGNING_AWAY, "this Carrier API has no key of its own yet; try again later");
            let seed = service.seed().ok_or_else(away)?;
            Grant::of_key(uid, &seed, (user.username.as_deref().unwrap_or_default(), key))
        }
        None => Grant::new(uid),
    };
    let keyed = headers.contains_key(idempotency::HEADER);
    // Only now: nothing of somebody unknown is held.
    let Checked(body) = Checked::<Bytes>::from_request(request, &service).await?;
    let (life, role) = wish(&body)?;
    let wished = Kept { expires: now() + life, role, life: keyed.then_some(life), revoked: false };
    let Kept { expires, .. } = keep(&service, &grant, wished).await?;
    let body = Granted { grant: grant.text(), id: grant.id(), role, expires: time_of(expires) };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// Keeps a grant, or finds it kept already for the same wish.
async fn keep(service: &Shared, grant: &Grant, wished: Kept) -> Result<Kept, Problem> {
    // Nobody fills the store with links.
    let _folder = service.folders.of(grant.delivery.as_str()).await;
    if wished.life.is_some() {
        let made = grants::find(&service.store, grant, now()).await.map_err(|error| of_store(&error))?;
        match made {
            Some(made) if (made.life, made.role) != (wished.life, wished.role) => return Err(idempotency::reused()),
            Some(Kept { revoked: true, .. }) => {
                return Err(Problem::new(GRANT_REVOKED, "the grant of this key was taken back; use a new key"));
            }
            Some(made) => return Ok(made),
            None => {}
        }
    }
    let there = grants::list(&service.store, grant.delivery.as_str(), now()).await.map_err(|error| of_store(&error))?;
    if there.len() >= grants::MOST {
        let words = format!("a delivery has at most {} grants; revoke one", grants::MOST);
        return Err(Problem::new(TOO_MANY_GRANTS, words));
    }
    grants::keep(&service.store, grant, wished).await.map_err(|error| of_store(&error))?;
    Ok(wished)
}

/// How long a new grant is to live, and whom it is for.
fn wish(body: &[u8]) -> Result<(u64, Audience), Problem> {
    if body.is_empty() {
        return Ok((DEFAULT_LIFE, Audience::Viewer));
    }
    let malformed = |words: String| Problem::new(MALFORMED, words);
    let wish: Wish =
        serde_json::from_slice(body).map_err(|error| malformed(format!("the wish can't be read: {error}")))?;
    let life = wish.ttl.map_or(DEFAULT_LIFE, |ttl| ttl.get().as_secs());
    let allowed = (1..=LONGEST_LIFE).contains(&life);
    allowed.then_some((life, wish.role)).ok_or_else(|| malformed("ttl must be between 1s and 2160h".into()))
}

/// What is granted, for finished deliveries of this UPC too: enough to revoke, nothing to look with.
pub(super) async fn list(
    State(service): State<Service>,
    Checked(Path(upc)): Checked<Path<String>>,
    Checked(Query(page)): Checked<Query<Page>>,
    headers: HeaderMap,
) -> Result<Json<Grants>, Problem> {
    let user = user(&service, &headers).await?;
    let mut all = Vec::new();
    for uid in readable(&service, &user, &upc, usize::MAX).await? {
        all.extend(grants::list(&service.store, uid.as_str(), now()).await.map_err(|error| of_store(&error))?);
    }
    let (grants, next) = cut(&page, page.limit(), all, |one| one.id.clone());
    Ok(Json(Grants { grants, next }))
}

/// Takes a grant back. View tokens made from it end by themselves, within two minutes.
pub(super) async fn revoke(
    State(service): State<Service>,
    Checked(Path((upc, id))): Checked<Path<(String, String)>>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let user = user(&service, &headers).await?;
    for uid in readable(&service, &user, &upc, usize::MAX).await? {
        if grants::revoke(&service.store, &uid, &id).await.map_err(|error| of_store(&error))? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(Problem::new(GRANT_UNKNOWN, "there is no grant with this id"))
}

/// Of the first `most` Deliveries with this UPC, those this user may read, at least one.
async fn readable(service: &Shared, user: &UserInfo, upc: &str, most: usize) -> Result<Vec<Uid>, Problem> {
    let deliveries = permitted(service, user, READ, (upc, most)).await?;
    let uid = |delivery: &Arc<Delivery>| Uid::new(delivery.metadata.uid.as_deref().unwrap_or_default());
    Ok(deliveries.iter().flat_map(uid).collect())
}

/// A grant as it comes.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ShownGrant")]
pub(super) struct Shown {
    grant: String,
}

/// A view token for a grant. All reasons why not look the same.
pub(super) async fn token(
    State(service): State<Service>,
    Checked(Json(shown)): Checked<Json<Shown>>,
) -> Result<Json<ViewToken>, Problem> {
    let refused = || Problem::new(GRANT_INVALID, "the grant is not valid; ask its issuer for a new one");
    let grant = Grant::parse(&shown.grant).ok_or_else(refused)?;
    let good = grants::good_for(&service.store, &grant, now()).await.map_err(|error| of_store(&error))?;
    let role = good.ok_or_else(refused)?;
    let delivery = service.deliveries.get(grant.delivery.as_str()).ok_or_else(refused)?;
    let (upc, seller) = (&delivery.spec.upc, &delivery.spec.seller);
    let fresh = service.views.issue((grant.delivery.as_str(), upc), role).map_err(|error| Problem::internal(&error))?;
    let (url, expires) = (format!("/api/shipment/{upc}"), time_of(fresh.expires));
    Ok(Json(ViewToken { token: fresh.token, expires, upc: upc.clone(), url, seller: seller.clone(), role }))
}

/// D-79: the keys that view tokens are checked with, old and coming ones included.
pub(super) async fn jwks(State(service): State<Service>) -> Response {
    let cached = HeaderValue::from_static("public, max-age=60");
    ([(header::CACHE_CONTROL, cached)], Json(service.views.jwks())).into_response()
}
