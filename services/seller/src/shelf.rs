//! Keeps the book of orders current: the Seller says which Secrets, each is followed by name, any change makes a new
//! book at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::select_all;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::watch;
use waybill_crds::{Seller, SellerSpec};

use crate::orders::{Book, Source};
use waybill_cluster::follow::follow;

type Keys = BTreeMap<String, Vec<u8>>;

/// The Secrets a Seller's orders are in: those it names, or the one of its own name; none where it has an order system.
pub fn secret_names(seller: &str, spec: &SellerSpec) -> Vec<String> {
    match (&spec.orders, &spec.url) {
        (Some(names), _) => names.clone(),
        (None, Some(_)) => Vec::new(),
        (None, None) => vec![format!("orders-{seller}")],
    }
}

/// The book, `None` until every Secret was looked for once.
pub(crate) fn book(
    client: Client,
    namespace: String,
    name: String,
    seller: watch::Receiver<Option<Arc<Seller>>>,
) -> watch::Receiver<Option<Arc<Book>>> {
    let (sender, receiver) = watch::channel(None);
    let api = Api::<Secret>::namespaced(client, &namespace);
    tokio::spawn(keep(api, name, seller, sender));
    receiver
}

async fn keep(
    api: Api<Secret>,
    name: String,
    mut seller: watch::Receiver<Option<Arc<Seller>>>,
    book: watch::Sender<Option<Arc<Book>>>,
) {
    loop {
        let names = seller.borrow_and_update().as_ref().map(|seller| secret_names(&name, &seller.spec));
        let changed = async {
            while seller.changed().await.is_ok() {
                let now = seller.borrow_and_update().as_ref().map(|seller| secret_names(&name, &seller.spec));
                // A Seller that is being deleted keeps its book to the end.
                if now.is_some() && now != names {
                    return true;
                }
            }
            false
        };
        tokio::select! {
            again = changed => if !again { return },
            () = read(&api, names.as_deref(), &book) => {}
            () = book.closed() => return,
        }
    }
}

/// Follows these Secrets; a book is published once all were seen, and again with each change.
async fn read(api: &Api<Secret>, names: Option<&[String]>, book: &watch::Sender<Option<Arc<Book>>>) {
    let Some(names) = names else { return std::future::pending().await };
    let mut seen: Vec<Option<Source>> = vec![None; names.len()];
    let each = names.iter().enumerate().map(|(at, name)| follow(api.clone(), name).map(move |secret| (at, secret)));
    let mut events = select_all(each);
    loop {
        if let Some(sources) = seen.iter().cloned().collect::<Option<Vec<Source>>>() {
            publish(book, Book::read(&sources));
        }
        match events.next().await {
            Some((at, secret)) => seen[at] = Some((names[at].clone(), secret.map(keys))),
            // No Secret to follow: the empty book stands.
            None => return std::future::pending().await,
        }
    }
}

fn publish(book: &watch::Sender<Option<Arc<Book>>>, next: Book) {
    book.send_if_modified(|current| {
        let new = current.as_deref() != Some(&next);
        if new {
            tracing::info!(orders = next.len(), faults = next.faults().len(), "orders read");
            *current = Some(Arc::new(next));
        }
        new
    });
}

fn keys(secret: Secret) -> Keys {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seller_has_the_secret_of_its_own_name_unless_it_says_otherwise() {
        let plain = SellerSpec::default();
        assert_eq!(secret_names("acme", &plain), ["orders-acme"]);
        let named = SellerSpec { orders: Some(vec!["orders-a".into(), "orders-b".into()]), ..SellerSpec::default() };
        assert_eq!(secret_names("acme", &named), ["orders-a", "orders-b"]);
        let system = SellerSpec { url: Some("https://orders.example".into()), ..SellerSpec::default() };
        assert!(secret_names("acme", &system).is_empty());
    }
}
