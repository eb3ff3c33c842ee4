//! A user of the cluster: somebody with a Kubernetes token, and what they may do with the Deliveries of one UPC.

use std::sync::Arc;

use axum::http::HeaderMap;
use k8s_openapi::api::authentication::v1::UserInfo;
use waybill_chassis::jwt::{INVALID, bearer};
use waybill_chassis::problem::Problem;
use waybill_cluster::permission::{READ, Right};
use waybill_crds::Delivery;

use super::problems::{NOT_PERMITTED, of_cluster, unknown_delivery};
use crate::service::Shared;

/// Whose token this is.
pub(super) async fn user(service: &Shared, headers: &HeaderMap) -> Result<UserInfo, Problem> {
    bearer_of(service, bearer(headers)?).await
}

async fn bearer_of(service: &Shared, token: &str) -> Result<UserInfo, Problem> {
    let user = service.reviews.whose(token).await.map_err(|error| of_cluster(&error))?;
    user.ok_or_else(|| Problem::new(INVALID, "the token is not valid for this request"))
}

/// Of the first `most` Deliveries with this UPC, those the user has the right to, at least one. Who has it to none learns
/// nothing about which there are.
pub(super) async fn permitted(
    service: &Shared,
    user: &UserInfo,
    right: Right,
    (upc, most): (&str, usize),
) -> Result<Vec<Arc<Delivery>>, Problem> {
    let deliveries = service.deliveries.by_upc(upc);
    if deliveries.is_empty() {
        return Err(if allowed(service, user, right, "").await? { unknown_delivery() } else { denied(right) });
    }
    let mut permitted = Vec::new();
    for delivery in deliveries.into_iter().take(most) {
        if allowed(service, user, right, delivery.metadata.name.as_deref().unwrap_or_default()).await? {
            permitted.push(delivery);
        }
    }
    if permitted.is_empty() { Err(denied(right)) } else { Ok(permitted) }
}

pub(super) async fn allowed(service: &Shared, user: &UserInfo, right: Right, name: &str) -> Result<bool, Problem> {
    let answer = service.reviews.may(user, right, (&service.namespace, name)).await;
    answer.map_err(|error| of_cluster(&error))
}

/// The first of these that the bearer of a Kubernetes token may `get`. `None`: there is none, and
/// the bearer may read the namespace's Deliveries; who may not learns nothing about which there are.
pub(super) async fn first_readable<T>(
    service: &Shared,
    token: &str,
    all: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> String,
) -> Result<Option<T>, Problem> {
    let user = bearer_of(service, token).await?;
    for one in all {
        if allowed(service, &user, READ, &name(&one)).await? {
            return Ok(Some(one));
        }
    }
    if allowed(service, &user, READ, "").await? { Ok(None) } else { Err(denied(READ)) }
}

pub(super) fn denied(right: Right) -> Problem {
    let below = right.subresource.map(|below| format!("/{below}")).unwrap_or_default();
    Problem::new(NOT_PERMITTED, format!("this takes the right to {} deliveries{below}", right.verb))
}
