//! What the handlers work with: the namespace as it is now, the tokens that open it, the store beside it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::jwt::Verifier;
use waybill_cluster::deliveries::Deliveries;
use waybill_cluster::logs::Logs;
use waybill_cluster::participants::Participants;
use waybill_cluster::permission::Reviews;
use waybill_crds::seller::Retention;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_protocol::{Author, KeyStatement, Log, Signer, Trust, Uid, UnixMillis};
use zeroize::Zeroizing;

use crate::bundle::Bundles;
use crate::declare::STATEMENT;
use crate::shown::Shown;
use crate::store::Store;
use crate::tokens::Pass;
use crate::uploads::{Folders, Uploads};
use crate::views::{Views, seed};

/// Shared by all requests.
pub(crate) type Service = Arc<Shared>;

pub(crate) struct Shared {
    pub(crate) namespace: String,
    pub(crate) reviews: Reviews,
    pub(crate) deliveries: Deliveries,
    pub(crate) logs: Logs,
    pub(crate) shown: Shown,
    pub(crate) sellers: Participants<Seller>,
    pub(crate) carriers: Participants<Carrier>,
    pub(crate) trust: watch::Receiver<Trust>,
    /// The published trust, passed on to agents as it is.
    pub(crate) published: watch::Receiver<Arc<Files>>,
    pub(crate) agents: Verifier<Pass>,
    /// Its own key and key statement, as they lie in their Secret.
    pub(crate) keys: watch::Receiver<Arc<Files>>,
    pub(crate) views: Views,
    /// Room for bundles on their way to whoever asked.
    pub(crate) bundles: Bundles,
    pub(crate) store: Store,
    pub(crate) uploads: Uploads,
    pub(crate) folders: Folders,
}

impl Shared {
    /// The log of a Delivery; `None` where nobody can say whose it is.
    pub(crate) fn log(&self, delivery: &Delivery) -> Option<Arc<Log>> {
        let seller = self.seller_uid(delivery)?;
        let trust = self.trust.borrow().clone();
        self.logs.read(delivery, &seller, &trust)
    }

    /// The Seller it names, or, where that is gone, the one its topics were made for.
    pub(crate) fn seller_uid(&self, delivery: &Delivery) -> Option<Uid> {
        let seller = self.sellers.object(&delivery.spec.seller);
        let uid = seller.and_then(|seller| seller.metadata.uid.clone());
        let topic = || delivery.status.as_ref()?.topics.as_ref()?.down.split('/').nth(1).map(str::to_owned);
        Uid::new(uid.or_else(topic)?).ok()
    }

    /// What its Seller wants kept; nothing that could go where that is gone.
    pub(crate) fn retention(&self, delivery: &Delivery) -> Retention {
        let seller = self.sellers.object(&delivery.spec.seller);
        seller.and_then(|seller| seller.spec.retention).unwrap_or_default()
    }

    /// Its own key.
    pub(crate) fn seed(&self) -> Option<Zeroizing<[u8; 32]>> {
        seed(&self.keys.borrow())
    }

    /// As whom it signs what persons declare; `None` until there is a statement that counts now.
    pub(crate) fn person(&self) -> Option<Signer> {
        let files = self.keys.borrow().clone();
        let (seed, statement) = (seed(&files)?, files.get(STATEMENT)?);
        let trust = self.trust.borrow().clone();
        let counts = KeyStatement::verify(statement, trust.cas(), now_millis());
        let ours = counts.is_ok_and(|statement| statement.namespace.as_str() == self.namespace);
        let signer = Signer::new(statement, &trust, &seed).ok().filter(|_| ours)?;
        (signer.author() == Author::Person).then_some(signer)
    }

    /// Whether the specification names this very Carrier, not just one of its name.
    pub(crate) fn names(&self, delivery: &Delivery, carrier: &Uid) -> bool {
        let named = delivery.spec.carrier.as_deref().and_then(|name| self.carriers.object(name));
        named.is_some_and(|named| named.metadata.uid.as_deref() == Some(carrier.as_str()))
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The same, as the protocol has it.
pub(crate) fn now_millis() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
