//! Whether the bearer of a Kubernetes token may read a Delivery: the API server says who it is and what it may.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use waybill_crds::Delivery;

/// What the API server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The token is nobody's.
    Unknown,
    /// It is somebody's who may not.
    Denied,
    Allowed,
}

/// May the bearer `get` this Delivery? Nothing about who it is is kept.
pub(crate) async fn may_read(client: &Client, token: &str, namespace: &str, name: &str) -> kube::Result<Answer> {
    let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
    let review = TokenReview { spec, ..TokenReview::default() };
    let reviewed = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let status = reviewed.status.unwrap_or_default();
    match status.user {
        Some(user) if status.authenticated == Some(true) => access(client, user, namespace, name).await,
        _ => Ok(Answer::Unknown),
    }
}

async fn access(client: &Client, user: UserInfo, namespace: &str, name: &str) -> kube::Result<Answer> {
    let resource = ResourceAttributes {
        group: Some(Delivery::group(&()).into_owned()),
        resource: Some(Delivery::plural(&()).into_owned()),
        verb: Some("get".to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        extra: user.extra,
        uid: user.uid,
        resource_attributes: Some(resource),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviewed = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let allowed = reviewed.status.is_some_and(|status| status.allowed && status.denied != Some(true));
    Ok(if allowed { Answer::Allowed } else { Answer::Denied })
}
