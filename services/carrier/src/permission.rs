//! What the bearer of a Kubernetes token may do: the API server says who it is and what it may.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use waybill_crds::Delivery;

/// A right on a Delivery, as a Role names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) verb: &'static str,
    /// One that no API serves is a right all the same.
    pub(crate) subresource: Option<&'static str>,
}

/// To see it.
pub(crate) const READ: Right = Right { verb: "get", subresource: None };
/// To see all of a namespace.
pub(crate) const LIST: Right = Right { verb: "list", subresource: None };
/// To declare what no device reported.
pub(crate) const DECLARE: Right = Right { verb: "create", subresource: Some("declarations") };
/// To read the notes of declarations.
pub(crate) const READ_NOTES: Right = Right { verb: "get", subresource: Some("declarations") };

/// Tokens made for this API alone: good for nothing at the API server, should this service be taken over.
const AUDIENCE: &str = "waybill-carrier-api";

/// Whose token this is; `None` when it is nobody's. Who it is is kept nowhere, but with what they declare.
pub(crate) async fn whose(client: &Client, token: &str) -> kube::Result<Option<UserInfo>> {
    // The API server takes its own audience where none is named; which one that is only it knows.
    for audiences in [Some(vec![AUDIENCE.to_owned()]), None] {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviewed = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
        let status = reviewed.status.unwrap_or_default();
        if status.authenticated == Some(true) {
            return Ok(status.user);
        }
    }
    Ok(None)
}

/// Has this user the right to this Delivery? Without a name: to all of the namespace.
pub(crate) async fn may(
    client: &Client,
    user: &UserInfo,
    right: Right,
    (namespace, name): (&str, &str),
) -> kube::Result<bool> {
    let resource = ResourceAttributes {
        group: Some(Delivery::group(&()).into_owned()),
        resource: Some(Delivery::plural(&()).into_owned()),
        subresource: right.subresource.map(str::to_owned),
        verb: Some(right.verb.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: user.username.clone(),
        groups: user.groups.clone(),
        extra: user.extra.clone(),
        uid: user.uid.clone(),
        resource_attributes: Some(resource),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviewed = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(reviewed.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}
