//! Keeps the list in ConfigMap `waybill-crl`: one task reads, changes and writes it under its resourceVersion, so nothing another
//! operator revoked is ever lost. Requests are gathered for a moment: a namespace deleted with all its carriers is one write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use waybill_crds::FIELD_MANAGER;

use super::read::read;
use super::render::{self, Published};
use super::{Change, Crl};
use crate::identity::ca::Authority;
use crate::identity::labels;
use crate::identity::ledger::Ledger;

pub(crate) const NAME: &str = "waybill-crl";
const CRL_PEM: &str = "crl.pem";
const REVOKED: &str = "revoked.json";
const NUMBER: &str = "number";
const LINGER: Duration = Duration::from_millis(50);
/// Longer lists are written less often: at ten thousand entries once a second.
const LINGER_AN_ENTRY: Duration = Duration::from_micros(100);
/// Each list's date is a second after the last one's at least: in a long storm of changes they are gathered for longer.
const LINGER_IN_STORM: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read the list of revocations")]
    Read(#[source] Arc<kube::Error>),
    #[error("failed to write the list of revocations")]
    Write(#[source] Arc<kube::Error>),
    #[error("failed to write the list of revocations: it changed under our hands {ATTEMPTS} times")]
    Contended,
    #[error("failed to sign the list of revocations")]
    Render(#[source] Arc<render::Error>),
    #[error("failed to revoke: nobody writes the list (not the leader, or still starting)")]
    NotServed,
}

/// What a request asks for; certificates are looked up in the ledger when it is served.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    CutOff(String),
    Reinstate(String),
}

type Waiting = (Vec<Ask>, oneshot::Sender<Result<(), Error>>);

pub(crate) struct Revocations {
    client: Client,
    namespace: String,
    published: watch::Sender<Option<Arc<Published>>>,
    queue: mpsc::Sender<Waiting>,
    waiting: tokio::sync::Mutex<mpsc::Receiver<Waiting>>,
    writing: tokio::sync::Mutex<()>,
}

impl Revocations {
    pub(crate) fn new(client: Client, namespace: String) -> Self {
        let (queue, waiting) = mpsc::channel(1024);
        Self {
            client,
            namespace,
            published: watch::Sender::new(None),
            queue,
            waiting: tokio::sync::Mutex::new(waiting),
            writing: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn published(&self) -> Option<Arc<Published>> {
        self.published.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.subscribe()
    }

    /// Returns once the list that says so is written.
    pub(crate) async fn ask(&self, asks: Vec<Ask>) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let served = async {
            self.queue.send((asks, answer)).await.map_err(|_| Error::NotServed)?;
            answered.await.map_err(|_| Error::NotServed)?
        };
        tokio::time::timeout(PATIENCE, served).await.map_err(|_| Error::NotServed)?
    }

    /// Serves requests until `shutdown`. One server at a time.
    pub(crate) async fn serve(
        &self,
        ledger: &Ledger,
        authority: watch::Receiver<Option<Arc<Authority>>>,
        shutdown: CancellationToken,
    ) {
        let mut waiting = self.waiting.lock().await;
        while let Some(Some(first)) = shutdown.run_until_cancelled(waiting.recv()).await {
            let mut gathered = vec![first];
            tokio::time::sleep(self.linger()).await;
            while let Ok(next) = waiting.try_recv() {
                gathered.push(next);
            }
            let known = authority.borrow().clone();
            let (asks, answers): (Vec<Vec<Ask>>, Vec<_>) = gathered.into_iter().unzip();
            let result = match known {
                Some(authority) => self.serve_all(&asks.concat(), ledger, &authority).await,
                None => Err(Error::NotServed),
            };
            for answer in answers {
                // Whoever asked may have gone; the list is written all the same.
                let _ = answer.send(result.clone());
            }
        }
    }

    fn linger(&self) -> Duration {
        let Some(published) = self.published() else { return LINGER };
        let entries = u32::try_from(published.crl.entries.len()).unwrap_or(u32::MAX);
        let ahead = Timestamp::now() - crate::identity::BACKDATE / 2;
        let storm = published.crl.this_update.is_some_and(|last| last > ahead);
        if storm { LINGER_IN_STORM } else { (LINGER + LINGER_AN_ENTRY * entries).min(LINGER_IN_STORM) }
    }

    async fn serve_all(&self, asks: &[Ask], ledger: &Ledger, authority: &Authority) -> Result<(), Error> {
        let now = Timestamp::now();
        self.update(change(asks, ledger, now), ledger, authority, now).await.map(drop)
    }

    /// Writes the list if `change` changes it, or if some authority lacks a fresh one. True when it was written.
    pub(crate) async fn update(
        &self,
        change: Change,
        ledger: &Ledger,
        authority: &Authority,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let _one_at_a_time = self.writing.lock().await;
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let authorities: Vec<_> = authority.trusted().map(|ca| ca.fingerprint()).collect();
        for _ in 0..ATTEMPTS {
            let found = api.get_opt(NAME).await.map_err(|error| Error::Read(Arc::new(error)))?;
            let (mut stored, texts) = self.stored(found.as_ref(), ledger, authority, now);
            let mut change = change.clone();
            if let Some(memory) = self.published() {
                change.revoke.extend(stored.recover(&memory.crl, now));
            }
            let Some(next) = stored.after(&change, &authorities, now) else {
                let [crl_pem, revoked_json] = texts;
                self.publish(Published::new(stored, crl_pem, revoked_json));
                return Ok(false);
            };
            let next = render::render(next, authority, now).map_err(|error| Error::Render(Arc::new(error)))?;
            if self.write(&api, found, &next).await? {
                tracing::info!(number = next.crl.number, entries = next.crl.entries.len(), "revocations written");
                self.publish(next);
                return Ok(true);
            }
        }
        Err(Error::Contended)
    }

    fn publish(&self, published: Published) {
        let published = Some(Arc::new(published));
        self.published.send_if_modified(|current| {
            let changed = *current != published;
            *current = published;
            changed
        });
    }

    fn stored(
        &self,
        found: Option<&ConfigMap>,
        ledger: &Ledger,
        authority: &Authority,
        now: Timestamp,
    ) -> (Crl, [String; 2]) {
        let data = found.and_then(|map| map.data.as_ref());
        let text = |key: &str| data.and_then(|data| data.get(key)).cloned().unwrap_or_default();
        let texts = [text(CRL_PEM), text(REVOKED)];
        let details = |serials: &_| ledger.index().details(serials);
        (read(&texts[0], &texts[1], authority, details, now), texts)
    }

    /// False when somebody else wrote first.
    async fn write(&self, api: &Api<ConfigMap>, found: Option<ConfigMap>, next: &Published) -> Result<bool, Error> {
        let metadata = ObjectMeta {
            name: Some(NAME.into()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels::of("crl")),
            resource_version: found.as_ref().and_then(|map| map.metadata.resource_version.clone()),
            ..ObjectMeta::default()
        };
        let data = [
            (CRL_PEM, next.crl_pem.clone()),
            (REVOKED, next.revoked_json.clone()),
            (NUMBER, next.crl.number.to_string()),
        ];
        let data: BTreeMap<_, _> = data.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
        let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let written = match found {
            Some(_) => api.replace(NAME, &params, &map).await,
            None => api.create(&params, &map).await,
        };
        match written {
            Ok(_) => Ok(true),
            // Gone in between counts as changed in between.
            Err(kube::Error::Api(status))
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::Write(Arc::new(error))),
        }
    }
}

/// What `asks` mean for the list, by what the ledger says at this moment.
fn change(asks: &[Ask], ledger: &Ledger, now: Timestamp) -> Change {
    let index = ledger.index();
    let mut change = Change::default();
    for ask in asks {
        match ask {
            Ask::CutOff(uid) => change.revoke.extend(index.revoked(uid, now)),
            Ask::Reinstate(uid) => _ = change.reinstate.insert(uid.clone()),
        }
    }
    change
}
