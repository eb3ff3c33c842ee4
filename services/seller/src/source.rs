//! Reading one part of an order over HTTP, with a token for it: from the Seller API, or from the Seller's own order system,
//! which serves the same routes (D-08 to D-10).
//!
//! Trust: whoever answers is asked for an address and no more. Its answer is bounded, its words are never logged.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;
use waybill_crds::seller::url_is_allowed;
use waybill_protocol::{Order, Part, Stage};

use crate::orders::{self, Private};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read: three fields of 4 KiB, escaped.
const MAX_ANSWER: usize = 128 << 10;

/// Why a part was not read. Says nothing of what came back but its status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("did not answer within {PATIENCE:?}")]
    Slow,
    #[error("could not be reached")]
    Unreachable,
    /// The Seller API's own watch may be behind the log.
    #[error("does not serve this part yet")]
    NotOpen,
    #[error("has no such order")]
    Unknown,
    /// Asked nobody: the operator does not allow this address.
    #[error("is not on the list of order systems")]
    Forbidden,
    #[error("answered with status {0}")]
    Status(u16),
    #[error("answered with more than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("answered with something that is not the {0} part of an order")]
    Malformed(Stage),
}

/// Where parts are read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    base: String,
    client: reqwest::Client,
}

#[derive(Deserialize)]
struct Country {
    country: String,
    province: String,
    city: String,
}

#[derive(Deserialize)]
struct Postal {
    postal_code: String,
}

#[derive(Deserialize)]
struct Recipient {
    email: Option<String>,
}

#[derive(Deserialize)]
struct Door {
    client_name: String,
    door_number: String,
    phone_number: String,
}

/// The last part of the route that serves a part.
pub(crate) const fn route(stage: Stage) -> &'static str {
    match stage {
        Stage::Country => "country_destination",
        Stage::PostalCode => "postal_code_destination",
        Stage::Door => "door_destination",
    }
}

impl Source {
    /// The Seller API, by the trust of the namespace.
    pub(crate) fn seller_api(base: &str, tls: &rustls::ClientConfig) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls.clone());
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client: common(builder).build()? })
    }

    /// An order system, by the roots of the machine.
    pub(crate) fn order_system(base: &str) -> Result<Self, reqwest::Error> {
        Ok(Self { base: base.trim_end_matches('/').to_owned(), client: common(reqwest::Client::builder()).build()? })
    }

    /// One part.
    pub(crate) async fn part(&self, upc: &str, stage: Stage, token: &str) -> Result<Part, FetchError> {
        read_part(stage, &self.ask(upc, stage, token).await?)
    }

    /// Where the recipient is written to, if the order system says so beside the door part; nothing else of the answer is read.
    pub(crate) async fn email(&self, upc: &str, token: &str) -> Result<Option<Private>, FetchError> {
        read_email(&self.ask(upc, Stage::Door, token).await?)
    }

    async fn ask(&self, upc: &str, stage: Stage, token: &str) -> Result<Vec<u8>, FetchError> {
        let url = format!("{}/api/order/{upc}/{}", self.base, route(stage));
        let asked = self.client.get(url).bearer_auth(token).send();
        let mut answer = tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| FetchError::Slow)?
            .map_err(|_| FetchError::Unreachable)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(FetchError::NotOpen),
            StatusCode::NOT_FOUND => return Err(FetchError::Unknown),
            other => return Err(FetchError::Status(other.as_u16())),
        }
        let mut body = Vec::new();
        let read = async {
            while let Some(chunk) = answer.chunk().await.map_err(|_| FetchError::Unreachable)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    return Err(FetchError::TooLarge);
                }
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, read).await.map_err(|_| FetchError::Slow)??;
        Ok(body)
    }

    /// All three parts, one after the other: what commitments are made of. `token` makes one for each.
    pub(crate) async fn order(&self, upc: &str, token: impl Fn(Stage) -> String) -> Result<Order, FetchError> {
        let mut order = Order::default();
        for stage in Stage::ALL {
            match self.part(upc, stage, &token(stage)).await? {
                Part::Country { country, province, city } => {
                    (order.country, order.province, order.city) = (country, province, city);
                }
                Part::PostalCode { postal_code } => order.postal_code = postal_code,
                Part::Door { client_name, door_number, phone_number } => {
                    (order.client_name, order.door_number, order.phone_number) =
                        (client_name, door_number, phone_number);
                }
            }
        }
        Ok(order)
    }
}

fn common(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    // A redirect could lead to anybody; so could a proxy from the environment.
    builder.redirect(reqwest::redirect::Policy::none()).no_proxy().pool_idle_timeout(Duration::from_secs(30))
}

fn read_part(stage: Stage, body: &[u8]) -> Result<Part, FetchError> {
    let malformed = |_| FetchError::Malformed(stage);
    let part = match stage {
        Stage::Country => {
            let Country { country, province, city } = serde_json::from_slice(body).map_err(malformed)?;
            Part::Country { country, province, city }
        }
        Stage::PostalCode => {
            let Postal { postal_code } = serde_json::from_slice(body).map_err(malformed)?;
            Part::PostalCode { postal_code }
        }
        Stage::Door => {
            let Door { client_name, door_number, phone_number } = serde_json::from_slice(body).map_err(malformed)?;
            Part::Door { client_name, door_number, phone_number }
        }
    };
    part.check().map_err(|_| FetchError::Malformed(stage))?;
    Ok(part)
}

fn read_email(body: &[u8]) -> Result<Option<Private>, FetchError> {
    let malformed = FetchError::Malformed(Stage::Door);
    let Ok(Recipient { email }) = serde_json::from_slice(body) else { return Err(malformed) };
    let email = email.filter(|email| !email.trim().is_empty());
    email.map(|email| orders::check("email", email)).transpose().map_err(|_| malformed)
}

impl FetchError {
    /// Whether it is about one order, and says nothing about the others.
    pub(crate) const fn is_of_one_order(&self) -> bool {
        matches!(self, Self::Unknown | Self::NotOpen | Self::TooLarge | Self::Malformed(_))
    }
}

/// What the last look at an order system said.
pub type Health = Option<Result<String, (String, FetchError)>>;

/// The order system of a Seller, made anew when it names another one.
pub(crate) struct System {
    /// What the operator allows.
    allowed: Arc<[String]>,
    current: Option<(String, Arc<Source>)>,
}

impl System {
    pub(crate) fn new(allowed: Arc<[String]>) -> Self {
        Self { allowed, current: None }
    }

    /// The one at this address, if it is allowed.
    pub(crate) fn at(&mut self, url: &str) -> Result<Arc<Source>, FetchError> {
        if !url_is_allowed(url, &self.allowed) {
            self.current = None;
            return Err(FetchError::Forbidden);
        }
        if let Some((_, source)) = self.current.as_ref().filter(|(known, _)| known == url) {
            return Ok(Arc::clone(source));
        }
        let made = Source::order_system(url).map(Arc::new);
        let made = made.inspect_err(|_| tracing::error!("failed to make a client for an order system"));
        let source = made.map_err(|_| FetchError::Unreachable)?;
        self.current = Some((url.to_owned(), Arc::clone(&source)));
        Ok(source)
    }
}

/// The Seller API as distribution asks it, made anew when its trust changes.
pub(crate) struct Own {
    base: String,
    tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    current: Option<Arc<Source>>,
}

impl Own {
    pub(crate) fn new(base: &str, tls: watch::Receiver<Arc<rustls::ClientConfig>>) -> Self {
        Self { base: base.to_owned(), tls, current: None }
    }

    pub(crate) fn get(&mut self) -> Option<Arc<Source>> {
        if self.current.is_none() || self.tls.has_changed().unwrap_or(false) {
            let tls = self.tls.borrow_and_update().clone();
            let made = Source::seller_api(&self.base, &tls);
            let made = made.inspect_err(|_| tracing::error!("failed to make a client for the Seller API"));
            self.current = made.ok().map(Arc::new).or(self.current.take());
        }
        self.current.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_system_says_where_a_recipient_is_written_to_or_says_nothing() {
        let read = |text: &str| read_email(text.as_bytes()).map(|email| email.map(|email| email.expose().to_owned()));
        let door = r#""client_name":"A","door_number":"1","phone_number":"1""#;
        assert_eq!(
            read(&format!(r#"{{{door},"email":"jane@recipient.example"}}"#)),
            Ok(Some("jane@recipient.example".into()))
        );
        for none in [format!("{{{door}}}"), format!(r#"{{{door},"email":null}}"#), format!(r#"{{{door},"email":" "}}"#)]
        {
            assert_eq!(read(&none), Ok(None), "{none}");
        }
        let long = format!(r#"{{"email":"{}"}}"#, "x".repeat(orders::MAX_FIELD + 1));
        for wrong in [r#"{"email":7}"#, r#"{"email":"a\u0007b"}"#, "[]", "", long.as_str()] {
            assert_eq!(read(wrong), Err(FetchError::Malformed(Stage::Door)), "{wrong}");
        }
    }
}
