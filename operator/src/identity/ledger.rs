//! The ledger: every certificate number is written down before its certificate is signed. Immutable ConfigMaps, one a batch, so that
//! ten thousand certificates cost some dozens of writes, and an index of what has not expired in memory.
//!
//! Whoever dies between ledger and signature leaves a number without a certificate: it expires and is forgotten.

pub(crate) mod batch;
pub(crate) mod index;
pub(crate) mod issue;
pub(crate) mod load;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::serial::Serial;
use index::Index;

/// Whose certificate a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    Seller,
    Carrier,
    CarrierApi,
    Broker,
    Board,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seller => "Seller",
            Self::Carrier => "Carrier",
            Self::CarrierApi => "CarrierApi",
            Self::Broker => "Broker",
            Self::Board => "Board",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The object a certificate was issued to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// What one certificate needs to be written down.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) owner: Owner,
    /// Id of the authority that will sign.
    pub(crate) ca: String,
    /// What the clock says, whatever the certificate will.
    pub(crate) now: Timestamp,
    pub(crate) not_after: Timestamp,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to issue a certificate: the clock says {now}, but one was issued at {last}")]
    ClockWentBack { now: Timestamp, last: Timestamp },
    #[error("failed to issue a certificate: the ledger is not being written (not the leader, or still starting)")]
    NotServed,
    #[error("failed to write ledger batch {name}")]
    Write {
        name: String,
        #[source]
        source: Arc<kube::Error>,
    },
    #[error("failed to list the ledger")]
    List(#[source] Arc<kube::Error>),
    #[error("failed to read ledger batch {name}")]
    Read {
        name: String,
        #[source]
        source: Arc<kube::Error>,
    },
    #[error("failed to parse ledger batch {name}: {reason}")]
    Parse { name: String, reason: String },
    #[error("failed to delete ledger batch {name}")]
    Delete {
        name: String,
        #[source]
        source: Arc<kube::Error>,
    },
}

type Waiting = (Request, oneshot::Sender<Result<Serial, Error>>);

/// Longer than a batch ever waits for its write.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests that may wait before askers are slowed down.
const QUEUE: usize = 1024;

pub(crate) struct Ledger {
    client: Client,
    namespace: String,
    index: Mutex<Index>,
    queue: mpsc::Sender<Waiting>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Waiting>>,
}

impl Ledger {
    pub(crate) fn new(client: Client, namespace: String) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self { client, namespace, index: Mutex::default(), queue, waiting: tokio::sync::Mutex::new(waiting) }
    }

    /// A number for a certificate, once it stands in the ledger.
    pub(crate) async fn reserve(&self, request: Request) -> Result<Serial, Error> {
        let (answer, answered) = oneshot::channel();
        let reserved = async {
            self.queue.send((request, answer)).await.map_err(|_| Error::NotServed)?;
            answered.await.map_err(|_| Error::NotServed)?
        };
        tokio::time::timeout(PATIENCE, reserved).await.map_err(|_| Error::NotServed)?
    }

    /// The index, for a moment; never held across an await.
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
