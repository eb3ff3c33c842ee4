//! What is to be done about a Seller, and its specification read once into what the builders need. Pure.

use kube::ResourceExt;
use waybill_crds::{Reason, Seller, annotation, label};

use super::dereference::Found;
use crate::args::Args;

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Paused, or going away: hands off.
    Leave,
    /// Made for a Delivery that is gone.
    Unneeded,
    Serve(Box<Valid>),
}

/// A Seller whose specification is understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Valid {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub owner: k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference,
    pub orders: Orders,
}

/// Where the orders are.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Orders {
    Secrets(Vec<String>),
    Url(String),
    /// The `url` is none the chart allows; nothing is read.
    Refused {
        reason: Reason,
        message: String,
    },
}

pub(super) fn validate(seller: &Seller, found: &Found, settings: &Args) -> Verdict {
    let paused = seller.annotations().get(annotation::PAUSED).is_some_and(|value| value == "true");
    if paused || found.namespace_ends || seller.metadata.deletion_timestamp.is_some() {
        return Verdict::Leave;
    }
    let made_by_us = seller.labels().get(label::AUTO_CREATED).is_some_and(|value| value == "true");
    if made_by_us && !found.named {
        return Verdict::Unneeded;
    }
    let (Some(uid), Some(owner)) = (seller.uid(), kube::Resource::controller_owner_ref(seller, &())) else {
        // Only what the API server never stored has no uid.
        return Verdict::Leave;
    };
    Verdict::Serve(Box::new(Valid {
        namespace: seller.namespace().unwrap_or_default(),
        name: seller.name_any(),
        uid,
        owner,
        orders: orders(seller, &settings.order_urls),
    }))
}

fn orders(seller: &Seller, allowed: &[String]) -> Orders {
    match (&seller.spec.url, &seller.spec.orders) {
        (Some(url), _) if allowed.iter().any(|prefix| is_below(url, prefix)) => Orders::Url(url.clone()),
        (Some(url), _) => Orders::Refused {
            reason: Reason::OrdersUrlForbidden,
            message: format!(
                "{url} is not on the list of order systems: ask for `sellers.orderUrls` in the chart to name it, or use Secrets"
            ),
        },
        (None, Some(named)) => {
            let mut named = named.clone();
            named.sort();
            named.dedup();
            Orders::Secrets(named)
        }
        (None, None) => Orders::Secrets(vec![format!("orders-{}", seller.name_any())]),
    }
}

/// `https://a/b` is below `https://a/b` and `https://a`, but not below `https://a/bc` nor is `https://a.evil` below `https://a`.
fn is_below(url: &str, prefix: &str) -> bool {
    let prefix = prefix.trim().trim_end_matches('/');
    !prefix.is_empty() && url.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, settings};

    const HERE: Found = Found { namespace_ends: false, named: true };

    fn served(seller: &Seller, settings: &Args) -> Valid {
        match validate(seller, &HERE, settings) {
            Verdict::Serve(valid) => *valid,
            other => panic!("to be served, not {other:?}"),
        }
    }

    #[test]
    fn a_seller_without_orders_reads_the_secret_of_its_name() {
        let seller = fixtures::seller("acme", false);
        assert_eq!(served(&seller, &settings()).orders, Orders::Secrets(vec!["orders-acme".into()]));
    }

    #[test]
    fn only_an_order_system_on_the_list_is_used() {
        let mut seller = fixtures::seller("acme", false);
        let mut settings = settings();
        settings.order_urls = vec!["https://orders.example.com/".into()];
        for (url, allowed) in [
            ("https://orders.example.com", true),
            ("https://orders.example.com/waybill", true),
            ("https://orders.example.com.evil/waybill", false),
            ("http://orders.example.com", false),
        ] {
            seller.spec.url = Some(url.into());
            let orders = served(&seller, &settings).orders;
            assert_eq!(orders == Orders::Url(url.into()), allowed, "{url}: {orders:?}");
        }
    }

    #[test]
    fn paused_ending_or_unneeded_sellers_are_not_served() {
        let mut made = fixtures::seller("acme", false);
        made.labels_mut().insert(label::AUTO_CREATED.into(), "true".into());
        let alone = Found { named: false, ..HERE };
        assert_eq!(validate(&made, &alone, &settings()), Verdict::Unneeded);
        assert!(matches!(validate(&made, &HERE, &settings()), Verdict::Serve(_)));
        assert!(matches!(validate(&fixtures::seller("acme", false), &alone, &settings()), Verdict::Serve(_)));
        made.annotations_mut().insert(annotation::PAUSED.into(), "true".into());
        assert_eq!(validate(&made, &alone, &settings()), Verdict::Leave);
        let going = Found { namespace_ends: true, ..HERE };
        assert_eq!(validate(&fixtures::seller("acme", false), &going, &settings()), Verdict::Leave);
    }
}
