//! The APIs behind the board, reached inside the cluster: a namespace's Carrier API and its Sellers'.
//!
//! Trust: each namespace's own `waybill-trust` says whose certificate counts there, and nothing else does. The board's own token
//! goes to Carrier APIs alone, and only after the right of whoever asks was looked at.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::tls::{self, Bundle, anonymous_client};

use crate::config::Args;

/// How long an answer may take from its beginning to its end.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one waits for a namespace's trust to be read the first time.
const FIRST: Duration = Duration::from_secs(5);

/// Why there is no way to an API.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read the trust of namespace {0}: nothing is published there")]
    NoTrust(String),
    #[error("failed to use the published trust")]
    Trust(#[source] tls::Error),
    #[error("failed to make a client")]
    Client(#[source] reqwest::Error),
    #[error("failed to read the board's own token")]
    Token(#[source] std::io::Error),
}

/// The way to all of them.
pub(crate) struct Backends {
    carrier_api: String,
    seller_api: String,
    token_file: PathBuf,
    clients: Mutex<HashMap<String, (Vec<u8>, reqwest::Client)>>,
}

impl Backends {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            carrier_api: args.carrier_api_url.trim_end_matches('/').to_owned(),
            seller_api: args.seller_api_url.trim_end_matches('/').to_owned(),
            token_file: args.token_file.clone(),
            clients: Mutex::default(),
        }
    }

    /// A request to the namespace's Carrier API; `published` is what the namespace trusts. `path` begins with a slash.
    pub(crate) async fn carrier_api(
        &self,
        published: &watch::Receiver<Arc<Files>>,
        (namespace, method, path): (&str, Method, &str),
    ) -> Result<RequestBuilder, Error> {
        let url = self.carrier_api.replace("{namespace}", namespace);
        let client = self.client(published, namespace).await?;
        Ok(client.request(method, format!("{url}{path}")))
    }

    /// A request to the API of one of the namespace's Sellers.
    pub(crate) async fn seller_api(
        &self,
        published: &watch::Receiver<Arc<Files>>,
        (namespace, seller): (&str, &str),
        (method, path): (Method, &str),
    ) -> Result<RequestBuilder, Error> {
        let url = self.seller_api.replace("{namespace}", namespace).replace("{seller}", seller);
        let client = self.client(published, namespace).await?;
        Ok(client.request(method, format!("{url}{path}")))
    }

    /// The same as with a Carrier API, in the board's own name.
    pub(crate) async fn carrier_api_as_board(
        &self,
        published: &watch::Receiver<Arc<Files>>,
        asked: (&str, Method, &str),
    ) -> Result<RequestBuilder, Error> {
        let token = tokio::fs::read_to_string(&self.token_file).await.map_err(Error::Token)?;
        Ok(self.carrier_api(published, asked).await?.bearer_auth(token.trim()))
    }

    /// One client a namespace, made anew when its trust changed.
    async fn client(&self, published: &watch::Receiver<Arc<Files>>, namespace: &str) -> Result<reqwest::Client, Error> {
        let mut published = published.clone();
        let known = published.wait_for(|files| files.get("ca.crt").is_some());
        let files = match tokio::time::timeout(FIRST, known).await {
            Ok(Ok(files)) => Arc::clone(&files),
            _ => return Err(Error::NoTrust(namespace.to_owned())),
        };
        let roots = files.get("ca.crt").unwrap_or_default();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.get(namespace).filter(|(known, _)| known == roots) {
            return Ok(client.clone());
        }
        let bundle = Bundle::from_pem(roots).map_err(Error::Trust)?;
        let tls = anonymous_client(&bundle).map_err(Error::Trust)?;
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(PATIENCE);
        let client = builder.redirect(reqwest::redirect::Policy::none()).build().map_err(Error::Client)?;
        clients.insert(namespace.to_owned(), (roots.to_vec(), client.clone()));
        Ok(client)
    }
}

/// All of an answer, if it is not longer than this.
pub(crate) async fn limited(mut answer: reqwest::Response, most: usize) -> Option<Bytes> {
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        if bytes.len() + part.len() > most {
            return None;
        }
        bytes.extend_from_slice(&part);
    }
    Some(bytes.into())
}
