//! Tracking links for recipients: the Seller asks the Carrier API of its namespace for a grant, in its own name, with a token that is good there
//! and nowhere else. One link a delivery, made anew after a restart; never logged.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_cluster::trust::BOARD;

use crate::orders::Private;

const PATIENCE: Duration = Duration::from_secs(10);
/// How long a link in a mail works.
const LIFE: &str = "720h";
/// The file of the token, in the folder that is mounted.
const TOKEN: &str = "token";

/// Why there is no link now; another try may bring one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the Carrier API could not be reached")]
    Away,
    #[error("the Carrier API answered with status {0}")]
    Status(u16),
    #[error("the Carrier API gave something that is no grant for this delivery")]
    Foreign,
}

/// Makes them.
#[derive(Debug)]
pub(super) struct Links {
    namespace: String,
    tokens: PathBuf,
    /// Addresses of board and Carrier API.
    published: watch::Receiver<Arc<Files>>,
    tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    made: Mutex<HashMap<String, Private>>,
}

#[derive(Deserialize)]
struct Granted {
    grant: String,
}

impl Links {
    pub(super) fn new(
        namespace: &str,
        tokens: PathBuf,
        published: watch::Receiver<Arc<Files>>,
        tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    ) -> Self {
        Self { namespace: namespace.to_owned(), tokens, published, tls, made: Mutex::default() }
    }

    /// The link for the recipient of this delivery; none where there is no board, or no more links are given.
    pub(super) async fn of(&self, delivery: &str, upc: &str) -> Result<Option<Private>, Error> {
        if let Some(link) = self.lock().get(delivery) {
            return Ok(Some(link.clone()));
        }
        let files = self.published.borrow().clone();
        let token = tokio::fs::read_to_string(self.tokens.join(TOKEN)).await.ok();
        let (Some(board), Some(api), Some(token)) = (files.text(BOARD), files.text("carrier-api"), token) else {
            return Ok(None);
        };
        let Some(grant) = self.grant((api, token.trim()), delivery, upc).await? else { return Ok(None) };
        let link = Private::new(format!("{}/track#{}.{grant}", board.trim_end_matches('/'), self.namespace));
        self.lock().insert(delivery.to_owned(), link.clone());
        Ok(Some(link))
    }

    pub(super) fn forget(&self, delivery: &str) {
        self.lock().remove(delivery);
    }

    async fn grant(&self, (api, token): (&str, &str), delivery: &str, upc: &str) -> Result<Option<String>, Error> {
        let tls = (**self.tls.borrow()).clone();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(PATIENCE);
        let client = builder.redirect(reqwest::redirect::Policy::none()).build().map_err(|_| Error::Away)?;
        let wish = json!({"ttl": LIFE, "role": "recipient"});
        let url = format!("{}/api/shipment/{upc}/grants", api.trim_end_matches('/'));
        let answer = client.post(url).bearer_auth(token).json(&wish).send().await.map_err(|_| Error::Away)?;
        match answer.status() {
            StatusCode::CREATED => {}
            // It has as many as it may have: whoever is to follow it can.
            StatusCode::UNPROCESSABLE_ENTITY => return Ok(None),
            other => return Err(Error::Status(other.as_u16())),
        }
        let granted: Granted = answer.json().await.map_err(|_| Error::Away)?;
        // Of this very delivery: a UPC may be used again.
        let its = granted.grant.strip_prefix(delivery).is_some_and(|rest| rest.starts_with('.'));
        if its { Ok(Some(granted.grant)) } else { Err(Error::Foreign) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Private>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
