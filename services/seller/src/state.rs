//! What the parts of the service share: each a handle on something another part keeps current.

use std::sync::Arc;

use kube::{Api, Client};
use tokio::sync::watch;
use waybill_crds::Seller;

use crate::config::Args;
use crate::metrics::SellerMetrics;
use crate::orders::Book;
use crate::shelf;
use waybill_cluster::follow::latest;

/// Cheap to clone; everything in it is the latest known value.
#[derive(Debug, Clone)]
pub struct State {
    /// The Seller object; none until it is known, or when it is gone.
    pub seller: watch::Receiver<Option<Arc<Seller>>>,
    /// The orders; none until every Secret was looked for once.
    pub book: watch::Receiver<Option<Arc<Book>>>,
}

impl State {
    /// Starts following the Seller and its orders.
    pub(crate) fn follow(client: &Client, args: &Args, metrics: &SellerMetrics) -> Self {
        let seller = latest(Api::<Seller>::namespaced(client.clone(), &args.namespace), &args.name);
        let book = shelf::book(client.clone(), args.namespace.clone(), args.name.clone(), seller.clone());
        let (mut shown, metrics) = (book.clone(), metrics.clone());
        tokio::spawn(async move {
            while shown.changed().await.is_ok() {
                if let Some(book) = shown.borrow_and_update().as_deref() {
                    metrics.show(book);
                }
            }
        });
        Self { seller, book }
    }
}
