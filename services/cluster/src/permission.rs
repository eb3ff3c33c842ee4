//! What the bearer of a Kubernetes token may do: the API server says who it is and what it may.
//!
//! Needs `system:auth-delegator`. A yes is remembered for [`REMEMBERED`] at most, so a right that was taken away, or a token that
//! ended, counts no longer than that; a no is not, so a right that was given counts at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client, Resource};
use sha2::{Digest, Sha256};
use waybill_crds::Delivery;

/// How long an answer counts.
pub const REMEMBERED: Duration = Duration::from_secs(30);
/// How many answers are kept.
const MOST: usize = 4096;

/// A right on a Delivery, as a Role names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Right {
    pub verb: &'static str,
    /// One that no API serves is a right all the same.
    pub subresource: Option<&'static str>,
}

/// To see it.
pub const READ: Right = Right { verb: "get", subresource: None };
/// To see all of a namespace.
pub const LIST: Right = Right { verb: "list", subresource: None };
/// To declare what no device reported.
pub const DECLARE: Right = Right { verb: "create", subresource: Some("declarations") };
/// To read the notes of declarations.
pub const READ_NOTES: Right = Right { verb: "get", subresource: Some("declarations") };

/// Questions and the answers to them.
pub struct Reviews {
    client: Client,
    /// Of tokens made for this service alone: good for nothing at the API server, should it be taken over.
    audience: &'static str,
    tokens: Answers<Vec<u8>, UserInfo>,
    rights: Answers<Question, bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    /// What the API server decides by, as one text.
    user: String,
    right: Right,
    namespace: String,
    name: String,
}

impl Reviews {
    pub fn new(client: Client, audience: &'static str) -> Self {
        Self { client, audience, tokens: Answers::default(), rights: Answers::default() }
    }

    /// Whose token this is, made for this service or for the API server itself; `None` when it is nobody's. A token is kept as its
    /// hash alone.
    pub async fn whose(&self, token: &str) -> kube::Result<Option<UserInfo>> {
        let hash = Sha256::digest(token).to_vec();
        if let Some(user) = self.tokens.get(&hash) {
            return Ok(Some(user));
        }
        // The API server takes its own audience where none is named; which one that is only it knows.
        for audience in [Some(self.audience), None] {
            if let Some(user) = whose(&self.client, token, audience).await? {
                self.tokens.put(hash, user.clone());
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Has this user the right to this Delivery? Without a name: to all of the namespace; without a namespace: to all of the cluster.
    pub async fn may(&self, user: &UserInfo, right: Right, (namespace, name): (&str, &str)) -> kube::Result<bool> {
        let user_text = serde_json::to_string(user).unwrap_or_default();
        let question = Question { user: user_text, right, namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some(answer) = self.rights.get(&question) {
            return Ok(answer);
        }
        let answer = may(&self.client, user, right, (namespace, name)).await?;
        if answer {
            self.rights.put(question, true);
        }
        Ok(answer)
    }
}

#[derive(Debug)]
struct Answers<Q, A>(Mutex<HashMap<Q, (Instant, A)>>);

impl<Q, A> Default for Answers<Q, A> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<Q: Eq + Hash, A: Clone> Answers<Q, A> {
    fn get(&self, question: &Q) -> Option<A> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(question).filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, answer)| answer.clone())
    }

    fn put(&self, question: Q, answer: A) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        }
        // Still full: everybody is asked about anew.
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(question, (Instant::now(), answer));
    }
}

/// Whose token this is; `None` when it is nobody's. Who it is is kept nowhere, but with what they declare.
async fn whose(client: &Client, token: &str, audience: Option<&str>) -> kube::Result<Option<UserInfo>> {
    let audiences = audience.map(|audience| vec![audience.to_owned()]);
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences };
    let review = TokenReview { spec, ..TokenReview::default() };
    let reviewed = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let status = reviewed.status.unwrap_or_default();
    // An authenticator that knows no audiences answers without any: its tokens are the API server's own.
    let meant = audience.is_none_or(|wanted| status.audiences.iter().flatten().any(|meant| meant == wanted));
    Ok(status.user.filter(|_| status.authenticated == Some(true) && meant))
}

async fn may(client: &Client, user: &UserInfo, right: Right, (namespace, name): (&str, &str)) -> kube::Result<bool> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_those_who_ask_again_and_never_more_than_fit() {
        let answers = Answers::<usize, bool>::default();
        assert_eq!(answers.get(&1), None);
        (0..=MOST).for_each(|question| answers.put(question, true));
        assert_eq!(answers.get(&MOST), Some(true));
        assert!(answers.0.lock().unwrap().len() <= MOST);
    }
}
