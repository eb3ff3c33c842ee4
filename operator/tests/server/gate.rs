//! A client that dies at a chosen write: before it is sent, or after the API server has taken it but before the answer is seen.

use std::sync::{Arc, Mutex};

use axum::http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// When to die.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    /// At the first write that ends so; see [`Gate::writes`].
    pub(crate) at: String,
    /// The write itself is still made.
    pub(crate) after: bool,
}

/// Lists writes, and ends everything at one of them.
#[derive(Default)]
pub(crate) struct Gate {
    death: Option<Death>,
    writes: Mutex<Vec<String>>,
    dead: CancellationToken,
    /// Requests whose path contains this are answered with an error.
    refuse: Option<&'static str>,
}

impl Gate {
    pub(crate) fn open() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(crate) fn with(death: Death) -> Arc<Self> {
        Arc::new(Self { death: Some(death), ..Self::default() })
    }

    pub(crate) fn refusing(path: &'static str) -> Arc<Self> {
        Arc::new(Self { refuse: Some(path), ..Self::default() })
    }

    /// Every write so far, as `PATCH …/path/name` or `POST …/path name`. A name drawn by lot is left out of a ledger's batch.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.writes.lock().expect("whole").clone()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Waits for the end.
    pub(crate) async fn died(&self) {
        self.dead.cancelled().await;
    }

    /// `client` behind this gate.
    pub(crate) fn client(self: &Arc<Self>, client: &Client) -> Client {
        let (gate, client) = (self.clone(), client.clone());
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request| gate.clone().pass(client.clone(), request));
        Client::new(service, namespace)
    }

    async fn pass(self: Arc<Self>, client: Client, request: Request<Body>) -> Answer {
        if self.is_dead() || self.refuse.is_some_and(|path| request.uri().path().contains(path)) {
            return Err("behind the gate".into());
        }
        if *request.method() == Method::GET {
            return Ok(client.send(request).await?);
        }
        let (write, request) = named(request).await?;
        self.writes.lock().expect("whole").push(write.clone());
        let Some(death) = self.death.as_ref().filter(|death| write.ends_with(&death.at)) else {
            return Ok(client.send(request).await?);
        };
        self.dead.cancel();
        if death.after {
            let _ = client.send(request).await;
        }
        Err("killed".into())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<axum::http::Response<Body>, Failure>;

/// What a request writes; a new object's name is in its body only.
async fn named(request: Request<Body>) -> Result<(String, Request<Body>), Failure> {
    let line = format!("{} {}", request.method(), request.uri().path());
    if *request.method() != Method::POST {
        return Ok((line, request));
    }
    let (parts, body) = request.into_parts();
    let bytes = body.collect_bytes().await?;
    let object: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let name = if name.starts_with("waybill-ledger-") { "waybill-ledger" } else { name };
    Ok((format!("{line} {name}"), Request::from_parts(parts, Body::from(bytes))))
}
