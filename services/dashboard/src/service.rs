//! What the handlers work with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderValue, StatusCode, header};
use futures::StreamExt;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::Client;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use waybill_chassis::files::Files;
use waybill_chassis::problem::{Problem, generic};
use waybill_cluster::permission::{self, Reviews};
use waybill_cluster::trust::{authorities, published_trust};
use waybill_protocol::Trust;

use crate::backend::Backends;
use crate::feed::Feed;
use crate::http::thumbs::Thumbs;
use crate::http::words::Words;
use crate::metrics::BoardMetrics;
use crate::oidc::Oidc;
use crate::session::Sessions;
use crate::track::Visits;

/// Shared by all requests.
pub(crate) type Service = Arc<Shared>;

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) feed: Feed,
    pub(crate) sessions: Sessions,
    /// Whoever has a tracking link open.
    pub(crate) visits: Visits,
    pub(crate) reviews: Reviews,
    pub(crate) backends: Backends,
    pub(crate) thumbs: Thumbs,
    pub(crate) words: Words,
    pub(crate) trusts: Trusts,
    pub(crate) metrics: BoardMetrics,
    /// Where people reach the board; the base of the links they get.
    pub(crate) external_url: Option<String>,
    /// The namespaces it shows; none means all.
    pub(crate) namespaces: Vec<String>,
    /// Where people may log in besides; none where nothing is configured.
    pub(crate) oidc: Option<Oidc>,
    /// How many tokens and links may be under review at once: anybody may bring one.
    pub(crate) logins: Semaphore,
    /// Cancelled when the process is told to end: whoever listens is let go.
    pub(crate) stop: CancellationToken,
}

/// The namespaces somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Visible {
    All,
    Some(Arc<[Arc<str>]>),
}

impl Visible {
    pub(crate) fn has(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.iter().any(|name| &**name == namespace),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Some(names) if names.is_empty())
    }
}

/// How many namespaces are asked about at once.
const AT_ONCE: usize = 8;

impl Shared {
    /// Where this user may list Deliveries, of the namespaces the board shows.
    pub(crate) async fn visible(&self, user: &UserInfo) -> kube::Result<Visible> {
        if self.reviews.may(user, permission::LIST, ("", "")).await? {
            return Ok(Visible::All);
        }
        let names: Vec<Arc<str>> = match self.namespaces.as_slice() {
            [] => self.feed.namespaces(),
            listed => listed.iter().map(|name| name.as_str().into()).collect(),
        };
        let asked = names.into_iter().map(|name| async move {
            let may = self.reviews.may(user, permission::LIST, (&name, "")).await?;
            Ok(may.then_some(name))
        });
        let answers: Vec<kube::Result<Option<Arc<str>>>> =
            futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
        let seen = answers.into_iter().filter_map(Result::transpose).collect::<kube::Result<Vec<_>>>()?;
        Ok(Visible::Some(seen.into()))
    }

    /// Whether the board works in this namespace at all.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace)
    }
}

/// A place among those that come in at once: anybody may try.
pub(crate) fn place(among: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    let busy = Problem::new(generic(StatusCode::TOO_MANY_REQUESTS), "too many come in at once; try again in a moment");
    among.try_acquire().map_err(|_| busy.header(header::RETRY_AFTER, HeaderValue::from_static("1")))
}

/// What each namespace trusts, followed from the first time somebody asks.
pub(crate) struct Trusts {
    client: Client,
    known: Mutex<HashMap<String, Place>>,
}

/// The trust of one namespace.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) published: watch::Receiver<Arc<Files>>,
    pub(crate) authorities: watch::Receiver<Trust>,
}

impl Trusts {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Follows this one no longer: it came to light that nothing is published there.
    pub(crate) fn forget(&self, namespace: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }

    pub(crate) fn of(&self, namespace: &str) -> Place {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.entry(namespace.to_owned()).or_insert_with(|| {
            let published = published_trust(&self.client, namespace);
            Place { authorities: authorities(published.clone()), published }
        });
        place.clone()
    }
}
