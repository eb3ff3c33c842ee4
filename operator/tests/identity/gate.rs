//! A client that dies at a chosen write: before it is sent, or after the API server has taken it but before the answer is seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::http::{Method, Request};
use kube::Client;
use kube::client::Body;

/// When to die.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    /// At which write, counted from one.
    pub(crate) at: usize,
    /// The write itself is still made.
    pub(crate) after: bool,
}

/// Counts writes, and ends everything at one of them.
#[derive(Default)]
pub(crate) struct Gate {
    death: Option<Death>,
    writes: AtomicUsize,
    dead: AtomicBool,
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

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// `client` behind this gate.
    pub(crate) fn client(self: &Arc<Self>, client: &Client) -> Client {
        let (gate, client) = (self.clone(), client.clone());
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (gate, client) = (gate.clone(), client.clone());
            async move {
                if gate.is_dead() || gate.refuse.is_some_and(|path| request.uri().path().contains(path)) {
                    return Err("behind the gate".into());
                }
                let write = *request.method() != Method::GET;
                let count = if write { gate.writes.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
                match gate.death.filter(|death| write && death.at == count) {
                    Some(death) => {
                        gate.dead.store(true, Ordering::SeqCst);
                        if death.after {
                            let _ = client.send(request).await;
                        }
                        Err("killed".into())
                    }
                    None => client.send(request).await.map_err(Box::<dyn std::error::Error + Send + Sync>::from),
                }
            }
        });
        Client::new(service, namespace)
    }
}
