//! Reads the ledger into the index, page by page, and deletes the batches in which nothing lives any more.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};

use super::batch::{self, SELECTOR};
use super::{Error, Ledger};

/// A batch is some tens of KiB: a page stays below 4 MiB.
const PAGE: u32 = 50;

impl Ledger {
    /// Reads every batch that is not known yet. The first time pages of whole batches, later only names and then what is new:
    /// what another operator wrote while both believed to lead.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        if self.index().is_empty() { self.load_all().await } else { self.load_new().await }
    }

    async fn load_all(&self) -> Result<(), Error> {
        let api = self.batches();
        let mut params = ListParams::default().labels(SELECTOR).limit(PAGE);
        loop {
            let page = api.list(&params).await.map_err(|error| Error::List(Arc::new(error)))?;
            for map in &page.items {
                self.take(map);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    async fn load_new(&self) -> Result<(), Error> {
        let api = self.batches();
        let mut params = ListParams::default().labels(SELECTOR).limit(500);
        loop {
            let page = api.list_metadata(&params).await.map_err(|error| Error::List(Arc::new(error)))?;
            for map in page.items {
                self.load_one(&api, &map).await?;
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    async fn load_one(&self, api: &Api<ConfigMap>, found: &PartialObjectMeta<ConfigMap>) -> Result<(), Error> {
        let name = found.name_any();
        if self.index().knows_batch(&name) {
            return Ok(());
        }
        let read = api.get_opt(&name).await.map_err(|error| Error::Read { name, source: Arc::new(error) })?;
        if let Some(map) = read {
            self.take(&map);
        }
        Ok(())
    }

    /// A batch that cannot be read is said and skipped: the others still count.
    fn take(&self, map: &ConfigMap) {
        match batch::decode(map) {
            Ok(batch) => self.index().add(&batch),
            Err(error) => {
                tracing::error!(%error, "a ledger batch is damaged; its certificates cannot be revoked by number")
            }
        }
    }

    /// Deletes expired batches; one that is gone already is as good.
    pub(crate) async fn collect(&self, now: Timestamp) -> Result<usize, Error> {
        let expired = self.index().expired_batches(now);
        let api = self.batches();
        for name in &expired {
            match api.delete(name, &kube::api::DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(Error::Delete { name: name.clone(), source: Arc::new(error) }),
            }
            self.index().forget(name, now);
        }
        Ok(expired.len())
    }

    fn batches(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}
