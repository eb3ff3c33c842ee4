//! The replica that distributes, as the others ask it: what it alone knows is asked for in the same words, over the same TLS, with
//! the same token. Its address stands on the Lease it holds.
//!
//! A request is passed on once: who gets one that was passed on and does not distribute says so, and the client tries again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::sync::watch;
use waybill_chassis::problem::{Kind, Problem};
use waybill_cluster::lease::address;

const PASSED_ON: HeaderName = HeaderName::from_static("waybill-passed-on");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than any answer of ours.
const MAX_ANSWER: usize = 64 << 10;
const NOBODY: Kind = Kind { slug: "not-ready", title: "Not ready yet", status: StatusCode::SERVICE_UNAVAILABLE };

/// How to reach it.
#[derive(Debug)]
pub(crate) struct Colleague {
    /// The name every replica's certificate has.
    host: String,
    lease: watch::Receiver<Option<Arc<Lease>>>,
    tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    /// Made for one address and one trust.
    client: Mutex<Option<(SocketAddr, Arc<rustls::ClientConfig>, reqwest::Client)>>,
}

impl Colleague {
    pub(crate) fn new(
        host: String,
        lease: watch::Receiver<Option<Arc<Lease>>>,
        tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    ) -> Self {
        Self { host, lease, tls, client: Mutex::new(None) }
    }

    /// Asks below `/api/delivery/`, and gives back what it answers.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, Problem> {
        let nobody = || {
            Problem::new(NOBODY, "nobody distributes at this moment; try again")
                .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
        };
        let holder = address(self.lease.borrow().as_deref()).filter(|_| !headers.contains_key(PASSED_ON));
        let holder = holder.ok_or_else(nobody)?;
        let client = self.client(holder).ok_or_else(nobody)?;
        let url = format!("https://{}:{}/api/delivery/{path}", self.host, holder.port());
        let mut request = client.request(method, url).timeout(PATIENCE).header(PASSED_ON, "1").body(body);
        for name in [header::AUTHORIZATION, KEY, header::IF_NONE_MATCH] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.map_err(|_| nobody())?;
        let (status, about) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|_| nobody())?;
        if body.len() > MAX_ANSWER {
            return Err(nobody());
        }
        if status.is_client_error() || status.is_server_error() {
            return Err(told(status, &body).unwrap_or_else(nobody));
        }
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = status;
        let kept = [header::CONTENT_TYPE, header::ETAG, header::CACHE_CONTROL];
        answer.headers_mut().extend(kept.into_iter().filter_map(|name| Some((name.clone(), about.get(name)?.clone()))));
        Ok(answer)
    }

    fn client(&self, holder: SocketAddr) -> Option<reqwest::Client> {
        let tls = self.tls.borrow().clone();
        let mut made = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, by, client)) = &*made
            && *at == holder
            && Arc::ptr_eq(by, &tls)
        {
            return Some(client.clone());
        }
        let builder = reqwest::Client::builder().tls_backend_preconfigured((*tls).clone());
        let builder = builder.redirect(reqwest::redirect::Policy::none()).no_proxy().resolve(&self.host, holder);
        let client =
            builder.build().inspect_err(|_| tracing::error!("failed to make a client for another replica")).ok()?;
        *made = Some((holder, tls, client.clone()));
        Some(client)
    }
}

/// A refusal in the other replica's words: the same kinds stand in the same program.
fn told(status: StatusCode, body: &[u8]) -> Option<Problem> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let slug = body["type"].as_str()?.rsplit('/').next()?;
    let kind = super::http::KINDS.iter().find(|kind| kind.slug == slug && kind.status == status)?;
    Some(Problem::new(*kind, body["detail"].as_str()?))
}
