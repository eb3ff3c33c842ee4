//! The condition `OrdersAvailable` of the Seller: decided purely, applied only by the Lease holder, and only when it
//! says something new.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;
use waybill_crds::condition::{self, Status, Wanted};
use waybill_crds::{ConditionType, Reason, SELLER_FIELD_MANAGER, Seller};

use crate::orders::{Book, FaultCause};
use crate::shelf::secret_names;
use crate::source::{FetchError, Health};

/// Between attempts while the API server refuses or is away.
const RETRY: Duration = Duration::from_secs(2);
/// How long an answer of the API server may take.
pub(crate) const API_PATIENCE: Duration = Duration::from_secs(10);

/// What the Seller should say about its orders. Names Secrets and keys, never content.
pub fn wanted(seller: &Seller, book: &Book, asked: &Health) -> Wanted {
    let (status, reason, message) = match book.faults() {
        [] if seller.spec.url.is_some() => of_order_system(seller, asked),
        [] => {
            let names = secret_names(&seller.name_any(), &seller.spec).join(", ");
            (Status::True, Reason::OrdersRead, format!("orders are read from {names}"))
        }
        faults if faults.iter().any(|fault| fault.cause == FaultCause::Missing) => {
            (Status::False, Reason::OrdersMissing, book.complaint())
        }
        // Its Delivery says it too; all others go on.
        _ if !book.is_empty() => (
            Status::True,
            Reason::OrdersRead,
            format!("{} orders are read, not those at fault: {}", book.len(), book.complaint()),
        ),
        _ => (Status::False, Reason::OrderMalformed, book.complaint()),
    };
    let observed_generation = seller.metadata.generation;
    Wanted { type_: ConditionType::OrdersAvailable, status, reason, message, observed_generation }
}

/// What the last answer of the order system means; one that named another address means nothing.
fn of_order_system(seller: &Seller, asked: &Health) -> (Status, Reason, String) {
    let url = seller.spec.url.as_deref().unwrap_or_default();
    match asked {
        Some(Ok(known)) if known == url => (Status::True, Reason::OrdersRead, format!("orders are read from {url}")),
        Some(Err((known, error))) if known == url => {
            let message = format!("{url} {error}: what waits for it is tried again");
            let reason = match error {
                FetchError::Forbidden => Reason::OrdersUrlForbidden,
                _ => Reason::OrdersUnreachable,
            };
            (Status::False, reason, message)
        }
        _ => (
            Status::Unknown,
            Reason::OrdersUnreachable,
            "orders come from spec.url, which is asked when a Delivery needs them".to_owned(),
        ),
    }
}

/// The condition to write, or none where the Seller says it already.
pub fn change(seller: &Seller, book: &Book, asked: &Health, now: Timestamp) -> Option<Condition> {
    let mut conditions = seller.status.clone().unwrap_or_default().conditions;
    if !condition::set(&mut conditions, wanted(seller, book, asked), now) {
        return None;
    }
    condition::find(&conditions, ConditionType::OrdersAvailable).cloned()
}

/// What the reporter follows.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) seller: watch::Receiver<Option<Arc<Seller>>>,
    pub(crate) book: watch::Receiver<Option<Arc<Book>>>,
    /// What the last look at the order system said.
    pub(crate) asked: watch::Receiver<Health>,
    pub(crate) holds: watch::Receiver<bool>,
}

/// Writes the condition whenever it has something new to say, while this replica holds the Lease.
pub(crate) async fn keep_reported(api: Api<Seller>, mut watched: Watched, shutdown: CancellationToken) {
    loop {
        let failed = match due(&mut watched) {
            Some((name, condition)) => apply(&api, &name, condition).await.is_err(),
            None => false,
        };
        let next = async {
            tokio::select! {
                changed = watched.seller.changed() => changed.is_ok(),
                changed = watched.book.changed() => changed.is_ok(),
                changed = watched.asked.changed() => changed.is_ok(),
                changed = watched.holds.changed() => changed.is_ok(),
                () = tokio::time::sleep(RETRY), if failed => true,
            }
        };
        match shutdown.run_until_cancelled(next).await {
            Some(true) => {}
            Some(false) | None => return,
        }
    }
}

fn due(watched: &mut Watched) -> Option<(String, Condition)> {
    let holds = *watched.holds.borrow_and_update();
    let seller = watched.seller.borrow_and_update().clone()?;
    let book = watched.book.borrow_and_update().clone()?;
    let leaving = seller.metadata.deletion_timestamp.is_some();
    let asked = watched.asked.borrow_and_update().clone();
    let condition = change(&seller, &book, &asked, Timestamp::now()).filter(|_| holds && !leaving)?;
    Some((seller.name_any(), condition))
}

async fn apply(api: &Api<Seller>, name: &str, condition: Condition) -> Result<(), ()> {
    let reason = condition.reason.clone();
    let patch = json!({
        "apiVersion": format!("{}/{}", waybill_crds::GROUP, waybill_crds::VERSION),
        "kind": "Seller",
        "metadata": { "name": name },
        "status": { "conditions": [condition] },
    });
    let params = PatchParams::apply(SELLER_FIELD_MANAGER).force();
    let patch = Patch::Apply(patch);
    let answer = tokio::time::timeout(API_PATIENCE, api.patch_status(name, &params, &patch)).await;
    match answer.unwrap_or_else(|elapsed| Err(kube::Error::Service(Box::new(elapsed)))) {
        Ok(_) => {
            tracing::info!(reason, "reported on the orders");
            Ok(())
        }
        Err(error) => {
            tracing::warn!(error = %report(&error), "failed to report on the orders");
            Err(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_crds::{SellerSpec, SellerStatus};

    const ORDER: &[u8] = br#"{"country":"US","province":"GA","city":"Atlanta","door":"1","clientname":"MARKER",
        "clientphone":"1","postalCode":"30303"}"#;

    fn seller(spec: SellerSpec) -> Seller {
        let mut seller = Seller::new("acme", spec);
        seller.metadata.generation = Some(3);
        seller
    }

    fn book(keys: Option<&[(&str, &[u8])]>) -> Book {
        let keys = keys.map(|keys| keys.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect());
        Book::read(&[("orders-acme".to_owned(), keys)])
    }

    fn verdict(seller: &Seller, book: &Book) -> (Status, Reason, String) {
        let wanted = wanted(seller, book, &None);
        assert_eq!((wanted.type_, wanted.observed_generation), (ConditionType::OrdersAvailable, Some(3)));
        (wanted.status, wanted.reason, wanted.message)
    }

    #[test]
    fn good_orders_are_available() {
        let good = book(Some(&[("upc-1", ORDER)]));
        let said = verdict(&seller(SellerSpec::default()), &good);
        assert_eq!(said, (Status::True, Reason::OrdersRead, "orders are read from orders-acme".into()));
    }

    #[test]
    fn a_missing_secret_is_named() {
        let said = verdict(&seller(SellerSpec::default()), &book(None));
        assert_eq!(said, (Status::False, Reason::OrdersMissing, "Secret orders-acme does not exist".into()));
    }

    #[test]
    fn a_malformed_order_is_named_without_its_content() {
        let bad: (&str, &[u8]) = ("upc-2", b"MARKER: MARKER");
        let (status, reason, message) = verdict(&seller(SellerSpec::default()), &book(Some(&[bad])));
        assert_eq!((status, reason), (Status::False, Reason::OrderMalformed));
        assert_eq!(message, "key upc-2 of Secret orders-acme has a field that is no part of an order");
        // One bad order is its Delivery's trouble, not the Seller's.
        let (status, reason, message) = verdict(&seller(SellerSpec::default()), &book(Some(&[("upc-1", ORDER), bad])));
        assert_eq!((status, reason), (Status::True, Reason::OrdersRead));
        assert!(
            message.ends_with("key upc-2 of Secret orders-acme has a field that is no part of an order"),
            "{message}"
        );
    }

    #[test]
    fn an_order_system_is_not_judged_before_it_is_asked() {
        let system = seller(SellerSpec { url: Some("https://orders.example".into()), ..SellerSpec::default() });
        let (status, reason, _) = verdict(&system, &Book::default());
        assert_eq!((status, reason), (Status::Unknown, Reason::OrdersUnreachable));
    }

    #[test]
    fn a_slow_or_wrong_order_system_is_named_with_what_is_wrong_and_a_good_one_too() {
        let url = "https://orders.example";
        let system = seller(SellerSpec { url: Some(url.into()), ..SellerSpec::default() });
        let says = |asked: Health| {
            let Wanted { status, reason, message, .. } = wanted(&system, &Book::default(), &asked);
            (status, reason, message)
        };
        let failed = |error| says(Some(Err((url.into(), error))));
        let (status, reason, message) = failed(FetchError::Slow);
        assert_eq!((status, reason), (Status::False, Reason::OrdersUnreachable));
        assert_eq!(message, "https://orders.example did not answer within 5s: what waits for it is tried again");
        assert_eq!(failed(FetchError::Forbidden).1, Reason::OrdersUrlForbidden);
        assert_eq!(says(Some(Ok(url.into()))).0, Status::True);
        assert_eq!(says(Some(Ok("https://another.example".into()))).0, Status::Unknown);
    }

    #[test]
    fn nothing_is_written_while_nothing_changes() {
        let (at, later) = (Timestamp::from_second(1000).unwrap(), Timestamp::from_second(2000).unwrap());
        let good = book(Some(&[("upc-1", ORDER)]));
        let mut seller = seller(SellerSpec::default());
        let first = change(&seller, &good, &None, at).unwrap();
        seller.status = Some(SellerStatus { conditions: vec![first.clone()], ..SellerStatus::default() });
        assert_eq!(change(&seller, &good, &None, later), None);

        let broken = change(&seller, &book(None), &None, later).unwrap();
        assert_eq!((broken.status.as_str(), broken.last_transition_time.0), ("False", later));
        seller.metadata.generation = Some(4);
        let renewed = change(&seller, &good, &None, later).unwrap();
        assert_eq!((renewed.observed_generation, renewed.last_transition_time), (Some(4), first.last_transition_time));
    }
}
