//! Reading one part of an order over HTTP, with a token for it: from the Seller API, or from the Seller's own order system,
//! which serves the same routes (D-08 to D-10).
//!
//! Trust: whoever answers is asked for an address and no more. Its answer is bounded, its words are never logged.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;
use waybill_protocol::{Order, Part, Stage};

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
        read_part(stage, &body)
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

impl FetchError {
    /// Whether it is about one order, and says nothing about the others.
    pub(crate) const fn is_of_one_order(&self) -> bool {
        matches!(self, Self::Unknown | Self::NotOpen | Self::TooLarge | Self::Malformed(_))
    }
}

/// What the last look at an order system said.
pub type Health = Option<Result<String, (String, FetchError)>>;

/// The order system of a Seller, none where its orders are in Secrets.
pub(crate) fn order_system(url: Option<&str>) -> Option<Arc<Source>> {
    let made =
        Source::order_system(url?).inspect_err(|_| tracing::error!("failed to make a client for an order system"));
    made.ok().map(Arc::new)
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
