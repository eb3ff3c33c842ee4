//! Somebody with a link, as long as it works: a cookie names the visit, the visit holds link and view token, both in memory alone.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use waybill_chassis::telemetry::report;

use super::view::{Position, Shipment};
use crate::backend;
use crate::service::{Service, Shared};
use crate::timed::Timed;

pub(crate) const COOKIE: &str = "wb_track";
/// How long a visit lasts without the link being opened again.
pub(super) const LIFE: Duration = Duration::from_secs(8 * 3600);
/// More than look at once; then whoever would leave first leaves.
const MOST: usize = 20_000;
/// A token that ends sooner is not used any more.
const FRESH: i64 = 15;

pub(super) const ENDED: &str =
    "This link does not work. It has ended, was taken back, or is not complete. Ask the sender for a new one.";
pub(super) const NO_LINK: &str = "This is no link of ours. Copy all of it, from https to its end.";

/// Why something cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    /// The link opens nothing any more.
    Closed,
    /// Nobody answers.
    Silent,
}

/// What opens one delivery for two minutes.
#[derive(Clone)]
struct Pass {
    token: String,
    until: Timestamp,
}

/// One link, opened.
pub(crate) struct Visit {
    namespace: String,
    grant: String,
    pub(super) upc: String,
    pub(super) seller: String,
    pub(super) is_recipient: bool,
    pass: tokio::sync::Mutex<Pass>,
    /// The challenge that is open at the door.
    pub(super) challenge: Mutex<Option<String>>,
}

/// Nothing of it is for a log.
impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Granted {
    token: String,
    expires: Timestamp,
    upc: String,
    seller: String,
    #[serde(default)]
    role: String,
}

/// All that are open.
#[derive(Debug)]
pub(crate) struct Visits(Timed<Arc<Visit>>);

impl Default for Visits {
    fn default() -> Self {
        Self(Timed::new(MOST))
    }
}

impl Visits {
    pub(super) fn keep(&self, visit: Visit) -> String {
        self.0.put(Arc::new(visit), LIFE)
    }

    pub(super) fn find(&self, id: Option<&str>) -> Option<Arc<Visit>> {
        self.0.get(id?)
    }

    pub(super) fn end(&self, id: Option<&str>) {
        id.and_then(|id| self.0.take(id));
    }
}

/// Namespace and grant of a link, or of what follows its `#`.
pub(super) fn read_link(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let fragment = text.rsplit_once('#').map_or(text, |(_, fragment)| fragment);
    let (namespace, grant) = fragment.split_once('.')?;
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let good = namespace.len() <= 63 && grant.len() <= 256 && plain(namespace, b"-") && plain(grant, b"-_.");
    good.then_some((namespace, grant))
}

impl Visit {
    /// Asks the namespace's Carrier API what a link opens.
    pub(super) async fn open(service: &Service, namespace: &str, grant: &str) -> Result<Self, Away> {
        let granted = exchange(service, namespace, grant).await?;
        let pass = Pass { token: granted.token, until: granted.expires };
        Ok(Self {
            namespace: namespace.to_owned(),
            grant: grant.to_owned(),
            upc: granted.upc,
            seller: granted.seller,
            is_recipient: granted.role == "recipient",
            pass: tokio::sync::Mutex::new(pass),
            challenge: Mutex::new(None),
        })
    }

    /// A token that is good now: the link is asked again before one ends.
    async fn token(&self, service: &Shared) -> Result<String, Away> {
        let mut pass = self.pass.lock().await;
        if pass.until.as_second() - Timestamp::now().as_second() < FRESH {
            let granted = exchange(service, &self.namespace, &self.grant).await?;
            *pass = Pass { token: granted.token, until: granted.expires };
        }
        Ok(pass.token.clone())
    }

    /// Something of the Carrier API; none where it has none.
    pub(super) async fn ask(
        &self,
        service: &Shared,
        method: Method,
        path: &str,
    ) -> Result<Option<reqwest::Response>, Away> {
        let token = self.token(service).await?;
        let published = service.trusts.of(&self.namespace).published;
        let request = service.backends.carrier_api(&published, (&self.namespace, method, path)).await;
        let answer = request.map_err(|error| silent(&error))?.bearer_auth(token).send().await;
        let answer = answer.map_err(|error| silent(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(Some(answer)),
            status if status.is_server_error() => Err(Away::Silent),
            _ => Ok(None),
        }
    }

    /// Where the parcel is, as its Carrier API shows it. One of which nothing is known yet has not begun.
    pub(super) async fn shipment(&self, service: &Shared) -> Result<Shipment, Away> {
        let path = format!("/api/shipment/{}", self.upc);
        let Some(answer) = self.ask(service, Method::GET, &path).await? else {
            return Ok(Shipment::not_begun(&self.upc, &self.seller));
        };
        answer.json().await.map_err(|error| silent(&error))
    }

    /// Something of the Seller API: its status and what it says.
    pub(super) async fn ask_seller(
        &self,
        service: &Shared,
        (method, below): (Method, &str),
        body: Option<Value>,
    ) -> Result<(u16, Value), Away> {
        let token = self.token(service).await?;
        let published = service.trusts.of(&self.namespace).published;
        let path = format!("/api/delivery/{}/{below}", self.upc);
        let place = (self.namespace.as_str(), self.seller.as_str());
        let request = service.backends.seller_api(&published, place, (method, &path)).await;
        let request = request.map_err(|error| silent(&error))?.bearer_auth(token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| silent(&error))?;
        let status = answer.status().as_u16();
        Ok((status, answer.json().await.unwrap_or_default()))
    }

    /// Where the carrier last said it is, if anybody may know; whoever does not say so keeps nothing else from being shown.
    pub(super) async fn position(&self, service: &Shared) -> Option<Position> {
        let (status, body) = self.ask_seller(service, (Method::GET, "position"), None).await.ok()?;
        (status == 200).then(|| serde_json::from_value(body).ok()).flatten()
    }

    /// The recipient's code, for the recipient.
    pub(super) async fn receipt_code(&self, service: &Shared) -> Result<Option<String>, Away> {
        if !self.is_recipient {
            return Ok(None);
        }
        let (status, body) = self.ask_seller(service, (Method::GET, "receipt-code"), None).await?;
        Ok(body["code"].as_str().filter(|_| status == 200).map(str::to_owned))
    }
}

async fn exchange(service: &Shared, namespace: &str, grant: &str) -> Result<Granted, Away> {
    let published = service.trusts.of(namespace).published;
    let request = match service.backends.carrier_api(&published, (namespace, Method::POST, "/api/view-token")).await {
        // Anybody may name any namespace: one of which nothing is known opens nothing, and is not followed.
        Err(backend::Error::NoTrust(_)) => {
            service.trusts.forget(namespace);
            return Err(Away::Closed);
        }
        other => other.map_err(|error| silent(&error))?.json(&json!({ "grant": grant })),
    };
    let answer = request.send().await.map_err(|error| silent(&error))?;
    match answer.status() {
        StatusCode::OK => answer.json().await.map_err(|error| silent(&error)),
        status if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => Err(Away::Closed),
        _ => Err(Away::Silent),
    }
}

fn silent(error: &(dyn std::error::Error + 'static)) -> Away {
    tracing::warn!(error = %report(error), "failed to ask for a recipient's page");
    Away::Silent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_whole_or_from_its_fragment_and_nothing_else_is_one() {
        let link = "https://board.example/track#shop.d-1.AbC-_9";
        for text in [link, " shop.d-1.AbC-_9\n", "#shop.d-1.AbC-_9"] {
            assert_eq!(read_link(text), Some(("shop", "d-1.AbC-_9")), "{text}");
        }
        for text in ["", "shop", ".x", "shop.", "../etc.x", "shop/x.y", "a b.c", "shop.<script>", "shop.x?y"] {
            assert_eq!(read_link(text), None, "{text}");
        }
    }
}
